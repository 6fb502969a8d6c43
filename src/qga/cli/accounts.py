"""`qga passwd` and `qga ssh-keys`: how people get into the guest."""

from __future__ import annotations

import errno
import re
import sys
from dataclasses import replace
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import click

from qga.errors import CommandError, GuestOSError
from qga.protocol import (
    SetUserPassword,
    SshAddAuthorizedKeys,
    SshGetAuthorizedKeys,
    SshRemoveAuthorizedKeys,
)

from . import ending, keys
from .caution import agreed, cautious, rehearsed
from .fleet import Guests, chosen, guests_options, run
from .options import leading_target, meant, with_settings
from .output import Shown, Table, counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.client import Client, Target

    from .options import Settings

# How crypt() and /etc/shadow begin what is no plain text; the oldest kind has no beginning.
_CRYPTED = re.compile(r"[$_!*].*|[./0-9A-Za-z]{13}", re.DOTALL)


def _for_user(function: Callable[..., Any], *, more: str = "") -> Callable[..., Any]:
    """Make *function* a command with `[TARGET] USER`, for one guest or many.

    It gets the settings, the guests, the user and what more words there are.
    """

    def command(
        settings: Settings,
        words: tuple[str, ...],
        limit: tuple[str, ...],
        forks: int,
        *,
        all_guests: bool,
        **named: Any,
    ) -> int:
        if limit or all_guests:
            guests = chosen((), limit, all_guests=all_guests)
            rest = words
        elif len(words) == 1:
            guests, rest = Guests([meant(None)], many=False), words
        else:
            target, rest = leading_target(words)
            guests = Guests([target], many=False)
        if not rest:
            raise click.UsageError("which user?")
        if more and not rest[1:]:
            raise click.UsageError("which keys?")
        if rest[1:] and not more:
            raise click.UsageError(f"{rest[1]!r} is too much: [TARGET] USER")
        code: int = function(settings, replace(guests, forks=forks), rest[0], rest[1:], **named)
        return code

    update_wrapper(command, function)
    words = click.argument("words", nargs=-1, metavar=f"[TARGET] USER{more}")
    return with_settings(guests_options(words(command)))


@click.command(
    epilog="""\b
Examples:
  qga passwd web1 root                       # asks twice
  pass show web1 | qga passwd web1 root --stdin
  mkpasswd | qga passwd --limit 'web*' --yes --stdin --crypted admin
"""
)
@cautious
@_for_user
@click.option("--stdin", "piped", is_flag=True, help="Read the password from standard input.")
@click.option("--crypted", is_flag=True, help="It is encrypted already, as by crypt().")
def passwd(
    settings: Settings,
    guests: Guests,
    user: str,
    _: tuple[str, ...],
    *,
    piped: bool,
    crypted: bool,
    yes: bool,
    dry_run: bool,
) -> int:
    """Set the password of a user of the guest.

    It is asked for on the terminal, twice and without being shown, or read from standard input; it
    is never an argument, which other users of this machine could see.
    """
    name = ending.printable(user)
    if dry_run:

        def rehearse(target: Target) -> Shown:
            with settings.connect(target) as client:
                would = f"set the password of {name}"
                return rehearsed(client, "guest-set-user-password", would, {"user": user})

        return run(settings, guests, rehearse)
    if not piped and not sys.stdin.isatty():
        raise click.UsageError("standard input is no terminal: --stdin reads the password from it")
    if piped and guests.many and not yes:
        raise click.UsageError("--stdin for several guests needs --yes: nobody can be asked")
    agreed(guests, f"set the password of {name} in", yes=yes)
    password = _piped() if piped else _asked(name, guests)
    _check(password, crypted=crypted)

    def change(target: Target) -> Shown:
        with settings.connect(target) as client:
            client.execute(
                SetUserPassword(
                    username=user,
                    password=password.encode("utf-8", "surrogateescape"),
                    crypted=crypted,
                )
            )
        return Shown({"user": user, "changed": True}, f"the password of {name} is set")

    return run(settings, guests, change)


def _asked(name: str, guests: Guests) -> str:
    where = counted(len(guests.targets), "guest") if guests.many else str(guests.targets[0])
    asked: str = click.prompt(
        f"New password of {name} in {ending.printable(where)}",
        hide_input=True,
        confirmation_prompt="Once more",
        err=True,
    )
    return asked


def _piped() -> str:
    data = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    return data.removesuffix("\n").removesuffix("\r")


def _check(password: str, *, crypted: bool) -> None:
    if not password:
        raise click.UsageError("the password is empty")
    if re.search(r"[\0\n\r]", password):
        raise click.UsageError("the password has more than one line, or a NUL")
    if crypted and not _CRYPTED.fullmatch(password):
        raise click.UsageError("this is nothing that crypt() makes: is it a plain password?")


@click.group(
    "ssh-keys",
    epilog="""\b
Examples:
  qga ssh-keys list web1 debian
  qga ssh-keys add web1 debian @~/.ssh/id_ed25519.pub
  ssh-add -L | qga ssh-keys add --reset --limit 'web*' --yes debian -
  qga ssh-keys remove web1 debian SHA256:bbVSGX81Kc4M0OlQyzoVJc4lYGVCXe+aHiSCIT9mC1w
""",
)
def ssh_keys() -> None:
    """Show or change the SSH keys by which a user may log in."""


