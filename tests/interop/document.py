"""Writes docs/differences.md: ``python -m tests.interop.document``.

The answers in it are those of this run; the reasons are in `differences`, and what no request shows
in `not_shown`. A test holds the committed page to what this would write.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

from tests.interop import guest_differences
from tests.interop.case import Difference
from tests.interop.compare import Outcome, compare
from tests.interop.differences import DIFFERENCES, EXPECTED
from tests.interop.in_guest import compare_in_guest
from tests.interop.not_shown import NOT_SHOWN
from tests.vm.cache import Unavailable

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"

_LONGEST = 180  # characters of a request or a reply that are shown
_CONTEXT = 60  # of them before the first one that differs
_REPLIES = 3

_HEAD = """\
# Differences from qemu-ga

{count} requests, good and bad, are sent to QEMU's own agent (7.2, of Debian 12) and to `qga-agent`,
and the replies are compared member by member. {same} are answered alike. This page lists the other
{differing} with the reason for each, and then what no request shows.

It is written by `python -m tests.interop.document` from the answers of both agents, and a test
fails when it is out of date. `@folder@` stands for a folder of files that are alike for both, and
`@handle-NAME@` for the handle of an open file. Pieces of a request that are sent one by one are
divided by `|`, and `(new client)` says that another client has connected; members of replies are
sorted by name.

## What requests show
"""

_GUEST_TITLE = "## What requests show in a virtual machine"

_GUEST_HEAD = """\
{title}

Where nothing is blocked both agents run in one guest, each on a port of its own, and get {count}
requests, those that change the guest among them: its clock, processors and memory, its users,
passwords and keys; it is trimmed and frozen, and runs programs. {same} are answered alike, and
afterwards files, keys and passwords are the same. {known} show differences of which the list above
tells, and {differing} those that follow. `@user@` stands for a user of the guest that is the
agent's own.
"""

_SECOND_HEAD = """\
## What no request shows

These are compared with qemu-ga as it is today.

| | qemu-ga | qga-agent |
| --- | --- | --- |"""


def page(outcomes: dict[str, Outcome], in_guest: str) -> str:
    """The whole page; *in_guest* is the part that `guest_part` makes."""
    differing = sum(outcome.differs for outcome in outcomes.values())
    same = len(outcomes) - differing
    parts = [_HEAD.format(count=len(outcomes), same=same, differing=differing)]
    parts += _listed(DIFFERENCES, outcomes)
    rows = (f"| {' | '.join(row)} |" for row in NOT_SHOWN)
    return "\n".join([*parts, in_guest, _SECOND_HEAD, *rows, ""])


def guest_part(outcomes: dict[str, Outcome]) -> str:
    """The part about what the comparison in a virtual machine shows."""
    differing = {key for key, outcome in outcomes.items() if outcome.differs}
    head = _GUEST_HEAD.format(
        title=_GUEST_TITLE,
        count=len(outcomes),
        same=len(outcomes) - len(differing),
        known=len(differing & EXPECTED),
        differing=len(differing - EXPECTED),
    )
    return "\n".join([head, *_listed(guest_differences.DIFFERENCES, outcomes)])


def guest_part_of(text: str) -> str:
    """That part of a page as it is; empty if there is none."""
    _, title, rest = text.partition(_GUEST_TITLE)
    return title and title + rest.partition("\n## ")[0]


def _listed(differences: tuple[Difference, ...], outcomes: dict[str, Outcome]) -> Iterator[str]:
    for difference in differences:
        yield f"### {difference.title}\n"
        yield f"{fill(difference.reason, 100)}\n"
        for key in difference.cases:
            outcome = outcomes[key]
            yield f"{key[0].upper()}{key[1:]}:\n"
            yield "```text"
            yield f"sent     {_shown(_sent(outcome))}"
            start = _start(outcome)
            yield from _answers("qemu-ga ", outcome.stock, start)
            yield from _answers("qga     ", outcome.ours, start)
            yield "```\n"


def _sent(outcome: Outcome) -> str:
    pieces = (
        "(new client)" if piece is None else _readable(piece) for piece in outcome.case.pieces
    )
    return " | ".join(pieces) + (" | \\xff" if outcome.case.unfinished else "")


def _readable(piece: bytes) -> str:
    if len(piece) > _LONGEST:
        return f"{_readable(piece[: _LONGEST // 2])}… ({len(piece):,} bytes)"
    # As a bytes literal, in which quotes and backslashes need no second backslash.
    text = piece.removesuffix(b"\n").decode("ascii", "backslashreplace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _start(outcome: Outcome) -> int:
    """Where to begin to show replies: 0, unless all that is shown would be alike."""
    if len(outcome.stock) != 1 or len(outcome.ours) != 1:
        return 0
    pairs = enumerate(zip(outcome.stock[0], outcome.ours[0], strict=False))
    common = next((place for place, (one, other) in pairs if one != other), 0)
    return 0 if common < _LONGEST - _CONTEXT else common - _CONTEXT


def _answers(who: str, replies: list[str], start: int) -> list[str]:
    lines = [f"{who} {_shown(reply, start)}" for reply in replies[:_REPLIES]]
    if len(replies) > _REPLIES:
        lines.append(f"{who} … and {len(replies) - _REPLIES:,} more")
    return lines or [f"{who} (nothing)"]


def _shown(text: str, start: int = 0) -> str:
    text = "…" * bool(start) + text[start:]
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def main() -> None:
    try:
        in_guest = guest_part(compare_in_guest().outcomes)
    except Unavailable as error:
        print(
            f"no virtual machine ({error}): that part of the page stays as it is", file=sys.stderr
        )
        in_guest = guest_part_of(PAGE.read_text())
    PAGE.write_text(page(compare().outcomes, in_guest))


if __name__ == "__main__":
    main()
