"""A report for the terminal. Used by `__main__`."""

import textwrap
from collections.abc import Iterator, Sequence

from benchmarks.report import Column, Table, shown

_WIDTH = 100
_NAME = 36
_GAP = 2


def heading(title: str, legend: str) -> str:
    paragraphs = [
        textwrap.fill(paragraph, _WIDTH, break_on_hyphens=False)
        for paragraph in legend.split("\n\n")
    ]
    return "\n\n".join(["", title, *paragraphs])


def table(found: Table) -> str:
    """The rows, right-aligned, below two lines: what columns have in common, and their names."""
    rows = [[shown(cell) for cell in row.cells] for row in found.rows]
    widths = [
        _GAP + max(len(text) for text in (column.name, *(row[index] for row in rows)))
        for index, column in enumerate(found.columns)
    ]
    for first, last, over in spans(found.columns):
        missing = _GAP + len(over) - sum(widths[first:last])
        if over and missing > 0:
            widths[first] += missing
    name = max(_NAME, *(len(row.name) + _GAP for row in found.rows)) if rows else _NAME
    above = "".join(
        f"{over:>{sum(widths[first:last])}}" for first, last, over in spans(found.columns)
    )
    lines = [f"{'':<{name}}{above}".rstrip()] if above.strip() else []
    lines.append(_line(found.name, [column.name for column in found.columns], name, widths))
    lines += [
        _line(f"  {row.name}", cells, name, widths)
        for row, cells in zip(found.rows, rows, strict=True)
    ]
    return "\n".join(lines)


def spans(columns: Sequence[Column]) -> Iterator[tuple[int, int, str]]:
    """Neighbours with the same above them: from which to which, and that."""
    first = 0
    for index, column in enumerate(columns):
        following = columns[index + 1].over if index + 1 < len(columns) else None
        if following != column.over:
            yield first, index + 1, column.over
            first = index + 1


def _line(name: str, cells: Sequence[str], width: int, widths: Sequence[int]) -> str:
    texts = (f"{cell:>{size}}" for cell, size in zip(cells, widths, strict=True))
    return f"{name:<{width}}{''.join(texts)}".rstrip()
