"""`qga tail`: the ends of files of guests, and what is added to them."""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from qga.client import signals
from qga.client.flows import following
from qga.errors import AgentTimeout, QgaError, TransportError

from . import ending, fleet, places, reading
from .options import Settings, with_settings
from .output import Shown, structured

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from qga.client import Client, Target
    from qga.client.aio import AsyncClient
    from qga.client.following import AsyncFollower

    from .places import Place

_NUMBER = re.compile(r"([-+]?)(\d+)")

# How long -F waits for a guest that does not answer before it tries again, in seconds.
_AGAIN = 5.0

_CHANGES = {
    following.TRUNCATED: "is shorter now; from its beginning",
    following.REPLACED: "is another file now; from its beginning",
    following.GONE: "is not there now; waiting for it",
    following.APPEARED: "is there; from its beginning",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a file: its last lines or bytes, or what follows the first ones.

    Attributes:
        count: of lines or bytes.
        size: whether it is of bytes.
        skips: whether so many come before the part; otherwise it has so many.
    """

    count: int
    size: bool = False
    skips: bool = False

    def last(self) -> tuple[int | None, int | None]:
        """The numbers of lines and bytes that the client's operations take."""
        if self.skips:
            return None, None
        return (None, self.count) if self.size else (self.count, None)


class Skip:
    """Takes what a file holds, piece by piece, and gives the *part* behind its beginning."""

    def __init__(self, part: Part) -> None:
        self._left = part.count if part.skips else 0
        self._size = part.size

    def __call__(self, data: bytes) -> bytes:
        if self._left and self._size:
            skipped = min(self._left, len(data))
            self._left -= skipped
            return data[skipped:]
        while self._left and data:
            _, newline, data = data.partition(b"\n")
            self._left -= len(newline)
        return data


def _number(_: click.Context, option: click.Parameter, text: str | None) -> Part | None:
    if text is None:
        return None
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no number; +N is for all from there on")
    count, size = int(found[2]), option.name == "size"
    # The first line, as the first byte, has the number 1.
    return Part(max(0, count - 1), size, skips=True) if found[1] == "+" else Part(count, size)


@click.command(
    cls=places.Counting,
    short_help="Print the ends of files, and what is added.",
    epilog="""\
\b
Examples:
  qga tail -20 web1:/var/log/syslog
  qga tail -f web1:/var/log/app.log
  qga tail -F -n 0 -l 'web*' :/var/log/nginx/error.log
  qga tail -f -o jsonl web1:/var/log/a web2:/var/log/a
""",
)
@with_settings
@fleet.guests_options
@click.argument("words", nargs=-1, required=True, metavar="[TARGET]:PATH...")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    default="10",
    show_default=True,
    callback=_number,
    help="How many lines; +N for all from line N on.",
)
@click.option("-c", "--bytes", "size", metavar="N", callback=_number, help="Bytes, instead.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option("-F", "by_name", is_flag=True, help="As -f, also when the name is another file's.")
@click.option("-q", "--quiet", is_flag=True, help="No names between several files.")
def tail(
    settings: Settings,
    *,
    words: tuple[str, ...],
    limit: tuple[str, ...],
    forks: int,
    lines: Part,
    size: Part | None,
    all_guests: bool,
    follow: bool,
    by_name: bool,
    quiet: bool,
) -> int:
    """Print the last lines of files of guests; the rest is not read.

    -f goes on with what is written to them, also when they are emptied; -F as well when a log is
    rotated, a file is not there yet, or a guest does not answer for a while. That needs no program
    in the guest.
    """
    guests, paths = places.meant(words, limit, all_guests=all_guests)
    part = size or lines
    if not (follow or by_name):
        guests = fleet.Guests(guests.targets, guests.many, forks)
        return places.run(
            settings, guests, paths, lambda place: _ends(settings, place, part, quiet=quiet)
        )
    if settings.look.form not in {"table", "wide", "jsonl"}:
        raise click.UsageError("what has no end is no document: -f goes with -o jsonl")
    import asyncio

    several = len(guests.targets) > 1 or any(len(found) > 1 for found in paths.values())
    printer = _Printer(settings, guests.many, named=several and not quiet)
    followed = [(target, paths[target.text]) for target in guests.targets]
    ends = _follow(settings, followed, part, printer, by_name=by_name)
    return asyncio.run(_until_ended(ends))


def _ends(settings: Settings, place: Place, part: Part, *, quiet: bool) -> Shown:
    def end(path: str) -> dict[str, Any]:
        return reading.content(path, _end(client, path, part))

    with settings.connect(place.target) as client:
        whole = places.all_expanded(client, place)
        found, code = whole.each(end)
    named = not quiet and len(whole.paths) > 1
    shown = reading.below_headings(found, named=named)
    return Shown(reading.one_or_all(place, found), shown, code)


def _end(client: Client, path: str, part: Part) -> bytes:
    if not part.skips:
        lines, size = part.last()
        return client.files.tail(path, lines or 0, size=size)
    data = bytearray()
    skip = Skip(part)
    client.download(path, lambda piece: data.extend(skip(piece)))
    return bytes(data)


class _Printer:
    """Prints what comes, of several files below their names."""

    def __init__(self, settings: Settings, many: bool, *, named: bool) -> None:  # noqa: FBT001
        self._json = settings.json
        self._many = many
        self._named = named
        self._last: tuple[str, str] | None = None

    def show(self, target: Target, path: str, data: bytes) -> None:
        """Print *data* of a file."""
        if self._json:
            value = {"target": target.text, **reading.content(path, data)}
            print(structured(value, "jsonl"), flush=True)
            return
        out = sys.stdout.buffer
        if self._named and self._last != (target.text, path):
            out.write(reading.heading(self._name(target, path), first=self._last is None))
            self._last = (target.text, path)
        out.write(data)
        out.flush()

    def tell(self, target: Target, path: str, what: str) -> None:
        """Tell what has happened to a file."""
        ending.tell(f"{self._name(target, path)}: {what}", 0)

    def _name(self, target: Target, path: str) -> str:
        return f"{target.text}:{path}" if self._many else path


async def _until_ended(following: Coroutine[Any, Any, int]) -> int:
    """Do *following*, and have it leave no file open in the guest, however it is ended.

    Raises:
        BrokenPipeError: standard output is a pipe that has no reader any more.
    """
    import asyncio

    task = asyncio.ensure_future(following)
    loop = asyncio.get_running_loop()
    ended: list[BaseException] = []

    def end(why: BaseException) -> None:
        ended.append(why)
        task.cancel()

    def unread(output: int) -> None:
        loop.remove_reader(output)
        end(BrokenPipeError())

    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signals.default(number)]
    for number in numbers:
        loop.add_signal_handler(number, end, signals.Ended(128 + number))
    output = _pipe()
    if output is not None:
        # There is nothing to read at this end: what comes is the news that the other one is closed.
        loop.add_reader(output, unread, output)
    try:
        return await task
    except asyncio.CancelledError:
        if ended:
            raise ended[0] from None
        raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
        if output is not None:
            loop.remove_reader(output)


