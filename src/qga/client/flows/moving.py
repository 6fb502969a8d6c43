"""The bytes of one file, between this machine and an open file of the guest.

The pieces are as large as the channel takes, and a few are asked for at once. Holes are skipped in
both directions. For `transfers`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections import deque
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from qga.client import memory
from qga.client.digest import Digest
from qga.errors import GuestOSError
from qga.protocol import FileRead, FileSeek, FileWrite

from .steps import GetLimits, Limits, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from qga.protocol.files import FileChunk, FileWritten

    from .sources import Ranges, Source
    from .steps import Flow

    class Sink(Protocol):
        """What takes that which was read, in order."""

        def write(self, data: bytes) -> None: ...
        def skip(self, count: int) -> None: ...


# How many pieces are asked for at once, and sent. More measured no faster, and cost memory.
FLIGHT, SENT = 4, 2

# After so many seconds others get a turn to use the channel.
SLICE = 0.25

# Where so much is moved in that time, pieces are as long as is welcome: there, what is done for
# each of them counts, and nobody waits long for it. Which shows at an agent on the same machine.
QUICK = 16 << 20

# What is a hole when it is all zeros. File systems have no smaller ones worth the trouble.
BLOCK = 1 << 16
_ZEROS = bytes(BLOCK)


@dataclass(frozen=True, slots=True)
class TransferProgress:
    r"""How far a transfer has come.

        >>> seen = []
        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.download(f"{folder}/file", f"{folder}/here", progress=seen.append).size
        5
        >>> seen[-1].done, seen[-1].files
        (5, 1)

    Attributes:
        done: bytes so far, those of holes and of an earlier, broken attempt included.
        total: how many there will be; None when that is not known.
        files: files so far that are there as a whole.
        seconds: how long it has taken.
        moved: bytes that went over the channel in that time.
    """

    done: int
    total: int | None
    files: int
    seconds: float
    moved: int

    @property
    def rate(self) -> float:
        """Bytes per second that went over the channel."""
        return self.moved / self.seconds if self.seconds else 0.0


class Meter:
    """Counts, and calls *report* with a `TransferProgress`."""

    def __init__(
        self, report: Callable[[TransferProgress], object] | None, total: int | None = None
    ) -> None:
        self._report = report
        self._began = time.monotonic()
        self.total = total
        self.done = self.moved = self.files = 0

    def add(self, count: int, *, moved: bool = True) -> None:
        self.done += count
        if moved:
            self.moved += count
        self.tell()

    def add_files(self, count: int = 1) -> None:
        self.files += count
        self.tell()

    def tell(self) -> None:
        if self._report is not None:
            seconds = time.monotonic() - self._began
            self._report(TransferProgress(self.done, self.total, self.files, seconds, self.moved))


class Tally:
    """What of one file has passed so far: its checksum, holes included, and a *meter*'s count."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._digest = Digest()

    def take(self, data: bytes | memoryview) -> None:
        """*data* went over the channel."""
        self._digest.update(data)
        self.meter.add(len(data))

    def know(self, data: bytes | memoryview) -> None:
        """*data* was there already."""
        self._digest.update(data)
        self.meter.add(len(data), moved=False)

    def skip(self, count: int) -> None:
        """There is a hole of *count* bytes."""
        for at in range(0, count, BLOCK):
            self._digest.update(_ZEROS[: count - at])
        if count:
            self.meter.add(count, moved=False)

    def restart(self) -> None:
        """What was known is wrong."""
        self.meter.done = 0
        self._digest = Digest()

    def hex(self) -> str:
        return self._digest.hex()


