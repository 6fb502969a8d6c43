"""`qga info`, `version` and `commands`: the agent, and its guest at first sight."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from qga.protocol import COMMANDS, codec

from .ending import printable
from .facts import filesystem
from .fleet import each_guest
from .output import Shown, Table, amount, duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qga.client import Target
    from qga.client.overview import Overview

    from .options import Settings

# What no agent of a Linux guest can do: that it refuses these says nothing.
_ELSEWHERE = {command.NAME for command in COMMANDS if command.PLATFORM}


@click.command(
    short_help="Show what the guest and its agent are.",
    epilog="""\b
Examples:
  qga info web1
  qga info --all                           # a table of all guests
  qga info web1 -o json | jq .agent.disabled
""",
)
@each_guest
def info(settings: Settings, target: Target) -> Shown:
    """Show what the guest and its agent are, at first sight.

    What the agent may not tell is left out, and what it may not do is named. `qga commands` lists
    all that the agent knows.
    """
    with settings.connect(target) as client:
        found = client.overview()
    lines = [f"{name:<13} {printable(text)}" for name, text in _told(found)]
    return Shown(_value(found), "\n".join(lines), rows=_row(found))


def _value(found: Overview) -> dict[str, Any]:
    clock, memory, load = found.clock, found.memory, found.load
    return {
        "hostname": found.hostname,
        "os": None if found.os is None else asdict(found.os),
        "uptime": found.uptime,
        "timezone": found.timezone,
        "clock": clock and {"offset": clock.seconds, "uncertainty": clock.uncertainty},
        "address": str(found.addresses[0]) if found.addresses else None,
        "addresses": None if found.addresses is None else [str(one) for one in found.addresses],
        "load": load and [load.one, load.five, load.fifteen],
        "cpus": found.cpus,
        "memory": memory and {"total": memory.total, "used": memory.used},
        "filesystems": None
        if found.filesystems is None
        else [filesystem(one) for one in found.filesystems],
        "users": None if found.users is None else [one.name for one in found.users],
        "agent": {
            "version": found.version,
            "program": found.agent,
            "state": found.state,
            "allowed": list(found.allowed),
            "disabled": list(found.disabled),
        },
    }


def _told(found: Overview) -> Iterator[tuple[str, str]]:
    """The lines for people."""
    system = found.os
    frozen = found.state not in (None, "thawed")
    lines = [
        ("host name", found.hostname),
        ("system", system and (system.pretty_name or system.name)),
        ("kernel", system and " ".join(filter(None, (system.kernel, system.machine)))),
        ("up", None if found.uptime is None else duration(found.uptime)),
        ("address", found.addresses and str(found.addresses[0])),
        ("load", found.load and str(found.load)),
        ("processors", found.cpus and str(found.cpus)),
        ("memory", found.memory and _share(found.memory.percent, found.memory.total)),
        *(
            ("file system", f"{one.mountpoint} {_share(one.percent, one.total)}".rstrip())
            for one in found.filesystems or ()
        ),
        ("users", None if found.users is None else _names(one.name for one in found.users)),
        ("time zone", found.timezone),
        ("clock", found.clock and f"{found.clock} from this machine's"),
        ("agent", " ".join(filter(None, (found.agent, found.version)))),
        ("frozen", f"file systems are {found.state}: `qga thaw` ends that" if frozen else None),
    ]
    yield from ((name, text) for name, text in lines if text)
    refused = [name for name in found.disabled if name not in _ELSEWHERE]
    if refused and not frozen:  # a freeze disables nearly all of them
        yield "blocked", _names(refused)


def _share(percent: float | None, total: int | None) -> str:
    return "" if percent is None or total is None else f"{percent:.0f}% of {amount(total)}"


def _names(names: Iterator[str] | list[str]) -> str:
    return ", ".join(names) or "none"


def _row(found: Overview) -> Table:
    system, clock, memory = found.os, found.clock, found.memory
    fullest = max((one.percent or 0.0 for one in found.filesystems or ()), default=None)
    return Table(
        [
            *("host name", "system", "address", "up", "memory", "disk", "agent", "state"),
            *("kernel", "clock", "blocked"),
        ],
        [
            [
                found.hostname or "",
                (system and (system.pretty_name or system.name)) or "",
                str(found.addresses[0]) if found.addresses else "",
                "" if found.uptime is None else duration(found.uptime),
                "" if memory is None else f"{memory.percent:.0f}%",
                "" if fullest is None else f"{fullest:.0f}%",
                " ".join(filter(None, (found.agent, found.version))),
                found.state or "",
                (system and system.kernel) or "",
                "" if clock is None else f"{clock.seconds:+.3f} s",
                str(sum(name not in _ELSEWHERE for name in found.disabled)),
            ]
        ],
        wide=frozenset({"kernel", "clock", "blocked"}),
        right=frozenset({"up", "memory", "disk", "clock", "blocked"}),
    )


@click.command(
    short_help="Show the version of the agent, and of qga.",
    epilog="""\b
Examples:
  qga version web1
  qga version --all -o wide
""",
)
@each_guest
def version(settings: Settings, target: Target) -> Shown:
    """Show the version of the agent, of this command, and of the protocol that it knows."""
    from qga._version import VERSION
    from qga.client.flows.overview import identity
    from qga.protocol import UPSTREAM_VERSION

    with settings.connect(target) as client:
        program, found = client.perform(identity())
    number = found.version
    value = {"agent": number, "program": program, "qga": VERSION, "protocol": UPSTREAM_VERSION}
    agent = " ".join(filter(None, (program, number)))
    return Shown(
        value,
        f"agent {printable(agent)}\nqga {VERSION} (protocol of QEMU {UPSTREAM_VERSION})",
        rows=Table(["version", "program"], [[number, program or ""]]),
    )


@click.command(
    short_help="List the agent's commands, and which are allowed.",
    epilog="""\b
Examples:
  qga commands web1
  qga commands web1 -o jsonl | jq -r 'select(.enabled | not).name'
""",
)
@each_guest
def commands(settings: Settings, target: Target) -> Shown:
    """List the agent's commands: which it allows, and which reply only with errors.

    `qga call` has it execute any of them, and `qga help` tells what each does.
    """
    with settings.connect(target) as client:
        found = client.info()
    listed = sorted(found.supported_commands, key=lambda command: command.name)
    since = {command.NAME: command.SINCE for command in COMMANDS}
    table = Table(
        ["command", "enabled", "replies", "since"],
        [
            [
                command.name,
                "yes" if command.enabled else "no",
                "always" if command.success_response else "errors only",
                since.get(command.name, ""),
            ]
            for command in listed
        ],
        wide=frozenset({"since"}),
    )
    return Shown([codec.encode(command) for command in listed], table)
