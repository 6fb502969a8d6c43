"""A report as a page of the documentation. Used by `__main__`."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from benchmarks import throughput
from benchmarks.plot import Curve, svg
from benchmarks.report import Part, Table, shown

PAGE, PICTURE = "performance.md", "throughput.svg"
_TEMPLATE = Path(__file__).parent / "page.md"
_TITLE = "Copying a file: MB for each second of the agent's CPU time"
_DESCRIPTION = (
    "Megabytes that a second of the agent's CPU time reads or writes, over the size of the "
    "pieces, both on logarithmic axes: qemu-ga and qga."
)


def write(folder: Path, about: str, summary: str, parts: Sequence[Part]) -> list[Path]:
    """Write the page, and the picture if there is one to be drawn; return what was written.

    Args:
        folder: where.
        about: the machine and the versions, a line each.
        summary: which targets are missed.
        parts: what was measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / PAGE]
    written[0].write_text(page(about, summary, parts), encoding="utf-8")
    for part in parts:
        if curves := _curves(part):
            labels = ("size of a piece", "MB per second of CPU")
            picture = svg(_TITLE, _DESCRIPTION, labels, throughput.SIZES, curves)
            written.append(folder / PICTURE)
            written[-1].write_text(picture, encoding="utf-8")
    return written


def page(about: str, summary: str, parts: Sequence[Part]) -> str:
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    text = template.substitute(
        about=about.strip(),
        date=datetime.now(UTC).date(),
        summary=summary,
        parts="\n\n".join(_part(part) for part in parts),
    )
    return text.rstrip() + "\n"


def _part(part: Part) -> str:
    picture = [f"![{_DESCRIPTION}]({PICTURE})"] if _curves(part) else []
    tables = [table(found) for found in part.tables]
    lacks = [part.lacks] if part.lacks else []
    return "\n\n".join([f"## {part.title}", part.legend, *picture, *tables, *lacks])


def _curves(part: Part) -> list[Curve]:
    if [found.name for found in part.tables] != list(throughput.OPERATIONS):
        return []
    return throughput.curves(part)


def table(found: Table) -> str:
    """With the name of the agent and that of the figure in one head, one above the other."""
    heads = [f"{column.over}<br>{column.name}".removeprefix("<br>") for column in found.columns]
    return "\n".join(
        [
            _line([f"**{_plain(found.name)}**", *(head.removesuffix("<br>") for head in heads)]),
            _line(["---", *("---:" for _ in found.columns)]),
            *(
                _line([_plain(row.name), *(_plain(shown(cell)) for cell in row.cells)])
                for row in found.rows
            ),
        ]
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|&])", r"\\\1", text)
