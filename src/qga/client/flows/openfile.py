"""A file of the guest that is open, for `guestfile`: its position, and what can be done with it."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

from qga.errors import AgentTimeout, CommandError, GuestOSError, QgaError, TransportError
from qga.protocol import FileClose, FileFlush, FileRead, FileSeek, FileWrite

from .asking import told
from .handle import Opened, close_file, open_file
from .steps import GetLimits, Leave

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from qga.protocol.files import FileChunk, FilePosition

    from .script import GuestPath
    from .steps import Flow, Limits

    R = TypeVar("R")

MODES = frozenset(
    ("r", "rb", "w", "wb", "a", "ab", "r+", "rb+", "r+b", "w+", "wb+", "w+b", "a+", "ab+", "a+b")
)


class OpenFile:
    """The state of an open file. The position is known here too, as far as it can be.

    A read or write that ran out of time, or was cancelled, may have moved it or not: the next one
    goes back to where that began.

    Args:
        name: full path in the guest.
        mode: one of fopen's fifteen modes. Always binary: "r" and "rb" are the same.

    Raises:
        ValueError: *mode* is none of them.
    """

    def __init__(self, name: GuestPath, mode: str) -> None:
        self.handle: int | None = None
        if mode not in MODES:
            raise ValueError(f"invalid mode: {mode!r}")
        self.name = name
        self.mode = mode
        self.readable = "r" in mode or "+" in mode
        self.writable = "r" not in mode or "+" in mode
        self._position = None if "a" in mode else 0
        self._doubtful = False

    def open(self) -> Flow[None]:
        """Open it."""
        self.handle = yield from open_file(self.name, self.mode)

    def read_some(self, count: int | None = None) -> Flow[bytes]:
        """Read at most *count* bytes, and at most what one command carries; b"" at the end."""
        return (yield from self._read(count)).data

    def read_all(self) -> Flow[bytes]:
        """Read to the end."""
        data = bytearray()
        while True:
            piece = yield from self._read(None)
            data += piece.data
            if piece.eof or not piece.count:
                return bytes(data)

    def write_some(self, data: bytes | bytearray | memoryview) -> Flow[int]:
        """Write the beginning of *data*; return how many bytes were taken."""
        handle = self._open(self.writable, "writing")
        view = memoryview(data).cast("B")
        if not view:
            return 0
        limits: Limits = yield GetLimits()
        command = FileWrite(handle=handle, data=view[: limits.write])
        return (yield from self._moving(command, lambda written: written.count)).count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> Flow[int]:
        """Move to *offset* from the start, the position or the end; return the new position."""
        handle = self._open(True, "seeking")
        if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise ValueError(f"invalid whence: {whence}")
        if whence == os.SEEK_CUR:
            yield from self._settle()
        with Opened(self.name, handle):
            moved: FilePosition = yield FileSeek(handle=handle, offset=offset, whence=whence)
        self._position = moved.position
        self._doubtful = False
        return moved.position

    def flush(self) -> Flow[None]:
        """Have the agent hand what it buffers to the guest's kernel; errors may only show here.

        >>> async with await aclient.open("/tmp/notes", "w") as file:
        ...     await file.write(b"data")
        ...     await file.flush()
        4
        """
        if self.handle is not None and self.writable:
            with Opened(self.name, self.handle):
                yield FileFlush(handle=self.handle)

    def close(self) -> Flow[None]:
        """Close it. May be repeated.

        >>> file = await aclient.open("/etc/hostname")
        >>> await file.close()
        >>> file.closed
        True
        """
        handle, self.handle = self.handle, None
        return _closing(self.name, handle)

    def abandon(self, error: BaseException) -> Flow[None]:
        """Close it after *error*, which is the one to tell; later where nobody answers now."""
        handle, self.handle = self.handle, None
        return _abandoning(handle, error)

    def _read(self, count: int | None) -> Flow[FileChunk]:
        handle = self._open(self.readable, "reading")
        limits: Limits = yield GetLimits()
        count = limits.read if count is None else min(count, limits.read)
        command = FileRead(handle=handle, count=count)
        return (yield from self._moving(command, lambda piece: piece.count))

    def _moving(self, command: FileRead | FileWrite, count: Callable[[R], int]) -> Flow[R]:
        """Execute *command*, which moves the position."""
        yield from self._settle()
        self._doubtful = True
        with Opened(self.name, command.handle):
            try:
                result: R = yield command
            except CommandError:
                self._doubtful = False
                raise
        self._doubtful = False
        if self._position is not None:
            self._position += count(result)
        return result

    def _settle(self) -> Flow[None]:
        if self._doubtful and self._position is not None and self.handle is not None:
            with Opened(self.name, self.handle):
                yield FileSeek(handle=self.handle, offset=self._position, whence=os.SEEK_SET)
        self._doubtful = False

    def _open(self, allowed: bool, what: str) -> int:  # noqa: FBT001
        if self.handle is None:
            raise ValueError("I/O operation on closed file")
        if not allowed:
            raise io.UnsupportedOperation(f"mode {self.mode!r} is not for {what}")
        return self.handle


def _closing(name: GuestPath, handle: int | None) -> Flow[None]:
    if handle is not None:
        with Opened(name, handle):
            yield from close_file(handle)


def _abandoning(handle: int | None, error: BaseException) -> Flow[None]:
    if handle is None:
        return
    if isinstance(error, AgentTimeout | TransportError):
        yield Leave(FileClose(handle=handle))
        return
    try:
        yield from close_file(handle)
    except QgaError as failure:
        error.add_note(f"and the file could not be closed: {failure}")


class BufferedFile(OpenFile):
    """The same, with what has been read ahead: for lines, and for reads of any size."""

    def __init__(self, name: GuestPath, mode: str) -> None:
        super().__init__(name, mode)
        self._ahead = bytearray()

    def read(self, size: int | None = -1) -> Flow[bytes]:
        r"""Read *size* bytes, fewer at the end of the file only; to the end if negative or None.

        >>> async with await aclient.open("/etc/hostname") as file:
        ...     await file.read(2), await file.read()
        (b'fa', b'ke\n')
        """
        self._open(self.readable, "reading")
        wanted = sys.maxsize if size is None or size < 0 else size
        while len(self._ahead) < wanted:
            piece = yield from self.read_some(wanted - len(self._ahead))
            if not piece:
                break
            self._ahead += piece
        return self._take(wanted)

    def readline(self) -> Flow[bytes]:
        r"""Read to the end of the line, with it; b"" at the end of the file.

        >>> async with await aclient.open("/etc/hostname") as file:
        ...     await file.readline()
        b'fake\n'
        """
        self._open(self.readable, "reading")
        searched = 0
        while (end := self._ahead.find(b"\n", searched)) < 0:
            searched = len(self._ahead)
            piece = yield from self.read_some()
            if not piece:
                return self._take(searched)
            self._ahead += piece
        return self._take(end + 1)

    def write(self, data: bytes | bytearray | memoryview) -> Flow[int]:
        r"""Write *data* at the position; return its length.

        >>> async with await aclient.open("/tmp/notes", "w") as file:
        ...     await file.write(b"one\ntwo\n")
        8
        """
        self._open(self.writable, "writing")
        yield from self._back()
        view = memoryview(data).cast("B")
        size = len(view)
        while view:
            count = yield from self.write_some(view)
            if count <= 0:
                raise GuestOSError(
                    f"no byte could be written to {told(os.fsencode(self.name))}", errno.ENOSPC
                )
            view = view[count:]
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> Flow[int]:
        r"""Move to *offset* from the start, the position or the end; return the new position.

        >>> async with await aclient.open("/etc/hostname") as file:
        ...     await file.seek(-3, 2)
        ...     await file.read()
        2
        b'ke\n'
        """
        if whence == os.SEEK_CUR:
            yield from self._back()
        position = yield from super().seek(offset, whence)
        self._ahead.clear()
        return position

    def tell(self) -> Flow[int]:
        """The position, in bytes from the start.

        >>> async with await aclient.open("/etc/hostname") as file:
        ...     await file.read(2), await file.tell()
        (b'fa', 2)
        """
        return (yield from super().seek(0, os.SEEK_CUR)) - len(self._ahead)

    def _back(self) -> Flow[None]:
        """Have the agent's position be where the caller believes it."""
        if self._ahead:
            yield from super().seek(-len(self._ahead), os.SEEK_CUR)
            self._ahead.clear()

    def _take(self, size: int) -> bytes:
        with memoryview(self._ahead) as view:
            taken = bytes(view[:size])
        del self._ahead[:size]
        return taken