@ssh_keys.command(
    "list",
    epilog="""\b
Examples:
  qga ssh-keys list web1 debian
  qga ssh-keys list --all root -o json
""",
)
@_for_user
def list_keys(settings: Settings, guests: Guests, user: str, _: tuple[str, ...]) -> int:
    """Show the keys in a user's .ssh/authorized_keys."""

    def show(target: Target) -> Shown:
        with settings.connect(target) as client:
            found = _there(client, user)
        rows = [[one.type or "?", one.fingerprint, one.comment, one.text] for one in found]
        people: str | Table = "no keys"
        if rows:
            people = Table(["type", "fingerprint", "comment", "key"], rows, wide=frozenset({"key"}))
        return Shown({"user": user, "keys": [one.record() for one in found]}, people)

    return run(settings, guests, show)


@ssh_keys.command(
    "add",
    epilog="""\b
Examples:
  qga ssh-keys add web1 debian @~/.ssh/id_ed25519.pub
  ssh-add -L | qga ssh-keys add web1 debian -
  qga ssh-keys add --reset --dry-run web1 debian @team.pub
""",
)
@cautious
@lambda function: _for_user(function, more=" KEY...")
@click.option("--reset", is_flag=True, help="Remove all others.")
def add_keys(
    settings: Settings,
    guests: Guests,
    user: str,
    words: tuple[str, ...],
    *,
    reset: bool,
    yes: bool,
    dry_run: bool,
) -> int:
    """Add keys to a user's .ssh/authorized_keys.

    KEY is a public key, @FILE with such keys, or - for standard input. Those that are there already
    are not added again.
    """
    wanted = keys.given(words)
    if reset and not dry_run:
        if "-" in words and guests.many and not yes:
            raise click.UsageError("- for several guests needs --yes: nobody can be asked")
        agreed(guests, f"replace the SSH keys of {ending.printable(user)} in", yes=yes)

    def change(target: Target) -> Shown:
        with settings.connect(target) as client:
            there = _there(client, user)
            data, wanted_data = {one.data for one in there}, {one.data for one in wanted}
            added = [one for one in wanted if one.data not in data]
            removed = [one for one in there if reset and one.data not in wanted_data]
            if not dry_run and (added or removed):
                command = SshAddAuthorizedKeys(
                    username=user,
                    keys=[one.text for one in (wanted if reset else added)],
                    reset=reset or None,
                )
                client.execute(command)
        return _changed(user, added, removed, dry_run=dry_run)

    return run(settings, guests, change)


@ssh_keys.command(
    "remove",
    epilog="""\b
Examples:
  qga ssh-keys remove web1 debian @~/.ssh/id_ed25519.pub
  qga ssh-keys remove --all --yes root SHA256:bbVSGX81Kc4M0OlQyzoVJc4lYGVCXe+aHiSCIT9mC1w
""",
)
@cautious
@lambda function: _for_user(function, more=" KEY...")
def remove_keys(
    settings: Settings,
    guests: Guests,
    user: str,
    words: tuple[str, ...],
    *,
    yes: bool,
    dry_run: bool,
) -> int:
    """Remove keys from a user's .ssh/authorized_keys.

    KEY is a public key, whatever its comment is, its fingerprint as `list` shows it, @FILE with
    such keys, or - for standard input. One that is not there is no error.
    """
    if "-" in words:
        # Once for all guests.
        words = (*(one.text for one in keys.given(["-"])), *(word for word in words if word != "-"))
        if guests.many and not (yes or dry_run):
            raise click.UsageError("- for several guests needs --yes: nobody can be asked")
    keys.chosen(words, [])  # that they are keys
    if not dry_run:
        agreed(guests, f"remove SSH keys of {ending.printable(user)} in", yes=yes)

    def change(target: Target) -> Shown:
        with settings.connect(target) as client:
            removed = keys.chosen(words, _there(client, user))
            if removed and not dry_run:
                # As they stand there: agents compare whole lines.
                texts = [one.text for one in removed]
                client.execute(SshRemoveAuthorizedKeys(username=user, keys=texts))
        return _changed(user, [], removed, dry_run=dry_run)

    return run(settings, guests, change)


def _there(client: Client, user: str) -> list[keys.Key]:
    """The keys of *user* in the guest, in the order of the file."""
    try:
        found = client.execute(SshGetAuthorizedKeys(username=user)).keys
    except GuestOSError as error:
        if error.errno != errno.ENOENT:
            raise
        return []  # no file yet
    except CommandError as error:
        if "authorized_keys" not in error.desc or "No such file" not in error.desc:
            raise
        return []
    return [keys.key(text) for text in found[::-1]]  # agents tell the last one first


def _changed(user: str, added: list[keys.Key], removed: list[keys.Key], *, dry_run: bool) -> Shown:
    value: dict[str, Any] = {
        "user": user,
        "added": [one.record() for one in added],
        "removed": [one.record() for one in removed],
    }
    if dry_run:
        value["dry_run"] = True
    lines = []
    for what, ones in (("added", added), ("removed", removed)):
        would = {"added": "would add", "removed": "would remove"}[what] if dry_run else what
        lines += [f"{would} {_line(one)}" for one in ones]
    return Shown(value, "\n".join(lines) or "nothing to change")


def _line(one: keys.Key) -> str:
    return ending.printable(" ".join(filter(None, (one.type, one.fingerprint, one.comment))))
