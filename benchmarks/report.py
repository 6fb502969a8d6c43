"""What was measured, as data: `text`, `markdown` and `plot` show it."""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.contenders import Contender

# None: there is no figure.
Cell = float | str | None


@dataclass(frozen=True)
class Column:
    name: str
    over: str = ""
    """What it has in common with the columns beside it: the name of an agent, mostly."""


@dataclass(frozen=True)
class Row:
    name: str
    cells: tuple[Cell, ...]
    missed: tuple[str, ...] = ()
    """Which targets it misses: a sentence about each."""


@dataclass(frozen=True)
class Table:
    name: str
    """It stands above the rows' names."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{self.name}: {row.name}: {len(row.cells)} cells")


@dataclass(frozen=True)
class Setting:
    """How to measure."""

    agents: list[Contender]
    """The first one is what the others are compared with."""
    python: str = sys.executable
    """What runs ours."""
    short: bool = False
    """As a test does it: whether all of it works, not how fast it is."""
    rounds: int | None = None
    """Of the agents' tables."""
    only: str = ""
    """The agents' tables: rows with this in their names."""
    tell: Callable[[str], None] = lambda _: None
    """Is told what is measured now."""


@dataclass(frozen=True)
class Plan:
    """A part of the report: how it is measured, and what is said above it."""

    option: str
    title: str
    legend: Callable[[Setting], str]
    """Paragraphs in Markdown."""
    tables: Callable[[Setting], Iterator[Table]]
    seconds: tuple[int, int]
    """About how long it takes, in full and in short."""
    in_short: bool = True
    """Whether it is measured in the short form, too, when nothing is chosen."""

    def usual(self, *, short: bool) -> bool:
        return self.in_short or not short


@dataclass
class Part:
    """What came of a plan."""

    title: str
    legend: str
    tables: list[Table] = field(default_factory=list)
    lacks: str = ""
    """What this machine lacks for it, and the remedy."""

    def missed(self) -> list[str]:
        return [text for table in self.tables for row in table.rows for text in row.missed]


def medians(rounds: int) -> str:
    """What the figures are, for a legend."""
    return "One round" if rounds == 1 else f"Medians of {rounds} rounds"


def shown(cell: Cell) -> str:
    """A cell as text: of a number, about three figures."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if cell == math.inf:
        return "any"
    size = abs(cell)
    places = 0 if size >= 1000 or cell == 0 else 1 if size >= 100 else 2 if size >= 0.1 else 3
    return f"{cell:.{places}f}"
