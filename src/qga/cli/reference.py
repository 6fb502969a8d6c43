"""`qga help`: what the commands of the protocol and those of `qga` itself are for."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qga.protocol import COMMANDS, pages

from .app import TOPICS
from .arguments import find_command
from .options import output_option
from .output import Shown, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qga.protocol.model import Command

    from .output import Look


@click.command(
    "help",
    short_help="Tell about a command of the protocol, or of qga.",
    epilog="""\b
Examples:
  qga help freeze
  qga help guest-file-read
  qga help guest-fs
  qga help --man ~/.local/share/man/man1
""",
)
@output_option
@click.option(
    "--man",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the manual pages of qga and its commands into DIR.",
)
@click.argument("name", required=False)
@click.pass_context
def show_help(context: click.Context, look: Look, name: str | None, folder: Path | None) -> None:
    """Tell about a command: one of the protocol, as guest-exec, or one of qga, as freeze.

    The name of a topic, as files, lists its commands. The beginning of a name, as guest or
    guest-file, lists the commands of the protocol that begin so.
    """
    above = context.find_root()
    group = above.command
    if not isinstance(group, click.Group):
        raise TypeError(f"{above.command_path} has no commands")
    if folder is not None:
        _write_manual(group, folder, name)
    elif name is None:
        print(above.get_help())
    elif own := group.get_command(above, name):
        print(own.get_help(click.Context(own, info_name=name, parent=above)))
    elif topic := _topic(name):
        _show_topic(above, group, topic, look)
    elif (command := find_command(name)) is not None:
        _show_page(command, look)
    else:
        _show_list(name, look)


def _topic(name: str) -> dict[str, str]:
    """The commands of the topic *name*; none if it is none."""
    return next((names for topic, names in TOPICS.items() if topic.lower() == name.lower()), {})


def _show_topic(above: click.Context, group: click.Group, names: Iterable[str], look: Look) -> None:
    summaries = {
        name: command.get_short_help_str(200)
        for name in names
        if (command := group.get_command(above, name)) and not command.hidden
    }
    records = [{"name": name, "summary": text.rstrip(".")} for name, text in summaries.items()]
    rows = [list(record.values()) for record in records]
    look.show(Shown(records, Table(["command", "what it does"], rows)))


def _write_manual(group: click.Group, folder: Path, name: str | None) -> None:
    from . import manual

    if name is not None:
        raise click.UsageError(f"either {name!r}, or --man, which writes all pages")
    written = manual.write(group, TOPICS, folder)
    print(f"{len(written)} pages in {folder}: man -l {folder / 'qga.1'}")


def _show_page(command: type[Command[Any]], look: Look) -> None:
    text = pages.page(command, pages.fragment_of(command))
    if look.structured:
        look.show(Shown({"name": command.NAME, "page": text}))
    elif sys.stdout.isatty():
        from rich.markdown import Markdown

        # There is nothing to click on.
        look.console().print(Markdown(re.sub(r"\[(\w+)\]\(#\w+\)", r"\1", text)))
    else:
        print(text, end="")


def _show_list(beginning: str, look: Look) -> None:
    found = [command for command in COMMANDS if command.NAME.startswith(beginning)]
    if not found:
        raise click.UsageError(
            f"there is no command {beginning!r}: `qga help guest` lists those of the protocol, "
            "`qga help` those of qga"
        )
    records = [
        {"name": c.NAME, "since": pages.since(c), "summary": pages.summary(c)} for c in found
    ]
    rows = [list(record.values()) for record in records]
    look.show(Shown(records, Table(["command", "since", "what it does"], rows)))