class Memory:
    """A `Sink` in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data

    def skip(self, count: int) -> None:
        self.data += bytes(count)


class SparseFile:
    """A `Sink` that is a file here; zeros become holes.

    Args:
        descriptor: of the file; written from its position on.
        sparse: False to write zeros like anything else.
    """

    def __init__(self, descriptor: int, *, sparse: bool = True) -> None:
        self._descriptor = descriptor
        self._sparse = sparse

    def write(self, data: bytes) -> None:
        if not self._sparse:
            self._write(memoryview(data))
            return
        view = memoryview(data)
        begun = 0  # of what is to be written
        for at in range(0, len(data), BLOCK):
            block = view[at : at + BLOCK]
            if block == _ZEROS[: len(block)]:
                self._write(view[begun:at])
                self.skip(len(block))
                begun = at + len(block)
        self._write(view[begun:])

    def skip(self, count: int) -> None:
        os.lseek(self._descriptor, count, os.SEEK_CUR)

    def finish(self) -> None:
        """Give the file its size, whatever hole is at its end."""
        os.ftruncate(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR))

    def _write(self, view: memoryview) -> None:
        while view:
            view = view[os.write(self._descriptor, view) :]


def beside(name: bytes, *, resume: bool = False) -> str:
    """How the file or directory is called that is filled before it gets its *name*.

    Args:
        name: what it will be called.
        resume: let a later attempt find it.
    """
    known = hashlib.sha256(name).hexdigest()[:16] if resume else os.urandom(8).hex()
    return f".qga-{known}.partial"


def send(
    handle: int, source: Source, tally: Tally, *, start: int = 0, ahead: int = 1
) -> Flow[None]:
    """Write *source* from *start* on to the open file *handle*, which stands at its beginning.

    Args:
        ahead: how many pieces may be under way at once: more than one only to a file in which what
            has come to a wrong place can be written once more.
    """
    limits: Limits = yield GetLimits()
    if source.size > limits.write:
        memory.keep()
    at, position = start, 0
    most = limits.write
    for offset, length in source.ranges(start):
        tally.skip(offset - at)
        at, end = offset, offset + length
        if at != position and length:
            yield FileSeek(handle=handle, offset=at, whence=0)
            position = at
        while at < end:
            ready = yield from source.ready(at, end)
            at = yield from _send_some(handle, source, at, ready, tally, most=most, ahead=ahead)
            most = _most(limits, limits.write, at - position)
            position = at
    if at < source.size:  # a hole at the end: its last byte makes it
        yield FileSeek(handle=handle, offset=source.size - 1, whence=0)
        yield from _write_all(handle, b"\0")
        tally.skip(source.size - at)


def _most(limits: Limits, usual: int, moved: int) -> int:
    """How long the next pieces are, after *moved* bytes in one `SLICE`."""
    return 2 * usual if limits.doubled and moved >= QUICK else usual


def _send_some(
    handle: int, source: Source, at: int, end: int, tally: Tally, *, most: int, ahead: int
) -> Flow[int]:
    """Write what is from *at* to *end*, for as long as `SLICE` says; return how far it came."""
    pieces: deque[bytes | memoryview] = deque()
    rest: bytes | memoryview = b""  # of the first of them: an agent may take less than it was given
    misplaced = False  # whether it took something after that
    over = time.monotonic() + SLICE

    def commands() -> Iterator[FileWrite]:
        start = at
        while start < end and (start == at or time.monotonic() < over):
            piece = source.read(start, min(most, end - start))
            pieces.append(piece)
            start += len(piece)
            yield FileWrite(handle=handle, data=piece)

    def take(written: FileWritten) -> bool:
        nonlocal at, rest, misplaced
        if rest:
            misplaced = True
            return True
        rest = pieces[0][max(written.count, 0) :]
        if not rest:
            tally.take(pieces[0])
            at += len(pieces.popleft())
        return bool(rest)

    yield Series(commands(), take, ahead=ahead if end - at > most else 1)
    if rest:
        if misplaced:
            yield FileSeek(handle=handle, offset=at + len(pieces[0]) - len(rest), whence=0)
        yield from _write_all(handle, rest)
        tally.take(pieces[0])
        at += len(pieces[0])
    return at


def _write_all(handle: int, piece: bytes | memoryview) -> Flow[None]:
    """Write *piece* where the file stands."""
    while piece:
        written = yield FileWrite(handle=handle, data=piece)
        if written.count <= 0:
            raise GuestOSError("no byte could be written", errno.ENOSPC)
        piece = piece[written.count :]  # an agent may take less than it was given


def receive(
    handle: int, sink: Sink, tally: Tally, *, size: int | None = None, limit: int | None = None
) -> Flow[int]:
    """Read the open file *handle* from where it stands to its end into *sink*.

    Args:
        size: how many bytes are expected, so that no more is asked for at once.
        limit: at most so many bytes.

    Returns: the number of bytes.
    """
    limits: Limits = yield GetLimits()
    most = limits.read
    done, ended = 0, False

    def commands() -> Iterator[FileRead]:
        over = time.monotonic() + SLICE
        asked = start = done
        # One more than expected shows the end. The first one shows whether there is much at all.
        expected: float = inf if size is None else size
        if size is None and not done:
            expected = 0
        while (asked == start or (asked <= expected and time.monotonic() < over)) and (
            limit is None or asked < limit
        ):
            count = most if limit is None else min(most, limit - asked)
            asked += count
            yield FileRead(handle=handle, count=count)

    def take(piece: FileChunk) -> bool:
        nonlocal done, ended
        if ended:  # what was asked for ahead
            return True
        if piece.count:
            sink.write(piece.data)
            tally.take(piece.data)
            done += piece.count
        ended = piece.eof or not piece.count
        return ended

    while not ended and (limit is None or done < limit):
        before = done
        yield Series(commands(), take, ahead=FLIGHT)
        most = _most(limits, limits.read, done - before)
    return done


def receive_ranges(
    handle: int, sink: Sink, ranges: Ranges, tally: Tally, *, start: int, size: int
) -> Flow[int]:
    """Read the *ranges* of a file that have data from *start* on; the rest up to *size* is zeros.

    Returns: the number of bytes, zeros included. Fewer than asked for when the file has shrunk.
    """
    at = start
    for first, length in ranges:
        offset, end = max(first, at), min(first + length, size)
        if offset >= end:
            continue
        sink.skip(offset - at)
        tally.skip(offset - at)
        yield FileSeek(handle=handle, offset=offset, whence=0)
        left = end - offset
        at = offset + (yield from receive(handle, sink, tally, size=left, limit=left))
        if at < end:
            return at - start
    sink.skip(size - at)
    tally.skip(size - at)
    return size - start
