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

# Of each spelling: before the name, before the arguments and their only name, behind that, the end.
_SPELLINGS = (
    ('{"execute": "', '", "arguments": {"', '": ', "}}"),
    ('{"execute":"', '","arguments":{"', '":', "}}"),
)
_LINE_ENDS = "", "\n"

_DIGITS, _ZERO = b"0123456789", 0x30

# Longer ones may be too large.
_LONGEST = 18


class Known:
    """What has been learnt; that something is not known says nothing about it.

    `whole` has the commands without arguments, by all of their bytes.
    """

    def __init__(self) -> None:
        self.whole: dict[bytes, Found] = {}
        # By what is around the number: what makes the command, and where the number is.
        self._numbered: dict[bytes, tuple[Entry, Callable[[int], Any], int, int]] = {}
        self._learnt: set[str] = set()

    def learn(self, entry: "Entry", arguments: "dict[str, Any]", command: "Any") -> None:
        """*entry* was asked for with *arguments*, which makes *command*."""
        if entry.name in self._learnt:
            return
        self._learnt.add(entry.name)
        one = of_one_integer(entry.command)
        for first, second, third, fourth in _SPELLINGS:
            for line_end in _LINE_ENDS:
                if not arguments:
                    text = first + entry.name + '"}' + line_end
                    self.whole[text.encode()] = entry, command
                elif one is not None:
                    wire, make = one
                    before = first + entry.name + second + wire + third
                    behind = fourth + line_end
                    around = entry, make, len(before), -len(behind)
                    self._numbered[(before + behind).encode()] = around

    def numbered(self, data: bytes) -> "Found | None":
        """The command that *data* is, if it is known but for a number in it."""
        found = self._numbered.get(data.translate(None, _DIGITS))
        if found is None:
            return None
        entry, make, start, end = found
        # There are as many of them as there are bytes in this place.
        digits = data[start:end]
        if digits.isdigit() and len(digits) <= _LONGEST and (digits[0] != _ZERO or digits == b"0"):
            return entry, make(int(digits))
        return None
