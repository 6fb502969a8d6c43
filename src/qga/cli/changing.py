"""`qga mkdir`, `touch`, `ln`, `mv`, `chmod` and `chown`: what changes files of guests."""

from __future__ import annotations

import errno
import posixpath
import re
from typing import TYPE_CHECKING, Any

import click

from qga.client.target import names_guest_file, split_path
from qga.errors import GuestOSError

from . import caution, places
from .ending import printable
from .output import Shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.client import Client

    from .fleet import Guests
    from .options import Settings
    from .places import Place

_OCTAL = re.compile("[0-7]{1,4}")

dry_run = click.option("--dry-run", is_flag=True, help="Only tell what would be done.")


def _each_place_asked(
    what: str, *, fewest: int = 1
) -> Callable[[Callable[..., Shown]], Callable[..., Any]]:
    """As `places.each_place`, for a command that does *what* ("move files of") to guests.

    It asks first where several are meant. It gets `dry_run`, and *fewest* paths of each.
    """

    def first(guests: Guests, paths: dict[str, list[str]], named: dict[str, Any]) -> None:
        if min(map(len, paths.values())) < fewest:
            raise click.UsageError(
                "what is to go where? Both are files of one guest; to another guest it is `qga cp`"
            )
        if guests.many and named.get("interactive"):
            raise click.UsageError("-i asks about one guest, not about several")
        yes = named.pop("yes")
        if not named["dry_run"]:
            caution.agreed(guests, what, yes=yes)

    return lambda function: places.each_place(caution.yes_option(dry_run(function)), first=first)


@click.command(
    short_help="Make directories.",
    epilog="""\
\b
Examples:
  qga mkdir -p web1:/srv/www/html
  qga mkdir -m 700 -l 'web*' :/root/backup
""",
)
@places.each_place
@click.option("-p", "--parents", is_flag=True, help="Those above too; they may be there.")
@click.option("-m", "--mode", metavar="MODE", help="Their permissions, as 750 or u=rwx,go=.")
def mkdir(settings: Settings, place: Place, mode: str | None, *, parents: bool) -> Shown:
    """Make directories in the guest."""
    wanted = None if mode is None else _mode(mode)

    def make(path: str) -> dict[str, Any]:
        exactly = wanted if isinstance(wanted, int) else None
        client.files.mkdir(path, exactly, parents=parents, exist_ok=parents)
        if isinstance(wanted, str):
            client.files.chmod(path, wanted)
        return places.fields("path", path)

    with settings.connect(place.target) as client:
        made, code = place.each(make)
    return Shown(made, "", code)


@click.command(
    short_help="Make empty files, or set their times.",
    epilog="""\
\b
Examples:
  qga touch web1:/etc/nologin
""",
)
@places.each_place
@click.option("-c", "--no-create", is_flag=True, help="Only those that are there.")
def touch(settings: Settings, place: Place, *, no_create: bool) -> Shown:
    """Set the times of files of the guest to now; make those that are not there."""

    def set_times(path: str) -> dict[str, Any]:
        if not no_create or client.files.exists(path):
            client.files.touch(path)
        return places.fields("path", path)

    with settings.connect(place.target) as client:
        touched, code = place.each(set_times)
    return Shown(touched, "", code)


@click.command(
    short_help="Make symbolic links.",
    epilog="""\
\b
Examples:
  qga ln -s ../sites-available/shop web1:/etc/nginx/sites-enabled/shop
  qga ln -sfn releases/42 web1:/srv/app/current
""",
)
@click.argument("goal", metavar="GOAL")
@places.each_place
@click.option("-s", "--symbolic", is_flag=True, help="Symbolic links; there are no others.")
@click.option("-f", "--force", is_flag=True, help="In place of files that are there.")
@click.option("-n", "-T", "--no-dereference", is_flag=True, help="Never into a directory.")
@dry_run
def ln(
    settings: Settings,
    place: Place,
    goal: str,
    *,
    symbolic: bool,
    force: bool,
    no_dereference: bool,
    dry_run: bool,
) -> Shown:
    """Make symbolic links in the guest, which lead to GOAL.

    GOAL is taken as it is, relative to the link. Where a directory is named, the link is made in
    it.
    """
    if not symbolic:
        raise click.UsageError("only symbolic links can be made: ln -s")
    if goal.startswith(":"):
        goal = goal[1:]
    elif names_guest_file(goal):
        goal = split_path(goal)[1]

    def link(path: str) -> dict[str, Any]:
        if not no_dereference and client.files.is_dir(path):
            path = posixpath.join(path, posixpath.basename(goal.rstrip("/")))
        found = _there(client, path) if force or dry_run else None
        replaced = force and found is not None and not found.is_dir()
        if dry_run:
            if found is not None and not replaced:
                raise GuestOSError(f"cannot make {printable(path)}: File exists", errno.EEXIST)
            told.append(f"would link {path} to {goal}{', in place of what is there' * replaced}")
        else:
            if replaced:
                client.files.remove(path)
            client.files.symlink(goal, path)
        return {**places.fields("path", path), **places.fields("target", goal)}

    told: list[str] = []
    with settings.connect(place.target) as client:
        made, code = place.each(link)
    return Shown(made, place.people(told), code)


def _there(client: Client, path: str) -> Any:
    """What is known of *path*; None if there is nothing."""
    try:
        return client.files.lstat(path)
    except GuestOSError as error:
        if error.errno != errno.ENOENT:
            raise
        return None


