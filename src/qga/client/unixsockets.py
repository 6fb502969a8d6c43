"""What this machine's kernel tells of a unix socket: who listens, who is connected, who waits.

For `probing`, `doctor` and `lookup`. Nobody is disturbed by it, and no rights are needed, but for
the names of other users' processes. On Linux; elsewhere nothing is known.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROC = Path("/proc")

# From linux/netlink.h, linux/sock_diag.h and linux/unix_diag.h.
_DIAG, _DUMP_REQUEST, _DONE, _ERROR = 20, 0x301, 3, 2
_NETLINK_SOCK_DIAG = 4
_SHOW_NAME, _SHOW_FILE, _SHOW_PEER, _SHOW_WAITING = 1, 2, 4, 8
_NAME, _FILE, _PEER, _WAITING = 0, 1, 2, 3
_MESSAGE, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")
_REQUEST, _ENTRY = struct.Struct("=BBHIIIII"), struct.Struct("=BBBBIII")
_ANY = 0xFFFFFFFF
_LISTENS = 10  # TCP_LISTEN, also of unix sockets


@dataclass(frozen=True, slots=True)
class Entry:
    """One end of a connection, or a listening socket.

    Attributes:
        listens: whether it is the latter.
        inode: its number.
        peer: the number of the other end; 0 if there is none.
        waiting: the numbers of those that wait to be accepted by it.
        name: the path that its server bound.
        file: the device and the number of that file, as the kernel has them.
    """

    listens: bool
    inode: int
    peer: int
    waiting: tuple[int, ...]
    name: bytes
    file: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is at the path of a socket.

    Attributes:
        listener: the number of the socket that listens; 0 if none does.
        clients: the numbers of the sockets of clients that are connected.
        waiting: those of clients whose connection nobody has accepted yet.
    """

    listener: int
    clients: tuple[int, ...]
    waiting: tuple[int, ...]


def look(path: str | Path) -> Seen | None:
    """What there is at *path*; None if the kernel does not tell."""
    try:
        entries = list(_entries(_dump()))
    except OSError:
        return None
    file = _file_of(path)
    name = os.fsencode(path)
    here = [entry for entry in entries if entry.name == name or (file and entry.file == file)]
    return Seen(
        next((entry.inode for entry in here if entry.listens), 0),
        # One without a peer has been left by its client, which the server has not noticed yet.
        tuple(entry.peer for entry in here if not entry.listens and entry.peer),
        tuple(number for entry in here for number in entry.waiting if number),
    )


def _file_of(path: str | Path) -> tuple[int, int] | None:
    """Device and number of the file *path*, as the kernel has them."""
    try:
        found = os.stat(path)  # noqa: PTH116 - it may be text
    except OSError:
        return None
    device = os.major(found.st_dev) << 20 | os.minor(found.st_dev)
    return device, found.st_ino & _ANY


def _dump() -> Iterator[bytes]:
    """The kernel's messages, one for each unix socket of this network namespace."""
    request = _REQUEST.pack(
        socket.AF_UNIX,
        0,
        0,
        _ANY,
        0,
        _SHOW_NAME | _SHOW_FILE | _SHOW_PEER | _SHOW_WAITING,
        _ANY,
        _ANY,
    )
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as stream:
        stream.settimeout(5)
        length = _MESSAGE.size + len(request)
        stream.send(_MESSAGE.pack(length, _DIAG, _DUMP_REQUEST, 1, 0) + request)
        while True:
            data = stream.recv(1 << 20)
            at = 0
            while at + _MESSAGE.size <= len(data):
                length, kind_of, *_ = _MESSAGE.unpack_from(data, at)
                if kind_of == _DONE:
                    return
                if kind_of == _ERROR or length < _MESSAGE.size:
                    raise OSError("the kernel does not tell of unix sockets")
                yield data[at + _MESSAGE.size : at + length]
                at += (length + 3) & ~3


def _entries(messages: Iterable[bytes]) -> Iterator[Entry]:
    for message in messages:
        _, _, state, _, inode, *_ = _ENTRY.unpack_from(message)
        name, peer, file = b"", 0, None
        waiting: tuple[int, ...] = ()
        at = _ENTRY.size
        while at + _ATTRIBUTE.size <= len(message):
            length, kind = _ATTRIBUTE.unpack_from(message, at)
            value = message[at + _ATTRIBUTE.size : at + length]
            if kind == _NAME:
                name = value.rstrip(b"\0")
            elif kind == _PEER:
                (peer,) = struct.unpack("=I", value)
            elif kind == _WAITING:
                waiting = struct.unpack(f"={len(value) // 4}I", value)
            elif kind == _FILE:
                number, device = struct.unpack("=II", value)
                file = device, number
            at += max((length + 3) & ~3, _ATTRIBUTE.size)
        if name:
            yield Entry(state == _LISTENS, inode, peer, waiting, name, file)


def processes(inodes: Iterable[int]) -> dict[int, tuple[int, str]]:
    """The number and the name of a process that has each of these sockets, as far as it shows."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
    found: dict[int, tuple[int, str]] = {}
    folders = PROC.glob("[0-9]*/fd") if wanted else ()
    for folder in folders:
        with suppress(OSError):  # it is another user's, or has just ended
            for link in folder.iterdir():
                with suppress(OSError):
                    inode = wanted.get(str(link.readlink()))
                    if inode is not None:
                        comm = (folder.parent / "comm").read_text(errors="replace").strip()
                        found.setdefault(inode, (int(folder.parent.name), comm))
    return found
