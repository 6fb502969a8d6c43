"""How fast bytes of a file come and go, by the size of the pieces. `curves` is for the plot."""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.agents import one_processor
from benchmarks.client import Refused
from benchmarks.contenders import OURS, STOCK, Contender, Running
from benchmarks.measures import CONTENT, KIB, MIB, Sample, reading, writing
from benchmarks.plot import Curve
from benchmarks.report import Cell, Column, Part, Row, Setting, Table, medians
from benchmarks.sites import in_memory

OPERATIONS = {"guest-file-read": reading, "guest-file-write": writing}
SIZES = {
    **{f"{size} KiB": size * KIB for size in (1, 4, 16, 64, 256)},
    **{f"{size} MiB": size * MIB for size in (1, 4, 16, 48)},
}
AGENTS = (STOCK, OURS)
REFUSED = "refused"
_OF_CPU, _WALL = "of CPU", "wall"

# A sample is of so many bytes, but of no more than so many requests.
_AMOUNT, _REQUESTS = 4 * MIB, 1000

# Of an operation, a size and an agent, in each round; cut short where it was refused.
_Taken = dict[tuple[str, str, str], list[Sample]]


def legend(setting: Setting) -> str:
    return (
        f"{medians(_rounds(setting))} in MB/s, the agents in turns, for each size of the "
        "pieces in which a file is read or written. of CPU: megabytes for each second that the "
        "agent's process computed, client and agents on one processor, as in the other tables. "
        "wall: for each second that went by, on all processors, so that the client works "
        "at the same time. x: the ratio of both figures to those of qemu-ga."
    )


def tables(setting: Setting) -> Iterator[Table]:
    agents = [agent for agent in setting.agents if agent.name in AGENTS]
    with one_processor():
        pinned = _measured(setting, agents)
    free = _measured(setting, agents)
    for operation in OPERATIONS:
        columns = [Column(name, agent) for agent in AGENTS for name in (_OF_CPU, _WALL)]
        columns += [Column(f"x {name}", OURS) for name in (_OF_CPU, _WALL)]
        rows = []
        for size, count in SIZES.items():
            cells: list[Cell] = []
            figures = [
                (
                    _speed(count, [sample.cpu for sample in pinned[operation, size, agent]]),
                    _speed(count, [sample.wall for sample in free[operation, size, agent]]),
                )
                for agent in AGENTS
            ]
            for own in figures:
                cells += [REFUSED if figure is None else figure for figure in own]
            for stock, ours in zip(*figures, strict=True):
                cells.append(ours / stock if stock and ours else None)
            rows.append(Row(size, tuple(cells)))
        yield Table(operation, tuple(columns), tuple(rows))


def _speed(size: int, seconds: list[float]) -> float | None:
    """MB/s, if any was measured."""
    return size / 1e6 / statistics.median(seconds) if seconds else None


def _rounds(setting: Setting) -> int:
    return setting.rounds or (1 if setting.short else 5)


def _measured(setting: Setting, agents: list[Contender]) -> _Taken:
    taken: _Taken = {}
    with in_memory() as folder, ExitStack() as stack:
        (folder / "content").write_bytes(CONTENT)
        running = {
            agent.name: stack.enter_context(Running(agent, folder / agent.name)) for agent in agents
        }
        for operation, making in OPERATIONS.items():
            for size, count in SIZES.items():
                setting.tell(f"{operation}, pieces of {size}")
                amount = _AMOUNT // 16 if setting.short else _AMOUNT
                times = max(1, min(_REQUESTS, amount // count))
                take = making(count)
                for agent in running:
                    taken[operation, size, agent] = []
                for _ in range(_rounds(setting)):
                    for agent, process in list(running.items()):
                        try:
                            sample = take(process, folder, times)
                        except Refused:
                            # What it says to the rest of the request would come next.
                            del running[agent]
                        else:
                            taken[operation, size, agent].append(sample)
    return taken


def curves(part: Part) -> list[Curve]:
    """Of the tables: MB for each second of CPU."""
    found = []
    for table in part.tables:
        for agent in AGENTS:
            index = table.columns.index(Column(_OF_CPU, agent))
            points = [(SIZES[row.name], row.cells[index]) for row in table.rows]
            found.append(
                Curve(
                    f"{agent}, {table.name.removeprefix('guest-file-')}",
                    AGENTS.index(agent),
                    table.name == "guest-file-write",
                    tuple((size, speed) for size, speed in points if isinstance(speed, float)),
                )
            )
    return found
