"""`qga ls` and `qga stat`: what there is in directories of guests, and what is known of a file."""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from . import layout, places
from .ending import printable
from .layout import Item, Style
from .output import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qga.client import Client
    from qga.client.filestat import FileStat

    from .options import Settings
    from .places import Place

_KINDS = {
    "file": "regular file",
    "symlink": "symbolic link",
    "character device": "character special file",
    "block device": "block special file",
}


def entry_value(path: str, found: FileStat) -> dict[str, Any]:
    """What is known of a file, for programs."""
    return {
        **places.fields("path", path),
        "type": found.type,
        "mode": f"{found.permissions:04o}",
        "size": found.size,
        "allocated": found.allocated,
        "user": found.user,
        "group": found.group,
        "uid": found.uid,
        "gid": found.gid,
        "nlink": found.nlink,
        "inode": found.inode,
        "mtime": found.mtime_ns / 10**9,
        **places.fields("target", found.target),
    }


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files `ls` shows, and in what order."""

    hidden: bool
    dots: bool
    directories: bool
    recursive: bool
    links: bool
    by_time: bool
    by_size: bool
    reverse: bool

    def order(self, items: Iterable[Item]) -> list[Item]:
        """*items* as they are to be shown."""
        found = sorted(items, key=lambda item: os.fsencode(item.label))
        if self.by_size:
            found.sort(key=lambda item: -item.stat.size)
        elif self.by_time:
            found.sort(key=lambda item: -item.stat.mtime_ns)
        return found[::-1] if self.reverse else found


@dataclass(slots=True)
class Found:
    """What `ls` has found.

    Attributes:
        files: what was asked for that is no directory to look into.
        directories: those, each with what is in it.
        code: the exit code.
    """

    files: list[Item] = field(default_factory=list)
    directories: list[tuple[str, list[Item]]] = field(default_factory=list)
    code: int = 0


def _flag(*names: str, help: str) -> Callable[..., Any]:
    return click.option(*names, is_flag=True, help=help)


@click.command(
    context_settings=places.OWN_H,
    short_help="List files of guests.",
    epilog="""\
\b
Examples:
  qga ls -lah web1:/etc
  qga ls -ltr 'web1:/var/log/*.log'
  qga ls -R -o json web1:/srv
  qga ls -l --limit 'web*' :/etc/passwd
""",
)
@places.each_place(limit=["--limit"])
@_flag("-l", "long", help="What is known of each, too.")
@_flag("-a", "dots", help="Hidden ones, and . and .. too.")
@_flag("-A", "hidden", help="Hidden ones too.")
@_flag("-h", "human", help="Sizes as 1.5K, 20M.")
@_flag("-R", "recursive", help="What is below directories, too.")
@_flag("-d", "directories", help="Directories themselves, not what is in them.")
@_flag("-t", "by_time", help="The newest first.")
@_flag("-S", "by_size", help="The largest first.")
@_flag("-r", "reverse", help="The other way round.")
@_flag("-1", "single", help="One on a line, on a terminal too.")
@_flag("-n", "numeric", help="As -l, with the numbers of owners.")
@_flag("-i", "inode", help="The numbers of inodes, too.")
@_flag("-F", "classify", help="A mark for the type behind each name, as ls has it.")
def ls(settings: Settings, place: Place, **options: bool) -> Shown:
    """List files of the guest, as ls does.

    The wildcards *, ? and [...] are the guest's, unless there is a file of just that name. Times
    are in this machine's time zone. Colours are those of LS_COLORS.
    """
    long = options["long"] or options["numeric"]
    choice = Choice(
        hidden=options["hidden"] or options["dots"],
        dots=options["dots"] and not settings.json,
        directories=options["directories"],
        recursive=options["recursive"] and not options["directories"],
        links=long or options["directories"] or options["classify"],
        **{name: options[name] for name in ("by_time", "by_size", "reverse")},
    )
    with settings.connect(place.target) as client:
        whole = places.all_expanded(client, place)
        found = _look(client, whole, choice)
    every = [*found.files, *(item for _, items in found.directories for item in items)]
    style = Style(
        long=long,
        single=options["single"] or not place.on_terminal,
        raw=not place.on_terminal and place.alone,
        colors=layout.user_colors() if place.alone and settings.look.colored else None,
        width=shutil.get_terminal_size().columns,
        **{name: options[name] for name in ("human", "numeric", "inode", "classify")},
    )
    lines = _lines(found, style, headings=len(whole.paths) > 1 or choice.recursive)
    shown = b"".join(os.fsencode(line) + b"\n" for line in lines) if style.raw else "\n".join(lines)
    return Shown([entry_value(item.path, item.stat) for item in every], shown, found.code)


def _look(client: Client, place: Place, choice: Choice) -> Found:
    found = Found()
    tops: dict[str, Item] = {}

    def look(path: str) -> None:
        known = client.files.lstat(path)
        if known.is_symlink() and not choice.links:
            directory = client.files.is_dir(path)
        else:
            directory = known.is_dir()
        if choice.directories or not directory:
            found.files.append(Item(path, path, known))
        else:
            tops[path] = Item(path, path, known)

    def look_into(path: str) -> None:
        if choice.recursive:
            _descend(client, place, path, choice, found)
            return
        entries = [Item(entry.name, entry.path, entry.stat) for entry in client.files.list(path)]
        if choice.dots:
            entries += _dots(client, path)
        found.directories.append((path, _chosen(entries, choice)))

    _, code = place.each(look)
    found.files = choice.order(found.files)
    _, code_inside = place.each_of([item.path for item in choice.order(tops.values())], look_into)
    found.code = found.code or code or code_inside
    return found


def _dots(client: Client, path: str) -> list[Item]:
    return [Item(name, path, client.files.stat(f"{path}/{name}")) for name in (".", "..")]


def _chosen(entries: list[Item], choice: Choice) -> list[Item]:
    return choice.order(
        entry for entry in entries if choice.hidden or not entry.label.startswith(".")
    )


def _descend(client: Client, place: Place, top: str, choice: Choice, found: Found) -> None:
    """Look into *top* and all directories below it."""

    def refused(error: Exception) -> None:
        found.code = place.complain(error)

    base = top.rstrip("/")
    below: dict[str, list[Item]] = {base: _dots(client, top) if choice.dots else []}
    itself = {base: below[base][0].stat} if choice.dots else {}
    for entry in client.files.walk(top, on_error=refused):
        above = entry.path.rpartition("/")[0]
        below[above].append(Item(entry.name, entry.path, entry.stat))
        if entry.stat.is_dir():
            below[entry.path] = []
            if choice.dots:
                itself[entry.path] = entry.stat
                below[entry.path] += [
                    Item(".", entry.path, entry.stat),
                    Item("..", above, itself[above]),
                ]
    waiting = [(top, base)]
    while waiting:
        name, path = waiting.pop()
        items = _chosen(below[path], choice)
        found.directories.append((name, items))
        deeper = [item for item in items if item.stat.is_dir() and item.label not in {".", ".."}]
        waiting += [(item.path, item.path) for item in reversed(deeper)]


def _lines(found: Found, style: Style, *, headings: bool) -> list[str]:
    lines = style.lines(found.files)
    for path, items in found.directories:
        if headings:
            lines += [""] if lines else []
            lines.append(f"{path if style.raw else printable(path)}:")
        if style.long:
            lines.append(style.total(items))
        lines += style.lines(items)
    return lines


@click.command(
    short_help="Show what is known of files.",
    epilog="""\
