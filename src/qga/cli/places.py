"""Files of guests on the command line: TARGET:PATH..., or :PATH... of many guests.

For the commands of the topic "Files". They are written for one guest, as those of `fleet` are.
"""

from __future__ import annotations

import glob
import os
import re
import sys
from dataclasses import dataclass, replace
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

import click

from qga.client.target import Target, split_path
from qga.errors import CommandDisabled, CommandNotFound, GuestOSError, InvalidTarget, Unsupported

from . import ending, fleet
from .fleet import Guests
from .options import Settings, with_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from qga.client import Client

    from .output import Shown

    R = TypeVar("R")

# For commands to which -h means something else, as to ls.
OWN_H = {"help_option_names": ["--help"]}

_COUNT = re.compile(r"-\d+")


@dataclass(frozen=True, slots=True)
class Place:
    """Files of a guest that a command is about.

    Attributes:
        target: the guest.
        paths: its files; none only where the command does with a target.
        alone: whether it is the only guest, so that what is printed needs no name in front.
    """

    target: Target
    paths: tuple[str, ...]
    alone: bool = True

    @property
    def on_terminal(self) -> bool:
        """Whether what is printed goes to a terminal as it is."""
        return self.alone and sys.stdout.isatty()

    def each(self, action: Callable[[str], R]) -> tuple[list[R], int]:
        """Do *action* for each path; return the results, and the exit code.

        What the guest refuses is told, and the others are done all the same.
        """
        return self.each_of(self.paths, action)

    def each_of(self, paths: Sequence[str], action: Callable[[str], R]) -> tuple[list[R], int]:
        """The same for *paths* of this guest."""
        if len(self.paths) == len(paths) == 1:
            return [action(paths[0])], 0
        results, code = [], 0
        for path in paths:
            try:
                results.append(action(path))
            except GuestOSError as error:
                code = self.complain(error)
        return results, code

    def complain(self, error: Exception) -> int:
        """Tell of *error*, with which the command has not ended; return the exit code."""
        name = "" if self.alone else f"{self.target}: "
        return ending.tell(f"{name}{ending.message(error)}", ending.AGENT_ERROR)

    def people(self, lines: Iterable[str]) -> str | bytes:
        """Lines of names for `Shown.people`: printable on a terminal, as they are in a pipe."""
        if self.alone and not sys.stdout.isatty():
            return b"".join(os.fsencode(line) + b"\n" for line in lines)
        return "\n".join(map(ending.printable, lines))


def fields(name: str, path: str | None) -> dict[str, Any]:
    """A path as a member *name* of JSON, which has no place for what is no UTF-8.

    Such a path is told with replacement characters; the member NAME-b64 has its bytes.
    """
    data = None if path is None else os.fsencode(path)
    if data is None:
        return {name: None}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {name: data.decode(errors="replace"), f"{name}-b64": data}


def expanded(client: Client, path: str) -> list[str]:
    """The files of a guest that *path* means: one, or those that fit its wildcards.

    If there is a file of just that name, it is meant.
    """
    if not glob.has_magic(path) or not path.startswith("/"):
        return [path]
    try:
        if client.files.exists(path, follow_symlinks=False):
            return [path]
        return client.files.glob(path) or [path]
    except (CommandDisabled, CommandNotFound, Unsupported):
        return [path]


def all_expanded(client: Client, place: Place) -> Place:
    """The same place with what the wildcards in its paths mean."""
    paths = [found for path in place.paths for found in expanded(client, path)]
    return replace(place, paths=tuple(paths))


class Counting(click.Command):
    """Takes -20 for -n 20, as head and tail always have."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = [f"-n{arg[1:]}" if _COUNT.fullmatch(arg) else arg for arg in args]
        return super().parse_args(ctx, given)


def each_place(
    function: Callable[..., Shown] | None = None,
    *,
    limit: Sequence[str] = ("-l", "--limit"),
    absolute: bool = True,
    bare: bool = False,
    first: Callable[[Guests, dict[str, list[str]], dict[str, Any]], None] | None = None,
) -> Callable[..., Any]:
    """Make *function*, which is called with `Settings`, a `Place` and options, one for many.

    Adds the options of every command, those that choose guests, and the words TARGET:PATH.

    Args:
        limit: the names of `--limit`, where the command has a use of its own for `-l`.
        absolute: whether paths have to begin with a slash.
        bare: whether a target without a path will do, and none at all.
        first: called with the guests, the paths of each and the options before anything is done; it
            may take some of these away.
    """
    if function is None:
        return partial(each_place, limit=limit, absolute=absolute, bare=bare, first=first)
    wanted = function

    def command(
        settings: Settings,
        words: tuple[str, ...],
        limit: tuple[str, ...],
        forks: int,
        *,
        all_guests: bool,
        **named: Any,
    ) -> int:
        guests, paths = meant(words, limit, all_guests=all_guests, bare=bare)
        if absolute:
            check(path for found in paths.values() for path in found)
        if first is not None:
            first(guests, paths, named)
        return run(
            settings, replace(guests, forks=forks), paths, lambda p: wanted(settings, p, **named)
        )

    update_wrapper(command, function)
    metavar = "[[TARGET][:PATH]]..." if bare else "[TARGET]:PATH..."
    words = click.argument("words", nargs=-1, required=not bare, metavar=metavar)
    return with_settings(fleet.guests_options(words(command), limit=limit))


def run(
    settings: Settings,
    guests: Guests,
    paths: dict[str, list[str]],
    action: Callable[[Place], Shown],
) -> int:
    """Do *action* for the files of each guest, as `fleet.run` does."""

    def at(target: Target) -> Shown:
        return action(Place(target, tuple(paths[target.text]), alone=not guests.many))

    return fleet.run(settings, guests, at)


def meant(
    words: tuple[str, ...], limit: tuple[str, ...], *, all_guests: bool, bare: bool = False
) -> tuple[Guests, dict[str, list[str]]]:
    """The guests that a command line means, and which files of each.

    Raises:
        click.UsageError: it contradicts itself.
        InvalidTarget: a word is no file of a guest.
    """
    if limit or all_guests:
        for word in words:
            if not word.startswith(":") or word == ":":
                raise click.UsageError(
                    f"{word!r} names a guest, or no file; with --limit or --all it is :PATH"
                )
        guests = fleet.chosen((), limit, all_guests=all_guests)
        same = [word[1:] for word in words]
        return guests, {target.text: same for target in guests.targets}
    if not words:
        guests = fleet.chosen((), (), all_guests=False)
        return guests, {guests.targets[0].text: []}
    targets: dict[str, Target] = {}
    paths: dict[str, list[str]] = {}
    for word in words:
        target, path = _split(word, bare=bare)
        targets.setdefault(target.text, target)
        paths.setdefault(target.text, []).extend([path] if path else [])
    return Guests(list(targets.values()), many=len(targets) > 1), paths


def check(paths: Iterable[str]) -> None:
    """See that *paths* are absolute.

    Raises:
        click.UsageError: one is not.
    """
    for path in paths:
        if not path.startswith("/"):
            raise click.UsageError(f"the path {path!r} is not absolute: it begins with a slash")


def _split(word: str, *, bare: bool) -> tuple[Target, str]:
    try:
        return split_path(word)
    except InvalidTarget:
        if bare and not word.startswith(":"):
            return Target(word), ""
        raise
