"""What commands that change guests have in common: `--dry-run`, and `--yes` for many of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from . import ending
from .fleet import each_guest
from .options import EACH_ANSWER
from .output import Shown, counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.client import Client

    from .fleet import Guests

# So many names are told of the guests that are meant.
_TOLD = 10

yes_option = click.option(
    "-y", "--yes", is_flag=True, help="Do not ask, where several guests are meant."
)
_dry_run = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and whether the agent allows it."
)


def cautious(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--yes` and `--dry-run`; `agreed` and `rehearsed` make something of them."""
    return yes_option(_dry_run(function))


def changes_guests(
    what: str,
    *,
    timeout: Callable[[Callable[..., Any]], Callable[..., Any]] = EACH_ANSWER,
) -> Callable[[Callable[..., Shown]], Callable[..., Any]]:
    """As `fleet.each_guest`, for a command that does *what* ("shut down") to guests.

    It asks first where many are meant, and gets `dry_run`.
    """

    def first(guests: Guests, named: dict[str, Any]) -> None:
        yes = named.pop("yes")
        if not named["dry_run"]:
            agreed(guests, what, yes=yes)

    return lambda function: cautious(each_guest(function, timeout=timeout, first=first))


def agreed(guests: Guests, what: str, *, yes: bool) -> None:
    """Ask whether *what* may be done to *guests*, if these are many.

    Raises:
        click.UsageError: nobody can be asked.
        click.Abort: no.
    """
    if yes or not guests.many:
        return
    names = [ending.printable(target.text) for target in guests.targets]
    told = ", ".join(names[:_TOLD]) + (", ..." if len(names) > _TOLD else "")
    number = counted(len(names), "guest")
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{what} {number} ({told})? --yes says that this is meant, --dry-run what would be done"
        )
    click.confirm(f"{what} {number} ({told})?".capitalize(), abort=True, err=True)


def rehearsed(client: Client, command: str, would: str, value: dict[str, Any]) -> Shown:
    """What `--dry-run` shows: what *would* be done, and whether the agent allows *command*."""
    allowed = allows(client, command)
    text = f"would {would}"
    if not allowed:
        text = f"could not {would}: the agent does not allow {command}"
    return Shown({**value, "dry_run": True, "allowed": allowed}, text, 0 if allowed else 1)


def allows(client: Client, *names: str) -> bool:
    """Whether the agent has one of these commands enabled, as far as it tells."""
    commands = client.info().supported_commands
    # The first agents did not list theirs.
    return not commands or any(each.name in names and each.enabled for each in commands)
