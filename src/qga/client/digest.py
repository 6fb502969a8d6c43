"""The checksum of what is copied, made beside the copying. For `flows.moving`.

Long pieces are hashed by a thread, which leaves Python's lock alone meanwhile: so it takes another
processor's time, and none of an event loop's.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    Pieces: TypeAlias = SimpleQueue[bytes | memoryview | None]

# Shorter pieces are hashed sooner than handed over.
_LONG = 1 << 18

# How many pieces may wait, which keeps them in memory.
_WAITING = 8


class Digest:
    """SHA-256 of pieces, which nobody changes until `hex` has been asked for."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._thread: _Thread | None = None

    def update(self, piece: bytes | memoryview) -> None:
        """Add *piece*."""
        if self._thread is None:
            if len(piece) < _LONG:
                self._hash.update(piece)
                return
            self._thread = _Thread(self._hash)
            # Also when the copying is given up.
            weakref.finalize(self, self._thread.pieces.put, None)
            self._thread.start()
        self._thread.add(piece)

    def hex(self) -> str:
        """The checksum of all so far, in hexadecimal."""
        if self._thread is not None:
            self._thread.finish()
            self._thread = None
        return self._hash.hexdigest()


class _Thread(threading.Thread):
    """Hashes pieces until it is given None."""

    def __init__(self, digest: hashlib._Hash) -> None:
        super().__init__(name="qga checksum", daemon=True)
        self.pieces: Pieces = SimpleQueue()
        self._room = threading.Semaphore(_WAITING)
        self._digest = digest

    def add(self, piece: bytes | memoryview) -> None:
        self._room.acquire()
        self.pieces.put(piece)

    def finish(self) -> None:
        self.pieces.put(None)
        self.join()

    def run(self) -> None:
        while (piece := self.pieces.get()) is not None:
            self._digest.update(piece)
            self._room.release()
