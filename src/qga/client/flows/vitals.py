"""What the guest is busy with: load, processors, memory, network, disks. For `operations`.

Everything is asked for at once. What an agent has no command for, its guest's /proc tells.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qga.client import vitals as computing
from qga.client.facts import Interface
from qga.client.vitals import SECTOR, CpuTime, DiskCount, Load, Vitals
from qga.errors import CommandDisabled, CommandError, GuestOSError, QgaError, Unsupported
from qga.protocol import (
    FsfreezeStatus,
    GetCpuStats,
    GetDiskStats,
    GetFsinfo,
    GetInterfaces,
    GetLoad,
    Info,
)
from qga.protocol.fsfreeze import FsfreezeState
from qga.protocol.stats import LinuxCpuStats

from . import facts
from .snapshot import snapshot
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any, TypeVar

    from qga.client.vitals import Memory
    from qga.protocol.model import Command
    from qga.protocol.network import NetworkInterface
    from qga.protocol.session import AgentInfo
    from qga.protocol.stats import CpuStats, DiskStatsInfo, LoadAverage

    from .steps import Flow

    R = TypeVar("R")

MEMINFO, LOADAVG = "/proc/meminfo", "/proc/loadavg"
_STAT, _DISKSTATS, _NET = "/proc/stat", "/proc/diskstats", "/proc/net/dev"
_READING = {"guest-file-open", "guest-file-read", "guest-file-close"}


def vitals(
    *,
    filesystems: bool = True,
    allowed: Collection[str] | None = None,
    timeout: float | None = None,
) -> Flow[Vitals]:
    """A look at what the guest is busy with: load, processors, memory, network, disks.

    Counters only grow: what `qga.client.vitals.rates` makes of two looks are rates.

        >>> look = client.vitals()
        >>> str(look.load), look.filesystems[0].percent
        ('0.10 0.05 0.01', 15.78...)

    Args:
        filesystems: whether to ask for the use of file systems too, which costs more than the rest.
        allowed: the names of the commands that the agent allows, for who looks again and again;
            None to ask for them.
        timeout: seconds for each call; the client's own if None.

    Raises:
        CommandDisabled: the agent may tell none of it.
    """
    yield Timeout(timeout)
    if allowed is None:
        allowed = yield from allowed_commands()
    commands: list[Command[Any]] = [FsfreezeStatus()]
    files = []
    for command, path in (
        (GetLoad(), LOADAVG),
        (GetCpuStats(), _STAT),
        (GetInterfaces(), _NET),
        (GetDiskStats(), _DISKSTATS),
        (None, MEMINFO),
    ):
        if command is not None and command.NAME in allowed:
            commands.append(command)
        elif _READING.issubset(allowed):
            files.append(path)
    if filesystems and GetFsinfo.NAME in allowed:
        commands.append(GetFsinfo())
    began = time.monotonic()
    results, held = yield from snapshot(commands, files)
    seconds = (began + time.monotonic()) / 2
    told = _told(commands, results)
    frozen = told.pop(FsfreezeStatus, FsfreezeState.THAWED) != FsfreezeState.THAWED
    if not frozen and not told and not held:
        refused = CommandDisabled("the agent tells nothing of what the guest is busy with")
        refused.hint = "the agent's configuration in the guest (block-rpcs, allow-rpcs) forbids it"
        raise refused
    return Vitals(
        seconds,
        frozen,
        _load(told.get(GetLoad), held),
        _cpus(told.get(GetCpuStats), held),
        computing.meminfo(held.get(MEMINFO, "")),
        _interfaces(told.get(GetInterfaces), held),
        _disks(told.get(GetDiskStats), held),
        tuple(map(facts.filesystem_of, told[GetFsinfo])) if GetFsinfo in told else None,
    )


def allowed_commands() -> Flow[frozenset[str]]:
    """The names of the commands that the agent allows."""
    info: AgentInfo = yield Info()
    return frozenset(one.name for one in info.supported_commands if one.enabled)


def load(*, timeout: float | None = None) -> Flow[Load]:
    """How many processes of the guest were running or about to run, on average.

    Agents before 10.0 do not tell: /proc/loadavg does then.

        >>> client.load().five
        0.05

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    found = _load(*(yield from _asked(GetLoad(), LOADAVG)))
    if found is None:
        raise GuestOSError(f"{LOADAVG} is not as Linux has it")
    return found


def memory(*, timeout: float | None = None) -> Flow[Memory]:
    """The guest's memory, and how much of it is used; /proc/meminfo tells.

        >>> found = client.memory()
        >>> found.used, found.percent
        (524288000, 25.0)

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    found = computing.meminfo((yield from facts.text_of(MEMINFO)))
    if found is None:
        raise GuestOSError(f"{MEMINFO} is not as Linux has it")
    return found


def cpus(*, timeout: float | None = None) -> Flow[list[CpuTime]]:
    """How each of the guest's processors that are online has spent its time since the boot.

    Agents before 7.1 do not tell: /proc/stat does then.

        >>> [cpu.percent for cpu in client.cpus()]
        [1.5, 1.5]

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    return list(_cpus(*(yield from _asked(GetCpuStats(), _STAT))) or ())


def _asked(command: Command[R], path: str) -> Flow[tuple[R | None, Mapping[str, str]]]:
    """What *command* tells; or of an agent that refuses it, what the file at *path* holds."""
    try:
        return (yield command), {}
    except (CommandError, Unsupported) as refused:
        try:
            return None, {path: (yield from facts.text_of(path))}
        except (CommandError, Unsupported):
            raise refused from None


def _told(commands: list[Command[Any]], results: list[Any]) -> dict[type[Command[Any]], Any]:
    """What was not refused, by its command."""
    return {
        type(command): result
        for command, result in zip(commands, results, strict=True)
        if not isinstance(result, QgaError)
    }


def _load(told: LoadAverage | None, held: Mapping[str, str]) -> Load | None:
    if told is not None:
        return Load(told.load1m, told.load5m, told.load15m)
    return computing.loadavg(held.get(LOADAVG, ""))


def _cpus(told: list[CpuStats] | None, held: Mapping[str, str]) -> tuple[CpuTime, ...] | None:
    if told is None:
        return computing.proc_stat(held[_STAT]) if _STAT in held else None
    return tuple(
        CpuTime(
            one.cpu, one.user, one.nice, one.system, one.idle,
            one.iowait or 0, one.irq or 0, one.softirq or 0, one.steal or 0,
        )
        for one in told
        if isinstance(one, LinuxCpuStats)
    )  # fmt: skip


def _interfaces(
    told: list[NetworkInterface] | None, held: Mapping[str, str]
) -> tuple[Interface, ...] | None:
    if told is not None:
        return tuple(map(facts.interface_of, told))
    if _NET not in held:
        return None
    counted = computing.net_dev(held[_NET])
    return tuple(Interface(name, None, (), *counts) for name, counts in counted.items())


def _disks(
    told: list[DiskStatsInfo] | None, held: Mapping[str, str]
) -> tuple[DiskCount, ...] | None:
    if told is not None:
        found = tuple(
            DiskCount(
                one.name,
                (one.stats.read_sectors or 0) * SECTOR,
                (one.stats.write_sectors or 0) * SECTOR,
            )
            for one in told
        )
    elif _DISKSTATS in held:
        found = computing.diskstats(held[_DISKSTATS])
    else:
        return None
    return computing.whole(found)
