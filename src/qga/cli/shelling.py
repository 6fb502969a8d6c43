"""`qga shell`: a terminal in the guest. And `qga exec` in one."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from qga.client.completed import ProgramTimeout
from qga.errors import AgentTimeout

from . import ending
from .executing import LATE, Program, code_of, own_failures
from .options import WithWords, behind_dashes, meant, with_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qga.client import Target
    from qga.client.shell import Shell

    from .options import Settings

EPILOG = """\
\b
Examples:
  qga shell web
  qga shell web -u postgres
  qga shell web 'cd /etc && vi hosts'

\b
After Enter, ~. leaves a shell that hangs, ~~ types ~, ~? tells of these.
"""

ESCAPE, NO_ESCAPE = "~", "none"


@click.command(cls=WithWords, short_help="Open a shell in the guest.", epilog=EPILOG)
@click.option(
    "-u", "--user", metavar="USER", help="Whose shell; the agent's own user's by default."
)
@click.option("-w", "--workdir", metavar="DIR", help="Where to begin; the user's home by default.")
@click.option(
    "--escape",
    default=ESCAPE,
    show_default=True,
    metavar="CHARACTER",
    help="What leaves, with a dot after it and Enter before; none for nothing.",
)
@with_settings
@click.argument("words", nargs=-1, metavar="[TARGET] [--] [COMMAND]...")
@click.pass_context
def shell(
    context: click.Context,
    settings: Settings,
    words: tuple[str, ...],
    *,
    user: str | None,
    workdir: str | None,
    escape: str,
) -> int:
    """Open the user's login shell in a terminal of the guest, or have its shell do COMMAND there.

    Every key goes to the guest. The exit code is the shell's own. The guest needs python3, or the
    program script.
    """
    if escape != NO_ESCAPE and not (len(escape) == 1 and escape.isascii() and escape.isprintable()):
        raise click.UsageError(f"--escape takes one character, or none, not {escape!r}")
    if settings.json:
        raise click.UsageError("a terminal is for people")
    if len(words) > 1:
        raise click.UsageError(f"{words[1]!r} stands before the --; only TARGET may")
    target = meant(words[0] if words else None)
    program = Program(behind_dashes(context) or (), user, workdir, {}, None)
    return attach(settings, target, program, as_text=True, escape=escape)


def attach(
    settings: Settings,
    target: Target,
    program: Program,
    *,
    as_text: bool = False,
    escape: str = ESCAPE,
) -> int:
    """Join this terminal with one of the guest, in which *program* runs; return the exit code.

    Args:
        as_text: whether the words are a text for the guest's shell; without any, it is the user's
            own shell.
    """
    command = " ".join(program.words) or None if as_text else program.words
    way_out = None if escape == NO_ESCAPE else escape
    with own_failures(program.words), settings.connect(target) as client:
        shell = client.shell(
            command,
            size=_size(),
            term=os.environ.get("TERM") or "dumb",
            timeout=program.seconds,
            **program.circumstances,
        )
        with _closed(shell):
            try:
                shell.interact(stdin=0, stdout=1, escape=way_out, timeout=program.seconds)
            except ProgramTimeout:
                return ending.tell(f"ended after {program.seconds:g} s, the --timeout", LATE)
        # One that was left has been hung up.
        return code_of(-signal.SIGHUP if shell.returncode is None else shell.returncode)


@contextmanager
def _closed(shell: Shell) -> Iterator[None]:
    """Close *shell* at the end, even where the agent does not answer."""
    try:
        yield
    finally:
        try:
            shell.close()
        except AgentTimeout:
            ending.tell("the agent does not answer; the guest hangs up within a minute", 0)


def _size() -> tuple[int, int]:
    """Rows and columns of this terminal, or those of a usual one."""
    columns, rows = shutil.get_terminal_size()
    return rows, columns
