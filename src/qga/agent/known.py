"""Requests that are known by their bytes, so that nobody has to look at their JSON. For `dispatch`.

Most of what hosts ask all the time is the same each time, or the same but for a number: an id to
sync by, a handle, a pid. Each has two usual spellings, those of libvirt and of Python.
"""

from qga.protocol.codec import of_one_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .dispatch import Deferred, Dispatcher, Entry, Reply

    Found = tuple[Entry, Any]

# Of each spelling: before the name, and before the arguments.
_SPELLINGS = (
    ('{"execute": "', '", "arguments": {'),
    ('{"execute":"', '","arguments":{'),
)
_LINE_ENDS = "", "\n"

_ZERO = 0x30

# What these return is the number that they were given: so it is sent back as it came.
_ECHOES = frozenset(("guest-sync", "guest-sync-delimited"))

# What a client asks again and again in the same words, while it reads a file or the like.
_REPEATED = frozenset(("guest-file-open", "guest-file-read", "guest-file-seek"))

# Longer ones may be too large.
_LONGEST = 18

# More than the name of any command and what is around it.
LONGEST_KNOWN = 80

_SPACE = b" \t\r\n"
# As many are skipped before and behind a known request; more are left to the splitter.
_BLANKS = 4


class Known:
    """What has been learnt; that something is not known says nothing about it.

    `whole` has the commands without arguments, by all of their bytes; `last` is the one before this
    one, if that may be repeated, in its bytes, and `again` what it was.
    """

    def __init__(self) -> None:
        self.whole: dict[bytes, Found] = {}
        # By what is before the last colon: what makes the command; None for what is an echo.
        self._numbered: dict[bytes, tuple[Entry, Callable[[int], Any] | None]] = {}
        self.last: bytes | None = None
        self.again: Found | None = None
        self._learnt: set[str] = set()

    def learn(self, entry: "Entry", arguments: "dict[str, Any]", command: "Any") -> None:
        """*entry* was asked for with *arguments*, which makes *command*."""
        if entry.name in self._learnt:
            return
        self._learnt.add(entry.name)
        one = of_one_integer(entry.command)
        for first, second in _SPELLINGS:
            if not arguments:
                for rest in ('"}', second + "}}"):
                    for line_end in _LINE_ENDS:
                        text = first + entry.name + rest + line_end
                        self.whole[text.encode()] = entry, command
            elif one is not None:
                wire, make = one
                text = f'{first}{entry.name}{second}"{wire}"'
                self._numbered[text.encode()] = entry, None if entry.name in _ECHOES else make

    def remember(self, data: bytes, entry: "Entry", command: "Any") -> None:
        """*data* was a request for *command*."""
        if entry.name in _REPEATED:
            self.last, self.again = data, (entry, command)

    def numbered(self, data: bytes) -> "Found | None":
        """The command that *data* is, if it is known but for a number in it.

        In place of a command that returns its number, this number as bytes.
        """
        before, _, behind = data.rpartition(b":")
        found = self._numbered.get(before)
        if found is None:
            return None
        if behind.endswith(b"}}\n"):
            digits = behind[:-3].lstrip(b" ")
        elif behind.endswith(b"}}"):
            digits = behind[:-2].lstrip(b" ")
        else:
            return None
        if digits.isdigit() and len(digits) <= _LONGEST and (digits[0] != _ZERO or digits == b"0"):
            entry, make = found
            return entry, digits if make is None else make(int(digits))
        return None


class Row:
    """Requests in a row, as they were received.

    Args:
        data: the row.
        left: how many of them may be answered.

    Attributes:
        at: how far they have been.
    """

    __slots__ = ("at", "data", "left")

    def __init__(self, data: bytes, left: int) -> None:
        self.data = data
        self.left = left
        self.at = 0

    def answer(
        self, dispatcher: "Dispatcher", out: "list[bytes | memoryview]"
    ) -> "Deferred | Iterator[bytes] | None":
        """Answer those that are known, up to one that is not; return a reply that is no text.

        Args:
            dispatcher: answers.
            out: gets the replies.
        """
        data, at, left, end = self.data, 0, self.left, len(self.data)
        known, reply_to = dispatcher.known.whole, dispatcher.answer_known
        later: Deferred | Iterator[bytes] | None = None
        try:
            while left and later is None:
                blanks = min(at + _BLANKS, end)
                while at < blanks and data[at] in _SPACE:
                    at += 1
                brace = data.find(b"}", at, at + LONGEST_KNOWN) + 1
                found = known.get(data[at:brace])
                if found is None:
                    break
                following = brace
                blanks = min(brace + _BLANKS, end)
                while following < blanks and data[following] in _SPACE:
                    following += 1
                request = data[at:following]
                while left and later is None and data.startswith(request, at):  # again and again
                    left -= 1
                    at += len(request)
                    reply: Reply | Deferred | Iterator[bytes] = reply_to(*found)
                    if isinstance(reply, list):
                        out += reply
                    else:
                        later = reply
        finally:
            self.at, self.left = at, left
        return later
