"""A file of the guest as a Python file object, over the guest-file commands.

Raw and unbuffered, as `open(..., buffering=0)` gives: each read or write is one command. Wrap it
for more:

    with client.open("/var/log/syslog") as raw:
        for line in io.TextIOWrapper(io.BufferedReader(raw, 1 << 20), encoding="utf-8"): ...
"""

import io
import os
import warnings
from typing import TYPE_CHECKING

from qga.protocol import FileClose, FileFlush, FileOpen, FileRead, FileSeek, FileWrite

from .flows.steps import CHUNK

if TYPE_CHECKING:
    from typing import Protocol, TypeVar

    from _typeshed import ReadableBuffer, WriteableBuffer

    from qga.protocol.model import Command

    R = TypeVar("R")

    class _Executes(Protocol):
        """What a file needs of a client."""

        def execute(self, command: Command[R], /) -> R: ...


MODES = frozenset(
    ("r", "rb", "w", "wb", "a", "ab", "r+", "rb+", "r+b", "w+", "wb+", "w+b", "a+", "ab+", "a+b")
)


class GuestFile(io.RawIOBase):
    """An open file of the guest; made by `Client.open`.

        >>> import io
        >>> with io.TextIOWrapper(io.BufferedReader(client.open("/etc/os-release"))) as file:
        ...     dict(line.rstrip().split("=") for line in file)["ID"]
        'debian'

    Args:
        client: what executes the commands.
        path: full path in the guest.
        mode: one of fopen's fifteen modes. Always binary: "r" and "rb" are the same.

    Raises:
        ValueError: *mode* is none of them.
        CommandError: the agent refused.
    """

    name: str
    mode: str

    def __init__(self, client: "_Executes", path: str, mode: str = "r") -> None:
        self._handle: int | None = None
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"invalid mode: {mode!r}")
        self._client = client
        self.name = path
        self.mode = mode
        self._handle = client.execute(FileOpen(path=path, mode=mode))

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"handle {self._handle}"
        return f"<GuestFile {self.name!r} mode={self.mode!r} {state}>"

    def readable(self) -> bool:
        return "r" in self.mode or "+" in self.mode

    def writable(self) -> bool:
        return "r" not in self.mode or "+" in self.mode

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read into *buffer*, at most 1 MiB; return the number of bytes, 0 at the end."""
        handle = self._check(self.readable(), "reading")
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        piece = self._client.execute(FileRead(handle=handle, count=min(len(view), CHUNK)))
        view[: piece.count] = piece.data
        return piece.count

    def readall(self) -> bytes:
        """Read to the end, in pieces of 1 MiB."""
        handle = self._check(self.readable(), "reading")
        data = bytearray()
        while True:
            piece = self._client.execute(FileRead(handle=handle, count=CHUNK))
            data += piece.data
            if piece.eof or not piece.count:
                return bytes(data)

    def write(self, data: "ReadableBuffer") -> int:
        """Write the beginning of *data*, at most 1 MiB; return how many bytes were taken."""
        handle = self._check(self.writable(), "writing")
        view = memoryview(data).cast("B")
        if not view:
            return 0
        return self._client.execute(FileWrite(handle=handle, data=view[:CHUNK])).count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to *offset* from the start, the position or the end; return the new position."""
        handle = self._check(True, "seeking")
        if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise ValueError(f"invalid whence: {whence}")
        return self._client.execute(FileSeek(handle=handle, offset=offset, whence=whence)).position

    def tell(self) -> int:
        """The position, in bytes from the start."""
        return self.seek(0, os.SEEK_CUR)

    def truncate(self, _size: int | None = None, /) -> int:
        """Not in the protocol; mode "w" empties a file when it opens it.

        Raises:
            io.UnsupportedOperation: always.
        """
        raise io.UnsupportedOperation("the guest agent protocol cannot truncate an open file")

    def flush(self) -> None:
        """Have the agent hand what it buffers to the guest's kernel; errors may only show here."""
        if self._handle is not None and self.writable():
            self._client.execute(FileFlush(handle=self._handle))

    def close(self) -> None:
        """Close the file in the guest. May be repeated.

        Raises:
            CommandError: data that the agent had buffered could not be written.
        """
        handle, self._handle = self._handle, None
        super().close()
        if handle is not None:
            self._client.execute(FileClose(handle=handle))

    def __del__(self) -> None:
        # Not closed from here: the collector may run in the middle of another call.
        if self._handle is not None:
            self._handle = None
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)

    def _check(self, allowed: bool, what: str) -> int:  # noqa: FBT001
        if self._handle is None:
            raise ValueError("I/O operation on closed file")
        if not allowed:
            raise io.UnsupportedOperation(f"mode {self.mode!r} is not for {what}")
        return self._handle
