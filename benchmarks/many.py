"""The same operation with one connection or handle, and with a thousand: it must not cost more."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agents import one_processor
from benchmarks.client import Client
from benchmarks.contenders import OURS, STOCK, Running
from benchmarks.crowd import allow_files
from benchmarks.measures import CONTENT, KIB, open_and_close, reading, request
from benchmarks.report import Cell, Column, Row, Setting, Table, medians
from benchmarks.sites import in_memory

FEW, MANY = 1, 1000
_TIMES = 2 * MANY
_PING = request("guest-ping") + b"\n"

# The CPU seconds of one operation among so many.
Take = Callable[[Running, Path, int], float]


@dataclass(frozen=True)
class Case:
    name: str
    take: Take
    stock: bool
    """Whether qemu-ga can: it serves one client only."""


@contextmanager
def _connections(agent: Running, count: int) -> Iterator[list[Client]]:
    """The first one is there already."""
    with ExitStack() as stack:
        clients = [agent.client]
        while len(clients) < count:
            clients.append(stack.enter_context(closing(Client(agent.path))))
            # Until it is accepted: no more may wait for that than the agent's backlog holds.
            clients[-1].ask(_PING)
        yield clients


def _one_of(agent: Running, _: Path, count: int) -> float:
    with _connections(agent, count):
        return _pings(agent, [agent.client] * _TIMES)


def _each_of(agent: Running, _: Path, count: int) -> float:
    with _connections(agent, count) as clients:
        return _pings(agent, clients * (_TIMES // count))


def _pings(agent: Running, clients: Sequence[Client]) -> float:
    before = agent.cpu()
    for client in clients:
        client.ask(_PING)
    return (agent.cpu() - before) / len(clients)


def _with_open(take: Callable[[Running, Path, int], float]) -> Take:
    """An operation with one handle, of which there are so many, or of one more."""

    def with_handles(agent: Running, folder: Path, count: int) -> float:
        opening = request("guest-file-open", path=str(folder / "content"))
        agent.client.each(opening, count - 1)
        return take(agent, folder, _TIMES // 4)

    return with_handles


CASES = (
    Case("guest-ping, as many connections", _one_of, stock=False),
    Case("guest-ping, of each connection", _each_of, stock=False),
    Case(
        "guest-file-read 4 KiB, as many handles",
        _with_open(lambda *arguments: reading(4 * KIB)(*arguments).cpu),
        stock=True,
    ),
    Case(
        "guest-file-open and -close, as many handles",
        _with_open(lambda *arguments: open_and_close(*arguments).cpu),
        stock=True,
    ),
)


def legend(setting: Setting) -> str:
    return (
        f"{medians(_rounds(setting))}, in turns, on one processor; each with an agent of its own. "
        f"The CPU time of one operation, in us, while there is {FEW} connection or open handle and "
        f"while there are {MANY}. grows: the second divided by the first, in the same round; what "
        "it is above 1 is the price of the others. qemu-ga serves one client."
    )


def tables(setting: Setting) -> Iterator[Table]:
    agents = [agent for agent in setting.agents if agent.name in (STOCK, OURS)]
    rows = []
    allow_files(2 * MANY)
    with one_processor(), in_memory() as folder:
        (folder / "content").write_bytes(CONTENT[: _TIMES * KIB])
        for case in CASES:
            if setting.only not in case.name:
                continue
            setting.tell(case.name)
            taken: list[list[tuple[float, float]]] = [[] for _ in agents]
            for _ in range(_rounds(setting)):
                for own, agent in zip(taken, agents, strict=True):
                    if case.stock or agent.name != STOCK:
                        figures = []
                        for count in (FEW, MANY):
                            with Running(agent, folder / agent.name) as running:
                                figures.append(case.take(running, folder, count))
                        own.append((figures[0], figures[1]))
            rows.append(row(case.name, taken))
    names = (f"{FEW}", f"{MANY}", "grows")
    columns = [Column(name, agent.name) for agent in agents for name in names]
    yield Table("one among many", tuple(columns), tuple(rows))


def _rounds(setting: Setting) -> int:
    return setting.rounds or (1 if setting.short else 5)


def row(name: str, taken: Sequence[Sequence[tuple[float, float]]]) -> Row:
    """*taken*: of each agent, by round, with few and with many; nothing of one that cannot."""
    cells: list[Cell] = []
    for own in taken:
        if not own:
            cells += [None, None, None]
            continue
        cells += [1e6 * statistics.median(figures) for figures in zip(*own, strict=True)]
        cells.append(statistics.median(many / few for few, many in own))
    return Row(name, tuple(cells))
