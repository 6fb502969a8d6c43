"""What a guest and its agent are, in one object: what `flows.overview` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .facts import Address, FileSystem, OperatingSystem, TimeOffset, User
    from .vitals import Load, Memory


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
    if not words:
        return None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "-m" and following == "qga.agent":  # `python3 -m` with options of Python's
            return "qga-agent"
    name = words[0].rpartition("/")[2]
    if name.startswith("python") and words[1:] and not words[1].startswith("-"):
        name = words[1].rpartition("/")[2]  # the script
    return name


def zone_name(zone: str | None, offset: int) -> str:
    """The name of a time zone, or its distance from UTC."""
    if zone:
        return zone
    sign = "-" if offset < 0 else "+"
    return f"UTC{sign}{abs(offset) // 3600:02}:{abs(offset) // 60 % 60:02}"
