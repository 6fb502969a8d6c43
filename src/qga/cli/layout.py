"""How lists of files look: long lines, columns, colours, sizes and times, as Unix tools have them.

For `listing`, `searching` and `space`.
"""

from __future__ import annotations

import os
import stat
import time
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .ending import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qga.client.filestat import FileStat

# Older than so many seconds, a file is shown with the year instead of the time: half a year.
_LONG_AGO = 365.2425 * 86400 / 2

# What LS_COLORS has where it has nothing else.
_COLORS = {
    "di": "01;34", "ln": "01;36", "pi": "40;33", "so": "01;35", "bd": "40;33;01", "cd": "40;33;01",
    "su": "37;41", "sg": "30;43", "tw": "30;42", "ow": "34;42", "st": "37;44", "ex": "01;32",
}  # fmt: skip
_COLOR_OF_TYPE = {
    "symlink": "ln",
    "fifo": "pi",
    "socket": "so",
    "block device": "bd",
    "character device": "cd",
}
_MARKS = {"directory": "/", "symlink": "@", "fifo": "|", "socket": "="}


class Item(NamedTuple):
    """A file to show: under what name, its path, and what is known of it."""

    label: str
    path: str
    stat: FileStat


@dataclass(frozen=True, slots=True)
class Style:
    """How to show files.

    Attributes:
        long: what is known of each, too.
        human: sizes with a suffix.
        numeric: owners by their numbers.
        inode: the inode's number in front.
        classify: a mark for the type behind the name.
        single: one on a line.
        raw: names as they are; otherwise what cannot be printed is escaped.
        colors: colours by the names of LS_COLORS; None for none.
        width: of the terminal, in columns of characters.
    """

    long: bool = False
    human: bool = False
    numeric: bool = False
    inode: bool = False
    classify: bool = False
    single: bool = False
    raw: bool = False
    colors: Mapping[str, str] | None = None
    width: int = 80

    def lines(self, items: Sequence[Item]) -> list[str]:
        """The lines that show *items*."""
        if self.long:
            return self._long(items)
        names = [self._name(item) for item in items]
        if self.inode:
            widest = max((len(str(item.stat.inode)) for item in items), default=0)
            names = [
                f"{item.stat.inode:{widest}} {name}"
                for item, name in zip(items, names, strict=True)
            ]
        if self.single:
            return names
        widths = [_width(self._label(item.label)) + len(self._mark(item.stat)) for item in items]
        if self.inode:
            widths = [width + widest + 1 for width in widths]
        return _columns(names, widths, self.width)

    def total(self, items: Sequence[Item]) -> str:
        """The line above the long lines of a directory."""
        allocated = sum(item.stat.allocated for item in items)
        return f"total {human(allocated) if self.human else allocated // 1024}"

    def _long(self, items: Sequence[Item]) -> list[str]:
        now = time.time()
        rows = []
        for item in items:
            found = item.stat
            rows.append(
                (
                    str(found.inode),
                    stat.filemode(found.mode),
                    str(found.nlink),
                    self._owner(found.user, found.uid),
                    self._owner(found.group, found.gid),
                    self._size(found),
                    when(found.mtime, now),
                    self._name(item),
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            (f"{inode:>{widths[0]}} " if self.inode else "")
            + f"{mode} {links:>{widths[2]}} {user:{widths[3]}} {group:{widths[4]}} "
            f"{size:>{widths[5]}} {date} {name}"
            for inode, mode, links, user, group, size, date, name in rows
        ]

    def _owner(self, name: str | None, number: int) -> str:
        return str(number) if name is None or self.numeric else printable(name)

    def _size(self, found: FileStat) -> str:
        if found.type in {"block device", "character device"}:
            return f"{os.major(found.rdev)}, {os.minor(found.rdev)}"
        return human(found.size) if self.human else str(found.size)

    def _label(self, name: str) -> str:
        return name if self.raw else printable(name)

    def _name(self, item: Item) -> str:
        name = self._label(item.label)
        color = None if self.colors is None else _color(item, self.colors)
        if color:
            name = f"\x1b[{color}m{name}\x1b[0m"
        if self.long and item.stat.target is not None:
            return f"{name} -> {self._label(item.stat.target)}"
        return name + self._mark(item.stat)

    def _mark(self, found: FileStat) -> str:
        if not self.classify:
            return ""
        executable = found.is_file() and found.mode & 0o111
        return "*" if executable else _MARKS.get(found.type, "")


def human(size: int) -> str:
    """*size* with three digits at most, and a suffix; rounded up, as Unix tools do."""
    if size < 1024:
        return str(size)
    unit = 1
    for suffix in "KMGTPE":
        unit *= 1024
        tenths = -(-size * 10 // unit)
        if tenths < 100:
            return f"{tenths // 10}.{tenths % 10}{suffix}"
        whole = -(-size // unit)
        if whole < 1024:
            break
    return f"{whole}{suffix}"


def when(moment: float, now: float) -> str:
    """A time as ls shows it, in this machine's time zone."""
    there = time.localtime(moment)
    recent = now - _LONG_AGO < moment <= now
    return time.strftime("%b %e %H:%M" if recent else "%b %e  %Y", there)


def user_colors() -> dict[str, str]:
    """The colours of files by LS_COLORS, and the usual ones for what it does not name."""
    given = (part.partition("=") for part in os.environ.get("LS_COLORS", "").split(":"))
    safe = {key: value for key, _, value in given if value.replace(";", "").isdecimal()}
    return {**_COLORS, **safe}


def _color(item: Item, colors: Mapping[str, str]) -> str:
    mode, kind = item.stat.mode, item.stat.type
    if kind == "directory":
        sticky, others = mode & stat.S_ISVTX, mode & stat.S_IWOTH
        return colors["tw" if sticky and others else "ow" if others else "st" if sticky else "di"]
    if kind != "file":
        return colors.get(_COLOR_OF_TYPE.get(kind, ""), "")
    if mode & stat.S_ISUID:
        return colors["su"]
    if mode & stat.S_ISGID:
        return colors["sg"]
    if mode & 0o111:
        return colors["ex"]
    suffix = item.label.rpartition(".")[2]
    return colors.get(f"*.{suffix}", "") if suffix != item.label else ""


def _width(text: str) -> int:
    """How many columns of a terminal *text* takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _columns(names: Sequence[str], widths: Sequence[int], width: int) -> list[str]:
    """*names* in as many columns as the terminal has room for, one below the other."""
    count = len(names)
    for columns in range(min(count, max(1, width // 3)), 0, -1):
        rows = -(-count // columns)
        if -(-count // rows) < columns and columns > 1:
            continue  # fewer columns are as many rows
        each = [max(widths[at : at + rows]) + 2 for at in range(0, count, rows)]
        if sum(each) - 2 < width or columns == 1:
            return [
                "".join(
                    names[at] + (" " * (each[at // rows] - widths[at]) if at + rows < count else "")
                    for at in range(row, count, rows)
                )
                for row in range(rows)
            ]
    return []
