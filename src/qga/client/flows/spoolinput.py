"""The input of a program, which its keeper in the guest feeds: see `wrapper`. For `running`."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from qga.client.completed import StdinClosed
from qga.errors import AgentTimeout, BadArgument, CommandError, GuestOSError
from qga.protocol import FileClose, FileFlush, FileOpen, FileRead, FileSeek, FileWrite

from .steps import CHUNK, GetLimits, Limits, Together, Wait
from .timing import pauses
from .wrapper import SLOTS

if TYPE_CHECKING:
    from typing import Any

    from qga.protocol.files import FileChunk
    from qga.protocol.model import Command

    from .steps import Flow

# Pauses between looks at what the program has taken or put out, in seconds.
FIRST_PAUSE, LAST_PAUSE = 0.001, 0.05

# So many bytes are told to the feeder in octal and need no file: what is typed comes sooner.
_SHORT = 128


class Input:
    """The input of a program, piece by piece.

    Args:
        directory: of the spool.
    """

    def __init__(self, directory: str) -> None:
        self._base = f"{directory}/i"
        self._slots: list[int] = []
        self._ctl = self._log = -1
        self._sent = self._taken = 0
        self._log_offset = 0
        self._sure = True
        self._most = CHUNK
        self._open = False
        self._told = True  # of the last piece
        self._line = b""
        self.broken = False
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> Flow[int]:
        """Write all of *data*, waiting for the program to take most of it.

        Raises:
            StdinClosed: the program takes no more.
        """
        view = memoryview(data).cast("B")
        done = 0
        pause = pauses(FIRST_PAUSE, LAST_PAUSE)
        while done < len(view):
            sent = yield from self.offer(view[done:])
            if sent:
                done += sent
                pause = pauses(FIRST_PAUSE, LAST_PAUSE)
            else:
                yield Wait(next(pause))
        return done

    def offer(self, data: memoryview) -> Flow[int]:
        """Write the beginning of *data* if there is room; return how much."""
        if self.broken:
            raise StdinClosed("the program takes no more input")
        if self.closed:
            raise ValueError("the program's standard input has been closed")
        again = True
        while True:
            try:
                return (yield from self._offer(data))
            except BadArgument:
                if not again:
                    raise
                again = self._open = False

    def close(self) -> Flow[None]:
        """Tell the program that its input ends here."""
        if self.closed:
            return
        for again in (True, False):
            try:
                yield from self._place()
                yield from self._tell()
                yield Together(self._saying(b"end 0\n"))
                break
            except BadArgument:
                if not again:
                    raise
                self._open = False
        try:
            yield Together(self.closing())
        except CommandError:
            pass  # closed with an agent that has ended

    def closing(self) -> list[Command[Any]]:
        self.closed = True
        if not self._open:
            return []
        self._open = False
        return [FileClose(handle=handle) for handle in (*self._slots, self._ctl, self._log)]

    def _offer(self, data: memoryview) -> Flow[int]:
        yield from self._place()
        yield from self._tell()
        if self.broken:
            raise StdinClosed("the program takes no more input")
        if self._sent - self._taken >= SLOTS:
            yield from self._hear()
            if self.broken:
                raise StdinClosed("the program takes no more input")
            if self._sent - self._taken >= SLOTS:
                return 0
        if len(data) <= _SHORT:
            text = b"".join(b"\\%03o" % byte for byte in data)
            yield from self._announce(len(data), text)
            return len(data)
        slot = self._slots[self._sent % SLOTS]
        piece = data[: self._most]
        _, written, _ = yield Together(
            [
                FileSeek(handle=slot, offset=0, whence=0),
                FileWrite(handle=slot, data=piece),
                FileFlush(handle=slot),
            ]
        )
        if written.count <= 0:
            raise GuestOSError(f"no byte could be written to {self._base}", errno.ENOSPC)
        # Only now: what is told of has to be there.
        length: int = written.count
        yield from self._announce(length)
        return length

    def _announce(self, length: int, text: bytes = b"") -> Flow[None]:
        """Have the feeder pass on the next piece, which is *text* if that is given."""
        self._line = b"%d %d %s\n" % (self._sent, length, text)
        self._sent += 1
        self._told = False
        try:
            yield from self._tell()
        except AgentTimeout:
            # The piece is on its way, and not to be sent again: it is told of by the next call.
            pass

    def _tell(self) -> Flow[None]:
        """Tell the feeder of the last piece; it does not mind to be told twice."""
        if self._told:
            return
        yield from self._hear(self._saying(self._line))
        self._told = True

    def _saying(self, line: bytes) -> list[Command[Any]]:
        return [FileWrite(handle=self._ctl, data=line), FileFlush(handle=self._ctl)]

    def _hear(self, commands: list[Command[Any]] | None = None) -> Flow[None]:
        """Take note of what the feeder says, and do *commands* on the way."""
        seek = []
        if not self._sure:
            seek = [FileSeek(handle=self._log, offset=self._log_offset, whence=0)]
        self._sure = False
        read = FileRead(handle=self._log, count=4096)
        said: FileChunk = (yield Together([*(commands or ()), *seek, read]))[-1]
        self._sure = True
        self._log_offset += said.count
        self._taken += said.data.count(b".")
        self.broken = self.broken or b"x" in said.data

    def _place(self) -> Flow[None]:
        if self._open:
            return
        limits: Limits = yield GetLimits()
        self._most = limits.write
        names = [str(number) for number in range(SLOTS)]
        opening: list[Command[Any]] = [
            FileOpen(path=f"{self._base}.{name}", mode="r+" if self._sent else "w")
            for name in names
        ]
        opening += (
            FileOpen(path=f"{self._base}.ctl", mode="r+"),
            FileOpen(path=f"{self._base}.log"),
        )
        *self._slots, self._ctl, self._log = yield Together(opening)
        self._open = True
        self._sure = False
