"""`qga cp`: files of the guest to here and back."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from qga.client.flows.steps import CHUNK
from qga.client.target import names_guest_file, split_path
from qga.errors import CommandError

from . import ending, output
from .options import Settings, with_settings
from .output import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from qga.client import Client
    from qga.client.flows.moving import TransferProgress


@click.command()
@with_settings
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
def cp(settings: Settings, source: str, destination: str) -> None:
    """Copy a file from the guest or to it.

    One of SRC and DST is TARGET:PATH, the other a local file, or - for standard input or output. A
    local file whose name begins like a target needs ./ in front. A file here is replaced when its
    content has come as a whole. Files are compared by checksums at the end, if the guest can.
    """
    if names_guest_file(source) == names_guest_file(destination):
        raise click.UsageError("one of SRC and DST must be TARGET:PATH, the other a local file")
    began = time.perf_counter()
    if names_guest_file(source):
        copied = _fetch(settings, source, destination)
    else:
        copied = _deliver(settings, source, destination)
    seconds = time.perf_counter() - began
    if settings.json:
        summary = {
            "source": source,
            "destination": destination,
            "count": copied.size,
            "verified": copied.verified,
            "seconds": round(seconds, 3),
        }
        if destination != "-":  # where the content is
            settings.show(Shown(summary))
    elif sys.stderr.isatty():
        speed = output.amount(copied.size / seconds)
        print(f"{output.amount(copied.size)} in {seconds:.1f} s ({speed}/s)", file=sys.stderr)


class _Copied(NamedTuple):
    size: int
    verified: bool


def _fetch(settings: Settings, source: str, destination: str) -> _Copied:
    target, path = split_path(source)
    with settings.connect(target) as client:
        if destination == "-":
            count = client.download(path, sys.stdout.buffer.write)
            sys.stdout.buffer.flush()
            return _Copied(count, verified=False)
        local = Path(destination)
        if local.is_dir():
            local /= os.path.basename(path)  # noqa: PTH119 - a path of the guest
        size = _size(client, path) if sys.stderr.isatty() else None
        with _progress(os.fspath(local), size) as progress:
            if local.exists() and not local.is_file():
                with local.open("wb") as file:
                    count = client.download(path, file.write, progress=progress)
                return _Copied(count, verified=False)
            done = client.files.download(path, local, progress=_files(progress))
            return _Copied(done.size, done.verified)


def _deliver(settings: Settings, source: str, destination: str) -> _Copied:
    target, path = split_path(destination)
    if source == "-":
        if path.endswith("/"):
            raise click.UsageError(f"{path!r} is a directory; name the file")
        with settings.connect(target) as client:
            return _Copied(client.upload(path, _pieces(sys.stdin.buffer)), verified=False)
    local = Path(source)
    if path.endswith("/"):
        path += local.name
    with (
        local.open("rb", buffering=0) as file,
        settings.connect(target) as client,
        _progress(source, os.fstat(file.fileno()).st_size or None) as progress,
    ):
        if not local.is_file():
            count = client.upload(path, _pieces(file), progress=progress)
            return _Copied(count, verified=False)
        # To the file itself, as cp does, which needs no guest-exec.
        done = client.files.upload(local, path, atomic=False, progress=_files(progress))
        return _Copied(done.size, done.verified)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _size(client: Client, path: str) -> int | None:
    """The size of the guest's file; None where it has none, as a pipe."""
    with client.open(path) as file:
        try:
            return file.seek(0, os.SEEK_END) or None
        except CommandError:
            return None


def _files(
    progress: Callable[[int], None] | None,
) -> Callable[[TransferProgress], None] | None:
    """What shows the progress of `Client.files` by *progress*."""
    return None if progress is None else lambda so_far: progress(so_far.done)


@contextmanager
def _progress(name: str, size: int | None) -> Iterator[Callable[[int], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress
    from rich.console import Console
    from rich.markup import escape

    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        # The folders are left out: the rest of the line is more telling.
        shown = ending.printable(os.path.basename(name))  # noqa: PTH119 - of either machine
        task = bar.add_task(escape(shown), total=size)
        yield lambda done: bar.update(task, completed=done)
