"""`qga cat` and `qga head`: what files of guests hold."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from qga.client.flows.steps import CHUNK
from qga.client.target import split_path
from qga.errors import GuestOSError

from . import ending, fleet, places
from .options import Settings, with_settings
from .output import Shown
from .quantities import Count

if TYPE_CHECKING:
    from qga.client import Client

    from .places import Place


# What is read first, in bytes.
_LITTLE = 1 << 14


def content(path: str, data: bytes) -> dict[str, Any]:
    """What a file holds, for programs."""
    return {**places.fields("path", path), "count": len(data), "buf-b64": data}


def one_or_all(place: Place, found: list[Any]) -> Any:
    """For programs: what was found, alone where one path was asked for."""
    return found[0] if len(place.paths) == len(found) == 1 else found


@click.command(
    short_help="Print files of guests.",
    epilog="""\
\b
Examples:
  qga cat web1:/etc/hostname
  qga cat web1:/var/log/app.log web1:/var/log/app.log.1 | grep error
  qga cat 'web1:/etc/apt/sources.list.d/*'
  qga cat -l 'web*' :/etc/hostname
""",
)
@with_settings
@fleet.guests_options
@click.argument("words", nargs=-1, required=True, metavar="[TARGET]:PATH...")
def cat(
    settings: Settings,
    words: tuple[str, ...],
    limit: tuple[str, ...],
    forks: int,
    *,
    all_guests: bool,
) -> int:
    """Print files of guests, one behind the other, as they are.

    The wildcards *, ? and [...] are the guest's, unless there is a file of just that name. With
    --limit or --all each line has the guest's name in front. With -o json: path, size and base64
    content of each file.
    """
    if not (limit or all_guests or settings.json):
        return _in_order(settings, words)
    guests, paths = places.meant(words, limit, all_guests=all_guests)
    guests = fleet.Guests(guests.targets, guests.many, forks)
    return places.run(settings, guests, paths, lambda place: _read(settings, place))


def _in_order(settings: Settings, words: tuple[str, ...]) -> int:
    """Print the files in the order of the words, whichever guests they are of."""
    files = [split_path(word) for word in words]
    clients: dict[str, Client] = {}
    code = 0
    with ExitStack() as stack:
        for target, path in files:
            if target.text not in clients:
                clients[target.text] = stack.enter_context(settings.connect(target))
            client = clients[target.text]
            for one in places.expanded(client, path):
                try:
                    client.download(one, sys.stdout.buffer.write)
                    sys.stdout.buffer.flush()
                except GuestOSError as error:
                    code = ending.complain(error, ending.AGENT_ERROR)
    return code


def _read(settings: Settings, place: Place) -> Shown:
    with settings.connect(place.target) as client:
        whole = places.all_expanded(client, place)
        found, code = whole.each(lambda path: content(path, client.read_file(path)))
    value = one_or_all(place, found)
    return Shown(value, [one["buf-b64"] for one in found if one["buf-b64"]], code)


@click.command(
    cls=places.Counting,
    short_help="Print the beginnings of files.",
    epilog="""\
\b
Examples:
  qga head -20 web1:/var/log/syslog
  qga head -c 512 db1:/dev/vda | file -
""",
)
@places.each_place(absolute=False)
@click.option(
    "-n", "--lines", type=Count(), metavar="N", default=10, show_default=True, help="How many."
)
@click.option("-c", "--bytes", "size", type=Count(), metavar="N", help="How many bytes, instead.")
@click.option("-q", "--quiet", is_flag=True, help="No names between several files.")
def head(settings: Settings, place: Place, lines: int, size: int | None, *, quiet: bool) -> Shown:
    """Print the first lines of files of the guest. The rest is not read."""
    with settings.connect(place.target) as client:
        whole = places.all_expanded(client, place)
        found, code = whole.each(lambda path: content(path, _first(client, path, lines, size)))
    named = not quiet and len(whole.paths) > 1
    return Shown(one_or_all(place, found), below_headings(found, named=named), code)


def below_headings(found: list[dict[str, Any]], *, named: bool) -> list[bytes]:
    """What files hold, for people: below their names if *named*."""
    parts = []
    for number, one in enumerate(found):
        if named:
            parts.append(heading(one["path"], first=number == 0))
        if one["buf-b64"]:
            parts.append(one["buf-b64"])
    return parts


def heading(name: str, *, first: bool) -> bytes:
    """What stands above the content of a file where there are several."""
    return f"{'' if first else chr(10)}==> {ending.printable(name)} <==\n".encode()


def _first(client: Client, path: str, lines: int, size: int | None) -> bytes:
    """The first *size* bytes of a file, or else its first *lines*."""
    data = bytearray()
    with client.open(path) as file:
        if size is not None:
            while len(data) < size and (piece := file.read(min(CHUNK, size - len(data)))):
                data += piece
            return bytes(data)
        end = 0
        for _ in range(lines):
            while (newline := data.find(b"\n", end)) < 0:
                # Mostly little is wanted.
                piece = file.read(CHUNK if data else _LITTLE)
                if not piece:
                    return bytes(data)
                data += piece
            end = newline + 1
    return bytes(data[:end])
