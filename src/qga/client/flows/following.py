"""What is added to a file of the guest, as it is added: `Files.follow`.

All is done by the file commands, so that it works where an agent may not run programs. Reading an
open file again and again costs an agent little, and leaves no trace in its log as opening does.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from qga.errors import (
    BadArgument,
    CommandDisabled,
    CommandError,
    CommandNotFound,
    GuestOSError,
    Unsupported,
)
from qga.protocol import FileClose, FileRead, FileSeek

from .asking import ask, full, told
from .handle import close_file, open_file
from .steps import GetLimits, Leave, Timeout, Together, Wait
from .tailing import exactly, go_to_last
from .timing import pauses

if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.protocol.files import FileChunk, FilePosition

    from .script import GuestPath
    from .steps import Flow, Limits

# Pauses between reads at the end of the file, in seconds: short ones after something has come.
FIRST_PAUSE, LAST_PAUSE = 0.02, 0.5

# So often it is looked whether the file has become shorter, and whether its name is another file's
# now: the longer nothing was found, the more seldom.
_LENGTH_EVERY = 1.0
_FIRST_NAME, _LAST_NAME = 1.0, 5.0

# What the beginning of a file is known by where nothing else tells it from another, in bytes.
_HEAD = 256

_IDENTITY = "stat -L -c '%d:%i' \"$1\""

TRUNCATED, REPLACED, GONE, APPEARED = "truncated", "replaced", "gone", "appeared"


class Following:
    """A file that is followed: where it was read to.

    Args:
        path: full path in the guest.
        lines: how many of its last lines come first; None for all of it.
        size: how many of its last bytes come first, instead.
        by_name: whether to go on with another file that gets its name.
        on_change: called with what happened to the file.
        timeout: seconds for each command.
    """

    def __init__(
        self,
        path: GuestPath,
        lines: int | None,
        size: int | None,
        *,
        by_name: bool,
        on_change: Callable[[str], object] | None = None,
        timeout: float | None = None,
    ) -> None:
        self.path = path
        self._lines = lines
        self._size = size
        self._by_name = by_name
        self._on_change = on_change
        self._timeout = timeout
        self._handle: int | None = None
        self._successor: int | None = None
        self._position = 0
        self._head = b""
        self._ready = b""  # what was read while the end was searched for
        self._identity: bytes | None = None
        # Programs, as far as is known; those that would look are for absolute paths.
        self._runs = os.fsencode(path).startswith(b"/")
        self._sized = True  # the file has a length that tells something
        self._missed = False  # the name is no file's now
        self._pause = pauses(FIRST_PAUSE, LAST_PAUSE)
        self._name_pause = pauses(_FIRST_NAME, _LAST_NAME)
        self._length_due = self._name_due = 0.0
        self.closed = False

    def begin(self) -> Flow[None]:
        """Open the file, and find what comes first."""
        yield Timeout(self._timeout)
        try:
            self._handle = yield from open_file(self.path, "r")
        except GuestOSError as error:
            if not self._by_name or error.errno != errno.ENOENT:
                raise
            self._miss()
            self._lines = None  # all of what appears is new
            self._name_due = time.monotonic() + next(self._name_pause)
            return
        try:
            begun = yield from go_to_last(self._handle, self._lines, self._size)
            self._position, self._ready, self._sized = begun
            if self._by_name:
                self._identity = yield from self._identify()
                if self._identity is None and self._position:
                    self._head = yield from exactly(self._handle, 0, min(_HEAD, self._position))
                    yield FileSeek(handle=self._handle, offset=self._position, whence=0)
        except GeneratorExit:
            raise
        except BaseException:
            yield Leave(FileClose(handle=self._handle))
            raise
        self._length_due = self._name_due = time.monotonic() + _LENGTH_EVERY

    def poll(self) -> Flow[bytes]:
        r"""What has come since the last time; b"" if nothing has.

        >>> guest.files.append(f"{folder}/log", b"one\n")
        4
        >>> with guest.files.follow(f"{folder}/log", lines=1) as log:
        ...     log.poll(), log.poll()
        (b'one\n', b'')
        """
        if self.closed:
            raise ValueError(f"{told(os.fsencode(self.path))} is not followed any more")
        yield Timeout(self._timeout)
        if self._ready:
            data, self._ready = self._ready, b""
            return data
        if self._handle is None:
            yield from self._appear()
            if self._handle is None:
                return b""
        data = yield from self._read(self._handle)
        if not data and self._successor is not None:
            yield from self._succeed()
            data = yield from self._read(self._handle)
        if not data:
            yield from self._look(self._handle)
        return data

    def read(self) -> Flow[bytes]:
        r"""Wait for something to come; return it.

        >>> guest.files.append(f"{folder}/log", b"one\n")
        4
        >>> with guest.files.follow(f"{folder}/log") as log:
        ...     guest.files.append(f"{folder}/log", b"two\n")
        ...     log.read()
        4
        b'two\n'
        """
        while True:
            data = yield from self.poll()
            if data:
                self._pause = pauses(FIRST_PAUSE, LAST_PAUSE)
                return data
            yield Wait(next(self._pause))

    def close(self) -> Flow[None]:
        """Follow it no longer. May be repeated.

        >>> log = guest.files.follow("/etc/passwd")
        >>> log.close()
        >>> log.closed
        True
        """
        self.closed = True
        handles = [handle for handle in (self._handle, self._successor) if handle is not None]
        self._handle = self._successor = None
        for handle in handles:
            try:
                yield from close_file(handle)
            except CommandError:
                pass  # with an agent that has been restarted

    # Reading.

    def _read(self, handle: int) -> Flow[bytes]:
        limits: Limits = yield GetLimits()
        try:
            piece: FileChunk = yield FileRead(handle=handle, count=limits.read)
        except BadArgument:
            yield from self._reopen()
            return b""
        if len(self._head) < _HEAD and self._position == len(self._head):
            self._head += piece.data[: _HEAD - len(self._head)]
        self._position += piece.count
        return piece.data

    def _reopen(self) -> Flow[None]:
        """The agent has been restarted, and knows no handle any more: go on where it was."""
        self._handle = self._successor = None
        try:
            self._handle = yield from open_file(self.path, "r")
        except GuestOSError as error:
            if not self._by_name or error.errno != errno.ENOENT:
                raise
            self._miss()
            return
        moved: FilePosition = yield FileSeek(handle=self._handle, offset=0, whence=2)
        if moved.position < self._position:
            self._restart(TRUNCATED)
        yield FileSeek(handle=self._handle, offset=self._position, whence=0)

    # What happens to the file.

    def _look(self, handle: int) -> Flow[None]:
        """All was read: look whether the file is the same, if it is time."""
        now = time.monotonic()
        if self._sized and now >= self._length_due:
            self._length_due = now + _LENGTH_EVERY
            yield from self._look_at_length(handle)
        if self._by_name and now >= self._name_due:
            self._name_due = now + next(self._name_pause)
            yield from self._look_at_name()

    def _look_at_length(self, handle: int) -> Flow[None]:
        try:
            end, _ = yield Together(
                [
                    FileSeek(handle=handle, offset=0, whence=2),
                    FileSeek(handle=handle, offset=self._position, whence=0),
                ]
            )
        except BadArgument:
            yield from self._reopen()
            return
        if end.position < self._position:
            self._restart(TRUNCATED)
            yield FileSeek(handle=handle, offset=0, whence=0)

    def _look_at_name(self) -> Flow[None]:
        try:
            identity = yield from self._identify()
            if identity is not None and identity == self._identity:
                self._missed = False
                return
            successor = yield from open_file(self.path, "r")
        except GuestOSError as error:
            if error.errno != errno.ENOENT:
                raise
            self._miss()
            return
        if identity is None and (yield from self._continues(successor)):
            # A copy of the file has the same to say.
            handle, self._handle = self._handle, successor
            if handle is not None:
                yield from close_file(handle)
            return
        # What was written to the old file before the new one was there comes first.
        self._successor, self._identity = successor, identity

    def _continues(self, handle: int) -> Flow[bool]:
        """Whether another file begins as this one; then it stands where that was read to."""
        moved: FilePosition = yield FileSeek(handle=handle, offset=0, whence=2)
        same = moved.position >= self._position
        if same:
            same = self._head == (yield from exactly(handle, 0, len(self._head)))
        yield FileSeek(handle=handle, offset=self._position if same else 0, whence=0)
        return same

    def _succeed(self) -> Flow[None]:
        """Go on with the file that has the name now."""
        handle, self._handle, self._successor = self._handle, self._successor, None
        self._restart(APPEARED if self._missed else REPLACED)
        if handle is not None:
            yield from close_file(handle)

    def _appear(self) -> Flow[None]:
        """See whether there is a file of the name now."""
        now = time.monotonic()
        if now < self._name_due:
            return
        self._name_due = now + next(self._name_pause)
        try:
            self._handle = yield from open_file(self.path, "r")
        except GuestOSError as error:
            if error.errno != errno.ENOENT:
                raise
            return
        self._restart(APPEARED)
        self._identity = yield from self._identify()

    def _identify(self) -> Flow[bytes | None]:
        """What tells the file of the name from others; None where no program may be run."""
        if not self._runs:
            return None
        try:
            what = f"look at {told(full(self.path))}"
            return (yield from ask(what, _IDENTITY, full(self.path)))
        except (CommandDisabled, CommandNotFound, Unsupported):
            self._runs = False
            return None

    def _restart(self, change: str) -> None:
        """Read from the beginning from now on."""
        self._position, self._head, self._missed = 0, b"", False
        self._name_pause = pauses(_FIRST_NAME, _LAST_NAME)
        self._tell(change)

    def _miss(self) -> None:
        """The name is no file's."""
        if not self._missed:
            self._missed = True
            self._tell(GONE)

    def _tell(self, change: str) -> None:
        if self._on_change:
            self._on_change(change)