def _pipe() -> int | None:
    """The descriptor of standard output, if that is a pipe."""
    try:
        descriptor = sys.stdout.fileno()
        return descriptor if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError):  # no file
        return None


async def _follow(
    settings: Settings,
    followed: list[tuple[Target, list[str]]],
    part: Part,
    printer: _Printer,
    *,
    by_name: bool,
) -> int:
    """Follow the files of each guest; return the exit code, when all have failed."""
    import asyncio

    from qga.client.aio import aconnect

    async def guest(target: Target, paths: list[str]) -> None:
        try:
            async with await aconnect(target, timeout=settings.timeout, trace=trace) as client:
                await asyncio.gather(*(file(client, target, path) for path in paths))
        except QgaError as error:
            name = f"{target}: " if len(followed) > 1 else ""
            codes.append(ending.tell(f"{name}{ending.message(error)}", ending.code_for(error)))

    async def file(client: AsyncClient, target: Target, path: str) -> None:
        try:
            await _follow_one(client, target, path, part, printer, by_name=by_name)
        except QgaError as error:
            printer.tell(target, path, ending.message(error))
            codes.append(ending.code_for(error))

    codes: list[int] = []
    trace = ending.show_event if settings.debug else None
    await asyncio.gather(*(guest(target, paths) for target, paths in followed))
    return codes[0] if len(set(codes)) == 1 else ending.AGENT_ERROR


async def _follow_one(
    client: AsyncClient,
    target: Target,
    path: str,
    part: Part,
    printer: _Printer,
    *,
    by_name: bool,
) -> None:
    def changed(what: str) -> None:
        printer.tell(target, path, _CHANGES[what])

    lines, size = part.last()
    skip = Skip(part)
    follower = await client.files.follow(
        path, lines=lines, size=size, by_name=by_name, on_change=changed
    )
    async with follower:
        while True:
            data = skip(await _next(follower, target, path, printer, patient=by_name))
            if data:
                printer.show(target, path, data)


async def _next(
    follower: AsyncFollower, target: Target, path: str, printer: _Printer, *, patient: bool
) -> bytes:
    """What comes next, however long the guest does not answer if *patient*."""
    import asyncio

    told = False
    while True:
        try:
            return await follower.read()
        except (TransportError, AgentTimeout) as error:
            if not patient:
                raise
            if not told:
                printer.tell(target, path, f"{ending.message(error)}; waiting for it")
                told = True
            await asyncio.sleep(_AGAIN)
