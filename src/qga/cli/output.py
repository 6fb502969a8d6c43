"""Prints results: tables for a terminal, plain text for a pipe, JSON or YAML for programs.

What a command has to show it returns as `Shown`, in both kinds at once; `show` prints the one that
was asked for.
"""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .ending import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal, TypeAlias

    from rich.console import Console

    Part: TypeAlias = "str | bytes | Table"

# The forms of -o. All but the first two are for programs.
FORMS = ("table", "wide", "json", "jsonl", "yaml")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people.

    Attributes:
        columns: their headings.
        rows: as many cells each.
        wide: the headings of those columns that are shown with `-o wide` only.
        right: the headings of those that hold numbers.
        bars: the headings of those that hold percentages, which get a bar on a terminal.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    wide: frozenset[str] = frozenset()
    right: frozenset[str] = frozenset()
    bars: frozenset[str] = frozenset()

    def narrowed(self, form: str) -> Table:
        """Without what is too much for this *form*."""
        if form == "wide" or not self.wide:
            return self
        kept = [at for at, column in enumerate(self.columns) if column not in self.wide]
        rows = [[row[at] for at in kept] for row in self.rows]
        columns = [self.columns[at] for at in kept]
        return replace(self, columns=columns, rows=rows, wide=frozenset())


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command has to show of one guest.

    Attributes:
        value: for programs: what JSON can hold, and bytes, which become base64.
        people: for people: text without a newline at its end ("" for nothing), or a table, or
            data that is passed on as it is; or several of these one below the other.
        code: the exit code.
        rows: for people who ask many guests: the same as rows of a table that all guests share; by
            default `people`, if that is a table.
    """

    value: Any
    people: Part | Sequence[Part] = ""
    code: int = 0
    rows: Table | None = None

    @property
    def shared(self) -> Table | None:
        """What goes into a table with other guests, if it can."""
        if self.rows is None and isinstance(self.people, Table):
            return self.people
        return self.rows


@dataclass(slots=True)
class Look:
    """How to print.

    Attributes:
        form: one of `FORMS`.
        color: whether colours are allowed; None to decide by the terminal and NO_COLOR.
    """

    form: str = "table"
    color: bool | None = None
    _consoles: dict[bool, Console] = field(default_factory=dict)

    @property
    def structured(self) -> bool:
        """Whether a program reads it."""
        return self.form not in {"table", "wide"}

    @property
    def colored(self) -> bool:
        """Whether standard output takes colours."""
        if self.color is None:
            dumb = os.environ.get("TERM") == "dumb" or os.environ.get("NO_COLOR")
            return sys.stdout.isatty() and not dumb
        return self.color and sys.stdout.isatty()

    def console(self, *, stderr: bool = False) -> Console:
        """Where rich prints to."""
        if stderr not in self._consoles:
            from rich.console import Console

            plain = bool(os.environ.get("NO_COLOR")) if self.color is None else not self.color
            # Without colours there are no bold headings either: no escape sequence at all.
            system: Literal["auto"] | None = None if plain else "auto"
            self._consoles[stderr] = Console(stderr=stderr, color_system=system, highlight=False)
        return self._consoles[stderr]

    def show(self, shown: Shown) -> int:
        """Print *shown*; return its exit code."""
        if self.structured:
            text = structured(shown.value, self.form)
            # No lines, and not an empty one, for an empty list.
            print(text, end="\n" if text else "")
        else:
            for part in parts(shown.people):
                self.show_part(part)
        return shown.code

    def show_part(self, part: Part) -> None:
        """Print a text, a table or data for people."""
        if isinstance(part, str):
            print(part)
        elif isinstance(part, bytes):
            sys.stdout.flush()
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
        else:
            part = part.narrowed(self.form)
            if sys.stdout.isatty():
                from .drawing import drawn

                console = self.console()
                table = drawn(part, console.width)
                if table is not None:
                    console.print(table)
                    return
            # The terminal breaks lines for which it is too narrow.
            print("\n".join(lines(part)))


def parts(people: Part | Sequence[Part]) -> list[Part]:
    """What `Shown.people` holds, one by one."""
    if isinstance(people, str | bytes):
        return [people] if people else []
    return [people] if isinstance(people, Table) else list(people)


def text_of(shown: Shown, form: str) -> list[str]:
    """The lines for people, as a pipe gets them."""
    found: list[str] = []
    for part in parts(shown.people):
        if isinstance(part, bytes):
            text = part.decode(errors="surrogateescape").removesuffix("\n")
            found += ["\t".join(map(printable, line.split("\t"))) for line in text.split("\n")]
        else:
            found += part.split("\n") if isinstance(part, str) else lines(part.narrowed(form))
    return found


def lines(table: Table) -> list[str]:
    """Aligned columns, without rules."""
    safe = [list(table.columns), *([printable(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    right = [column in table.right for column in table.columns]
    return [
        "  ".join(
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in safe
    ]


def structured(value: Any, form: str) -> str:
    """*value* as a program reads it: one document, or with jsonl each item of a list on a line."""
    if form == "yaml":
        import yaml

        # Through JSON, so that both have the same.
        plain = json.loads(json.dumps(value, default=_base64))
        text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
        return text.removesuffix("\n...\n").rstrip("\n")
    if form == "jsonl":
        items = value if isinstance(value, list) else [value]
        return "\n".join(json.dumps(item, default=_base64) for item in items)
    return json.dumps(value, indent=2, default=_base64)


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def table_of(value: Any) -> str | Table:
    """Whatever a command returned for people, as well as can be without knowing it."""
    if isinstance(value, dict):
        if not value:
            return "ok"
        return Table(["member", "value"], [[name, _cell(item)] for name, item in value.items()])
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        columns = list(dict.fromkeys(name for item in value for name in item))
        return Table(columns, [[_cell(item.get(name, "")) for name in columns] for item in value])
    if isinstance(value, list):
        return "\n".join(printable(_cell(item)) for item in value)
    return printable(_cell(value))


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return repr(value)
    return json.dumps(value, ensure_ascii=False, default=_base64)


def merged(tables: Iterable[tuple[str, Table]]) -> Table:
    """One table of those that several guests have, by their names, which are its first column."""
    found = [(name, table) for name, table in tables if table.columns]
    columns = list(dict.fromkeys(column for _, table in found for column in table.columns))
    rows = []
    for name, table in found:
        for row in table.rows:
            cells = dict(zip(table.columns, row, strict=True))
            rows.append([name, *(cells.get(column, "") for column in columns)])
    return Table(
        ["guest", *columns],
        rows,
        *(
            frozenset[str]().union(*(getattr(table, kind) for _, table in found))
            for kind in ("wide", "right", "bars")
        ),
    )


def amount(number: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def duration(seconds: float) -> str:
    """A number of seconds for people."""
    minutes = int(seconds) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    clock = f"{hours}:{minutes % 60:02}"
    return f"{counted(days, 'day')}, {clock} h" if days else f"{clock} h"


def counted(number: int, noun: str) -> str:
    """*number* and *noun* in singular or plural."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
