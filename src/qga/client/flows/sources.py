"""What is sent to a guest: data in memory, a file of this machine. For `moving`; see `relaying`."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from qga.errors import QgaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO, Protocol, TypeAlias

    from .steps import Flow

    # Where a file has data: offset and length of each range, in order.
    Ranges: TypeAlias = Iterable[tuple[int, int]]

    class Source(Protocol):
        """What is sent: `size` bytes, of which those outside of `ranges` are zeros.

        It is read from its beginning to its end.
        """

        size: int

        def ranges(self, start: int) -> Ranges: ...

        def ready(self, at: int, end: int) -> Flow[int]:
            """Have what follows *at* ready to be read; return up to where, at the most *end*."""

        def read(self, offset: int, count: int) -> bytes | memoryview: ...

        def check(self, digest: str, *, must: bool) -> Flow[bool]:
            """Whether it is known to have this checksum. It is an error if it has another one, or
            if that *must* be known and is not.
            """


class _AtHand:
    """What can be read at any time, and is what it is."""

    def ready(self, at: int, end: int) -> Flow[int]:  # noqa: ARG002 - others need it
        yield from ()
        return end

    def check(self, digest: str, *, must: bool) -> Flow[bool]:  # noqa: ARG002 - likewise
        yield from ()
        return True


class Data(_AtHand):
    """A `Source` in memory."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(data).cast("B")
        self.size = len(self._view)

    def ranges(self, start: int) -> Ranges:
        return [(start, self.size - start)]

    def read(self, offset: int, count: int) -> memoryview:
        return self._view[offset : offset + count]


class LocalFile(_AtHand):
    """A `Source` that is a file here.

    Args:
        file: open for reading.
        sparse: look for its holes.
    """

    def __init__(self, file: IO[bytes], *, sparse: bool = True) -> None:
        self._descriptor = file.fileno()
        self._name = file.name
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        self._sparse = sparse and status.st_blocks * 512 < status.st_size

    def ranges(self, start: int) -> Iterator[tuple[int, int]]:
        if not self._sparse:
            yield start, self.size - start
            return
        while start < self.size:
            try:
                start = os.lseek(self._descriptor, start, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return  # the rest is a hole
                raise
            end = min(os.lseek(self._descriptor, start, os.SEEK_HOLE), self.size)
            if end <= start:
                return
            yield start, end - start
            start = end

    def read(self, offset: int, count: int) -> bytes:
        data = os.pread(self._descriptor, count, offset)
        if len(data) < count:
            raise QgaError(f"{self._name} has become shorter while it was sent")
        return data
