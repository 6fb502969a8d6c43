"""All that there is to tell of a guest at first sight. For `operations`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.client.facts import preferred
from qga.client.overview import Overview, program_name, zone_name
from qga.client.vitals import Load, loadavg, meminfo
from qga.errors import CommandError, QgaError, Unsupported
from qga.protocol import (
    OWN,
    ExecGetStatus,
    FsfreezeStatus,
    GetFsinfo,
    GetHostName,
    GetInterfaces,
    GetLoad,
    GetOsInfo,
    GetRoute,
    GetTimezone,
    GetUsers,
    GetVcpus,
    Info,
)
from qga.protocol.fsfreeze import FsfreezeState

from . import clock, facts
from .snapshot import snapshot
from .steps import Timeout, Together

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from qga.protocol.model import Command
    from qga.protocol.session import AgentInfo

    from .steps import Flow

    T = TypeVar("T")

_UPTIME, _MEMINFO, _LOADAVG = "/proc/uptime", "/proc/meminfo", "/proc/loadavg"
_SELF = "/proc/self/cmdline"  # of the agent, who reads it

# How agents word that no program has the number -1, which none can have.
_WORDED = {
    "PID -1 does not exist": "qga-agent",
    "Invalid parameter 'pid'": "qemu-ga",
    "PID ld does not exist": "qemu-ga",
}

_ASKED = (
    Info, FsfreezeStatus, GetHostName, GetOsInfo, GetInterfaces, GetRoute, GetFsinfo, GetUsers,
    GetVcpus, GetLoad, GetTimezone,
)  # fmt: skip


def overview(*, timeout: float | None = None) -> Flow[Overview]:
    """What the guest and its agent are, as far as the agent tells; in few round trips.

    That a command is refused, or not known, is no error: what it would tell is None. Agents that
    lack commands are not asked for what `os` and others find out in longer ways.

        >>> found = client.overview()
        >>> found.hostname, found.os.pretty_name, str(found.addresses[0]), found.state
        ('fake', 'Debian GNU/Linux 13 (trixie)', '192.0.2.10', 'thawed')

    Args:
        timeout: seconds for each call; the client's own if None.

    Raises:
        CommandError: the agent refuses everything.
    """
    yield Timeout(timeout)
    commands: list[Command[Any]] = [kind() for kind in _ASKED]
    results, held = yield from snapshot(commands, (_UPTIME, _MEMINFO, _LOADAVG, _SELF))
    if all(isinstance(result, QgaError) for result in results):
        raise results[0]
    told = {
        kind: result
        for kind, result in zip(_ASKED, results, strict=True)
        if not isinstance(result, QgaError)
    }

    def of(kind: type[Command[Any]], use: Callable[[Any], T]) -> T | None:
        return use(told[kind]) if kind in told else None

    info = told.get(Info)
    listed = info.supported_commands if info else ()
    defaults = of(GetRoute, facts.defaults_of)
    if defaults is None and GetInterfaces in told:
        _, tables = yield from snapshot((), facts.ROUTE_FILES)
        defaults = facts.defaults_in(tables)
    offset = None
    if told.get(FsfreezeStatus, FsfreezeState.THAWED) == FsfreezeState.THAWED:
        try:
            offset = yield from clock.time_offset(samples=2, timeout=timeout)
        except (CommandError, Unsupported):
            pass  # left unknown
    program = yield from _program(held.get(_SELF, ""), info)
    load = of(GetLoad, lambda one: Load(one.load1m, one.load5m, one.load15m))
    return Overview(
        version=info.version if info else None,
        agent=program,
        allowed=tuple(sorted(one.name for one in listed if one.enabled)),
        disabled=tuple(sorted(one.name for one in listed if not one.enabled)),
        state=of(FsfreezeStatus, str),
        hostname=of(GetHostName, lambda one: str(one.host_name)),
        os=of(GetOsInfo, facts.system_of),
        uptime=_seconds(held.get(_UPTIME, "")),
        timezone=of(GetTimezone, lambda one: zone_name(one.zone, one.offset)),
        clock=offset,
        addresses=of(
            GetInterfaces,
            lambda found: tuple(preferred(map(facts.interface_of, found), defaults=defaults)),
        ),
        load=load or loadavg(held.get(_LOADAVG, "")),
        cpus=of(GetVcpus, lambda found: sum(one.online for one in found)),
        memory=meminfo(held.get(_MEMINFO, "")),
        filesystems=of(GetFsinfo, lambda found: tuple(map(facts.filesystem_of, found))),
        users=of(GetUsers, lambda found: tuple(map(facts.user_of, found))),
    )


def _seconds(uptime: str) -> float | None:
    try:
        return float(uptime.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None


def identity(*, timeout: float | None = None) -> Flow[tuple[str | None, AgentInfo]]:
    """The name of the agent's program, if it can be known, and what the agent tells of itself."""
    yield Timeout(timeout)
    (info,), held = yield from snapshot([Info()], [_SELF])
    if isinstance(info, QgaError):
        raise info
    return (yield from _program(held.get(_SELF, ""), info)), info


def _program(cmdline: str, info: AgentInfo | None) -> Flow[str | None]:
    """The agent's program: by its own command line, or else by what only one of them has."""
    if name := program_name(cmdline):
        return name
    if info and any(command.name.startswith(OWN) for command in info.supported_commands):
        return "qga-agent"
    (refusal,) = yield Together([ExecGetStatus(pid=-1)], optional=True)
    return _WORDED.get(refusal.desc) if isinstance(refusal, CommandError) else None
