"""The host's end of channels of other kinds: libvirt's domains, vsock, serial lines, TCP, Proxmox.

Functions named `..._facts` ask the machine; the others make findings of what they were told.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qga.client import hints, unixsockets
from qga.errors import NoChannel, QgaError

from .finding import note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qga.client.deadline import Deadline
    from qga.client.libvirtlocal import DomainFacts

    from .finding import Finding

_CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
_NO_AGENT = (
    "in the guest: install qemu-guest-agent and start it (`systemctl status qemu-guest-agent`);"
    " /dev/virtio-ports/org.qemu.guest_agent.0 has to be there; while the guest boots, wait"
)
_STATES = {3: "paused", 4: "shutting down", 5: "shut off", 6: "crashed", 7: "asleep"}
_ADVICE = {
    3: "`virsh resume {name}` has it go on",
    7: "`virsh dompmwakeup {name}` wakes it",
}


def libvirt_findings(uri: str | None, name: str, deadline: Deadline) -> Iterator[Finding]:
    """Of the domain *name* at *uri*, libvirt's default if None."""
    from qga.client import libvirtlocal
    from qga.client.libvirterrors import NoDomain

    where = uri or "libvirt's default connection"
    try:
        facts = libvirtlocal.describe(uri, name, deadline)
    except NoDomain as error:
        yield ok("libvirt", f"{where} answers")
        yield problem("domain", error.text)
        return
    except QgaError as error:
        advice = "is libvirt running (`systemctl status libvirtd virtqemud`), and is this user in"
        advice += " the group libvirt?"
        if isinstance(error, NoChannel) and "module" in error.text:
            advice = ""
        yield problem("libvirt", f"{where}: {error.text}", advice)
        return
    yield ok("libvirt", f"{where} answers")
    yield from domain_findings(facts)


def domain_findings(facts: DomainFacts) -> Iterator[Finding]:
    """What libvirt's facts mean."""
    yield ok("domain", f"{facts.name} is there, {facts.uuid}")
    if facts.state in _STATES or not facts.state:
        advice = _ADVICE.get(facts.state, "`virsh start {name}` starts it")
        text = f"{facts.name} is {_STATES.get(facts.state, 'shut off')}"
        yield problem("running", text, advice.format(name=facts.name))
        return
    yield ok("running", "it runs")
    if facts.channel is None:
        yield problem(
            "agent channel",
            "the domain has no channel for an agent",
            f"`virsh edit {facts.name}`: add {_CHANNEL} to its devices, and start it anew",
        )
        return
    yield ok("agent channel", "the domain has one")
    if facts.channel != "connected":
        yield problem("connected", "no agent has opened it in the guest", _NO_AGENT)
        return
    yield ok("connected", "an agent has opened it in the guest")


def vsock_findings(rest: str) -> Iterator[Finding]:
    """Of `vsock:CID:PORT`; *rest* is what follows the first colon."""
    cid = int(rest.partition(":")[0])
    if cid in {0, 1, 2}:
        yield note("vsock", f"CID {cid} is this machine, not a guest")
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError as error:
        yield problem(
            "vsock", f"this machine has no vsock: {error.strerror}", "`modprobe vhost_vsock`"
        )
        return
    yield ok("vsock", "this machine has it")


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What this machine tells of a serial line or terminal.

    Attributes:
        path: its own.
        error: the number of the error with which it cannot be looked at; 0 if it can.
        device: whether it is a character device.
        denied: whose it is, where this user may not use it; else empty.
        users: the processes that have it open.
    """

    path: str
    error: int = 0
    device: bool = True
    denied: str = ""
    users: tuple[tuple[int, str], ...] = ()


def line_facts(path: str) -> LineFacts:
    try:
        found = os.stat(path)  # noqa: PTH116 - it is text
    except OSError as error:
        return LineFacts(path, error.errno or errno.EIO)
    if not stat.S_ISCHR(found.st_mode):
        return LineFacts(path, device=False)
    denied = ""
    if not os.access(path, os.R_OK | os.W_OK):
        denied = hints.opening(f"serial:{path}", PermissionError(errno.EACCES, ""))
    return LineFacts(path, denied=denied, users=tuple(_users(path)))


def _users(path: str) -> Iterator[tuple[int, str]]:
    real = os.path.realpath(path)
    for folder in unixsockets.PROC.glob("[0-9]*/fd"):
        with suppress(OSError):  # another user's, or just ended
            if any(_leads_to(link) == real for link in list(folder.iterdir())):
                comm = (folder.parent / "comm").read_text(errors="replace").strip()
                yield int(folder.parent.name), comm


def _leads_to(link: os.PathLike[str]) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - text is compared
    except OSError:
        return ""


def line_findings(facts: LineFacts) -> Iterator[Finding]:
    """What the facts mean."""
    if facts.error:
        text = f"{facts.path}: {os.strerror(facts.error)}"
        yield problem("device", text, "does the virtual machine run? its QEMU tells the path")
        return
    if not facts.device:
        yield problem("device", f"{facts.path} is neither a terminal nor a character device")
        return
    yield ok("device", f"{facts.path} is one")
    if facts.denied:
        yield problem("permission", f"this user may not open {facts.path}", facts.denied)
        return
    yield ok("permission", "this user may open it")
    # The one that has the terminal's other end has opened it too, as QEMU does.
    others = [f"{name} (process {number})" for number, name in facts.users]
    others = [other for other in others if not other.startswith(("qemu", "kvm"))]
    if others:
        yield problem(
            "other clients",
            f"{', '.join(others)} has it open, and takes what is meant for this one",
            "end that program",
        )
    else:
        yield ok("other clients", "nobody else has it open, as far as it shows")


def tcp_findings(rest: str) -> Iterator[Finding]:
    """Of `tcp:HOST:PORT`."""
    host = rest.rpartition(":")[0]
    if host.strip("[]") not in {"localhost", "127.0.0.1", "::1"}:
        yield note(
            "network",
            f"the way to {host} is neither encrypted nor guarded by a password",
            "forward the port with ssh, to this machine's own 127.0.0.1",
        )


def pve_findings(full: str) -> Iterator[Finding]:
    """Of `pve:NODE/VMID`: who asks where. What is wrong, the API tells when it is asked."""
    from qga.client.proxmox import settings

    try:
        found = settings.target(full, full.partition(":")[2], {})
    except QgaError:
        return  # the targets file has what is missing here
    yield ok("API", f"{found.who} asks {found.server} about VM {found.vmid} on {found.node}")
