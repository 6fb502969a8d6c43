"""Ways to do the same thing, measured in turns and compared with the one that people use."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import qga
from benchmarks.measures import Sample
from benchmarks.plain import ByHand
from benchmarks.report import Cell, Column, Row, Table

_PATIENCE = 300


@dataclass(frozen=True)
class Sizes:
    """How much of everything is done for one sample."""

    calls: int
    file: int
    captured: int
    streamed: int
    files: int
    """Of the tree."""
    repeated: int
    """What is short, so often."""
    agents: int
    """At once."""


@dataclass(frozen=True)
class Site:
    """An agent, and where files are."""

    target: str
    folder: str
    """The agent's side; `content` and `small` are in it."""
    local: Path
    """This side, with the same and the directory `tree`."""
    sizes: Sizes
    by_hand: Callable[[], ByHand]


@dataclass(frozen=True)
class Unit:
    """How a duration in seconds, of one operation, is shown."""

    name: str
    cpu: str
    """That of the CPU time for the same."""
    factor: float
    cpu_factor: float
    inverse: bool = False


CALLS = Unit("calls/s", "us", 1.0, 1e6, inverse=True)
MEGABYTES = Unit("MB/s", "ms/MB", 1.0, 1e3, inverse=True)
FILES = Unit("files/s", "us", 1.0, 1e6, inverse=True)
MILLISECONDS = Unit("ms", "ms", 1e3, 1e3)
SECONDS = Unit("s", "s", 1.0, 1.0)

Take = Callable[[Site], tuple[Sample, Any]]


@dataclass(frozen=True)
class Group:
    """What is done, in several ways, of which the first one is what people write by hand.

    *amount* is of how many operations, or MB, one sample is.
    """

    name: str
    unit: Unit
    amount: Callable[[Sizes], float]
    ways: dict[str, Take]
    check: Callable[[Site, Any], bool] | None = None
    """Whether a way has done it right: what it returned, and what is there now."""


class Clock:
    """Begins at once."""

    def __init__(self) -> None:
        self._cpu, self._wall = _cpu(), time.perf_counter()

    def sample(self) -> Sample:
        wall = time.perf_counter() - self._wall
        return Sample(wall, _cpu() - self._cpu)


def _cpu() -> float:
    """What this process has used, and the programs that it ran to their end."""
    children = getrusage(RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def by_hand(action: Callable[[Any, Site], Any]) -> Take:
    def take(site: Site) -> tuple[Sample, Any]:
        with closing(site.by_hand()) as plain:
            clock = Clock()
            result = action(plain, site)
            return clock.sample(), result

    return take


def blocking(action: Callable[[qga.Client, Site], Any]) -> Take:
    def take(site: Site) -> tuple[Sample, Any]:
        with qga.connect(site.target, timeout=_PATIENCE) as client:
            client.sync()
            clock = Clock()
            result = action(client, site)
            return clock.sample(), result

    return take


def awaiting(action: Callable[[qga.AsyncClient, Site], Awaitable[Any]]) -> Take:
    async def measured(site: Site) -> tuple[Sample, Any]:
        async with await qga.aconnect(site.target, timeout=_PATIENCE) as client:
            await client.sync()
            clock = Clock()
            result = await action(client, site)
            return clock.sample(), result

    return lambda site: asyncio.run(measured(site))


# The samples of each way, by its name; of each site.
Taken = list[dict[str, list[Sample]]]


def take_turns(group: Group, sites: Sequence[Site], rounds: int) -> Taken:
    """Measure all ways of *group*, in each round once at each site."""
    taken: Taken = [{name: [] for name in group.ways} for _ in sites]
    for _ in range(rounds):
        for name, way in group.ways.items():
            for samples, site in zip(taken, sites, strict=True):
                sample, result = way(site)
                if group.check is not None and not group.check(site, result):
                    raise RuntimeError(f"{group.name}: {name}: the result is wrong")
                amount = group.amount(site.sizes)
                samples[name].append(Sample(sample.wall / amount, sample.cpu / amount))
    return taken


def tabulated(group: Group, names: Sequence[str], taken: Taken) -> Table:
    """A row for each way; *names* are those of the sites."""
    unit = group.unit
    columns = [
        Column(column, name) for name in names for column in (unit.name, f"CPU {unit.cpu}", "x")
    ]
    plain = next(iter(group.ways))
    rows = []
    for way in group.ways:
        cells: list[Cell] = []
        for samples in taken:
            own = samples[way]
            wall = statistics.median(sample.wall for sample in own)
            cells.append(unit.factor / wall if unit.inverse else unit.factor * wall)
            cells.append(unit.cpu_factor * statistics.median(sample.cpu for sample in own))
            # In each round the machine was the same for both.
            pairs = zip(samples[plain], own, strict=True)
            cells.append(statistics.median(peer.wall / sample.wall for peer, sample in pairs))
        rows.append(Row(way, tuple(cells)))
    return Table(group.name, tuple(columns), tuple(rows))