@click.command(
    short_help="Move and rename files within a guest.",
    epilog="""\
\b
Examples:
  qga mv web1:/etc/app.conf.new web1:/etc/app.conf
  QGA_TARGET=web1 qga mv -n :/tmp/a :/tmp/b :/srv/
""",
)
@_each_place_asked("move files of", fewest=2)
@click.option("-n", "--no-clobber", is_flag=True, help="Leave what is there.")
@click.option("-f", "--force", is_flag=True, help="Replace what is there, which is the default.")
@click.option("-i", "--interactive", is_flag=True, help="Ask before something is replaced.")
@click.option("-T", "--no-target-directory", is_flag=True, help="Never into a directory.")
@click.option("-v", "--verbose", is_flag=True, help="Tell what is moved.")
def mv(
    settings: Settings,
    place: Place,
    *,
    no_clobber: bool,
    force: bool,
    interactive: bool,
    no_target_directory: bool,
    verbose: bool,
    dry_run: bool,
) -> Shown:
    """Move files within the guest: the last PATH is the new name, or the directory to go to.

    To another guest it is `qga cp`. For several guests, each with files of these names, it asks, or
    needs --yes.
    """
    *sources, destination = place.paths

    def move(source: str) -> dict[str, Any] | None:
        old = source.rstrip("/") or source
        new = posixpath.join(destination, posixpath.basename(old)) if into else destination
        if no_clobber or (interactive and not force):
            there = _there(client, new) is not None
            if there and (no_clobber or not click.confirm(f"replace {printable(new)}?", err=True)):
                return None
        if dry_run:
            client.files.lstat(old)
        else:
            client.files.rename(old, new, overwrite=not no_clobber)
        return {**places.fields("source", old), **places.fields("destination", new)}

    with settings.connect(place.target) as client:
        into = not no_target_directory and client.files.is_dir(destination)
        if len(sources) > 1 and not into:
            raise GuestOSError(
                f"cannot move several files to {destination}: Not a directory", errno.ENOTDIR
            )
        results, code = place.each_of(sources, move)
    moved = [one for one in results if one is not None]
    told = [
        f"{'would move' if dry_run else 'moved'} {one['source']} to {one['destination']}"
        for one in moved
    ]
    return Shown(moved, place.people(told) if verbose or dry_run else "", code)


@click.command(
    context_settings={"ignore_unknown_options": True},  # as -x is a mode
    short_help="Set the permissions of files.",
    epilog="""\
\b
Examples:
  qga chmod 640 web1:/etc/app.conf
  qga chmod -R u+rwX,go= web1:/srv/secret
  qga chmod +x --yes -l 'web*' :/usr/local/bin/check
""",
)
@click.argument("mode")
@_each_place_asked("set permissions in")
@click.option("-R", "--recursive", is_flag=True, help="Of all below directories, too.")
def chmod(settings: Settings, place: Place, mode: str, *, recursive: bool, dry_run: bool) -> Shown:
    """Set the permissions of files of the guest: MODE is as 644, or as u+x,go-w.

    For several guests it asks, or needs --yes.
    """
    wanted = _mode(mode)
    return _each_changed(
        settings,
        place,
        lambda client, path: client.files.chmod(path, wanted, recursive=recursive),
        f"set the permissions of PATH{' and all below' if recursive else ''} to {mode}",
        dry_run=dry_run,
    )


def _mode(text: str) -> int | str:
    """Permissions as `Files.chmod` takes them."""
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    if not re.fullmatch(
        r"[ugoa]*([-+=]([rwxXst]*|[ugo]))+(,[ugoa]*([-+=]([rwxXst]*|[ugo]))+)*", text
    ):
        raise click.UsageError(f"{text!r} is no mode: give one as 644, or as u+x,go-w")
    return text


@click.command(
    context_settings=places.OWN_H,
    short_help="Set the owner of files.",
    epilog="""\
\b
Examples:
  qga chown www-data:www-data web1:/srv/www/index.html
  qga chown -R app:app web1:/srv/app
  qga chown :adm --yes -l 'web*' :/var/log/app.log
""",
)
@click.argument("owner", metavar="[USER][:GROUP]")
@_each_place_asked("set owners in")
@click.option("-R", "--recursive", is_flag=True, help="Of all below directories, too.")
@click.option("-h", "--no-dereference", is_flag=True, help="Of symlinks themselves.")
def chown(
    settings: Settings,
    place: Place,
    owner: str,
    *,
    recursive: bool,
    no_dereference: bool,
    dry_run: bool,
) -> Shown:
    """Set the owner of files of the guest, the group, or both; by names or numbers.

    For several guests it asks, or needs --yes.
    """
    user, colon, group = owner.partition(":")
    if not (user or group) or (colon and not group) or ":" in group:
        raise click.UsageError(f"{owner!r} is no owner: give USER, USER:GROUP or :GROUP")
    return _each_changed(
        settings,
        place,
        lambda client, path: client.files.chown(
            path,
            user or None,
            group or None,
            recursive=recursive,
            follow_symlinks=not no_dereference,
        ),
        f"set the owner of PATH{' and all below' if recursive else ''} to {owner}",
        dry_run=dry_run,
    )


def _each_changed(
    settings: Settings,
    place: Place,
    change: Callable[[Client, str], None],
    what: str,
    *,
    dry_run: bool,
) -> Shown:
    """Do *change* to each path, or tell *what* it would be."""

    def one(path: str) -> dict[str, Any]:
        if dry_run:
            client.files.lstat(path)
        else:
            change(client, path)
        return places.fields("path", path)

    with settings.connect(place.target) as client:
        changed, code = place.each(one)
    told = [f"would {what.replace('PATH', path['path'], 1)}" for path in changed]
    return Shown(changed, place.people(told) if dry_run else "", code)
