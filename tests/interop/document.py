"""Writes docs/differences.md: ``python -m tests.interop.document``.

The answers in it are those of this run; the reasons are in `differences`, and below is what no
request shows. A test holds the committed page to what this would write.
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

_NOT_SHOWN = (
    (
        "clients of a socket",
        "one at a time; the next one waits without an answer",
        "any number at once, each with its own turn",
    ),
    (
        "a client that does not read",
        "holds up everybody; the agent spins and ignores SIGTERM",
        "costs a bounded amount of memory; others are served",
    ),
    ("permissions of a unix socket", "by umask", "0600"),
    (
        "SIGTERM while frozen",
        "ignored: only SIGKILL ends the agent, and leaves the guest frozen",
        "thaws, then ends",
    ),
    (
        "a freeze that nobody ends",
        "lasts for ever",
        (
            "ends after `fsfreeze-timeout` seconds (10 minutes by default), by a process of its "
            "own that also thaws when the agent was killed"
        ),
    ),
    (
        "guest-fsfreeze-status after a failed thaw",
        "`thawed`",
        (
            "`error`, as the schema of 2011 says; the thaw's reply names each mount point and its "
            "error, and thaw may be repeated"
        ),
    ),
    (
        "`version` in guest-info",
        "its own",
        (
            "the upstream version whose schema is implemented: 10.2.0; `qga-agent --version` "
            "prints both"
        ),
    ),
    (
        "commands",
        "those of its version",
        "14 so far: those of 2011 and guest-sync-delimited; guest-info lists no others",
    ),
    (
        "older dialects",
        "none",
        "`--compat VERSION` speaks as the agent of that version did, from 1.0 on",
    ),
    (
        "text for a blocked command",
        "7.2: `Command X has been disabled`; since 9.1 with `: the command is not allowed`",
        "as since 9.1",
    ),
    (
        "state file",
        "rewritten at each guest-file-open",
        "handles are reserved in blocks of 64; an agent that was killed leaves a gap",
    ),
    (
        "writes to files",
        "buffered: an error may appear at the flush, or nowhere",
        "an error appears at the write; guest-file-flush has nothing left to do",
    ),
    (
        "a large guest-file-read",
        "the whole reply is built first",
        "is sent while it is read; an error after the first piece makes it a short read",
    ),
    (
        "garbage on the channel",
        "an error reply for each byte or token",
        "one for each line, or for each run of 0xFF",
    ),
    (
        "a message beyond 64 MiB, 2 Mi tokens or 1024 levels",
        "an error, and one more for each remaining token",
        "one error",
    ),
)


def page(outcomes: dict[str, Outcome], in_guest: str) -> str:
    """The whole page; *in_guest* is the part that `guest_part` makes."""
    differing = sum(outcome.differs for outcome in outcomes.values())
    same = len(outcomes) - differing
    parts = [_HEAD.format(count=len(outcomes), same=same, differing=differing)]
    parts += _listed(DIFFERENCES, outcomes)
    rows = (f"| {' | '.join(row)} |" for row in _NOT_SHOWN)
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
