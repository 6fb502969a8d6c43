"""Ways to do the same thing, measured in turns and compared with the one that people use."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import qga
from benchmarks.measures import Sample
from benchmarks.plain import ByHand

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
                assert sample.cpu is not None
                samples[name].append(Sample(sample.wall / amount, sample.cpu / amount))
    return taken


def lines(group: Group, taken: Taken) -> Iterator[str]:
    """The head of *group*, and a line for each way."""
    unit = group.unit
    yield f"{group.name:<36}" + f"{unit.name:>10}{unit.cpu:>8}{'x':>8}" * len(taken)
    plain = next(iter(group.ways))
    for name in group.ways:
        cells = [f"  {name:<34}"]
        for samples in taken:
            own = samples[name]
            wall = statistics.median(sample.wall for sample in own)
            cpu = statistics.median(sample.cpu or 0 for sample in own)
            # In each round the machine was the same for both.
            pairs = zip(samples[plain], own, strict=True)
            ratio = statistics.median(peer.wall / sample.wall for peer, sample in pairs)
            shown = unit.factor / wall if unit.inverse else unit.factor * wall
            cells.append(f"{shown:10.{_places(shown)}f}")
            cpu *= unit.cpu_factor
            cells.append(f"{cpu:8.{_places(cpu)}f}{ratio:8.{_places(ratio)}f}")
        yield "".join(cells)


def _places(figure: float) -> int:
    return 0 if figure >= 1000 else 1 if figure >= 100 else 2
