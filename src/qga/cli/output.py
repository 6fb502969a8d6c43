"""Prints results: tables for a terminal, plain text for a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from .ending import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def show_json(value: Any) -> None:
    """Print *value* as JSON; bytes as base64, as on the wire."""
    print(json.dumps(value, indent=2, default=_base64))


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: with rules on a terminal, as aligned columns elsewhere."""
    safe = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for row in safe:
            table.add_row(*(Text(cell, overflow="fold") for cell in row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *safe, strict=True)]
    for row in [list(columns), *safe]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def show_value(value: Any) -> None:
    """Print whatever a command returned, as well as can be without knowing it."""
    if isinstance(value, dict):
        if not value:
            print("ok")
            return
        show_table(["member", "value"], [[name, _cell(item)] for name, item in value.items()])
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        columns = list(dict.fromkeys(name for item in value for name in item))
        show_table(columns, [[_cell(item.get(name, "")) for name in columns] for item in value])
    elif isinstance(value, list):
        for item in value:
            print(printable(_cell(item)))
    else:
        print(printable(_cell(value)))


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return repr(value)
    return json.dumps(value, ensure_ascii=False, default=_base64)


def amount(number: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def counted(number: int, noun: str) -> str:
    """*number* and *noun* in singular or plural."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
