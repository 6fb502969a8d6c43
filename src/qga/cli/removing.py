"""`qga rm`: removes files of guests."""

from __future__ import annotations

import errno
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from qga.errors import GuestOSError

from . import caution, fleet, places
from .ending import printable
from .options import Settings, with_settings
from .output import Shown

if TYPE_CHECKING:
    from qga.client import Client
    from qga.client.filestat import FileStat

    from .places import Place


@dataclass(frozen=True, slots=True)
class _Choice:
    """The options."""

    recursive: bool
    force: bool
    interactive: bool
    empty: bool
    wildcards: bool
    verbose: bool
    dry_run: bool


@click.command(
    short_help="Remove files of guests.",
    epilog="""\
\b
Examples:
  qga rm web1:/tmp/report web1:/tmp/report.old
  qga rm -rf --dry-run web1:/srv/old
  qga rm --glob 'web1:/tmp/session-*'
  qga rm -f --yes -l 'web*' :/etc/nologin
""",
)
@with_settings
@fleet.guests_options
@click.argument("words", nargs=-1, required=True, metavar="[TARGET]:PATH...")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories with all below, too.")
@click.option("-f", "--force", is_flag=True, help="They may be gone already.")
@click.option("-i", "--interactive", is_flag=True, help="Ask about each.")
@click.option("-d", "--dir", "empty", is_flag=True, help="Directories that are empty, too.")
@click.option("-g", "--glob", "wildcards", is_flag=True, help="Those that fit *, ?, [...].")
@click.option("-v", "--verbose", is_flag=True, help="Tell what is removed.")
@caution.yes_option
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
def rm(
    settings: Settings,
    words: tuple[str, ...],
    limit: tuple[str, ...],
    forks: int,
    *,
    all_guests: bool,
    yes: bool,
    **options: bool,
) -> int:
    """Remove files of the guest. It is for good; --dry-run tells first what would be gone.

    Symlinks are removed themselves. Names are taken as they are, unless --glob is given. The root
    is never removed. For several guests it asks, or needs --yes.
    """
    choice = _Choice(**options)
    guests, paths = places.meant(words, limit, all_guests=all_guests)
    for path in {path for found in paths.values() for path in found}:
        places.check([path])
        if posixpath.basename(path.rstrip("/")) in {"", ".", ".."}:
            raise click.UsageError(f"{path!r} is not removed: name the file or directory itself")
    if guests.many and not choice.dry_run:
        if choice.interactive:
            raise click.UsageError("-i asks about one guest, not about several")
        caution.agreed(guests, "remove files of", yes=yes)
    guests = fleet.Guests(guests.targets, guests.many, forks)
    return places.run(settings, guests, paths, lambda place: _remove(settings, place, choice))


def _remove(settings: Settings, place: Place, choice: _Choice) -> Shown:
    removed: list[str] = []
    with settings.connect(place.target) as client:
        if choice.wildcards:
            place = places.all_expanded(client, place)
        _, code = place.each(lambda path: _one(client, path, choice, removed))
    told = "would remove" if choice.dry_run else "removed"
    shown = place.people([f"{told} {path}" for path in removed])
    value: list[dict[str, Any]] = [places.fields("path", path) for path in removed]
    return Shown(value, shown if choice.verbose or choice.dry_run else "", code)


def _one(client: Client, path: str, choice: _Choice, removed: list[str]) -> None:
    # With a slash behind it, a symlink would be what it leads to.
    path = path.rstrip("/")
    try:
        found = client.files.lstat(path)
    except GuestOSError as error:
        if choice.force and error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return
        if any(char in path for char in "*?["):
            error.add_note("names are taken as they are; --glob is for wildcards")
        raise
    if found.is_dir() and not (choice.recursive or choice.empty):
        raise GuestOSError(f"cannot remove {printable(path)}: Is a directory", errno.EISDIR)
    if choice.interactive:
        _ask(client, path, found, choice, removed)
        return
    if choice.dry_run:
        if found.is_dir() and choice.recursive:
            removed += [entry.path for entry in client.files.walk(path)][::-1]
    else:
        client.files.remove(path, recursive=choice.recursive, missing_ok=choice.force)
    removed.append(path)


def _ask(client: Client, path: str, found: FileStat, choice: _Choice, removed: list[str]) -> None:
    """Ask about a file, and about each below it."""
    name = printable(path)
    if found.is_dir() and choice.recursive:
        below = client.files.list(path)
        if below and not click.confirm(f"descend into directory {name}?", err=True):
            return
        for entry in below:
            _ask(client, entry.path, entry.stat, choice, removed)
    if click.confirm(f"remove {found.type} {name}?", err=True):
        if not choice.dry_run:
            client.files.remove(path)
        removed.append(path)
