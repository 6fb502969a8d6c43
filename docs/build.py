"""Writes the documentation to build/docs: Markdown, and HTML to look at, and the manual pages of
`qga` in man/. Called by `make docs`.

The pages of the commands are made here, of the declarations and of what docs/commands holds; the
other pages are those of docs.
"""

import json
import re
import shutil
from collections.abc import Iterator
from html import escape
from itertools import chain, pairwise
from pathlib import Path
from string import Template

from markdown_it import MarkdownIt

from qga.cli import manual
from qga.cli.app import TOPICS, cli
from qga.protocol import pages
from tests.interop import guest_differences
from tests.interop.differences import DIFFERENCES
from tests.interop.guest_cases import BLOCKS
from tests.interop.script import SCRIPT

DOCS = Path(__file__).parent
FOLDER = DOCS.parent / "build" / "docs"

_PAGE = Template((DOCS / "page.html").read_text(encoding="utf-8"))
_MARKDOWN = MarkdownIt("commonmark").enable("table")


def anchor(heading: str) -> str:
    """The anchor of a heading, as forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def differences_of() -> dict[str, list[str]]:
    """What the comparison with qemu-ga shows, for each command, as items of a list."""
    commands = {case.key: set(_executed(case.pieces)) for case in (*SCRIPT, *chain(*BLOCKS))}
    page = (DOCS / "differences.md").read_text(encoding="utf-8")
    titles = set(re.findall(r"^### (.*)$", page, re.MULTILINE))
    found: dict[str, list[str]] = {}
    for difference in (*DIFFERENCES, *guest_differences.DIFFERENCES):
        # One that is new is shown when the page has been written again.
        if difference.title in titles:
            link = f"../differences.md#{anchor(difference.title)}"
            for name in sorted(set().union(*(commands[key] for key in difference.cases))):
                found.setdefault(name, []).append(f"- [{difference.title}]({link})")
    return found


def _executed(pieces: tuple[bytes | None, ...]) -> Iterator[str]:
    for piece in pieces:
        try:
            message = json.loads(piece or b"")
        except (ValueError, RecursionError):
            continue  # framing is what it tries
        if isinstance(message, dict) and isinstance(message.get("execute"), str):
            yield message["execute"]


def written() -> dict[str, str]:
    """All pages in Markdown, by their names below `FOLDER`."""
    found = pages.topics(DOCS / "commands")
    shown = differences_of()
    result = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
    intro = (DOCS / "commands" / "README.md").read_text(encoding="utf-8")
    result["commands/index.md"] = f"{intro}\n{pages.index(found)}"
    for topic in found:
        for command in topic.commands:
            more = shown.get(command.NAME, [])
            text = pages.page(command, topic.fragments.get(command.NAME), more)
            result[f"commands/{command.NAME}.md"] = text
    return result


def rendered(name: str, text: str) -> str:
    """The page *name* in HTML."""
    tokens = _MARKDOWN.parse(text)
    title = name
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            heading = "".join(child.content for child in inline.children or [])
            token.attrSet("id", anchor(heading))
            title = heading if token.tag == "h1" else title
        for child in token.children or []:
            target = child.attrGet("href")
            if isinstance(target, str) and "://" not in target:
                child.attrSet("href", _inside(name, target))
    body = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    above = "../" * name.count("/")
    return _PAGE.substitute(
        title=escape(title), body=body, above=above, navigation=_navigation(name, above)
    )


def _inside(name: str, target: str) -> str:
    """The link to *target* of the page *name*, among what is built."""
    other = outside(name, target)
    if other is None:
        return re.sub(r"\.md(?=#|$)", ".html", target)
    return "../" * name.count("/") + other.as_posix()


def outside(name: str, target: str) -> Path | None:
    """Where a file of the project is copied to, if *target* is one that is no documentation."""
    path = (DOCS / name).parent.joinpath(target.partition("#")[0]).resolve()
    if path.is_relative_to(DOCS) or not path.is_file():
        return None
    return Path("files", path.relative_to(DOCS.parent))


def _navigation(current: str, above: str) -> str:
    lines = []
    for path in sorted(DOCS.glob("*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        here = ' class="here"' if current == path.name else ""
        link = f"{above}{path.with_suffix('.html').name}"
        lines.append(f'<a{here} href="{link}">{escape(title)}</a>')
    for topic in pages.topics(DOCS / "commands"):
        lines.append(f"<h2>{escape(topic.title)}</h2>\n<ul>")
        for command in topic.commands:
            here = ' class="here"' if current == f"commands/{command.NAME}.md" else ""
            link = f"{above}commands/{command.NAME}.html"
            name = command.NAME.removeprefix("guest-")
            lines.append(f'<li><a{here} href="{link}">{name}</a></li>')
        lines.append("</ul>")
    return "\n".join(lines)


def build(folder: Path) -> None:
    """Write all pages below *folder*."""
    for name, text in written().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.with_suffix(".html").write_text(rendered(name, text), encoding="utf-8")
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            other = outside(name, target)
            if other is not None:
                (folder / other).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(DOCS.parent / other.relative_to("files"), folder / other)
    manual.write(cli, TOPICS, folder / "man")
    for picture in DOCS.rglob("*.svg"):
        copy = folder / picture.relative_to(DOCS)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(picture, copy)


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    build(FOLDER)
    print(FOLDER / "commands" / "index.html")
