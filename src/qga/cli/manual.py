"""The manual pages, qga(1) and one for each command, made of what `--help` is made of.

Called by `qga help --man` and `make docs`. Of a command it takes the help, the options and the
epilog. A block of the epilog whose first line is a heading, `Examples:` or `EXAMPLES`, becomes a
section of the page; any other belongs to the description.
"""

from __future__ import annotations

import os
import re
import textwrap
import time
from inspect import cleandoc
from typing import TYPE_CHECKING

import click

from qga._version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# The first line of a block that is a section.
_HEADING = re.compile(r"([A-Z][\w ]*):|([A-Z]{3}[A-Z ]*)")

_SEE_ALSO = {
    "call": ["qga-schema", "qga-help"],
    "cat": ["qga-cp"],
    "freeze": ["qga-thaw"],
    "thaw": ["qga-freeze"],
}


def write(group: click.Group, topics: Mapping[str, Mapping[str, str]], folder: Path) -> list[Path]:
    """Write all pages into *folder*; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in pages(group, topics).items():
        path = folder / f"{name}.1"
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def pages(group: click.Group, topics: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The pages by their names, where *topics* has the commands of each topic by their names."""
    root = click.Context(group, info_name="qga", **group.context_settings)
    commands = {
        name: command
        for names in topics.values()
        for name in names
        if (command := group.get_command(root, name)) and not command.hidden
    }
    all_names = sorted(f"qga-{name}" for name in commands)
    found = {"qga": _page("qga", root, _overview(topics, commands), all_names)}
    for name, command in commands.items():
        context = click.Context(command, info_name=name, parent=root)
        also = ["qga", *_SEE_ALSO.get(name, ())]
        found[f"qga-{name}"] = _page(f"qga-{name}", context, [], also)
    return found


def _page(name: str, context: click.Context, commands: list[str], also: list[str]) -> str:
    command = context.command
    moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    date = time.strftime("%Y-%m-%d", moment)
    summary = command.get_short_help_str(200).rstrip(".")
    body, sections = _blocks(command)
    lines = [
        f'.TH "{_text(name.upper())}" 1 "{date}" "qga {VERSION}" "User commands"',
        ".SH NAME",
        _wrapped(f"{name} - {summary[:1].lower()}{summary[1:]}"),
        ".SH SYNOPSIS",
        f"\\fB{_text(context.command_path)}\\fR {_synopsis(context)}",
        ".SH DESCRIPTION",
        *body,
        *commands,
    ]
    if isinstance(command, click.Group) and not commands:
        lines += _subcommands(command, context)
    if options := list(_options(context)):
        lines += [".SH OPTIONS", *options]
    for heading, content in sections:
        lines += [f".SH {heading.upper()}", *content]
    lines += [".SH SEE ALSO", ",\n".join(f"\\fB{_text(other)}\\fR(1)" for other in also)]
    return "\n".join(lines) + "\n"


def _synopsis(context: click.Context) -> str:
    pieces = " ".join(context.command.collect_usage_pieces(context))
    return re.sub(r"[A-Z][A-Z:=]*", r"\\fI\g<0>\\fR", _text(pieces))


def _options(context: click.Context) -> Iterator[str]:
    for param in context.command.get_params(context):
        record = param.get_help_record(context)
        if isinstance(param, click.Option) and record is not None:
            names, text = record
            yield from (".TP", f"\\fB{_text(names)}\\fR", _wrapped(text))


def _subcommands(group: click.Group, context: click.Context) -> Iterator[str]:
    """Those of a command that has several, which have no pages of their own."""
    yield ".SH COMMANDS"
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            inner = click.Context(command, info_name=name, parent=context)
            yield f'.SS "{_text(name)} {_synopsis(inner)}"'
            body, _ = _blocks(command)
            yield from (*body, *_options(inner))


def _overview(
    topics: Mapping[str, Mapping[str, str]], commands: Mapping[str, click.Command]
) -> list[str]:
    lines = [".SH COMMANDS"]
    for topic, names in topics.items():
        lines.append(f'.SS "{topic}"')
        for name in names:
            if name in commands:
                lines += [".TP", f"\\fBqga\\-{_text(name)}\\fR(1)"]
                lines.append(_wrapped(commands[name].get_short_help_str(200)))
    return lines


def _blocks(command: click.Command) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The description, and the sections that the epilog has."""
    body: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    for verbatim, *lines in _paragraphs(command.help) + _paragraphs(command.epilog):
        heading = _HEADING.fullmatch(lines[0])
        if heading and len(lines) > 1:
            sections.append((heading[1] or heading[2], []))
            del lines[0]
        place = sections[-1][1] if sections else body
        if place:
            place.append(".PP")
        if verbatim:
            place += [".nf", *map(_text, lines), ".fi"]
        else:
            place.append(_wrapped(" ".join(lines)))
    return body, sections


def _paragraphs(text: str | None) -> list[list[str]]:
    r"""The paragraphs of a help text: each its lines, behind "\b" if these stay as they are."""
    found = []
    for paragraph in re.split(r"\n\s*\n", cleandoc((text or "").partition("\f")[0])):
        lines = [line for line in paragraph.split("\n") if line.strip()]
        if lines and lines[0].strip() == "\b":
            found.append(lines)
        elif lines:
            found.append(["", *lines])
    return [lines for lines in found if len(lines) > 1]


def _wrapped(text: str) -> str:
    """*text* as roff has it, in short lines."""
    return _text("\n".join(textwrap.wrap(text, 72, break_on_hyphens=False)))


def _text(text: str) -> str:
    """*text* as roff has it."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", escaped, flags=re.MULTILINE)
