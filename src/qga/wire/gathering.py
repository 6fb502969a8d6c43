"""Replies on their way to the splitter, put together if they are long. For `handshake`.

The splitter decodes a long string while it arrives, in whatever pieces: that keeps memory small,
and costs some steps for each of them. A reply with a piece of a file comes in three or four, and
fits in memory; as a whole it takes the splitter's quick way. The shortest reply of all is known.
"""

from . import base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .splitter import Splitter

# What agents send for a command that returns nothing, as many are.
_NOTHING = b'{"return": {}}\n'

# Shorter pieces are not the beginning of a long reply, but of one that is nearly there.
_LONG = 16 << 10

# So much is put together at the most.
_MOST = 4 << 20

# A piece that ends with one of these ends no message: the quote or the brace is still to come.
_WITHIN = frozenset(base64.ALPHABET) - frozenset(b"\n")


class Gathering:
    """Hands what arrives to *splitter*, long replies as a whole."""

    __slots__ = ("_held", "_length", "_splitter")

    def __init__(self, splitter: "Splitter") -> None:
        self._splitter = splitter
        self._held: list[bytes] = []
        self._length = 0

    def feed(self, data: bytes) -> "list[Any]":
        """Take the next *data*; return what it completes, as `Splitter.feed` does."""
        if not self._held and len(data) < _LONG:
            if data == _NOTHING and self._splitter.idle:
                return [{"return": {}}]
            return self._splitter.feed(data)
        values: list[Any] = []
        # Agents end each reply with a newline, which no string holds.
        if end := data.rfind(b"\n") + 1:
            values = self._release(data[:end])
            data = data[end:]
        if not data:
            return values
        if (
            data[-1] in _WITHIN
            and self._length + len(data) <= _MOST
            and (self._held or self._splitter.idle)
        ):
            self._held.append(data)
            self._length += len(data)
            return values
        return values + self._release(data)

    def _release(self, data: bytes) -> "list[Any]":
        if self._held:
            data = b"".join((*self._held, data))
            self._held.clear()
            self._length = 0
        return self._splitter.feed(data)
