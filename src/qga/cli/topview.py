"""What `qga top` shows of guests: in which order, as a table for people, for programs.

Everything here only computes; `toplive` draws it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qga.client.vitals import Rates

from .facts import filesystem
from .output import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qga.client.facts import FileSystem
    from qga.client.vitals import Load, Memory

    from .topwatch import Seen

_NUMBERS = ("cpu", "load", "5 min", "15 min", "mem", "size", "fs", "rx/s", "tx/s", "rd/s", "wr/s")
_WIDE = ("5 min", "15 min", "size", "fullest")
BARS = ("cpu", "mem", "fs")

# What can be done without on a narrow screen, first to last.
_LEAVING = ("15 min", "5 min", "size", "fullest", "wr/s", "rd/s", "tx/s", "rx/s", "load")


@dataclass(frozen=True, slots=True)
class Order:
    """By what guests are sorted; those that do not answer come last.

    Attributes:
        by: one of `ORDERS`.
        reverse: whether the other way round than usual: names from z to a, the smallest first.
    """

    by: str = "name"
    reverse: bool = False

    def chosen(self, by: str) -> Order:
        """When *by* is chosen: choosing again what is, turns it round."""
        return Order(by, self.reverse is False if by == self.by else False)

    def sorted(self, seen: Sequence[Seen]) -> list[Seen]:
        """The guests in this order."""
        if self.by == "name":
            return sorted(seen, key=lambda one: one.name, reverse=self.reverse)
        measure = ORDERS[self.by]
        measured = [(measure(one), one) for one in seen]
        there = [(number, one) for number, one in measured if number is not None]
        there.sort(key=lambda found: found[0], reverse=not self.reverse)
        return [one for _, one in there] + [one for number, one in measured if number is None]


def _total(*numbers: float | None) -> float | None:
    found = [number for number in numbers if number is not None]
    return sum(found) if found else None


def _rates(one: Seen) -> Rates:
    return one.rates or Rates(0.0)


def _load(one: Seen) -> Load | None:
    return one.vitals.load if one.vitals else None


def _memory(one: Seen) -> Memory | None:
    return one.vitals.memory if one.vitals else None


def fullest(one: Seen) -> FileSystem | None:
    """The fullest file system of a guest that answers."""
    if not one.answers:
        return None
    known = [each for each in one.filesystems if each.percent is not None]
    return max(known, key=lambda each: each.percent or 0.0, default=None)


# What guests can be sorted by, and what of each is compared.
ORDERS: dict[str, Callable[[Seen], float | None]] = {
    "cpu": lambda one: _rates(one).cpu,
    "load": lambda one: load.one if (load := _load(one)) else None,
    "memory": lambda one: memory.percent if (memory := _memory(one)) else None,
    "filesystem": lambda one: worst.percent if (worst := fullest(one)) else None,
    "network": lambda one: _total(_rates(one).received, _rates(one).sent),
    "disk": lambda one: _total(_rates(one).read, _rates(one).written),
}
NAMES = ("name", *ORDERS)


def table(seen: Sequence[Seen]) -> Table:
    """The guests as a table."""
    return Table(
        ["guest", "state", *_NUMBERS[:7], "fullest", *_NUMBERS[7:]],
        [_row(one) for one in seen],
        wide=frozenset(_WIDE),
        right=frozenset(_NUMBERS),
        bars=frozenset(BARS),
    )


def fitting(part: Table, width: int) -> Table:
    """*part* without the columns for which a screen of that width has no room."""
    for column in _LEAVING:
        if sum(_widths(part)) + 2 * (len(part.columns) - 1) <= width:
            break
        if column in part.columns:
            part = replace(part, wide=frozenset({column})).narrowed("table")
    return part


def _widths(part: Table) -> list[int]:
    cells = zip(part.columns, *part.rows, strict=True)
    longest = [max(map(len, column)) for column in cells]
    # A guest's name may be cut.
    return [min(10, longest[0]), *longest[1:]]


def _row(one: Seen) -> list[str]:
    rates, load, memory, worst = _rates(one), _load(one), _memory(one), fullest(one)
    return [
        one.name,
        str(one.state),
        _percent(rates.cpu),
        *([f"{number:.2f}" for number in (load.one, load.five, load.fifteen)] if load else "---"),
        _percent(memory.percent if memory else None),
        short(memory.total if memory else None),
        _percent(worst.percent if worst else None),
        worst.mountpoint if worst else "-",
        *map(short, (rates.received, rates.sent, rates.read, rates.written)),
    ]


def _percent(number: float | None) -> str:
    return "-" if number is None else f"{number:.0f}%"


def short(number: float | None) -> str:
    """A number of bytes in as few characters as will do."""
    if number is None:
        return "-"
    for unit in ("", "K", "M", "G"):
        if round(number) < 1000:
            few = unit and number < 9.95
            return f"{number:.1f}{unit}" if few else f"{number:.0f}{unit}"
        number /= 1024
    return f"{number:.1f}T"


def record(one: Seen, when: str) -> dict[str, Any]:
    """A guest for programs."""
    rates, load, memory = _rates(one), _load(one), _memory(one)
    return {
        "time": when,
        "guest": one.name,
        "state": str(one.state),
        "sentence": one.sentence or None,
        "seconds": _rounded(rates.seconds, 3) if one.rates else None,
        "cpu": _rounded(rates.cpu),
        "load": [load.one, load.five, load.fifteen] if load else None,
        "memory": {"total": memory.total, "used": memory.used} if memory else None,
        "filesystems": [filesystem(each) for each in one.filesystems] if one.answers else None,
        "received": _rounded(rates.received),
        "sent": _rounded(rates.sent),
        "read": _rounded(rates.read),
        "written": _rounded(rates.written),
    }


def _rounded(number: float | None, digits: int = 1) -> float | None:
    return None if number is None else round(number, digits)


# The keys of the live view.

KEYS = {
    "n": "name",
    "c": "cpu",
    "l": "load",
    "m": "memory",
    "f": "filesystem",
    "i": "network",
    "d": "disk",
}
HELP = "q quit  space pause  by n name  c cpu  l load  m mem  f fs  i network  d disk"
_ARROWS = {"\x1b[A": -1, "\x1bOA": -1, "k": -1, "\x1b[B": 1, "\x1bOB": 1, "j": 1}
_PAGES = {"\x1b[5~": -1, "\x1b[6~": 1}


@dataclass(slots=True)
class View:
    """How the user wants to see it.

    Attributes:
        order: of the guests.
        paused: whether nothing is asked.
        first: the number of the guest in the first line, from 0.
        lines: how many guests there was room for when it was drawn.
        ended: whether the user has had enough.
    """

    order: Order = field(default_factory=Order)
    paused: bool = False
    first: int = 0
    lines: int = 1
    ended: bool = False

    def press(self, keys: str) -> None:
        """Do what *keys* mean that were pressed, as a terminal sends them."""
        while keys:
            width = next((len(key) for key in (*_ARROWS, *_PAGES) if keys.startswith(key)), 1)
            key, keys = keys[:width], keys[width:]
            if key in {"q", "Q", "\x04"}:
                self.ended = True
            elif key in {" ", "p"}:
                self.paused = not self.paused
            elif key in KEYS:
                self.order = self.order.chosen(KEYS[key])
                self.first = 0
            else:
                self.first += _ARROWS.get(key, 0) + _PAGES.get(key, 0) * self.lines
                self.first = max(0, self.first)

    def shown(self, seen: Sequence[Seen], lines: int) -> list[Seen]:
        """The guests that are in view, where there is room for so many."""
        self.lines = max(1, lines)
        self.first = max(0, min(self.first, len(seen) - self.lines))
        return self.order.sorted(seen)[self.first : self.first + self.lines]
