"""What a guest and its agent are, in one object: what `flows.overview` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .facts import Address, FileSystem, OperatingSystem, TimeOffset, User
    from .vitals import Load, Memory

_AGENTS = ("qemu-ga", "qga-agent")


@dataclass(frozen=True, slots=True)
class Overview:
    """A guest and its agent. What the agent does not tell, or may not, is None.

    Attributes:
        version: the agent's version.
        agent: the name of its program, such as qemu-ga.
        allowed: the names of the commands that it has and allows.
        disabled: the names of those that it has and refuses.
        state: of the guest's file systems, "thawed", "frozen" or "error". While they are not
            thawed, an agent tells little else.
        hostname: the guest's host name.
        os: its operating system.
        uptime: for how many seconds it has been running.
        timezone: the abbreviation of its time zone, or how far it is ahead of UTC.
        clock: how far its clock is from this machine's.
        addresses: those by which it may be reached, the primary one first.
        load: the load average.
        cpus: the number of processors that are online.
        memory: its memory.
        filesystems: those on disks.
        users: who is logged in.
    """

    version: str | None = None
    agent: str | None = None
    allowed: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    state: str | None = None
    hostname: str | None = None
    os: OperatingSystem | None = None
    uptime: float | None = None
    timezone: str | None = None
    clock: TimeOffset | None = None
    addresses: tuple[Address, ...] | None = None
    load: Load | None = None
    cpus: int | None = None
    memory: Memory | None = None
    filesystems: tuple[FileSystem, ...] | None = None
    users: tuple[User, ...] | None = None


def program_name(cmdline: str) -> str | None:
    """The agent's name, of what /proc/self/cmdline holds where it reads that itself."""
    words = [word for word in cmdline.split("\0") if word]
    if "qga.agent" in words:  # python3 -m
        return "qga-agent"
    names = [word.rpartition("/")[2] for word in words]
    # Behind what starts it: an interpreter, or a loader.
    return next((name for name in names if name in _AGENTS), names[0] if names else None)


def zone_name(zone: str | None, offset: int) -> str:
    """The name of a time zone, or its distance from UTC."""
    if zone:
        return zone
    sign = "-" if offset < 0 else "+"
    return f"UTC{sign}{abs(offset) // 3600:02}:{abs(offset) // 60 % 60:02}"
