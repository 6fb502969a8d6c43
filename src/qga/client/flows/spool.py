"""The files in the guest by which the client and a program's keeper talk: see `wrapper`.

`Output` reads a program's output, `Control` gives orders to the keeper; `spoolinput` has the input.
Positions are kept here and not by the agent's handles alone: after a reply that was lost, and when
the agent has been restarted, reading goes on where it was.
"""

from __future__ import annotations

import errno
import threading
import time
from typing import TYPE_CHECKING

from qga.client.completed import SpoolLost
from qga.errors import BadArgument, CommandError, GuestOSError, QgaError
from qga.protocol import FileClose, FileFlush, FileOpen, FileRead, FileSeek, FileWrite

from .steps import CHUNK, Limits, Together, Wait

if TYPE_CHECKING:
    from typing import Any

    from qga.protocol.files import FileChunk
    from qga.protocol.model import Command

    from .steps import Flow

# What an output is asked for when it comes slowly: agents take memory for all that is asked for.
_LITTLE = 1 << 16
# How long to wait for whom looks at the same time, in seconds.
_MOMENT = 0.002
# How many full pieces are asked for at once of an output that comes quickly.
_AHEAD = 2


class Control:
    """Orders to the keeper.

    Args:
        directory: of the spool.
        every: seconds after which it should hear from the client again.
    """

    def __init__(self, directory: str, every: float) -> None:
        self._path = f"{directory}/ctl"
        self._handle: int | None = None
        self._every = every
        self._due = time.monotonic() + every

    @property
    def due(self) -> bool:
        """Whether it is time for a sign of life."""
        return time.monotonic() >= self._due

    @property
    def is_open(self) -> bool:
        return self._handle is not None

    def opening(self) -> Command[int]:
        return FileOpen(path=self._path, mode="r+")

    def opened(self, handle: int) -> None:
        self._handle = handle

    def order(self, text: str) -> Flow[None]:
        """Give an order. Nothing happens when the keeper is no longer there."""
        for _ in range(2):
            try:
                if self._handle is None:
                    self._handle = yield self.opening()
                yield Together(self._writing(text))
            except BadArgument:
                self._handle = None  # of an agent that has been restarted
            else:
                self._due = time.monotonic() + self._every
                return

    def alive(self) -> Flow[None]:
        """Give a sign of life if it is time."""
        if self.due:
            yield from self.order("alive")

    def last(self, text: str) -> list[Command[Any]]:
        """What gives the last order and closes; nothing if it is not open."""
        if self._handle is None:
            return []
        return [*self._writing(text), *self.closing()]

    def closing(self) -> list[Command[Any]]:
        return [] if self._handle is None else [FileClose(handle=self._handle)]

    def _writing(self, text: str) -> list[Command[Any]]:
        assert self._handle is not None  # noqa: S101 - callers have opened it
        data = f"{text}\n".encode()
        return [FileWrite(handle=self._handle, data=data), FileFlush(handle=self._handle)]


