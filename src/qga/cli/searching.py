"""`qga find`: files of guests by what they are."""

from __future__ import annotations

import math
import os
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from . import places
from .listing import entry_value
from .output import Shown
from .quantities import Count

if TYPE_CHECKING:
    from .options import Settings
    from .places import Place

_TYPES = frozenset("fdlpsbc")
_SIZE = re.compile(r"([-+]?)(\d+)([cwbkMG]?)")
_UNITS = {"c": 1, "w": 2, "b": 512, "": 512, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_NUMBER = re.compile(r"[-+]?\d+")

# Begin as -l and -o do, which have values here.
_OTHERS = frozenset(("-links", "-lname", "-ls", "-ok", "-okdir", "-or"))
_ELSEWHERE = "`qga exec TARGET -- find` takes all that the guest's find has"


def _types(_: click.Context, __: click.Parameter, text: str | None) -> list[str]:
    if text is None:
        return []
    kinds = text.split(",")
    if wrong := [kind for kind in kinds if kind not in _TYPES]:
        raise click.BadParameter(f"{wrong[0]!r} is none of f, d, l, p, s, b, c")
    tests = ["(", "-type", kinds[0]]
    for kind in kinds[1:]:
        tests += ["-o", "-type", kind]
    return [*tests, ")"]


def _size(_: click.Context, __: click.Parameter, text: str | None) -> list[str]:
    """The test in bytes: busybox knows no larger units, and rounds otherwise."""
    if text is None:
        return []
    found = _SIZE.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no size: a number, + or - in front, c, k, M or G")
    sign, number, unit = found[1], int(found[2]), _UNITS[found[3]]
    more = ["-size", f"+{number * unit}c"]
    if sign == "+":
        return more
    # The size in units is rounded up.
    below = number - 1 if sign == "-" else number
    fewer = ["-size", f"-{below * unit + 1}c"]
    if below < 0:
        return ["!", "-name", "*"]
    if sign == "-" or not number:
        return fewer
    return ["-size", f"+{(number - 1) * unit}c", *fewer]


def _days(_: click.Context, option: click.Parameter, text: str | None) -> list[str]:
    if text is None:
        return []
    if not _NUMBER.fullmatch(text):
        raise click.BadParameter(f"{text!r} is no number with + or - in front")
    return [f"-{option.name}", text]


class _Tests(click.Command):
    """Tells of words that find has and this one has not by their whole names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = list(args)  # click takes them away
        try:
            if meant := next((word for word in words if word in _OTHERS), None):
                raise click.NoSuchOption(meant, ctx=ctx)
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = [name for option in self.params for name in option.opts]
            # click takes -abc for -a, -b and -c.
            wrong = next((word for word in words if word.startswith(error.option_name)), "")
            close = get_close_matches(wrong, known, n=2)
            told = f"do you mean {' or '.join(close)}?" if close else _ELSEWHERE
            raise click.UsageError(f"there is no option {wrong!r}: {told}", ctx) from None


@click.command(
    cls=_Tests,
    short_help="Find files of guests.",
    epilog="""\
\b
Examples:
  qga find web1:/etc -name '*.conf' -type f
  qga find web1:/var -size +100M -mtime -7
  qga find web1:/srv -type l -maxdepth 2 -o json
  qga find -l 'web*' :/var/log -name '*.gz' -mtime +30
""",
)
@places.each_place
@click.option("-name", "name", metavar="GLOB", help="By the name.")
@click.option("-iname", "iname", metavar="GLOB", help="The same, capitals or not.")
@click.option("-path", "path", metavar="GLOB", help="By the whole path.")
@click.option(
    "-type",
    "kinds",
    metavar="TYPE",
    callback=_types,
    help="f for files, d for directories, l for symlinks; p, s, b, c. Several: f,l.",
)
@click.option(
    "-size",
    "size",
    metavar="N",
    callback=_size,
    help="By the size in blocks of 512, or Nc, Nk, NM, NG; +N for more, -N for less.",
)
@click.option(
    "-mtime", "mtime", metavar="N", callback=_days, help="Changed N days ago; +N, -N as well."
)
@click.option("-mmin", "mmin", metavar="N", callback=_days, help="The same in minutes.")
@click.option("-user", "user", metavar="USER", help="By the owner.")
@click.option("-group", "group", metavar="GROUP", help="By the group.")
@click.option("-perm", "perm", metavar="MODE", help="By the permissions; -MODE, /MODE as well.")
@click.option("-newer", "newer", metavar="PATH", help="Changed after that file of the guest.")
@click.option("-empty", "empty", is_flag=True, help="Files and directories with nothing in them.")
@click.option("-maxdepth", "deepest", type=Count(), metavar="N", help="How far down.")
@click.option("-mindepth", "first", type=Count(), metavar="N", help="Nothing above that depth.")
@click.option("-xdev", "xdev", is_flag=True, help="Not what is mounted below.")
@click.option("-print0", "nul", is_flag=True, help="A NUL behind each, for xargs -0.")
def find(
    settings: Settings,
    place: Place,
    *,
    kinds: list[str],
    size: list[str],
    mtime: list[str],
    mmin: list[str],
    deepest: int | None,
    first: int | None,
    empty: bool,
    xdev: bool,
    nul: bool,
    **named: str | None,
) -> Shown:
    """Find files of the guest, as find does: those that fit all options.

    The guest searches, and only what is found is sent. It is printed in the order of the paths.
    """
    tests = [word for name, value in named.items() if value for word in (f"-{name}", value)]
    tests += [*kinds, *size, *mtime, *mmin, *(["-empty"] if empty else [])]
    refusals = 0

    def refused(error: Exception) -> None:
        nonlocal refusals
        refusals = place.complain(error)

    with settings.connect(place.target) as client:
        results, code = place.each(
            lambda path: [
                (entry.path, entry.stat)
                for entry in client.files.find(
                    path, *tests, max_depth=deepest, one_file_system=xdev, on_error=refused
                )
                if not first or _depth(path, entry.path) >= first
            ]
        )
    found = [one for each in results for one in each]
    value: list[Any] = [entry_value(path, known) for path, known in found]
    names = [path for path, _ in found]
    if nul:
        people: str | bytes = b"".join(os.fsencode(name) + b"\0" for name in names)
    else:
        people = place.people(names)
    return Shown(value, people, code or refusals)


def _depth(top: str, path: str) -> float:
    rest = path.removeprefix(top.rstrip("/")).strip("/")
    return rest.count("/") + 1 if rest else -math.inf if path != top else 0
