"""Puts a long request together before it is decoded, and those behind it. Used by `receiving`.

The splitter decodes a long string while it arrives: that keeps memory small, and costs some steps
for each part that a socket hands over. A request that is there as a whole takes the quick way.
Files are written in pieces that are all as long, up to the last: so there is room for one request,
no more than its rest is asked for, and nothing is moved when it is complete.
"""

import os

from qga.wire import base64

# So much is put together at the most: a request to write 1 MiB, and what is around it.
_MOST = 3 << 19

# Where the long string of a request has begun, and how much there has to be of it: shorter pieces
# may be the beginning of anything.
_HEAD, _LEAST = 512, 16 * 1024

# How much there may be from the end of the string to that of the request.
_TAIL = 64

# What comes last where a string of base64 goes on: anything else ends something, or resets it.
_WITHIN = frozenset(base64.ALPHABET) - frozenset(b"\n")


class Gathering:
    """A long request that has begun with *data*, and those of the same length behind it.

    Attributes:
        over: whether what comes next is to be received like anything else.
    """

    __slots__ = ("_filled", "_room", "_view", "over")

    _filled: int
    _room: bytearray
    _view: memoryview

    def __init__(self, data: bytes) -> None:
        self.over = False
        self._prepare(_MOST, data)

    def _prepare(self, size: int, data: "bytes | memoryview") -> None:
        self._room = bytearray(size)
        self._view = memoryview(self._room)
        self._view[: len(data)] = data
        self._filled = len(data)

    def read(self, fd: int) -> "bytes | None":
        """What there is when a request is complete, or something else has come; None until then.

        The next call may overwrite it. No bytes: *fd* is at its end.

        Raises:
            BlockingIOError: there is nothing to read now.
            OSError: *fd* cannot be read.
        """
        room, start = self._room, self._filled
        end = self._filled = start + os.readv(fd, [self._view[start:]])
        if end == start:
            return self._all()
        if end == len(room) != _MOST:
            self._filled = 0
            return room  # type: ignore[return-value] # it is used like bytes, and not copied
        if not start:
            return None if begins(room, end) else self._all()
        quote = room.find(b'"', start, end)
        if quote < 0:
            return None if end < len(room) and room[end - 1] in _WITHIN else self._all()
        newline = room.find(b"\n", quote, min(quote + _TAIL, end)) + 1
        if not newline or len(room) != _MOST or 2 * newline <= end:
            return self._all()
        # Now it is known how long they are, and the next one may have begun.
        data = bytes(self._view[:newline])
        self._prepare(newline, self._view[newline:end])
        if self._filled and not begins(self._room, self._filled):
            data += self._all()
        return data

    def _all(self) -> bytes:
        self.over = True
        return bytes(self._view[: self._filled])


def begins(data: "bytes | bytearray", end: int) -> bool:
    """Whether *data* up to *end* is the beginning of a request, to somewhere in a long string.

    Nothing can be answered then before a quote has come.
    """
    head = data[:_HEAD]
    return (
        end >= _LEAST
        and head.startswith(b"{")
        and head.count(b'"') % 2 == 1
        and not any(mark in head for mark in (b"}", b"'", b"\\"))
        and data.find(b'"', _HEAD, end) < 0
        and data[end - 1] in _WITHIN
    )
