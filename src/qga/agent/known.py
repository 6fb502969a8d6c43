"""Requests that are known by their bytes, so that nobody has to look at their JSON. For `dispatch`.

Most of what hosts ask all the time is the same each time, or the same but for a number: an id to
sync by, a handle, a pid. Each has two usual spellings, those of libvirt and of Python.
"""

from qga.protocol.codec import of_one_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .dispatch import Entry

    Found = tuple[Entry, Any]

_ENDS = b"", b"\n"

# Longer ones may be too large.
_DIGITS = 18


class Known:
    """What has been learnt; that something is not known says nothing about it.

    `whole` has the commands without arguments, by all of their bytes.
    """

    def __init__(self) -> None:
        self.whole: dict[bytes, Found] = {}
        self._numbered: dict[bytes, tuple[Entry, Callable[[int], Any]]] = {}
        self._learnt: set[str] = set()

    def learn(self, entry: "Entry", arguments: "dict[str, Any]", command: "Any") -> None:
        """*entry* was asked for with *arguments*, which makes *command*."""
        if entry.name in self._learnt:
            return
        self._learnt.add(entry.name)
        if not arguments:
            for start in (f'{{"execute": "{entry.name}"}}', f'{{"execute":"{entry.name}"}}'):
                for end in _ENDS:
                    self.whole[start.encode() + end] = entry, command
        elif (one := of_one_integer(entry.command)) is not None:
            wire, make = one
            for start in (
                f'{{"execute": "{entry.name}", "arguments": {{"{wire}"',
                f'{{"execute":"{entry.name}","arguments":{{"{wire}"',
            ):
                self._numbered[start.encode()] = entry, make

    def numbered(self, data: bytes) -> "Found | None":
        """The command that *data* is, if it is known but for a number in it."""
        start, _, end = data.rpartition(b":")
        numbered = self._numbered.get(start)
        if numbered is None:
            return None
        # Two braces close what was opened; blanks may be anywhere between them.
        digits = end.lstrip(b" ").rstrip(b" }\n")
        if (
            not digits.isdigit()
            or len(digits) > _DIGITS
            or (digits[0] == 0x30 and len(digits) > 1)
            or end.count(b"}") != 2
        ):
            return None
        entry, make = numbered
        return entry, make(int(digits))
