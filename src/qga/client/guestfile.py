"""A file of the guest as a Python file object, over the guest-file commands.

`GuestFile` is raw and unbuffered, as `open(..., buffering=0)` gives: each read or write is one
command. Wrap it for more:

    with client.open("/var/log/syslog") as raw:
        for line in io.TextIOWrapper(io.BufferedReader(raw, 1 << 20), encoding="utf-8"): ...

`AsyncGuestFile`, for which there are no such wrappers, reads ahead by itself.
"""

import io
import os
import warnings
from typing import TYPE_CHECKING

from .flows.openfile import BufferedFile, OpenFile
from .operation import Awaiting, method

if TYPE_CHECKING:
    from typing import Self, TypeVar

    from _typeshed import ReadableBuffer, WriteableBuffer

    from .flows.script import GuestPath
    from .flows.steps import Flow
    from .operation import Blocking

    R = TypeVar("R")


class GuestFile(io.RawIOBase):
    """An open file of the guest; made by `Client.open`.

        >>> import io
        >>> with io.TextIOWrapper(io.BufferedReader(client.open("/etc/os-release"))) as file:
        ...     dict(line.rstrip().split("=") for line in file)["ID"]
        'debian'

    Args:
        client: what carries out the operations.
        path: full path in the guest.
        mode: one of fopen's fifteen modes. Always binary: "r" and "rb" are the same.

    Raises:
        ValueError: *mode* is none of them.
        CommandError: the agent refused.
    """

    name: "GuestPath"
    mode: str

    def __init__(self, client: "Blocking", path: "GuestPath", mode: str = "r") -> None:
        super().__init__()
        self._client = client
        self._file = OpenFile(path, mode)
        self.name = path
        self.mode = mode
        client.perform(self._file.open())

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"handle {self._file.handle}"
        return f"<GuestFile {self.name!r} mode={self.mode!r} {state}>"

    def readable(self) -> bool:
        return self._file.readable

    def writable(self) -> bool:
        return self._file.writable

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read into *buffer*, at most 512 KiB; return the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self._client.perform(self._file.read_some(len(view)))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read to the end, in pieces of 512 KiB."""
        return self._client.perform(self._file.read_all())

    def write(self, data: "ReadableBuffer") -> int:
        """Write the beginning of *data*, at most 512 KiB; return how many bytes were taken."""
        return self._client.perform(self._file.write_some(memoryview(data)))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to *offset* from the start, the position or the end; return the new position."""
        return self._client.perform(self._file.seek(offset, whence))

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
        self._client.perform(self._file.flush())

    def close(self) -> None:
        """Close the file in the guest. May be repeated.

        Raises:
            CommandError: data that the agent had buffered could not be written.
        """
        closing = self._file.close()
        super().close()
        self._client.perform(closing)

    def __exit__(self, kind: "object", error: BaseException | None, traceback: "object", /) -> None:
        if error is None or self.closed:
            self.close()
            return
        abandoning = self._file.abandon(error)
        super().close()
        self._client.perform(abandoning)

    def __del__(self) -> None:
        # Not closed from here: the collector may run in the middle of another call.
        file = getattr(self, "_file", None)
        if file is not None and file.handle is not None:
            file.handle = None
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)


class AsyncGuestFile(Awaiting):
    r"""An open file of the guest, for asyncio; `AsyncClient.open` makes it.

    It is binary, and buffered for reading. A read that is cancelled or runs out of time loses
    nothing: the next one begins where it did. After such a write the position is behind what is
    known to be written, except in mode "a".

        >>> async with await aclient.open("/tmp/notes", "w+") as file:
        ...     await file.write(b"one\ntwo\n")
        ...     await file.seek(0)
        ...     async for line in file:
        ...         print(line)
        8
        0
        b'one\n'
        b'two\n'

    Args:
        client: what carries out the operations.
        state: the file, which has been opened.
    """

    read = method(BufferedFile.read)
    readline = method(BufferedFile.readline)
    write = method(BufferedFile.write)
    seek = method(BufferedFile.seek)
    tell = method(BufferedFile.tell)
    flush = method(BufferedFile.flush)
    close = method(BufferedFile.close)

    def __init__(self, client: Awaiting, state: BufferedFile) -> None:
        self._client = client
        self._state = state

    async def perform(self, flow: "Flow[R]") -> "R":
        return await self._client.perform(flow)

    @property
    def name(self) -> "GuestPath":
        """Its full path in the guest."""
        return self._state.name

    @property
    def mode(self) -> str:
        """As it was opened."""
        return self._state.mode

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._state.handle is None

    def readable(self) -> bool:
        """Whether it can be read.

        >>> async with await aclient.open("/etc/hostname") as file:
        ...     file.readable()
        True
        """
        return self._state.readable

    def writable(self) -> bool:
        """Whether it can be written.

        >>> async with await aclient.open("/etc/hostname") as file:
        ...     file.writable()
        False
        """
        return self._state.writable

    def seekable(self) -> bool:
        """Whether it has positions: true, until the guest refuses.

        >>> async with await aclient.open("/etc/hostname") as file:
        ...     file.seekable()
        True
        """
        return True

    async def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill *buffer*; return the number of bytes, fewer at the end of the file only.

        >>> buffer = bytearray(4)
        >>> async with await aclient.open("/etc/hostname") as file:
        ...     await file.readinto(buffer)
        4
        >>> bytes(buffer)
        b'fake'
        """
        view = memoryview(buffer).cast("B")
        data = await self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def __aiter__(self) -> "Self":
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def __aenter__(self) -> "Self":
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            await self.close()
        else:
            await self.perform(self._state.abandon(error))

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"handle {self._state.handle}"
        return f"<AsyncGuestFile {self.name!r} mode={self.mode!r} {state}>"

    def __del__(self) -> None:
        if self._state.handle is not None:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            self._state.handle = None
