"""Finds the messages in a byte stream that has no framing.

A message ends where its braces and brackets balance; newlines are plain white space. Fed by the
agent with requests and by the client with replies; one `Splitter` for each connection, or for each
port where there are no connections.

Two paths lead to the same result. A request that arrived whole, with others behind it or not, is
scanned by the C decoder (`_whole`). Anything else goes through a scanner that keeps its state
between pieces, never looks at a byte twice and searches the inside of strings at the speed of
memchr; there, strings of more than a few KiB become a `Blob` (`_scan`).

Like QEMU's lexer it counts braces and brackets separately, and 0xFF or any byte that no token can
hold drops what is pending and is answered with one error. Unlike it, what follows such a
byte on the same line is skipped up to the next `{`, a run of 0xFF counts as one, and a message
beyond the limits costs one error: no cascades.
"""

import sys

from qga.errors import CommandError

from . import bulk, garbage, message, quoting, strict, whole
from .blob import AT_ONCE, THRESHOLD, Blob
from .nesting import FLATTENED, Nesting, flattened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# QEMU's limits for one message. The room above 64 MiB lets a file be written back in the pieces in
# which it can be read: 48 MiB are 64 MiB of base64, to which the rest of the request comes.
SIZE_LIMIT = (64 << 20) + (64 << 10)
TOKEN_LIMIT = 2 << 20
DEPTH_LIMIT = 1024

# How far it is looked ahead for a quote: many small messages that arrive in one piece must not each
# cost a search through all of the others.
_AHEAD = 1024
# In a message that has just begun; it may be over soon.
_FIRST = 64

_RESET, _NEWLINE, _BACKSLASH = 0xFF, 0x0A, 0x5C
_BRACE, _BRACKET = b"{["
_OPENING = b"{["
_SPACE = b" \t\r\n"
_STRUCTURE = b"{}[]:,"
_WORD = b"abcdefghijklmnopqrstuvwxyz0123456789+-.E"
_LEGAL_OUTSIDE = _SPACE + _STRUCTURE + _WORD
_LEGAL_INSIDE = bytes(range(0x20, 0xFE))
_LEGAL_IN_BLOB = bytes(byte for byte in range(0xFE) if byte != _NEWLINE)
_STRUCTURE_TO_SPACE = bytes.maketrans(_STRUCTURE, b" " * len(_STRUCTURE))
_QUOTES = b"\"'"


