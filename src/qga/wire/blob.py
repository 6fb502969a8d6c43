"""A long string of a message, decoded from base64 while it arrives.

The splitter makes one for each string that is longer than `THRESHOLD`; the codec takes the bytes
from it when the message is complete. Whether the string is base64 at all is not known before: as
long as it looks so, the decoded bytes are kept (a quarter less, and nothing is left to decode at
the end); at the first piece that does not, the text is restored and kept from there on.
"""

import mmap

from . import base64

# Strings above this are cut out of the message's text, so that no JSON decoder sees megabytes.
THRESHOLD = 4096

# Decoding has a fixed price for each call, and a virtio port hands over 4 KiB at a time.
_GATHER = 96 * 1024

# Above this the bytes move to a mapping of their own: it never moves again while it grows, has huge
# pages where the kernel gives them, and goes back to the system as a whole.
_MAPPED = 1 << 20
_HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux alone has them


class Blob:
    """One string value; `data` are the bytes that its base64 text stands for.

    Args:
        quote: the quote that encloses it in the message.
        limit: how many characters it may have.
    """

    __slots__ = ("_decoded", "_is_text", "_length", "_limit", "_quote", "_raw")

    def __init__(self, quote: bytes, limit: int) -> None:
        self._quote = quote
        self._limit = limit
        self._raw = bytearray()  # not decoded yet
        self._decoded: bytearray | mmap.mmap = bytearray()
        self._length = 0
        self._is_text = False

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the JSON string's text, without its quotes."""
        if self._is_text or len(self._raw) + len(piece) < _GATHER:
            self._raw += piece
            return
        if self._raw:
            self._raw += piece
            piece = bytes(self._raw)
        # The last group is left for the end: only there may padding stand.
        length = (len(piece) - 1) & ~3
        self._raw = bytearray(piece[length:])
        self._decode(piece[:length])

    def _decode(self, text: bytes) -> None:
        try:
            chunk = base64.decode_strict(text)
        except ValueError:
            chunk = b""
        if 4 * len(chunk) == 3 * len(text):
            self._store(chunk)
        else:  # not base64, or padding before the end
            self._raw[:0] = base64.encode(self.data) + text
            self._become_text()

    def _store(self, chunk: bytes) -> None:
        length = self._length + len(chunk)
        if isinstance(self._decoded, bytearray):
            self._decoded += chunk
            if length > _MAPPED:
                self._decoded = _mapped(self._decoded, self._limit)
        else:
            self._decoded[self._length : length] = chunk
        self._length = length

    def _become_text(self) -> None:
        self._decoded = bytearray()
        self._length = 0
        self._is_text = True

    def finish(self) -> "bytes | None":
        """The string is complete: return its JSON text when that is not plain base64."""
        if not self._is_text:
            raw = bytes(self._raw)
            chunk = b""
            try:
                chunk = base64.decode_strict(raw)
                # Bits that stand for nothing would be lost: `text` has zeros for them.
                plain = base64.encode(base64.decode_strict(raw[-4:])) == raw[-4:]
            except ValueError:
                plain = False
            if plain:
                self._store(chunk)
                self._raw = bytearray()
                return None
            self._raw[:0] = base64.encode(self.data)
            self._become_text()
        return self._quote + self._raw + self._quote

    @property
    def data(self) -> memoryview:
        """The bytes that the string stands for."""
        return memoryview(self._decoded)[: self._length]

    @property
    def text(self) -> str:
        """The string itself."""
        return base64.encode(self.data).decode("ascii")


def _mapped(start: bytearray, limit: int) -> "bytearray | mmap.mmap":
    try:
        # Room for the longest: pages that are not touched cost nothing.
        size = max(limit * 3 // 4, 2 * len(start)) + _GATHER
        # Private: memory that could be shared seldom gets huge pages.
        mapping = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:  # no address space
        return start
    if _HUGE_PAGES is not None:
        try:
            mapping.madvise(_HUGE_PAGES)
        except OSError:
            pass  # not in this kernel
    mapping[: len(start)] = bytes(start)
    return mapping
