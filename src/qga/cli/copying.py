"""`qga cp`: files and directories to guests, from guests, and from one guest to another."""

from __future__ import annotations

import functools
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from qga.client import signals
from qga.errors import QgaError

from . import caution, ending, fleet, output
from .copyplan import Machines, Side
from .copyways import Copying, Ways
from .options import Settings, with_settings
from .output import Shown
from .progress import bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qga.client import Target

    from .copyplan import Job
    from .copyways import Copied
    from .progress import Bar

# How long interrupted copies to many guests have to tidy up, in seconds.
_HALTING = 10.0

EPILOG = """\
\b
Examples:
  qga cp report.pdf web1:/srv/             # into a directory of the guest
  qga cp web1:/var/log/syslog .            # out of the guest
  qga cp -r site web1:/var/www             # /var/www, or /var/www/site if that is there
  qga cp -r web1:/etc/nginx/. backup       # what is in the directory
  qga cp a b c web1:/tmp                   # several files
  qga cp web1:/srv/data.img web2:/srv/     # from guest to guest
  qga cp --mode 600 --owner www-data key web1:/etc/key
  tar c . | qga cp - web1:/tmp/all.tar     # - is standard input, or output
  qga cp --resume disk.img web1:/srv/      # go on where a broken copy has stopped
  qga cp -l 'web*' --yes motd :/etc/motd   # to many guests
  qga cp -l 'web*' :/var/log/syslog logs   # from many: logs/web1/syslog, logs/web2/syslog ...
"""


