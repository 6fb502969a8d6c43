"""`qga help`: what the commands of the protocol and those of `qga` itself are for."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from qga.protocol import COMMANDS, pages

from .arguments import find_command
from .options import output_option
from .output import Shown, Table

if TYPE_CHECKING:
    from qga.protocol.model import Command

    from .output import Look


@click.command("help", short_help="Tell about a command of the protocol, or of qga.")
@output_option
@click.argument("name", required=False)
@click.pass_context
def show_help(context: click.Context, look: Look, name: str | None) -> None:
    """Tell about a command: one of the protocol, as guest-exec, or one of qga, as freeze.

    The beginning of a name, as guest or guest-file, lists the commands that begin so.
    """
    above = context.find_root()
    if name is None:
        print(above.get_help())
    elif isinstance(above.command, click.Group) and (own := above.command.get_command(above, name)):
        print(own.get_help(click.Context(own, info_name=name, parent=above)))
    elif (command := find_command(name)) is not None:
        _show_page(command, look)
    else:
        _show_list(name, look)


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