class Output:
    """One output of a program, segment by segment.

    Args:
        directory: of the spool.
        name: o or e.
    """

    def __init__(self, directory: str, name: str) -> None:
        self.name = name
        self._base = f"{directory}/{name}"
        self._handle: int | None = None
        self._log: int | None = None
        self._ack: int | None = None
        self._segment, self._offset = 0, 0
        self._logged, self._log_offset = b"", 0
        self._begun = 0  # segments
        self._no_more = False  # segments will be begun
        self._failure: QgaError | None = None
        # Whether the handles' positions are known to be those above.
        self._sure = True
        self._most = CHUNK
        self._size, self._times = _LITTLE, 1
        self._looking = threading.Lock()
        self.buffer = bytearray()
        self.ended = False

    @property
    def short(self) -> bool:
        """Whether more may come, and little has been kept that nobody has taken."""
        return not self.ended and len(self.buffer) < CHUNK

    def take(self, size: int) -> bytes:
        """The first *size* bytes of the buffer, which loses them."""
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def opening(self) -> list[Command[int]]:
        return [FileOpen(path=f"{self._base}.{self._segment}"), FileOpen(path=f"{self._base}.log")]

    def opened(self, handle: int, log: int) -> None:
        self._handle, self._log = handle, log

    def closing(self) -> list[Command[Any]]:
        handles = (self._handle, self._log, self._ack)
        self._handle = self._log = self._ack = None
        self.ended = True
        return [FileClose(handle=handle) for handle in handles if handle is not None]

    def look(self) -> Flow[int]:
        """Move to the buffer what is there now, at most some MiB; return how much it is."""
        while not self._looking.acquire(blocking=False):
            yield Wait(_MOMENT)  # another thread or task looks
        try:
            return (yield from self._look())
        finally:
            self._looking.release()

    def _look(self) -> Flow[int]:
        again = True
        while not self.ended:
            complete = self._complete
            try:
                yield from self._place()
                self._sure = False
                size = self._size
                reading = FileRead(handle=self._at(self._handle), count=size)
                log = FileRead(handle=self._at(self._log), count=4096)
                *pieces, line = yield Together([*[reading] * self._times, log])
            except BadArgument:
                # The handles are of an agent that has been restarted: once more with new ones.
                if not again:
                    raise
                again = False
                self._handle = self._log = self._ack = None
                continue
            self._sure = True
            self._note(line)
            whole = complete and pieces[-1].count < size
            got = self._take(pieces)
            if whole:
                yield from self._next()
                if not got:
                    continue
            return got
        return 0

    @property
    def _complete(self) -> bool:
        """Whether the segment is known not to grow any more."""
        return self._no_more or self._begun > self._segment + 1

    def _take(self, pieces: list[FileChunk]) -> int:
        got = 0
        for piece in pieces:
            self.buffer += piece.data
            got += piece.count
        self._offset += got
        if pieces[-1].count == self._size:
            # It comes quickly.
            self._times = _AHEAD if self._size > _LITTLE else 1
            self._size = self._most
        elif got < _LITTLE:
            self._size, self._times = min(_LITTLE, self._most), 1
        return got

    def limit(self, limits: Limits) -> None:
        """Ask for no more at once than the channel carries."""
        self._most = limits.read
        self._size = min(self._size, limits.read)

    def _note(self, chunk: FileChunk) -> None:
        """Take note of what the keeper's log says."""
        self._log_offset += chunk.count
        *lines, self._logged = (self._logged + chunk.data).split(b"\n")
        for line in lines:
            if line.isdigit():
                self._begun = int(line) + 1
            elif not self._no_more:
                self._no_more = True
                if line == b"full":
                    self._failure = GuestOSError(
                        f"{self._base}: no space is left in the guest for the program's output",
                        errno.ENOSPC,
                    )
                elif line == b"lost":
                    self._failure = SpoolLost(
                        "the program's output is lost: its keeper in the guest was ended, or has "
                        "not heard of this client for too long"
                    )

    def _place(self) -> Flow[None]:
        """Have the handles open, and where they should be."""
        if self._handle is None or self._log is None:
            self._handle, self._log = yield Together(self.opening())
            self._sure = not (self._offset or self._log_offset)
        if not self._sure:
            yield Together(
                [
                    FileSeek(handle=self._handle, offset=self._offset, whence=0),
                    FileSeek(handle=self._log, offset=self._log_offset, whence=0),
                ]
            )

    def _next(self) -> Flow[None]:
        """Go on to the next segment, if there is one."""
        # The last one is empty if all went well.
        if self._begun <= self._segment + (2 if self._no_more and not self._failure else 1):
            if self._failure:
                failure, self._failure = self._failure, None
                yield from self._release()
                raise failure
            yield from self._release()
            return
        handle, self._handle = self._at(self._handle), None
        done = self._segment
        self._segment, self._offset = done + 1, 0
        commands: list[Command[Any]] = [*self.opening()[:1], FileClose(handle=handle)]
        if not self._no_more:
            if self._ack is None:
                self._ack = yield FileOpen(path=f"{self._base}.ack", mode="r+")
            commands += (
                FileWrite(handle=self._ack, data=b"%d\n" % done),
                FileFlush(handle=self._ack),
            )
        self._handle = (yield Together(commands))[0]

    def _release(self) -> Flow[None]:
        """Close everything."""
        try:
            yield Together(self.closing())
        except CommandError:
            pass  # closed with an agent that has ended

    def _at(self, handle: int | None) -> int:
        assert handle is not None  # noqa: S101 - callers have opened it
        return handle