\b
Examples:
  qga stat web1:/etc/passwd
  qga stat -c '%a %U:%G %n' 'web1:/etc/ssh/*'
  qga stat -c %s --all :/var/log/syslog
""",
)
@places.each_place
@click.option("-L", "--dereference", is_flag=True, help="What symlinks lead to, not the links.")
@click.option(
    "-c",
    "--format",
    "form",
    metavar="FORMAT",
    help="Print this for each file; with %n %N %s %b %B %a %A %f %F %u %U %g %G %i %h %d %y %Y.",
)
def show_stat(settings: Settings, place: Place, form: str | None, *, dereference: bool) -> Shown:
    """Show what is known of files of the guest, as stat does."""
    if form is not None:
        _checked(form)
    with settings.connect(place.target) as client:
        whole = places.all_expanded(client, place)
        found, code = whole.each(
            lambda path: (path, client.files.stat(path, follow_symlinks=dereference))
        )
    if form is None:
        people: str | bytes = "\n".join(_described(path, known) for path, known in found)
    else:
        people = place.people([_filled(form, path, known) for path, known in found])
    return Shown([entry_value(path, known) for path, known in found], people, code)


def _described(path: str, found: FileStat) -> str:
    name = printable(path)
    if found.target is not None:
        name += f" -> {printable(found.target)}"
    access = f"{found.permissions:04o}/{stat.filemode(found.mode)}"
    owner = f"Uid: ({found.uid}/{_name(found.user)})  Gid: ({found.gid}/{_name(found.group)})"
    return "\n".join(
        (
            f"  File: {name}",
            f"  Size: {found.size:<12} Allocated: {found.allocated:<12} {_kind(found)}",
            f"Device: {found.device:<12} Inode: {found.inode:<16} Links: {found.nlink}",
            f"Access: ({access})  {owner}",
            f"Modify: {_moment(found)}",
        )
    )


def _kind(found: FileStat) -> str:
    if found.is_file() and not found.size:
        return "regular empty file"
    return _KINDS.get(found.type, found.type)


def _name(owner: str | None) -> str:
    return "UNKNOWN" if owner is None else printable(owner)


def _moment(found: FileStat) -> str:
    seconds, fraction = divmod(found.mtime_ns, 10**9)
    there = datetime.fromtimestamp(seconds).astimezone()
    return f"{there:%Y-%m-%d %H:%M:%S}.{fraction:09} {there:%z}"


def _quoted(path: str, found: FileStat) -> str:
    return f"{path} -> {found.target}" if found.target is not None else path


# What stat of coreutils and busybox put in place of these.
_FORMATS: dict[str, Callable[[str, FileStat], object]] = {
    "%": lambda _, __: "%",
    "n": lambda path, _: path,
    "N": _quoted,
    "s": lambda _, found: found.size,
    "b": lambda _, found: found.allocated // 512,
    "B": lambda _, __: 512,
    "a": lambda _, found: f"{found.permissions:o}",
    "A": lambda _, found: stat.filemode(found.mode),
    "f": lambda _, found: f"{found.mode:x}",
    "F": lambda _, found: _kind(found),
    "u": lambda _, found: found.uid,
    "U": lambda _, found: _name(found.user),
    "g": lambda _, found: found.gid,
    "G": lambda _, found: _name(found.group),
    "i": lambda _, found: found.inode,
    "h": lambda _, found: found.nlink,
    "d": lambda _, found: found.device,
    "y": lambda _, found: _moment(found),
    "Y": lambda _, found: found.mtime_ns // 10**9,
}
_SEQUENCE = re.compile("%(.?)", re.DOTALL)


def _checked(form: str) -> None:
    for sequence in _SEQUENCE.findall(form):
        if sequence not in _FORMATS:
            raise click.UsageError(f"--format has no %{sequence}; there are %{' %'.join(_FORMATS)}")


def _filled(form: str, path: str, found: FileStat) -> str:
    return _SEQUENCE.sub(lambda match: str(_FORMATS[match[1]](path, found)), form)
