"""What is drawn on a terminal, by rich: tables, and bars in them. Loaded where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.table import Table as Drawn
from rich.text import Text

from .ending import printable

if TYPE_CHECKING:
    from .output import Table

WIDTH = 10  # of a bar
_GAP = 2  # between columns
# Text is folded into no fewer characters than these; numbers are not folded at all.
_NARROWEST = 12
# From which percentage on a bar has which colour.
_COLOURS = ((90.0, "red"), (75.0, "yellow"), (0.0, "green"))


def drawn(part: Table, width: int) -> Drawn | None:
    """A table as rich draws it on a terminal of that *width*; None if that could not be read.

    Where there is no room for bars, there are none.
    """
    bars = _fits(part, width, bars=True)
    if not bars and not _fits(part, width, bars=False):
        return None
    table = Drawn(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in part.columns:
        bar = bars and column in part.bars
        right = (column in part.right or column in part.bars) and not bar
        table.add_column(column, justify="right" if right else "left", no_wrap=bar or right)
    for row in part.rows:
        table.add_row(
            *(
                percentage(cell)
                if bars and column in part.bars
                else Text(printable(cell), overflow="fold")
                for column, cell in zip(part.columns, row, strict=True)
            )
        )
    return table


def _fits(part: Table, width: int, *, bars: bool) -> bool:
    """Whether there is room for all numbers, and some for all texts."""
    needed = _GAP * (len(part.columns) - 1)
    for at, column in enumerate(part.columns):
        widest = max(map(cell_len, (column, *(row[at] for row in part.rows))))
        if column in part.bars:
            needed += max(widest, WIDTH + 5) if bars else widest
        else:
            needed += widest if column in part.right else min(widest, _NARROWEST)
    return needed <= width


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
    # What is free looks otherwise, where there are no colours, too.
    return Text.assemble((full, colour), ("─" * (width - len(full)), "bright_black"))
