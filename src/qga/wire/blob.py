"""A long string of a message, decoded from base64 while it arrives.

The splitter makes one for each string that is longer than `THRESHOLD`; the codec takes the bytes
from it when the message is complete. Whether the string is base64 at all is not known before: as
long as it looks so, the decoded bytes are kept (a quarter less, and nothing is left to decode at
the end); at the first piece that does not, the text is restored and kept from there on.
"""

from . import base64
from .buffer import Buffer

# Strings above this are cut out of the message's text, so that no JSON decoder sees megabytes.
THRESHOLD = 4096

# Decoding has a fixed price for each call, and a virtio port hands over 4 KiB at a time.
_GATHER = 96 * 1024

# A piece of this length is worth a call of its own, which looks at each byte of it but the last.
AT_ONCE = 16 * 1024


class Blob:
    """One string value; `data` are the bytes that its base64 text stands for, at its end.

    Args:
        quote: the quote that encloses it in the message.
        limit: how many characters it may have.
    """

    __slots__ = ("_decoded", "_is_text", "_limit", "_quote", "_raw", "data")

    def __init__(self, quote: bytes, limit: int) -> None:
        self._quote = quote
        # In bytes; and room for a piece with which the message turns out to be too long.
        self._limit = limit * 3 // 4 + _GATHER
        self._raw = bytearray()  # not decoded yet
        self._decoded = Buffer(self._limit)
        self._is_text = False
        self.data: bytes | memoryview = b""

    @classmethod
    def of(cls, text: "bytes | memoryview") -> "Blob | None":
        """A string that is there as a whole; None if it is not plain base64."""
        data = _plain(text)
        if data is None:
            return None
        blob = cls.__new__(cls)
        blob.data = data
        return blob

    def take(self, piece: bytes) -> bool:
        """Take the next piece of the JSON string's text, without its quotes, if all is base64.

        Whether it is may show later: True says only that nothing is in it that ends a message.
        """
        if self._is_text:
            return False
        if len(piece) >= AT_ONCE or (len(piece) >= 4 and len(self._raw) + len(piece) >= _GATHER):
            return self._decode(piece)
        if b"\n" in piece or not piece.isascii():
            return False
        self._raw += piece
        return True

    def _decode(self, piece: bytes) -> bool:
        # What was left before becomes whole groups. The last group is left for the end: only there
        # may padding stand.
        missing = -len(self._raw) % 4
        first = self._raw + piece[:missing]
        end = missing + ((len(piece) - missing - 1) & ~3)
        rest = piece[end:]
        if b"\n" in rest or not rest.isascii():
            return False
        try:
            chunks = (
                base64.decode_strict(first),
                base64.decode_strict(memoryview(piece)[missing:end]),
            )
        except ValueError:
            return False
        if 4 * sum(map(len, chunks)) != 3 * (len(first) + end - missing):
            return False  # there is padding
        for chunk in chunks:
            self._decoded.append(chunk)
        self._raw = bytearray(rest)
        return True

    def take_text(self, piece: bytes) -> None:
        """Take the next piece, which is not base64."""
        if not self._is_text:
            self._become_text()
        self._raw += piece

    def _become_text(self) -> None:
        self._raw = bytearray(base64.encode(self._decoded.data)) + self._raw
        self._decoded = Buffer(self._limit)
        self._is_text = True

    def finish(self) -> "bytes | None":
        """The string is complete: return its JSON text when that is not plain base64."""
        if not self._is_text:
            rest = _plain(self._raw)
            if rest is not None:
                self._decoded.append(rest)
                self._raw = bytearray()
                self.data = self._decoded.data
                return None
            self._become_text()
        return self._quote + self._raw + self._quote

    @property
    def text(self) -> str:
        """The string itself."""
        return base64.encode(self.data).decode("ascii")


def _plain(text: "bytes | bytearray | memoryview") -> "bytes | None":
    """What *text* stands for; None if it is not base64, or not what encoding that would give."""
    try:
        data = base64.decode_strict(text)
        # Bits that stand for nothing would be lost: encoding makes zeros of them.
        last = bytes(text[-4:])
        if last.endswith(b"=") and base64.encode(base64.decode_strict(last)) != last:
            return None
    except ValueError:
        return None
    return data
