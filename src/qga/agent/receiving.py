"""Reads from a client's socket, or a port, in parts of a size that fits. Used by `connection`."""

import os

from .gathering import Gathering, begins
from .pages import PAGE, Pages

# Most requests are little, and Python has memory for little at hand. When more comes, there is room
# for one to write 64 KiB, which is 88 KB of text: as a whole it takes the quick way.
_LITTLE, _LARGE = 448, 128 * 1024


class Receiving:
    """Reads what is there.

    Args:
        fd: the descriptor, not blocking.
        is_port: it is a port, which hands over one page at a time.
    """

    __slots__ = ("_fd", "_gathering", "_is_port", "_little", "_pages", "_room")

    def __init__(self, fd: int, *, is_port: bool) -> None:
        self._fd = fd
        self._is_port = is_port
        self._room = self._little = PAGE if is_port else _LITTLE
        self._pages: Pages | None = None
        self._gathering: Gathering | None = None

    def read(self, idle: bool) -> "bytes | None":  # noqa: FBT001 - for each request
        """What has come, which the next call may overwrite; b"" at the end.

        Args:
            idle: whether a request begins here.

        Returns: None when there will be more of it soon.

        Raises:
            BlockingIOError: there is nothing now.
            OSError: it cannot be read.
        """
        gathering = self._gathering
        if gathering is not None:
            found = gathering.read(self._fd)
            if gathering.over:
                self._gathering = None
            return found
        data = os.read(self._fd, self._room)
        if len(data) < self._room:
            if len(data) < self._little:
                self._room = self._little
            return data
        data = self._add_more(data)
        if idle and len(data) >= _LARGE and not self._is_port and begins(data, len(data)):
            self._gathering = Gathering(data)
            return None
        return data

    def _add_more(self, data: bytes) -> bytes:
        """As much was there as was asked for, which is seldom all: add what is behind it."""
        try:
            if self._is_port:
                if self._pages is None:
                    self._pages = Pages(_LARGE - PAGE)
                return data + self._pages.read(self._fd)
            if self._room == _LARGE:
                return data
            self._room = _LARGE
            return data + os.read(self._fd, _LARGE)
        except BlockingIOError:
            return data
