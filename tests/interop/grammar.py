"""Random requests for the commands of 2011 and guest-sync-delimited, more or less broken.

Used by `randomly`. What is made here is JSON with QEMU's liberties at `oddness` 0, and the more of
it is wrong the higher that is. It opens no file but those in the agents' own folders.
"""

import random
from collections.abc import Sequence

from tests.interop.case import FOLDER

COMMANDS: dict[str, tuple[str, ...]] = {
    "guest-sync": ("id",),
    "guest-sync-delimited": ("id",),
    "guest-ping": (),
    "guest-info": (),
    "guest-shutdown": ("mode",),
    "guest-file-open": ("path", "mode"),
    "guest-file-close": ("handle",),
    "guest-file-read": ("handle", "count"),
    "guest-file-write": ("handle", "buf-b64", "count"),
    "guest-file-seek": ("handle", "offset", "whence"),
    "guest-file-flush": ("handle",),
    "guest-fsfreeze-status": (),
    "guest-fsfreeze-freeze": (),
    "guest-fsfreeze-thaw": (),
}

INTEGERS = (
    0, 1, -1, 2, 5, 1000, 4096, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1,
    2**64, 2**65, -(2**63), -(2**63) - 1, 10**20, 10**30, (48 << 20) + 1,
)  # fmt: skip
NUMBERS = (
    "-0", "1.0", "1e3", "1E3", "1e+3", "1e-3", "0.5", "-1.5", "0.0", "-0.0", "1e400", "-1e400",
    "1e-400", "5e-324", "0.1", "123456789.123456789", "18446744073709551615.0",
)  # fmt: skip
NO_NUMBERS = (
    "0e0", "-0E1", "00", "01", "-01", "-", "+1", ".5", "-.5", "1.", "1e", "1e+", "0x10", "1_000",
    "NaN", "-Infinity", "--1", "1-1", "1.2.3", "1e5x", "9" * 400,
)  # fmt: skip
WORDS = ("true", "false", "null")
NO_WORDS = ("True", "TRUE", "nul", "nulll", "undefined", "abc", "a1", "true1", "t.", "E")
TEXTS = ("", "a", "guest-ping", "set", "end", "r", "1", "é", "YWJj", "halt", "€", "😀/\"'\\")
ESCAPES = (
    r"\n", r"\"", r"\\", r"\/", r"\b", r"\f", r"\r", r"\t", r"\'", r"\u0041", r"\u00e9",
    r"\ud83d\ude00", r"\u001f", r"\u007f",
)  # fmt: skip
NO_ESCAPES = (
    r"\ud800", r"\udc00", r"\ud800x", r"\ud800\ud800", r"\ud83d\u0041", r"\u12", r"\uwxyz", r"\u",
    r"\x", r"\U0041", r"\0", r"\u 041", r"\u+041", r"\u0_41",
)  # fmt: skip
CHARACTERS = ("a", "0", "é", "€", "😀", "/", " ", "{", "}", "[", "]", ":", ",", "\x7f", "'")
NO_CHARACTERS = (
    b"\xff", b"\xfe", b"\x80", b"\xc3", b"\xc3(", b"\xc1\x81", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xe2\x82", b"\t", b"\n", b"\x01", b'"',
)  # fmt: skip
BLANKS = (b" ", b"\n", b"\t", b"\r\n", b" \n ")
NO_BLANKS = (b"/* */", b"// x\n", b"\x0b", b"\xc2\xa0", b"\xef\xbb\xbf", b"#", b"\xff", b"\\")

Member = tuple[bytes, bytes]