def follow(
    path: GuestPath,
    *,
    lines: int | None = 0,
    size: int | None = None,
    by_name: bool = True,
    on_change: Callable[[str], object] | None = None,
    timeout: float | None = None,
) -> Flow[Following]:
    r"""Follow a file: what is written to its end comes as it is written, as `tail -F` has it.

    What it returns is iterated over, gives bytes as they come, and never ends by itself. It is a
    context manager; close it, or the guest's agent keeps the file open.

        >>> guest.files.append(f"{folder}/log", b"one\n")
        4
        >>> with guest.files.follow(f"{folder}/log", lines=10) as log:
        ...     for data in log:
        ...         print(data)
        ...         break
        b'one\n'

    A file that becomes shorter is read from its beginning. The open file is read again at most
    twice a second when nothing comes, a few milliseconds after something has come.

    Args:
        path: full path in the guest.
        lines: how many of its last lines come first; None for all of it.
        size: how many of its last bytes come first, instead.
        by_name: whether to go on with another file that gets the name, as when logs are rotated;
            it need not be there yet. The name is looked up every 5 seconds or oftener, by a
            program where the agent runs any. Otherwise the file is opened anew, and is another one
            if it is shorter or begins with something else.
        on_change: called when something happens to the file: with "truncated", "replaced" by
            another, "gone" if the name is none's any more, "appeared" when it is one's again.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file, or it cannot be read.
    """
    following = Following(path, lines, size, by_name=by_name, on_change=on_change, timeout=timeout)
    yield from following.begin()
    return following
