"""The agents side by side: what requests cost, starting, and memory."""

import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.contenders import BARE, Contender, Running
from benchmarks.facts import FACTS
from benchmarks.measures import CONTENT, LIFE, MEASURES, Measure, Sample, life
from benchmarks.network import NETWORK
from benchmarks.report import Cell, Column, Row, Setting, Table, medians
from benchmarks.sites import in_memory
from benchmarks.targets import LIMITS, MISSED, RATIOS

# What is measured of requests, a table each. Further ones: here.
REQUESTS: dict[str, Sequence[Measure]] = {
    "requests, files and programs": MEASURES,
    "the guest": FACTS,
    "the network": NETWORK,
}

_FACTORS = {"us": 1e6, "ms": 1e3}


def legend(setting: Setting) -> str:
    return (
        f"{medians(rounds(setting))}, the agents in turns. wall: of one operation, as "
        "the client sees it (its own part and the kernel's included); CPU: what the agent's "
        "process used for it. Client and agents are on one processor: to wake up another one can "
        f"take longer than the operation. x: {setting.agents[0].name}'s figure divided by the "
        f"other's, so above 1 the other is better. `{BARE}` has no pybase64. must, aim: the "
        "targets for x CPU; of starting and memory, those for the figure itself, at most.\n\n"
        "Memory is in MiB; that of requests, from a start to the end of an agent."
    )


def tables(setting: Setting) -> Iterator[Table]:
    with one_processor(), in_memory() as folder:
        (folder / "content").write_bytes(CONTENT)
        yield from _requests(setting, folder)
        if names := [name for name in LIFE if setting.only in name]:
            yield _lives(setting, folder, names)


@contextmanager
def one_processor() -> Iterator[None]:
    """This process, and those that it starts, on one processor only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def rounds(setting: Setting) -> int:
    return setting.rounds or (2 if setting.short else 7)


# Requests.


def _requests(setting: Setting, folder: Path) -> Iterator[Table]:
    agents = setting.agents
    with ExitStack() as stack:
        running = [stack.enter_context(Running(agent, _own(folder, agent))) for agent in agents]
        for name, measures in REQUESTS.items():
            rows = []
            for measure in measures:
                if setting.only in measure.name:
                    setting.tell(measure.name)
                    taken = _take_turns(setting, measure, running, folder)
                    rows.append(request_row(measure, agents, taken))
            if rows:
                yield Table(name, request_columns(agents), tuple(rows))


def _own(folder: Path, agent: Contender) -> Path:
    return folder / agent.name.replace(" ", "-")


def _take_turns(
    setting: Setting, measure: Measure, running: list[Running], folder: Path
) -> list[list[Sample]]:
    times = max(1, measure.times // 8) if setting.short else measure.times
    taken: list[list[Sample]] = [[] for _ in running]
    for _ in range(rounds(setting)):
        for own, agent in zip(taken, running, strict=True):
            own.append(measure.take(agent, folder, times))
    return taken


def request_columns(agents: Sequence[Contender]) -> tuple[Column, ...]:
    columns = [Column("unit")]
    for agent in agents:
        columns += [Column("wall", agent.name), Column("CPU", agent.name)]
    for agent in agents[1:]:
        columns += [Column("x wall", agent.name), Column("x CPU", agent.name)]
        if agent.name in RATIOS:
            columns += [Column(name, agent.name) for name in ("must", "aim", "holds")]
    return tuple(columns)


def request_row(
    measure: Measure, agents: Sequence[Contender], taken: Sequence[Sequence[Sample]]
) -> Row:
    """*taken*: of each agent, by round."""
    factor = _FACTORS[measure.unit]
    cells: list[Cell] = [measure.unit]
    for own in taken:
        cells.append(factor * statistics.median(sample.wall for sample in own))
        cells.append(factor * statistics.median(sample.cpu for sample in own))
    missed = []
    for agent, own in zip(agents[1:], taken[1:], strict=True):
        # In each round the machine was the same for both.
        pairs = list(zip(taken[0], own, strict=True))
        cells.append(statistics.median(peer.wall / sample.wall for peer, sample in pairs))
        ratio = statistics.median(peer.cpu / sample.cpu for peer, sample in pairs)
        cells.append(ratio)
        if agent.name not in RATIOS:
            continue
        target = RATIOS[agent.name].get(measure.name)
        if target is None:
            cells += [None, None, None]
            continue
        verdict = target.at_least(ratio)
        cells += [target.must, target.aim, verdict]
        if verdict == MISSED:
            missed.append(f"{measure.name}: {agent.name} {ratio:.2f}, must be {target.must:g}")
    return Row(measure.name, tuple(cells), tuple(missed))


# From their start to their end.


def _lives(setting: Setting, folder: Path, names: Sequence[str]) -> Table:
    agents = setting.agents
    lives: list[list[dict[str, float]]] = [[] for _ in agents]
    for number in range(1 if setting.short else rounds(setting)):
        for own, contender in zip(lives, agents, strict=True):
            setting.tell(f"start and memory of {contender.name}, {number + 1}")
            with Running(contender, _own(folder, contender)) as running:
                own.append(life(running, folder))
    columns = [Column("", agent.name) for agent in agents]
    for agent in agents[1:]:
        columns.append(Column("x", agent.name))
        if agent.name in RATIOS:
            columns += [Column(name, agent.name) for name in ("at most", "aim", "holds")]
    rows = [
        life_row(name, agents, [[each[name] for each in own if name in each] for own in lives])
        for name in names
    ]
    return Table("start and memory", tuple(columns), tuple(rows))


def life_row(name: str, agents: Sequence[Contender], taken: Sequence[Sequence[float]]) -> Row:
    """*taken*: of each agent, by round; nothing of one that cannot."""
    figures = [statistics.median(own) if own else None for own in taken]
    cells: list[Cell] = ["refused" if figure is None else figure for figure in figures]
    missed = []
    for agent, figure in zip(agents[1:], figures[1:], strict=True):
        cells.append(figures[0] / figure if figures[0] and figure else None)
        if agent.name not in RATIOS:
            continue
        target = LIMITS.get(name)
        if target is None:
            cells += [None, None, None]
            continue
        verdict = MISSED if figure is None else target.at_most(figure)
        cells += [target.must, target.aim, verdict]
        if figure is None:
            missed.append(f"{name}: {agent.name} refuses it")
        elif verdict == MISSED:
            missed.append(f"{name}: {agent.name} {figure:.2f}, must be at most {target.must:g}")
    return Row(name, tuple(cells), tuple(missed))