class Splitter:
    """Turns pieces of a stream into decoded values and, for what is not JSON, `CommandError`s."""

    __slots__ = (
        "_blob", "_blobs", "_cleared", "_discarding", "_escaped", "_events", "_harmless",
        "_length", "_nesting", "_parts", "_quote", "_size", "_size_limit", "_skipping", "_text",
        "_tokens", "idle",
    )  # fmt: skip

    def __init__(self, size_limit: int = SIZE_LIMIT) -> None:
        self._size_limit = size_limit
        # A message of no more characters than this breaks none of the limits.
        self._harmless = min(size_limit // 4, TOKEN_LIMIT, 2 * DEPTH_LIMIT)
        self._events: list[Any] = []
        self._skipping = False  # the rest of a line whose lexical error has been answered
        self._cleared = False  # by a 0xFF just before: a run of them is one reset
        self._reset()

    def _reset(self) -> None:
        self.idle = not (self._skipping or self._cleared)
        self._nesting = Nesting()
        self._quote = 0  # the quote that ends the string we are in
        self._length = 0  # how much of that string there is so far
        self._escaped = False  # its last byte so far was an unpaired backslash
        self._text = bytearray()  # of the message since the last blob
        self._parts: list[bytearray] = []  # the text before each blob
        self._blobs: list[Blob | str] = []
        self._blob: Blob | None = None  # the one being filled
        self._discarding = False  # the message broke a limit; find its end
        self._size = self._tokens = 0

    def reset(self) -> None:
        """Forget what is pending."""
        self._skipping = self._cleared = False
        self._reset()

    def feed(self, data: bytes) -> "list[Any]":
        """Take the next *data*; return what it completes, in order.

        Each item is a decoded JSON value, in which strings of more than 4096 characters may be
        `Blob`s, or a `CommandError` that describes input that is not JSON.
        """
        if self.idle and data[:1] in (b"{", b"["):
            return self._whole(data)
        return self._scan(data)

    def _whole(self, data: bytes) -> "list[Any]":
        if THRESHOLD < len(data) <= self._size_limit:
            value = message.mostly_base64(data, self._harmless)
            if value is not None:
                return [value]
        values, length = whole.messages(data, self._harmless, self._must_count)
        if length < len(data):
            values += self._scan(data[length:], stuck=0)
        return values

    def _must_count(self, decoded: str, start: int, stop: int) -> bool:
        """Whether the message from *start* to *stop* may break a limit; `_scan` knows."""
        return (
            stop - start > min(self._size_limit // 4, TOKEN_LIMIT)
            or decoded.count("{", start, stop) + decoded.count("[", start, stop) > DEPTH_LIMIT
        )

    def _scan(self, data: bytes, stuck: int = -1) -> "list[Any]":
        """The way for everything.

        It leads back to the quick one where a message begins, but at *stuck*. What the quick one is
        given grows with how far it was to there: it may be left again after each message.
        """
        events: list[Any] = []
        self._events = events
        at, end = 0, len(data)
        last = 0  # where the quick way was tried before
        tried = False
        while at < end:
            if self._quote:
                at = self._string(data, at)
            elif self._nesting.depth:
                if not tried:  # once: what is in the way may be far behind
                    tried = True
                    at = self._strings(data, at)
                    if at == end:
                        break
                at = self._outside(data, at)
            elif self._text or self._discarding:
                at = self._word(data, at)
            elif at != stuck and self.idle and data[at] in _OPENING:
                window, last = max(_AHEAD, 2 * (at - last)), at
                values, length = whole.messages(
                    data[at : at + window], self._harmless, self._must_count
                )
                events += values
                stuck = at = at + length
            else:
                at = self._between(data, at)
        self._events = []  # what they hold may be large, and the next message far off
        return events

    # Between messages.

    def _between(self, data: bytes, at: int) -> int:
        byte = data[at]
        if byte == _RESET and self._cleared:
            return at + _run(data, at, b"\xff")
        self._cleared = False
        if byte == _BRACE or (byte == _BRACKET and not self._skipping):
            self.idle = False
            return self._outside(data, at, _FIRST)
        if byte in _SPACE:
            end = at + _run(data, at, _SPACE)
            if self._skipping and data.find(_NEWLINE, at, end) >= 0:
                self._skipping = False
            self.idle = not self._skipping
            return end
        if self._skipping and byte != _RESET:
            end = min(at + _AHEAD, len(data))
            ends = (data.find(mark, at, end) for mark in (_BRACE, _NEWLINE, _RESET))
            return min((found for found in ends if found >= 0), default=end)
        if byte in _STRUCTURE:
            self._events.append(garbage.EXPECTING_VALUE)
            return at + 1
        if byte in _QUOTES:
            self.idle = False
            return self._open_string(byte, at)
        if byte in _WORD and byte not in b"+.E":
            return self._first_word(data, at)
        self._events.append(garbage.stray(byte))
        self._ignore_line_after(byte)
        return at + 1

    def _first_word(self, data: bytes, at: int) -> int:
        end = at + _run(data, at, _WORD)
        if end < min(at + _AHEAD, len(data)) and end - at <= self._harmless:
            self._events.append(garbage.word(data[at:end]))
            return end
        self.idle = False
        return self._word(data, at)

    def _word(self, data: bytes, at: int) -> int:
        """Take a number or keyword that stands alone; the first byte that is neither ends it."""
        end = at + _run(data, at, _WORD)
        self._grow(data[at:end])
        if end < min(at + _AHEAD, len(data)):
            self._finish()
        return end

    # Inside of a message, outside of strings.

    def _outside(self, data: bytes, at: int, ahead: int = _AHEAD) -> int:
        end = quoting.next_quote(data, at, min(at + ahead, len(data)))
        segment = data[at:end]
        foreign = segment.translate(None, _LEGAL_OUTSIDE)
        if foreign:
            segment = segment[: segment.index(foreign[0])]
            end = at + len(segment)
        length, too_deep = self._nesting.follow(segment, self._deepest())
        if too_deep:
            self._discard(CommandError("JSON nesting depth limit exceeded"))
        if length:
            segment = segment[:length]
        self._count(segment)
        self._grow(segment)
        if length:
            self._finish()
            return at + length
        if foreign:
            return self._lexical_error(data, end)
        if end < len(data) and data[end] in _QUOTES:
            return self._open_string(data[end], end)
        return end

    def _strings(self, data: bytes, at: int) -> int:
        """Take many short strings, and what is between them, at once; return where to go on."""
        found = bulk.short_strings(data, at, THRESHOLD)
        if found is None:
            return at
        end, outside, strings = found
        if (
            outside.translate(None, _LEGAL_OUTSIDE)
            or b"".join(strings).translate(None, _LEGAL_INSIDE)
            or not self._nesting.follow_at_once(flattened(outside), self._deepest(), FLATTENED)
        ):
            return at
        self._count(outside)
        self._tokens += len(strings)
        self._grow(data[at:end])
        return end

    def _count(self, segment: bytes) -> None:
        """Count the tokens of *segment*."""
        self._tokens += len(segment) - len(segment.translate(None, _STRUCTURE))
        self._tokens += len(segment.translate(_STRUCTURE_TO_SPACE).split())
        if segment and segment[0] in _WORD and self._text and self._text[-1] in _WORD:
            self._tokens -= 1  # a word that began before *data*

    def _deepest(self) -> int:
        """How deep the message may be: any depth, where it is discarded."""
        return sys.maxsize if self._discarding else DEPTH_LIMIT

    # Inside of a string.

    def _open_string(self, quote: int, at: int) -> int:
        self._tokens += 1
        self._grow(bytes((quote,)))
        self._quote = quote
        self._length = 0
        return at + 1

    def _string(self, data: bytes, at: int) -> int:
        end = self._string_end(data, at)
        segment = data[at:end]
        if not self._base64(segment):
            foreign = self._foreign_inside(segment)
            if foreign:
                end = at + segment.index(foreign)
                self._escaped = False
                segment = data[at:end]
            self._grow(segment)
            self._length += len(segment)
            if foreign:
                return self._lexical_error(data, end)
        if end == len(data):
            return end
        self._close_string()
        return end + 1

    def _base64(self, segment: bytes) -> bool:
        """Take *segment* if it goes on with base64, or begins: then nothing in it is foreign."""
        blob, size = self._blob, self._size + len(segment)
        begins = blob is None and not self._length and len(segment) >= AT_ONCE
        if begins and not self._discarding:
            blob = Blob(bytes((self._quote,)), self._size_limit)
        if blob is None or size > self._size_limit or not blob.take(segment):
            return False
        if begins:
            self._cut_out(blob, len(self._text) - 1)
            self._length = len(segment)
        self._size = size
        return True

    def _foreign_inside(self, segment: bytes) -> bytes:
        """The first bytes of *segment* that no string can hold; none if there are no such."""
        foreign = b""
        if self._length < THRESHOLD:
            foreign = segment[: THRESHOLD - self._length].translate(None, _LEGAL_INSIDE)
        # The alphabet of a blob is checked when it is decoded; only what resets must not wait.
        if not foreign and (_NEWLINE in segment or not segment.isascii()):
            foreign = segment.translate(None, _LEGAL_IN_BLOB)
        return foreign[:1]

    def _string_end(self, data: bytes, at: int) -> int:
        """Where the quote is that ends the string, or the end of *data*."""
        start = at + self._escaped
        self._escaped = False
        while True:
            end = data.find(self._quote, start)
            stop = len(data) if end < 0 else end
            escaped = False
            if stop > start and data[stop - 1] == _BACKSLASH:
                segment = data[start:stop]
                escaped = (len(segment) - len(segment.rstrip(b"\\"))) % 2 == 1
            if end < 0:
                self._escaped = escaped
                return stop
            if not escaped:
                return end
            start = quoting.after_escaped(data, end + 1, self._quote)

    def _close_string(self) -> None:
        quote, self._quote = self._quote, 0
        if self._blob is None:
            self._grow(bytes((quote,)))
        else:
            blob, self._blob = self._blob, None
            plain = blob.finish()
            try:
                self._blobs.append(blob if plain is None else message.string(plain))
            except CommandError as error:
                self._discard(error.with_traceback(None))
        if not self._nesting.depth:
            self._finish()

    # The message.

    def _grow(self, segment: bytes) -> None:
        if self._discarding:
            return
        self._size += len(segment)
        if self._size > self._size_limit:
            self._discard(CommandError("JSON token size limit exceeded"))
        elif self._tokens > TOKEN_LIMIT:
            self._discard(CommandError("JSON token count limit exceeded"))
        elif self._blob is not None:
            self._blob.take_text(segment)
        elif self._quote and self._length + len(segment) > THRESHOLD:
            # The string so far, and the quote before it, leave the text.
            start = len(self._text) - self._length
            blob = Blob(bytes((self._quote,)), self._size_limit)
            beginning = bytes(self._text[start:]) + segment
            if not blob.take(beginning):
                blob.take_text(beginning)
            self._cut_out(blob, start - 1)
        else:
            self._text += segment

    def _cut_out(self, blob: Blob, start: int) -> None:
        """Let *blob* be what the text has from *start* on, and what comes up to the quote."""
        self._blob = blob
        del self._text[start:]
        self._parts.append(self._text)
        self._text = bytearray()

    def _discard(self, error: CommandError) -> None:
        """Report *error*, free what is pending, and follow the message to its end only."""
        self._events.append(error)
        self._discarding = True
        self._text = bytearray()
        self._parts, self._blobs, self._blob = [], [], None

    def _lexical_error(self, data: bytes, at: int) -> int:
        """Report the byte at *at*, drop what is pending and return where to go on."""
        token = self._text[-self._length - 1 :] if self._quote and self._blob is None else b""
        self._events.append(strict.stray(strict.printable(token + data[at : at + 1])))
        self._reset()
        self._ignore_line_after(data[at])
        return at + 1

    def _ignore_line_after(self, byte: int) -> None:
        """What is wrong once is not reported again: the rest of the line, or more of a run of 0xFF.

        What follows 0xFF may be the rest of a request, too, and must not begin a string.
        """
        self._cleared = byte == _RESET
        self._skipping = True
        self.idle = False

    def _finish(self) -> None:
        if not self._discarding:
            try:
                value = message.decode([*self._parts, self._text])
                if self._blobs:
                    value = message.resolve(value, self._blobs)
            except CommandError as error:
                # Thousands may wait for their turn: without the frames that they rose through.
                value = error.with_traceback(None)
            self._events.append(value)
        self._reset()


def _run(data: bytes, at: int, of: bytes) -> int:
    """How many of the next bytes are all among *of*, as far as it is looked ahead."""
    ahead = data[at : at + _AHEAD]
    return len(ahead) - len(ahead.lstrip(of))