class Grammar:
    """Makes one request after the other.

    Args:
        chance: where the choices come from.
        oddness: how often something is wrong, from 0 to 1.
        handles: of open files.
    """

    def __init__(self, chance: random.Random, oddness: float, handles: Sequence[int]) -> None:
        self._chance = chance
        self._oddness = oddness
        self._handles = handles

    def message(self) -> bytes:
        """A request as a rule, and any value at times."""
        return self.request() if self._often(0.9) else self._value()

    def request(self) -> bytes:
        name = self._chance.choice(list(COMMANDS))
        arguments = [
            (self._string(argument), self._argument(argument))
            for argument in COMMANDS[name]
            if self._often(0.9)
        ]
        if self._often(0.05):
            arguments.append((self._string("x"), self._value()))
        members = [(self._string("execute"), self._rather(self._string(name)))]
        if arguments or self._often(0.3):
            members.append((self._string("arguments"), self._rather(self._object(arguments))))
        if self._often(0.3):
            members.append((self._string("id"), self._value()))
        if self._often(0.04):
            other = self._chance.choice(("control", "exec-oob", "Execute", ""))
            members.append((self._string(other), self._value()))
        if self._often(0.02):
            del members[0]
        self._chance.shuffle(members)
        return self._object(members)

    def _often(self, share: float) -> bool:
        return self._chance.random() < share

    def _odd(self, share: float = 1.0) -> bool:
        return self._chance.random() < self._oddness * share

    def _rather(self, text: bytes) -> bytes:
        return text if self._often(0.97) else self._value()

    def _argument(self, name: str) -> bytes:
        """A value for the argument *name*: one that fits, as often as not."""
        choose = self._chance.choice
        if self._often(0.3):
            # What is no string is no path of a file that is somebody's.
            return choose((b"1", b"null", b"[]", b"{}")) if name == "path" else self._value()
        match name:
            case "path":
                return self._string(f"{FOLDER}/{choose(('hello', 'new', 'none/x', 'folder'))}")
            case "mode":
                return self._string(choose(("r", "rb+", "w+", "a", "zz")))
            case "handle":
                return str(choose((*self._handles, 0, 7))).encode()
            case "whence":
                return choose((b"0", b"1", b"2", b'"set"', b'"cur"', b'"end"', b"3", b'"SET"'))
            case "buf-b64":
                return self._string(choose(("YWJj", "YQ==", "", "YQ", "Y", "Y W", "YWJj\n")))
            case _:
                return str(choose((0, 1, 10, 4096, -1, *INTEGERS))).encode()

    def _value(self, depth: int = 0) -> bytes:
        kind = self._chance.random()
        if kind < 0.3:
            return self._number()
        if kind < 0.6 or depth > 3:
            return self._string()
        if kind < 0.75:
            return self._chance.choice(NO_WORDS if self._odd() else WORDS).encode()
        count = self._chance.randint(0, 3)
        if kind < 0.88:
            return self._array([self._value(depth + 1) for _ in range(count)])
        return self._object([(self._string(), self._value(depth + 1)) for _ in range(count)])

    def _number(self) -> bytes:
        if self._odd(2):
            return self._chance.choice(NO_NUMBERS).encode()
        if self._often(0.6):
            return str(self._chance.choice(INTEGERS)).encode()
        return self._chance.choice(NUMBERS).encode()

    def _array(self, items: Sequence[bytes]) -> bytes:
        return self._enclosed(b"[", [item + self._blanks() for item in items], b"]")

    def _object(self, members: Sequence[Member]) -> bytes:
        members = list(members)
        if members and self._odd(0.3):  # a name twice
            members.append((self._chance.choice(members)[0], self._value(3)))
        if self._odd(0.1):
            members.append((self._value(3), self._value(3)))
        items = []
        for name, value in members:
            colon = self._or_wrong(b":", (b"", b"::", b",", b"="))
            items.append(name + self._blanks() + colon + self._blanks() + value + self._blanks())
        return self._enclosed(b"{", items, b"}")

    def _enclosed(self, opening: bytes, items: Sequence[bytes], closing: bytes) -> bytes:
        text = opening + self._blanks()
        for place, item in enumerate(items):
            if place:
                text += self._or_wrong(b",", (b"", b",,", b":", b";")) + self._blanks()
            text += item
        if self._odd(0.2):
            text += self._chance.choice((b",", b":", b"]", b"[", b"{", b"}"))
        return text + self._or_wrong(closing, (b"", b"]", b"}"))

    def _or_wrong(self, right: bytes, wrong: Sequence[bytes]) -> bytes:
        return self._chance.choice(wrong) if self._odd(0.3) else right

    def _blanks(self) -> bytes:
        if self._often(0.85):
            return b""
        return self._chance.choice(NO_BLANKS if self._odd(0.2) else BLANKS)

    def _string(self, text: str | None = None) -> bytes:
        """*text* as a string, in one of its spellings; by default any one."""
        choose = self._chance.choice
        if text is None and self._often(0.5):
            text = choose(TEXTS)
        if text is None:
            parts = [self._part() for _ in range(self._chance.randint(0, 6))]
        else:
            parts = [self._spelled(char) for char in text]
        if self._odd(0.3):
            parts.insert(self._chance.randint(0, len(parts)), self._part())
        if self._often(0.01):
            parts *= choose((50, 3000))
        quote = b"'" if self._often(0.1) else b'"'
        return quote + b"".join(parts) + self._or_wrong(quote, (quote, quote, b""))

    def _spelled(self, char: str) -> bytes:
        if char in "\"'\\":
            return b"\\" + char.encode()
        if char < " " or (char < "\U00010000" and self._often(0.02)):
            return f"\\u{ord(char):04x}".encode()
        return char.encode()

    def _part(self) -> bytes:
        choose = self._chance.choice
        if self._odd(0.5):
            return choose(NO_CHARACTERS)
        if self._often(0.5):
            return choose(NO_ESCAPES if self._odd() else ESCAPES).encode()
        return self._spelled(choose(CHARACTERS))
