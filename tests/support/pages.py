"""The Python blocks of a documentation page, and what the page says they print."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--\s*(not run|before|real agent)\s*:\s*((?:(?!-->).)*)-->\s*$", re.DOTALL)
_OUTPUT = re.compile(
    r"\s*(?:```\n(?P<fenced>.*?)^```$|(?P<indented>(?:    [^\n]*\n)+))", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """One block of a page.

    A comment before it may say `<!-- not run: why -->`, or what is executed before it, as in
    `<!-- before: agent.programs["sync"] = 0 -->`. With `<!-- real agent: why -->` its client is
    that of a real agent, which runs programs **on this machine, as the user who runs the tests**:
    it may read what everybody may, and write below `folder` alone.

    Attributes:
        line: where its code begins in the page.
        code: the code.
        before: what is executed first, and not shown.
        wanted: what it prints, if it does, by the fenced block without a language or the indented
            one that follows it; None if there is none.
        skipped: why it is not run, if it is not.
        real: whether it needs a real agent.
    """

    line: int
    code: str
    before: str
    wanted: str | None
    skipped: str | None
    real: bool = False


def blocks(page: Path) -> Iterator[Block]:
    """The Python blocks of *page*, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        if found[1] != "python":
            continue
        comment = _COMMENT.search(text[: found.start()])
        kind, said = (comment[1], comment[2].strip()) if comment else ("", "")
        output = _OUTPUT.match(text, found.end())
        yield Block(
            line=text.count("\n", 0, found.start()) + 2,
            code=found[2],
            before=said if kind == "before" else "",
            wanted=_shown(output) if output and "print(" in found[2] else None,
            skipped=said if kind == "not run" else None,
            real=kind == "real agent",
        )


def _shown(output: re.Match[str]) -> str:
    if output["fenced"] is not None:
        return output["fenced"]
    return "".join(line[4:] for line in output["indented"].splitlines(keepends=True))
