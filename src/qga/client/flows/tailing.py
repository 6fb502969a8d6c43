"""The end of a file of the guest: `Files.tail`, and where `following` begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qga.errors import CommandError
from qga.protocol import FileRead, FileSeek

from .handle import with_file
from .steps import GetLimits, Timeout

if TYPE_CHECKING:
    from qga.protocol.files import FileChunk, FilePosition

    from .script import GuestPath
    from .steps import Flow, Limits

# In such pieces the end of a file is searched for lines, in bytes.
_BLOCK = 1 << 16


class Beginning(NamedTuple):
    """Where an open file stands now, and what was read that comes before.

    Attributes:
        position: the file's.
        data: what comes first.
        sized: whether the file has a length that tells something: not so in /proc.
    """

    position: int
    data: bytes = b""
    sized: bool = True


def tail(
    path: GuestPath,
    lines: int = 10,
    *,
    size: int | None = None,
    timeout: float | None = None,
) -> Flow[bytes]:
    r"""The last lines of a file; the rest of it is not read.

        >>> guest.files.write(f"{folder}/log", b"one\ntwo\nthree\n")
        14
        >>> guest.files.tail(f"{folder}/log", 2)
        b'two\nthree\n'

    Args:
        path: full path in the guest.
        lines: how many.
        size: how many bytes, instead.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file, or it cannot be read.
    """

    def transfer(handle: int) -> Flow[bytes]:
        begun = yield from go_to_last(handle, lines, size)
        return begun.data + (yield from _to_end(handle))

    yield Timeout(timeout)
    return (yield from with_file(path, "r", transfer))


def go_to_last(handle: int, lines: int | None, size: int | None) -> Flow[Beginning]:
    """Have an open file stand where its last *size* bytes begin, or else its last *lines*."""
    if lines is None and size is None:
        return Beginning(0)
    try:
        end: FilePosition = yield FileSeek(handle=handle, offset=0, whence=2)
        length = end.position
    except CommandError:
        length = 0  # it has no positions
    if not length:
        # It is empty, or it is one of those of /proc, which do not tell.
        data = yield from _to_end(handle)
        first = len(data) - size if size is not None else _last_lines(data, lines or 0)
        return Beginning(len(data), data[max(0, first) :], sized=not data)
    if size is not None:
        start = max(0, length - size)
    else:
        start = yield from _line_start(handle, lines or 0, length)
    yield FileSeek(handle=handle, offset=start, whence=0)
    return Beginning(start)


def exactly(handle: int, offset: int, count: int) -> Flow[bytes]:
    """*count* bytes from *offset* on; fewer if the file ends before."""
    limits: Limits = yield GetLimits()
    yield FileSeek(handle=handle, offset=offset, whence=0)
    data = bytearray()
    while len(data) < count:
        piece: FileChunk = yield FileRead(handle=handle, count=min(count - len(data), limits.read))
        if not piece.count:
            break
        data += piece.data
    return bytes(data)


def _to_end(handle: int) -> Flow[bytes]:
    limits: Limits = yield GetLimits()
    data = bytearray()
    while True:
        piece: FileChunk = yield FileRead(handle=handle, count=limits.read)
        data += piece.data
        if piece.eof or not piece.count:
            return bytes(data)


def _line_start(handle: int, lines: int, length: int) -> Flow[int]:
    """Where the last *lines* of a file of that *length* begin."""
    if not lines:
        return length
    at = length
    while at > 0:
        start = max(0, at - _BLOCK)
        block = yield from exactly(handle, start, at - start)
        if at == length:
            block = block.removesuffix(b"\n")  # it ends the last line, and begins none
        found = block.count(b"\n")
        if found >= lines:
            return start + _behind(block, found - lines + 1)
        lines -= found
        at = start
    return 0


def _last_lines(data: bytes, lines: int) -> int:
    """Where the last *lines* of *data* begin."""
    if not lines:
        return len(data)
    ended = data.removesuffix(b"\n")
    return _behind(ended, max(0, ended.count(b"\n") - lines + 1))


def _behind(data: bytes, number: int) -> int:
    """Where it goes on behind the newline of that *number* in *data*; the first is 1."""
    position = 0
    for _ in range(number):
        position = data.index(b"\n", position) + 1
    return position
