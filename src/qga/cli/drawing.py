"""What is drawn on a terminal, by rich: tables, and bars in them. Loaded where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as Drawn
from rich.text import Text

from .ending import printable

if TYPE_CHECKING:
    from .output import Table

WIDTH = 10  # of a bar
# From which percentage on a bar has which colour.
_COLOURS = ((90.0, "red"), (75.0, "yellow"), (0.0, "green"))


def drawn(part: Table) -> Drawn:
    """A table as rich draws it."""
    table = Drawn(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in part.columns:
        right = column in part.right and column not in part.bars
        table.add_column(column, justify="right" if right else "left")
    for row in part.rows:
        table.add_row(
            *(
                percentage(cell) if column in part.bars else Text(printable(cell), overflow="fold")
                for column, cell in zip(part.columns, row, strict=True)
            )
        )
    return table


def percentage(cell: str) -> Text:
    """A cell that holds a percentage, with a bar in front; what is none stays as it is."""
    try:
        percent = float(cell.removesuffix("%"))
    except ValueError:
        return Text(printable(cell))
    return Text.assemble(bar(percent), f" {cell:>4}")


def bar(percent: float, width: int = WIDTH) -> Text:
    """A bar, so much of which is full."""
    percent = min(100.0, max(0.0, percent))
    halves = round(percent * width * 2 / 100)
    full = "━" * (halves // 2) + "╸" * (halves % 2)
    colour = next(colour for limit, colour in _COLOURS if percent >= limit)
    return Text.assemble((full, colour), ("━" * (width - len(full)), "bright_black"))
