"""The reference pages: one a command, in Markdown, and an index of them by topic.

What a command takes and returns comes from its declaration. What no declaration holds (what it
needs, errors, an example, how it differs from qemu-ga) is written by hand, beside the code: in
`docs/commands/`, one file for each module of this package, with the same stem. Called by `qga help`
and by `make docs`; the agent never loads it.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import GenericAlias
from typing import Any, NamedTuple

from . import COMMANDS, OWN, described
from .model import Alternate, Command, Data, Enum, Struct, UInt16, UInt64

# In an installed package, and in the sources.
_FOLDERS = (Path(__file__).with_name("commands"), Path(__file__).parents[3] / "docs" / "commands")

SECTIONS = {
    "Needs": "What it needs",
    "Errors": "Errors",
    "Example": "Example",
    "Differences": "How it differs from qemu-ga",
}
"""The sections that are written by hand, and their titles on the page."""

_SCALARS: dict[Any, str] = {
    int: "integer",
    UInt64: "integer, unsigned (64 bits)",
    UInt16: "integer, unsigned (16 bits)",
    float: "number",
    bool: "boolean",
    str: "string",
    bytes: "string, base64",
    Data: "string, base64",
}


class Fragment(NamedTuple):
    """What is written by hand about one command."""

    notes: str
    sections: dict[str, str]


class Topic(NamedTuple):
    """A module of commands."""

    stem: str
    title: str
    intro: str
    fragments: dict[str, Fragment]

    @property
    def commands(self) -> list[type[Command[Any]]]:
        return [command for command in COMMANDS if stem_of(command) == self.stem]


def stem_of(command: type[Command[Any]]) -> str:
    """The name of the module that declares *command*."""
    return command.__module__.rpartition(".")[2]


def topics(folder: Path | None = None) -> list[Topic]:
    """All topics, in the order of their first commands.

    Args:
        folder: where the hand-written part is; by default where it is installed. Without it
            a topic has its commands, and no more.
    """
    if folder is None:
        folder = next((found for found in _FOLDERS if found.is_dir()), _FOLDERS[0])
    found = []
    for stem in dict.fromkeys(map(stem_of, COMMANDS)):
        file = folder / f"{stem}.md"
        text = file.read_text(encoding="utf-8") if file.is_file() else f"# {stem.capitalize()}\n"
        found.append(_topic(stem, text))
    return found


def fragment_of(command: type[Command[Any]]) -> Fragment | None:
    """What is written by hand about *command*, where it is installed."""
    (topic,) = (found for found in topics() if found.stem == stem_of(command))
    return topic.fragments.get(command.NAME)


def _topic(stem: str, text: str) -> Topic:
    before, parts = _split(text, "## ")
    title, _, intro = before.partition("\n")
    fragments = {name: _fragment(part) for name, part in parts.items()}
    return Topic(stem, title.removeprefix("# "), intro.strip(), fragments)


def _fragment(text: str) -> Fragment:
    return Fragment(*_split(text, "### "))


def _split(text: str, mark: str) -> tuple[str, dict[str, str]]:
    """What is before the first heading that begins with *mark*, and what follows each of them."""
    before, *parts = f"\n{text}".split(f"\n{mark}")
    pairs = (part.partition("\n") for part in parts)
    return before.strip(), {title.strip(): body.strip() for title, _, body in pairs}


def page(command: type[Command[Any]], fragment: Fragment | None, shown: Iterable[str] = ()) -> str:
    """The page of *command*.

    Args:
        fragment: what is written by hand about it, if that is there.
        shown: more lines about differences, as a list in Markdown.
    """
    doc = described.read_doc(command.__doc__)
    parts = [f"# {command.NAME}", *doc.paragraphs]
    if fragment is not None and fragment.notes:
        parts.append(fragment.notes)
    parts += [_facts(command), *_arguments(command), *_result(command, doc.returns)]
    for name, title in SECTIONS.items():
        lines = [fragment.sections[name]] if fragment and name in fragment.sections else []
        if name == "Differences":
            lines += ["\n".join(shown)] if shown else []
        if lines:
            parts += [f"## {title}", *lines]
    return "\n\n".join(parts) + "\n"


def _facts(command: type[Command[Any]]) -> str:
    platform, own = command.PLATFORM.capitalize(), command.NAME.startswith(OWN)
    rows = {
        "since": "qga-agent's own: qemu-ga does not have it" if own else f"QEMU {command.SINCE}",
        "platform": f"{platform} only; elsewhere it is not found" if platform else "Linux",
        "while file systems are frozen": "allowed" if command.WHILE_FROZEN else "refused",
        "reply on success": "yes" if command.SUCCESS_RESPONSE else "**none**",
    }
    return _table(("", ""), ([name, text] for name, text in rows.items()))


def _arguments(command: type[Command[Any]]) -> Iterator[str]:
    yield "## Arguments"
    fields = described.fields(command)
    if not fields:
        yield "None."
        return
    yield _members(fields, optional="optional")
    yield from _types([field.kind for field in fields], optional="optional")


def _result(command: type[Command[Any]], returns: str) -> Iterator[str]:
    kind = command.result()
    yield "## Result"
    if not command.SUCCESS_RESPONSE:
        yield "None: there is a reply only when it fails."
        return
    if kind is None:
        yield "An empty object."
        return
    # What is a reference to the type in the language of schemas says nothing more here.
    said = "" if returns.startswith("`") else f": {returns}"
    yield f"{_kind(kind)[0].upper()}{_kind(kind)[1:]}{said.rstrip('.')}."
    yield from _types([kind], optional="may be absent")


def _types(kinds: list[Any], optional: str) -> Iterator[str]:
    """A section for each named type that *kinds* are made of, the outer ones first."""
    waiting, done = list(kinds), set()
    while waiting:
        kind = waiting.pop(0)
        if isinstance(kind, GenericAlias):
            waiting.insert(0, kind.__args__[0])
            continue
        if kind in _SCALARS or kind in done:
            continue
        done.add(kind)
        waiting[:0] = described.parts(kind)
        yield f"### {kind.NAME}"
        if isinstance(kind, Alternate):
            either = ", or ".join(_kind(branch) for branch in kind.branches.values())
            yield f"{kind.doc} Before version {kind.SINCE} only the first of: {either}."
            continue
        yield from described.read_doc(kind.__doc__).paragraphs
        if issubclass(kind, Enum):
            yield _table(("value", "meaning"), _quoted(described.values(kind)))
            continue
        yield _members(described.fields(kind), optional)
        if described.is_union(kind):
            for value, branch in described.branches(kind).items():
                yield (
                    f"With `{described.discriminator(kind)}` being `{value}` it has the members of "
                    f"{_link(branch)} too."
                )


def _members(fields: Iterable[described.Field], optional: str) -> str:
    return _table(
        ("name", "type", "", "meaning"),
        ([f"`{f.name}`", _kind(f.kind), optional * f.optional, f.doc] for f in fields),
    )


def _quoted(values: Mapping[str, str]) -> Iterator[list[str]]:
    return ([f"`{value}`", doc] for value, doc in values.items())


def _kind(kind: Any) -> str:
    if isinstance(kind, GenericAlias):
        return f"list of {_kind(kind.__args__[0])}"
    return _SCALARS[kind] if kind in _SCALARS else _link(kind)


def _link(kind: "type[Struct | Enum] | Alternate") -> str:
    return f"[{kind.NAME}](#{kind.NAME.lower()})"


def _table(head: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("".join(f"| {cell} " if cell else "| " for cell in row) + "|" for row in lines)


def summary(command: type[Command[Any]]) -> str:
    """The first sentence about *command*, without its full stop."""
    return described.read_doc(command.__doc__).paragraphs[0].partition(". ")[0].rstrip(".")


def since(command: type[Command[Any]]) -> str:
    """The version of qemu-ga that has it; `qga-agent` if only this project's agent does."""
    return "qga-agent" if command.NAME.startswith(OWN) else command.SINCE


def index(found: Iterable[Topic]) -> str:
    """The commands by topic, each with a link to its page."""
    parts = []
    for topic in found:
        parts += [f"## {topic.title}", *([topic.intro] if topic.intro else [])]
        rows = ([f"[{c.NAME}]({c.NAME}.md)", since(c), summary(c)] for c in topic.commands)
        parts.append(_table(("command", "since", "what it does"), rows))
    return "\n\n".join(parts) + "\n"