def _octal(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    try:
        mode = None if value is None else int(value, 8)
    except ValueError:
        mode = -1
    if mode is not None and not 0 <= mode <= 0o7777:
        raise click.BadParameter(f"{value!r} is no mode in octal digits, as 640")
    return mode


@click.command(short_help="Copy files to guests, from guests, and between guests.", epilog=EPILOG)
@with_settings
@click.option("-r", "-R", "--recursive", is_flag=True, help="Copy directories with all in them.")
@click.option(
    "-p",
    "--preserve",
    is_flag=True,
    help="Keep permissions and times; of directories also owners, by number.",
)
@click.option("--mode", callback=_octal, metavar="OCTAL", help="Permissions, in the guest.")
@click.option("--owner", metavar="USER[:GROUP]", help="Owner, in the guest.")
@click.option(
    "--verify/--no-verify",
    default=None,
    help="Fail if checksums of both ends cannot be compared, or do not. By default they are where"
    " the guest can make them.",
)
@click.option("--resume", is_flag=True, help="Go on where a copy of a file that broke has stopped.")
@click.option(
    "--in-place", is_flag=True, help="Write to the guest's file itself, not beside it first."
)
@click.option("--ignore", multiple=True, metavar="GLOB", help="With -r: leave out, as '*.o'.")
@caution.yes_option
@click.option("--dry-run", is_flag=True, help="Only say what would be copied and replaced.")
@fleet.guests_options
@click.argument("words", nargs=-1, required=True, metavar="SRC... DST")
def cp(
    settings: Settings,
    words: tuple[str, ...],
    *,
    limit: tuple[str, ...],
    forks: int,
    mode: int | None,
    owner: str | None,
    ignore: tuple[str, ...],
    all_guests: bool,
    dry_run: bool,
    yes: bool,
    recursive: bool,
    **flags: Any,
) -> int:
    """Copy files and directories to guests, from guests, and between guests.

    SRC and DST are files of this machine, TARGET:PATH, or - for standard input or output. Into a
    directory that is there, each SRC comes under its own name; SRC/. is what is in a directory. A
    file is replaced when the new content is there as a whole.

    With --limit or --all, either DST is :PATH, or each SRC is; then DST is a directory of this
    machine, in which each guest gets one of its name. Before files go to several guests it asks, or
    needs --yes.
    """
    if len(words) < 2:
        raise click.UsageError("Missing argument 'DST'")
    ways = Ways(mode, *_owner(owner), ignore=ignore, **flags)
    copy = functools.partial(
        _copy,
        settings,
        ways=ways,
        recursive=recursive,
        dry_run=dry_run,
    )
    many = bool(limit) or all_guests
    collect = words[0].startswith(":")
    # Words of many guests are no files of one.
    sources = [] if many and collect else [Side.of(word) for word in words[:-1]]
    if many and (
        any(word.startswith(":") != collect for word in words[:-1])
        or words[-1].startswith(":") == collect
        or not {"-", ":"}.isdisjoint(words)
    ):
        raise click.UsageError("with --limit and --all, DST is :PATH, or each SRC; none is -")
    with _ended_by_signals():
        if many:
            guests = replace(fleet.chosen((), limit, all_guests=all_guests), forks=forks)
            if collect:
                paths = [word[1:] for word in words[:-1]]
                each = functools.partial(_collect, copy, paths, words[-1], dry_run=dry_run)
            else:
                if not dry_run:
                    caution.agreed(guests, "copy to", yes=yes)
                each = functools.partial(_distribute, copy, sources, words[-1][1:])
            return _copy_of_many(settings, guests, each)
        try:
            shown = copy(sources, Side.of(words[-1]))
        except KeyboardInterrupt:
            return ending.tell("interrupted", ending.INTERRUPTED)
        return shown.code if words[-1] == "-" else settings.show(shown)


def _distribute(
    copy: Callable[..., Shown], sources: list[Side], path: str, target: Target, halt: Halt
) -> Shown:
    """Copy *sources* to *path* of one of the guests."""
    return copy(sources, Side(f"{target.text}:{path}", path, target), halt=halt)


def _collect(
    copy: Callable[..., Shown],
    paths: list[str],
    folder: str,
    target: Target,
    halt: Halt,
    *,
    dry_run: bool,
) -> Shown:
    """Copy *paths* of one of the guests into the directory of its name in *folder*."""
    name = quote(target.text, safe=" :@+,=~")
    own = Path(folder, "%2E" * len(name) if name in {".", ".."} else name)
    made = not dry_run and not own.is_dir()
    if made:
        own.mkdir(parents=True)
    sources = [Side(f"{target.text}:{path}", path, target) for path in paths]
    try:
        return copy(sources, Side(str(own), str(own)), halt=halt, into=True)
    finally:
        if made:
            with suppress(OSError):  # unless there is something in it
                own.rmdir()


def _copy_of_many(
    settings: Settings, guests: fleet.Guests, each: Callable[[Target, Halt], Shown]
) -> int:
    """Do *each* copy, and have them tidy up when they are interrupted."""
    halt = Halt()

    def action(target: Target) -> Shown:
        with halt:
            return each(target, halt)

    code = ending.INTERRUPTED
    try:
        code = fleet.run(settings, guests, action)
    finally:
        if code == ending.INTERRUPTED:
            halt.all()
    return code


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Tidy up before the end that SIGTERM or SIGHUP asks for."""
    owner = object()
    try:
        signals.guard(owner)
        yield
    finally:
        signals.release(owner)


class Halt:
    """Ends copies that are made by other threads, which are in a `with` block of this."""

    def __init__(self) -> None:
        self._halted = False
        self._under_way: set[int] = set()

    def __enter__(self) -> None:
        self._under_way.add(get_ident())

    def __exit__(self, *_: object) -> None:
        self._under_way.discard(get_ident())

    def look(self, _: int) -> None:
        """End the copy of this thread, if it is to end; called now and then."""
        if self._halted:
            raise KeyboardInterrupt

    def all(self) -> None:
        """Have all end, and wait for that, but not for guests that do not answer."""
        self._halted = True
        end = time.monotonic() + _HALTING
        while self._under_way and time.monotonic() < end:
            time.sleep(0.05)


def _owner(text: str | None) -> tuple[str | int | None, str | int | None]:
    user, _, group = (text or "").partition(":")
    if text is not None and not (user or group):
        raise click.UsageError("--owner is USER, USER:GROUP or :GROUP")
    return _number(user), _number(group)


def _number(text: str) -> str | int | None:
    return int(text) if text.isdecimal() else text or None


def _copy(
    settings: Settings,
    sources: list[Side],
    destination: Side,
    *,
    ways: Ways,
    recursive: bool,
    dry_run: bool,
    halt: Halt | None = None,
    into: bool = False,
) -> Shown:
    """Copy, and tell of it. With *halt* others are at it at the same time, until it ends all.

    With *into*, *destination* is, or would be, a directory.
    """
    _check(sources, destination, ways)
    began = time.perf_counter()
    with Machines(settings) as machines:
        jobs = machines.plan(sources, destination, recursive=recursive, into=into)
        if any(job.tree for job in jobs):
            if ways.resume:
                raise click.UsageError(
                    "--resume is for single files: without it, all of a directory is copied again"
                )
            if isinstance(ways.owner, str) or isinstance(ways.group, str):
                raise click.UsageError("with directories, --owner takes numbers")
        if dry_run:
            told = "\n".join(ending.printable(job.told()) for job in jobs)
            return Shown([job.record() for job in jobs], told)
        console = functools.partial(settings.look.console, stderr=True)
        total = functools.partial(_total, machines, jobs, ways)
        with bar(console, total) if halt is None else nullcontext() as shown:
            report = _reporting(shown, halt)
            done = []
            for job in jobs:
                if shown is not None:
                    shown.name(job.source.text)
                start = time.perf_counter()
                copied = Copying(machines, ways, report).do(job)
                done.append(_record(job, copied, time.perf_counter() - start))
    return _summary(settings, done, time.perf_counter() - began, many=halt is not None)


def _check(sources: list[Side], destination: Side, ways: Ways) -> None:
    """Refuse what cannot be meant, before anything is looked at."""
    local = destination.target is None
    if local and any(source.target is None for source in sources):
        raise click.UsageError(
            "one of SRC and DST must be TARGET:PATH, the other a local file or one as well"
        )
    if local and (ways.mode is not None or ways.owner is not None or ways.group is not None):
        raise click.UsageError("--mode and --owner are for files of a guest")
    if sum(source.is_stream for source in sources) and (
        len(sources) > 1 or destination.path.endswith("/")
    ):
        raise click.UsageError(f"{destination.text!r} is a directory; name the file")


def _reporting(shown: Bar | None, halt: Halt | None) -> Callable[[int], None] | None:
    """What is called with the bytes so far."""
    if halt is not None:
        return halt.look
    return None if shown is None else shown.count


def _total(machines: Machines, jobs: list[Job], ways: Ways) -> int | None:
    """How many bytes there are to be copied; about, where directories of guests are among them."""
    total = 0
    for job in jobs:
        size = job.size
        if job.tree and job.source.target is None:
            from qga.client.archive import Exclusion
            from qga.client.packing import LocalTree

            tree = LocalTree(
                job.source.path,
                exclude=Exclusion(ways.ignore),
                owners=lambda uid, gid: (uid, gid),
                limit=0,
                sums=False,
            )
            size = tree.total()
        elif job.tree and job.source.target is not None:
            try:
                size = machines.client(job.source.target).files.du(job.source.path)
            except QgaError:
                size = None
        if size is None:
            return None
        total += size
    return total


def _record(job: Job, copied: Copied, seconds: float) -> dict[str, Any]:
    record = {
        "source": job.source.text,
        "destination": job.destination.text,
        "count": copied.size,
        "files": copied.files,
        "verified": copied.verified,
        "seconds": round(seconds, 3),
    }
    if job.tree:
        record |= {"skipped": copied.skipped, "warnings": copied.warnings}
    return record


def _summary(
    settings: Settings, done: list[dict[str, Any]], seconds: float, *, many: bool
) -> Shown:
    """What is told when all is there; nothing where standard output is the destination."""
    for record in done:
        for line in record.get("warnings", "").splitlines():
            ending.tell(line, 0)
        if record.get("skipped"):
            left = output.counted(record["skipped"], "file")
            ending.tell(f"{record['source']}: {left} of other kinds left out", 0)
    size = sum(record["count"] or 0 for record in done)
    files = sum(record["files"] or 0 for record in done)
    text = (
        output.amount(size)
        if files == 1
        else f"{output.counted(files, 'file')}, {output.amount(size)}"
    )
    text += f" in {seconds:.1f} s ({output.amount(size / seconds)}/s)"
    if settings.json:
        return Shown(done if len(done) > 1 else done[0])
    if many:
        return Shown(None, text)
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
    return Shown(None)
