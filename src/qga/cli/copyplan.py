"""What the words of `qga cp` mean: which file or directory gets which name, and where.

The habits of cp, scp and docker cp: a directory that is there gets what is copied under its own
name, what is not there becomes the new name, `DIR/.` is what is in a directory.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qga.client.target import names_guest_file, split_path
from qga.errors import CommandDisabled, CommandNotFound, GuestOSError, QgaError, Unsupported

from . import output

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from qga.client import Client, Target

    from .options import Settings

STREAM = "-"

# How long each guest has to remove what an interrupted copy has left, in seconds.
_TIDYING = 10

# What a guest does not tell whose agent runs no programs.
_NOT_TOLD = (CommandDisabled, CommandNotFound, Unsupported)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of a name.

    Attributes:
        kind: "file", "directory", "other" for pipes and devices, "absent", or "unknown" where the
            guest does not tell.
        size: of a file.
        mtime: when it was last changed.
    """

    kind: str
    size: int = 0
    mtime: float = 0.0


@dataclass(frozen=True, slots=True)
class Side:
    """A file or directory, of a guest or of this machine.

    Attributes:
        text: as the user has it.
        path: on its machine.
        target: the guest; None for this machine.
    """

    text: str
    path: str
    target: Target | None = None

    @classmethod
    def of(cls, text: str) -> Side:
        """What the word *text* means.

        Raises:
            InvalidTarget: it is no target.
        """
        if text == STREAM or not names_guest_file(text):
            return cls(text, text)
        target, path = split_path(text)
        return cls(text, path, target)

    @property
    def is_stream(self) -> bool:
        return self.target is None and self.text == STREAM

    @property
    def name(self) -> str:
        """Its last part; "" for the root and what has no name of its own, as `..`."""
        name = self.path.rstrip("/").rpartition("/")[2]
        return "" if name in {".", ".."} else name

    @property
    def contents(self) -> bool:
        """Whether what is in a directory is meant, not the directory."""
        return self.path.endswith("/.") or self.path == "."

    def below(self, name: str) -> Side:
        """The file *name* in this directory."""
        slash = "" if self.path.endswith("/") or not name else "/"
        return Side(f"{self.text}{slash}{name}", f"{self.path}{slash}{name}", self.target)


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to copy.

    Attributes:
        source: what.
        destination: its new name.
        there: what there is of that name.
        tree: whether it is a directory.
        size: its bytes, if they are known.
    """

    source: Side
    destination: Side
    there: Found
    tree: bool
    size: int | None

    def told(self) -> str:
        """What will happen, for `--dry-run`."""
        text = f"{self.source.text} -> {self.destination.text}"
        if self.there.kind == "directory":
            return f"{text}: files of the same names in this directory are replaced"
        if self.there.kind == "file":
            changed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.there.mtime))
            return f"{text}: replaces {output.amount(self.there.size)} of {changed}"
        words = {
            "absent": "new",
            "other": "writes to what is there",
            "unknown": "replaces what may be there",
        }
        return f"{text}: {words[self.there.kind]}"

    def record(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "source": self.source.text,
            "destination": self.destination.text,
            "recursive": self.tree,
            "there": self.there.kind,
        }


class Machines:
    """This machine and the guests, whose channels are opened when they are needed.

    Args:
        settings: how.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._clients: dict[str, Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None and not issubclass(kind, QgaError):
                self._tidy()
        finally:
            self._stack.__exit__(kind, error, trace)

    def _tidy(self) -> None:
        """Have guests remove what an interrupted copy has left, which may be at a long command."""
        for client in self._clients.values():
            try:
                client.ping(timeout=_TIDYING)
            except QgaError:
                pass  # it was worth a try

    def client(self, target: Target) -> Client:
        """The client of *target*: one, for some channels have room for no more."""
        if target.full not in self._clients:
            connected = self._settings.connect(target)
            self._clients[target.full] = self._stack.enter_context(connected)
        return self._clients[target.full]

    def look(self, side: Side) -> Found:
        """What there is; whatever a symlink leads to."""
        if side.is_stream:
            return Found("other")
        if side.target is None:
            return _look_here(side.path)
        if not side.path.startswith("/"):
            return Found("unknown")  # of a guest that has other names
        try:
            status = self.client(side.target).files.stat(side.path)
        except _NOT_TOLD:
            return Found("unknown")
        except GuestOSError:
            return Found("absent")  # or not to be seen; who copies is told why
        return Found(_kind(status.mode), status.size, status.mtime)

    def plan(
        self, sources: list[Side], destination: Side, *, recursive: bool, into: bool = False
    ) -> list[Job]:
        """What to do.

        Args:
            sources: what is copied.
            destination: where to.
            recursive: whether directories may be among them.
            into: whether *destination* is to be a directory, although it may not be there yet.

        Raises:
            OSError, GuestOSError: it cannot be done.
        """
        for source in sources:
            if source.target is None and not source.is_stream:
                Path(source.path).stat()  # what is not there is told before a channel is opened
        there = self.look(destination)
        fits = {"directory", "unknown"} | ({"absent"} if into else set())
        into = into or there.kind == "directory" or destination.path.endswith("/")
        if into and there.kind not in fits:
            raise wrong(destination, f"{destination.text!r} is no directory")
        if len(sources) > 1 and not into:
            if there.kind != "unknown":
                text = f"{destination.text!r} is no directory: it cannot hold several files"
                raise wrong(destination, text)
            into = True
        if into:
            _distinct(sources, destination)
        return [
            self._job(source, destination, there, into=into, recursive=recursive)
            for source in sources
        ]

    def _job(self, source: Side, to: Side, there: Found, *, into: bool, recursive: bool) -> Job:
        found = self.look(source)
        tree = found.kind == "directory" or (recursive and found.kind == "unknown")
        if tree and not recursive:
            raise wrong(source, f"{source.text!r} is a directory: -r copies it")
        if tree and to.is_stream:
            raise wrong(source, f"{source.text!r} is a directory, which `-` cannot take")
        if into and not source.contents:
            to = to.below(source.name)
            there = self.look(to)
        if not tree and there.kind == "directory":
            raise wrong(to, f"{to.text!r} is a directory, {source.text!r} is none")
        if tree and there.kind in {"file", "other"}:
            raise wrong(to, f"{to.text!r} is no directory, {source.text!r} is one")
        size = found.size if found.kind == "file" else 0
        return Job(source, to, there, tree, size or None)  # those of /proc say that they have none


def _distinct(sources: list[Side], destination: Side) -> None:
    """See that no source takes the place of another one in the directory *destination*."""
    taken: dict[str, Side] = {}
    for source in sources:
        if source.contents:
            continue
        first = taken.setdefault(source.name, source)
        if not _same(first, source):
            text = f"{first.text!r} and {source.text!r} have the same name: both cannot be in"
            raise wrong(destination, f"{text} {destination.text!r}")


def _look_here(path: str) -> Found:
    try:
        status = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return Found("absent")
    return Found(_kind(status.st_mode), status.st_size, status.st_mtime)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "directory"
    return "file" if stat.S_ISREG(mode) else "other"


def wrong(side: Side, text: str) -> OSError | GuestOSError:
    """The error that *text* says of *side*."""
    return OSError(text) if side.target is None else GuestOSError(text)


def same_file(one: Side, other: Side) -> bool:
    """Whether both are certainly one file of a guest, which would be lost."""
    return one.target is not None and _same(one, other)


def _same(one: Side, other: Side) -> bool:
    """Whether both are certainly one file."""
    machines = [side.target and side.target.full for side in (one, other)]
    names = [os.path.normpath(side.path) for side in (one, other)]
    return machines[0] == machines[1] and names[0] == names[1]
