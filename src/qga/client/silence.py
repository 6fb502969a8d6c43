"""Why nobody answers the synchronisation, as far as this machine's kernel can tell.

`channel` and `aiochannel` ask it when the time is over. It knows unix sockets, on Linux: whether
the other side has accepted the connection at all, which QEMU and qemu-ga do for one client at a
time; and whether it has taken what was sent, which QEMU does while the guest has the port open.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from pathlib import Path

from qga.errors import AgentBusy, AgentNotResponding

_TABLE = Path("/proc/net/unix")


def explained(error: AgentNotResponding, transport: object) -> AgentNotResponding:
    """*error*, or a better one if it says that nobody answers and the kernel knows more.

    Args:
        error: what came of an exchange.
        transport: over which; looked at if it has a `fileno()`.
    """
    if type(error) is not AgentNotResponding or not hasattr(transport, "fileno"):
        return error
    found = AgentNotResponding(error.text)
    stream = _unix_socket(transport.fileno())
    if stream is None:
        return error
    with stream:
        if not _unread(stream):
            found = AgentBusy(error.text)
            found.taken = True
            found.hint = (
                "the request was taken: is the agent at a long command or stopped, "
                "or the guest paused?"
            )
        elif _not_accepted(stream):
            found = AgentBusy(error.text)
            found.hint = (
                "the channel is taken: another client holds it, or its other end is stopped"
            )
        else:
            found.hint = (
                "nobody takes what is sent: is qemu-guest-agent installed and running in the guest?"
            )
    return found


def _unix_socket(descriptor: int) -> socket.socket | None:
    """A copy of *descriptor*, if it is a unix socket."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None
    try:
        stream = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None
    if stream.family != socket.AF_UNIX:
        stream.close()
        return None
    return stream


def _not_accepted(stream: socket.socket) -> bool:
    """Whether the connection, or another one to the same socket, waits to be accepted.

    Where one is kept waiting for as long as a call takes, nobody accepts any.
    """
    try:
        address = stream.getpeername()
        lines = _TABLE.read_bytes().splitlines()
    except OSError:
        return False
    # The kernel shows the NULs of an abstract name as @.
    path = os.fsencode(address).replace(b"\0", b"@")
    # Num RefCount Protocol Flags Type St Inode Path: a connection gets its inode when it is
    # accepted, and is in state 2, connecting, until then.
    fields = (line.split(None, 7) for line in lines[1:])
    return bool(path) and any(
        len(found) == 8 and found[7] == path and found[5:7] == [b"02", b"0"] for found in fields
    )


def _unread(stream: socket.socket) -> int:
    """How much of what was sent waits in this kernel."""
    answer: bytes = fcntl.ioctl(stream, termios.TIOCOUTQ, bytes(4))
    (count,) = struct.unpack("i", answer)
    return int(count)
