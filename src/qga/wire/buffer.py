"""Bytes that come bit by bit and are wanted as a whole.

Used by `blob` for what a message brings, and by the agent for what programs print.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap

# Above this the bytes move to a mapping of their own: it never moves again while it grows, has huge
# pages where the kernel gives them, and goes back to the system as a whole.
_MAPPED = 1 << 20


class Buffer:
    """Bytes that grow at their end.

    Args:
        limit: how many there will be at most.
    """

    __slots__ = ("_bytes", "_length", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes: bytearray | mmap.mmap = bytearray()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, chunk: bytes) -> None:
        """Put *chunk* at the end; not any more when `data` was asked for."""
        length = self._length + len(chunk)
        if isinstance(self._bytes, bytearray):
            self._bytes += chunk
            if length > _MAPPED:
                self._bytes = _mapped(self._bytes, self._limit)
        else:
            self._bytes[self._length : length] = chunk
        self._length = length

    @property
    def data(self) -> memoryview:
        """All of them."""
        return memoryview(self._bytes)[: self._length]


def _mapped(start: bytearray, limit: int) -> "bytearray | mmap.mmap":
    import mmap  # few need it

    try:
        # Room for all that may come: pages that are not touched cost nothing. Private: memory that
        # could be shared seldom gets huge pages.
        mapping = mmap.mmap(-1, limit, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:  # no address space
        return start
    try:
        mapping.madvise(mmap.MADV_HUGEPAGE)
    except (OSError, AttributeError):
        pass  # not in this kernel, nor any but Linux
    mapping[: len(start)] = bytes(start)
    return mapping
