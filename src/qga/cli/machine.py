"""`qga cpus`, `memory` and `load`: what the guest has to work with, and how busy that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from qga.errors import CommandError, QgaError, Unsupported

from .fleet import each_guest
from .output import Shown, Table, amount, counted

if TYPE_CHECKING:
    from qga.client import Client, Target
    from qga.client.vitals import CpuTime, Memory
    from qga.protocol.cpu import LogicalProcessor

    from .options import Settings

_TIMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_SHOWN = ("user", "system", "iowait", "steal")


@click.command(
    short_help="Show the guest's processors and what they did.",
    epilog="""\b
Examples:
  qga cpus web1
  qga cpus web1 -o json
""",
)
@each_guest
def cpus(settings: Settings, target: Target) -> Shown:
    """Show the guest's processors, and how they have spent their time since the boot.

    `qga top` shows what they do now.
    """
    with settings.connect(target) as client:
        found, times = _processors(client)
    values, rows = [], []
    for number in sorted({*found, *times}):
        one, time = found.get(number), times.get(number)
        online = one.online if one else True
        values.append(
            {
                "cpu": number,
                "online": online,
                "can_offline": one.can_offline if one else None,
                "percent": None if time is None else round(time.percent, 1),
                "times": None if time is None else {name: getattr(time, name) for name in _TIMES},
            }
        )
        rows.append(
            [
                str(number),
                "yes" if online else "no",
                "" if time is None else f"{time.percent:.0f}%",
                *("" if time is None else _share(time, name) for name in _SHOWN),
                ""
                if one is None or one.can_offline is None
                else "no"
                if one.can_offline
                else "yes",
            ]
        )
    table = Table(
        ["cpu", "online", "busy", *_SHOWN, "fixed"],
        rows,
        wide=frozenset({"fixed"}),
        right=frozenset({"cpu", "busy", *_SHOWN}),
        bars=frozenset({"busy"}),
    )
    return Shown(values, table)


def _processors(client: Client) -> tuple[dict[int, LogicalProcessor], dict[int, CpuTime]]:
    """The processors, and their times; one of them may be what the agent does not tell."""
    from qga.protocol import GetVcpus

    refused: QgaError | None = None
    found: dict[int, LogicalProcessor] = {}
    try:
        found = {one.logical_id: one for one in client.execute(GetVcpus())}
    except (CommandError, Unsupported) as error:
        refused = error
    try:
        return found, {one.number: one for one in client.cpus()}
    except (CommandError, Unsupported):
        if refused is not None:
            raise refused from None
        return found, {}


def _share(time: CpuTime, name: str) -> str:
    return f"{100.0 * getattr(time, name) / time.total:.1f}%" if time.total else ""


@click.command(
    short_help="Show the guest's memory and how full it is.",
    epilog="""\b
Examples:
  qga memory web1
  qga memory --all                         # a table of all guests
""",
)
@each_guest
def memory(settings: Settings, target: Target) -> Shown:
    """Show the guest's memory: what is used, by its /proc/meminfo, and its blocks.

    Blocks are what can be plugged or taken offline. What the agent may not tell is left out.
    """
    with settings.connect(target) as client:
        used, size, blocks = _memory(client)
    value = {
        "total": used and used.total,
        "used": used and used.used,
        "available": used and used.available,
        "free": used and used.free,
        "buffers": used and used.buffers,
        "cached": used and used.cached,
        "swap_total": used and used.swap_total,
        "swap_free": used and used.swap_free,
        "block_size": size,
        "blocks": blocks,
    }
    people: list[str | Table] = []
    if used is not None:
        people.append(_use(used))
    if blocks:
        online = sum(block["online"] for block in blocks)
        each = f" of {amount(size)}" if size else ""
        people.append(f"{counted(len(blocks), 'block')}{each}, {online} online")
    return Shown(value, people, rows=_row(used, size, blocks))


def _use(used: Memory) -> Table:
    swap = used.swap_total - used.swap_free
    rows = [
        ["memory", *map(amount, (used.total, used.used, used.available, used.free))],
        ["swap", *map(amount, (used.swap_total, swap, used.swap_free, used.swap_free))],
    ]
    rows[0] += [amount(used.buffers + used.cached), f"{used.percent:.0f}%"]
    rows[1] += ["", f"{100 * swap / used.swap_total:.0f}%" if used.swap_total else ""]
    columns = ["total", "used", "available", "free", "cache", "use"]
    return Table(["", *columns], rows, right=frozenset(columns), bars=frozenset({"use"}))


def _row(used: Memory | None, size: int | None, blocks: list[dict[str, Any]] | None) -> Table:
    columns = ["total", "used", "available", "swap", "blocks", "use"]
    cells = ["", "", "", "", "", ""]
    if used is not None:
        cells[:3] = map(amount, (used.total, used.used, used.available))
        cells[3] = amount(used.swap_total - used.swap_free)
        cells[5] = f"{used.percent:.0f}%"
    elif size and blocks:
        cells[0] = amount(size * sum(block["online"] for block in blocks))
    if blocks:
        cells[4] = f"{sum(block['online'] for block in blocks)}/{len(blocks)}"
    return Table(
        columns,
        [cells],
        wide=frozenset({"blocks"}),
        right=frozenset(columns),
        bars=frozenset({"use"}),
    )


def _memory(client: Client) -> tuple[Memory | None, int | None, list[dict[str, Any]] | None]:
    """How it is used, the size of a block, and the blocks."""
    from qga.client.flows.steps import Flow, Together
    from qga.protocol import GetMemoryBlockInfo, GetMemoryBlocks

    def asked() -> Flow[list[Any]]:
        answers: list[Any] = yield Together(
            [GetMemoryBlockInfo(), GetMemoryBlocks()], optional=True
        )
        return [None if isinstance(answer, QgaError) else answer for answer in answers]

    info, blocks = client.perform(asked())
    used = None
    try:
        used = client.memory()
    except (CommandError, Unsupported):
        if not blocks:
            raise
    listed = blocks and [
        {"number": block.phys_index, "online": block.online, "can_offline": block.can_offline}
        for block in blocks
    ]
    return used, info and info.size, listed


@click.command(
    short_help="Show the guest's load average.",
    epilog="""\b
Examples:
  qga load web1
  qga load -l 'web*'
""",
)
@each_guest
def load(settings: Settings, target: Target) -> Shown:
    """Show the guest's load: how many processes were running or about to, on average.

    Agents before 10.0 do not tell: the guest's /proc/loadavg does then.
    """
    with settings.connect(target) as client:
        found = client.load()
    value = {"load1m": found.one, "load5m": found.five, "load15m": found.fifteen}
    columns = ["1 min", "5 min", "15 min"]
    numbers = [[f"{number:.2f}" for number in value.values()]]
    return Shown(value, Table(columns, numbers, right=frozenset(columns)))
