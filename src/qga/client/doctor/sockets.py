"""The host's end of a channel that is a unix socket: there, open to this user, served, and free.

`look` collects the facts; the rules below make findings of them, without any I/O.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qga.client import hints, unixsockets

from .finding import note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qga.client.unixsockets import Seen

    from .finding import Finding

ENFORCING = Path("/sys/fs/selinux/enforce")

_QEMU = (
    "start the virtual machine with -chardev socket,path={path},server=on,wait=off,id=qga0"
    " -device virtio-serial -device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"
)
_SELINUX = "; SELinux is enforcing here: `ausearch -m avc -ts recent` shows whether it forbids this"

Process = tuple[int, str]


@dataclass(frozen=True, slots=True)
class SocketFacts:
    """What this machine tells of the socket *path*.

    Attributes:
        error: the number of the error with which it cannot be looked at; 0 if it can.
        kind: "socket", or what it is in place of one.
        denied: whose it is, where this user may not use it; else empty.
        seen: what the kernel knows of it; None if it does not tell.
        processes: the processes that have the sockets in *seen*, by their numbers.
        enforcing: whether SELinux is.
    """

    path: str
    error: int = 0
    kind: str = "socket"
    denied: str = ""
    seen: Seen | None = None
    processes: dict[int, Process] | None = None
    enforcing: bool = False


def look(path: str) -> SocketFacts:
    """The facts."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - it is text
    except OSError as error:
        number = error.errno or errno.EIO
        denied = hints.opening(f"unix:{path}", error) if number == errno.EACCES else ""
        return SocketFacts(path, number, denied=denied, enforcing=_enforcing())
    if not stat.S_ISSOCK(mode):
        return SocketFacts(path, kind="a directory" if stat.S_ISDIR(mode) else "a file")
    denied = ""
    if not os.access(path, os.W_OK):
        denied = hints.opening(f"unix:{path}", PermissionError(errno.EACCES, ""))
    seen = unixsockets.look(path)
    numbers = () if seen is None else (seen.listener, *seen.clients, *seen.waiting)
    processes = unixsockets.processes(numbers)
    return SocketFacts(path, 0, "socket", denied, seen, processes, _enforcing())


def _enforcing() -> bool:
    try:
        return ENFORCING.read_text().strip() == "1"
    except OSError:
        return False


def findings(facts: SocketFacts) -> Iterator[Finding]:
    """What the facts mean, step by step; a problem is the last one, unless the channel may work."""
    yield _there(facts)
    if facts.error or facts.kind != "socket":
        return
    if facts.denied:
        advice = facts.denied + (_SELINUX if facts.enforcing else "")
        yield problem("permission", f"this user may not connect to {facts.path}", advice)
        return
    yield ok("permission", "this user may connect to it")
    if facts.seen is None:
        yield note("listener", "this machine does not tell who listens on it")
        return
    yield _listener(facts, facts.seen)
    if facts.seen.listener:
        yield _clients(facts, facts.seen)


def _there(facts: SocketFacts) -> Finding:
    if facts.error == errno.EACCES:
        advice = facts.denied + (_SELINUX if facts.enforcing else "")
        return problem("socket", f"{facts.path} is behind a directory that is closed", advice)
    if facts.error in {errno.ENOENT, errno.ENOTDIR}:
        return problem("socket", f"there is no {facts.path}", _QEMU.format(path=facts.path))
    if facts.error:
        return problem("socket", f"{facts.path}: {os.strerror(facts.error)}")
    if facts.kind != "socket":
        advice = "name the socket of the agent's channel; `qga targets` lists those that it finds"
        return problem("socket", f"{facts.path} is {facts.kind}, not a socket", advice)
    return ok("socket", f"{facts.path} is one")


def _listener(facts: SocketFacts, seen: Seen) -> Finding:
    if not seen.listener:
        return problem(
            "listener",
            "nobody listens on it: it was left behind by a virtual machine, or an agent, that has"
            " ended",
            "start the virtual machine again",
        )
    return ok("listener", f"{_who(facts, seen.listener)} listens on it")


def _clients(facts: SocketFacts, seen: Seen) -> Finding:
    if not seen.clients and not seen.waiting:
        return ok("other clients", "nobody else is connected")
    text = ", ".join(f"{_who(facts, number)} is connected" for number in seen.clients)
    if seen.waiting:
        waiting = ", ".join(f"{_who(facts, number)} waits to be" for number in seen.waiting)
        text = f"{text}; {waiting}" if text else waiting
    advice = (
        "it has room for one: end that client, or wait until it is done; where libvirt has it, use"
        " the domain's name as the target"
    )
    # Our own agent serves many at once, and others by themselves as it comes.
    return (
        problem("other clients", text, advice)
        if serves_one(facts)
        else note("other clients", text, "most channels have room for one client")
    )


def serves_one(facts: SocketFacts) -> bool:
    """Whether it is known that only one client at a time is served, as QEMU does."""
    if facts.seen is None or not facts.processes:
        return False
    _, name = facts.processes.get(facts.seen.listener, (0, ""))
    return name.startswith(("qemu", "kvm"))


def _who(facts: SocketFacts, number: int) -> str:
    found = (facts.processes or {}).get(number)
    return "a process of another user" if found is None else f"{found[1]} (process {found[0]})"
