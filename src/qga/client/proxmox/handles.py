"""Open files of the guest, which the API does not know: their handles are made up here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from qga.errors import BadArgument

if TYPE_CHECKING:
    from typing import Any

# Modes of fopen(), and what each allows: reading, writing, appending.
_MODES = {
    "r": (True, False, False),
    "r+": (True, True, False),
    "w": (False, True, False),
    "w+": (True, True, False),
    "a": (False, True, True),
    "a+": (True, True, True),
}


@dataclass
class Handle:
    """An open file: its name, and where we are in it.

    Attributes:
        path: its full path in the guest.
        mode: one of fopen's six, without the b.
        position: where the next read or write is.
        whole: all that was written, while the API's `file-write` can still write it at once; None
            when it has become more, or the file is not one of mode w.
        fixed: all of the file as it was, where the API's `file-read` can only give that.
    """

    path: str
    mode: str
    position: int = 0
    whole: bytes | None = None
    fixed: bytes | None = None

    @property
    def readable(self) -> bool:
        return _MODES[self.mode][0]

    @property
    def writable(self) -> bool:
        return _MODES[self.mode][1]

    @property
    def appends(self) -> bool:
        return _MODES[self.mode][2]


class Handles:
    """The open files of one machine."""

    def __init__(self) -> None:
        self._open: dict[int, Handle] = {}
        self._numbers = count(1000)

    def add(self, handle: Handle) -> int:
        """Give *handle* a number."""
        number = next(self._numbers)
        self._open[number] = handle
        return number

    def find(self, number: Any) -> Handle:
        """The file with that number."""
        try:
            return self._open[number]
        except KeyError:
            raise _unknown(number) from None

    def remove(self, number: Any) -> Handle:
        """Forget the file with that number."""
        try:
            return self._open.pop(number)
        except KeyError:
            raise _unknown(number) from None


def _unknown(number: Any) -> BadArgument:
    return BadArgument(f"handle '{number}' has not been found")


def plain_mode(mode: Any) -> str:
    """One of fopen's six modes, for one of its fifteen."""
    plain = str(mode or "r").replace("b", "", 1)
    if plain not in _MODES:
        raise BadArgument(f"invalid file open mode '{mode}'")
    return plain
