"""What a word or a byte between messages is worth. Used by the splitter.

There may be a hundred thousand of them in what is read at once, mostly the same few: what each is
worth is made once and then shared. So none of these errors may be raised.
"""

from qga.errors import CommandError

from . import message, strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# How many words are remembered.
_WORDS = 64

EXPECTING_VALUE = strict.parse_error("expecting value")

_strays: "dict[int, CommandError]" = {}
_words: "dict[bytes, Any]" = {}


def stray(byte: int) -> CommandError:
    """The error for a byte that no token can begin with."""
    error = _strays.get(byte)
    if error is None:
        error = _strays[byte] = strict.stray(strict.printable(bytes((byte,))))
    return error


def word(text: bytes) -> "Any":
    """The value of a number or keyword that stands alone, or the error that it is worth."""
    try:
        return _words[text]
    except KeyError:
        pass
    value = _value(text)
    if len(_words) == _WORDS:
        _words.clear()
    _words[text] = value
    return value


def _value(text: bytes) -> "Any":
    try:
        return message.decode([text])
    except CommandError as error:
        return error.with_traceback(None)
