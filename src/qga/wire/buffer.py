"""Bytes that come bit by bit and are wanted as a whole.

Used by `blob` for what a message brings, and by the agent for what programs print.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap

# Above this the bytes move to a mapping of their own: it never moves again while it grows, has huge
# pages where the kernel gives them, and goes back to the system as a whole.
_MAPPED = 1 << 20

# Shorter chunks are put together: each would cost more than what is in it.
_SHORT = 4096


class Buffer:
    """Bytes that grow at their end.

    Args:
        limit: how many there will be at most.
    """

    __slots__ = ("_chunks", "_length", "_limit", "_mapping")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Joined when they are asked for: one array that grows would be copied again and again.
        self._chunks: list[bytes | bytearray] = []
        self._mapping: mmap.mmap | None = None
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, chunk: bytes) -> None:
        """Put *chunk* at the end; not any more when `data` was asked for."""
        length = self._length + len(chunk)
        if self._mapping is not None:
            self._mapping[self._length : length] = chunk
        else:
            self._keep(chunk)
            if length > _MAPPED:
                self._map()
        self._length = length

    def _keep(self, chunk: bytes) -> None:
        chunks = self._chunks
        if len(chunk) >= _SHORT:
            chunks.append(chunk)
        elif chunks and type(chunks[-1]) is bytearray and len(chunks[-1]) < _SHORT:
            chunks[-1] += chunk
        else:
            chunks.append(bytearray(chunk))

    def _map(self) -> None:
        import mmap  # few need it

        try:
            # Room for all that may come: pages that are not touched cost nothing. Private: memory
            # that could be shared seldom gets huge pages.
            mapping = mmap.mmap(-1, self._limit, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError:  # no address space
            return
        try:
            mapping.madvise(mmap.MADV_HUGEPAGE)
        except (OSError, AttributeError):
            pass  # not in this kernel, nor any but Linux
        for chunk in self._chunks:
            mapping.write(chunk)
        self._chunks = []
        self._mapping = mapping

    @property
    def data(self) -> memoryview:
        """All of them."""
        if self._mapping is not None:
            return memoryview(self._mapping)[: self._length]
        whole = b"".join(self._chunks)
        self._chunks = [whole]
        return memoryview(whole)
