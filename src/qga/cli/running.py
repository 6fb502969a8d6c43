"""`qga exec`: a program of the guest, as if it ran here; or of many guests.

Here are its words; `executing` runs it, `shelling` in a terminal.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from . import fleet
from .executing import Program, Run, Source, has_input
from .forwarding import Signals
from .options import WithWords, behind_dashes, with_settings_but_timeout
from .quantities import Seconds

if TYPE_CHECKING:
    from .options import Settings

EPILOG = """\
\b
Examples:
  qga exec web -- uptime
  qga exec web -u postgres -w /var/lib/postgresql -- psql -l
  qga exec web -- sh -c 'tar -C /etc -c . | gzip' > etc.tar.gz
  mysqldump shop | qga exec db -- mysql shop
  qga exec web -- top            in a terminal, as it comes from one
  qga exec --all -- uptime
  qga exec -l 'web*,db' --timeout 60 -- systemctl is-active sshd
"""


@click.command(cls=WithWords, short_help="Run a program in the guest.", epilog=EPILOG)
@click.option("-i", "--interactive", is_flag=True, help="Pass on standard input in any case.")
@click.option(
    "-t/-T",
    "--tty/--no-tty",
    "tty",
    default=None,
    help="Give the program a terminal, or none. By default it gets one if standard input and output"
    " are terminals.",
)
@click.option("-n", "--no-stdin", is_flag=True, help="Do not read standard input.")
@click.option("-u", "--user", metavar="USER", help="Whom the program runs as.")
@click.option("-w", "--workdir", metavar="DIR", help="The guest's directory that it begins in.")
@click.option(
    "-e",
    "--env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="A variable for it; without a value, that of this process.",
)
@click.option(
    "--timeout",
    "seconds",
    type=Seconds(),
    metavar="SECONDS",
    help="How long the program may run: then it is ended, and the exit code is 124.",
)
@fleet.guests_options
@with_settings_but_timeout
@click.argument("words", nargs=-1, metavar="[TARGET]... [--] PROGRAM [ARGUMENT]...")
@click.pass_context
def execute(
    context: click.Context,
    settings: Settings,
    words: tuple[str, ...],
    limit: tuple[str, ...],
    forks: int,
    *,
    all_guests: bool,
    interactive: bool,
    tty: bool | None,
    no_stdin: bool,
    user: str | None,
    workdir: str | None,
    env: tuple[str, ...],
    seconds: float | None,
) -> int:
    """Run a program in the guest; its output comes as it is written, its exit code is qga's.

    Standard input is passed on if it is a pipe or a file. What is typed, as Ctrl-C, reaches the
    program as a signal or through its terminal; when qga is ended, so is the program. Of many
    guests, each line comes with the guest's name.
    """
    command = behind_dashes(context)
    if not command:
        raise click.UsageError("which program? qga exec TARGET -- PROGRAM [ARGUMENT]...")
    guests = replace(fleet.chosen(words, limit, all_guests=all_guests), forks=forks)
    program = Program(command, user, workdir, _variables(env), seconds)
    plain = guests.many or settings.json
    if tty and plain:
        raise click.UsageError("a terminal is for one guest, and for people")
    if tty or (tty is None and not plain and sys.stdin.isatty() and sys.stdout.isatty()):
        from . import shelling

        return shelling.attach(settings, guests.targets[0], program)
    wanted = not no_stdin and (interactive or (not guests.many and has_input()))
    with Signals() as signals, ExitStack() as stack:
        source = stack.enter_context(Source(many=guests.many)) if wanted else None
        run = Run(settings, program, source, signals, many=guests.many)
        return fleet.run(settings, guests, run.in_guest)


def _variables(words: tuple[str, ...]) -> dict[str, str]:
    """The variables that *words* mean: NAME=VALUE, or the NAME of one of this process."""
    found = {}
    for word in words:
        name, separator, value = word.partition("=")
        if separator:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found
