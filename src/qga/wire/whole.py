"""Messages that have arrived whole, one behind the other: the quick way. Used by the splitter.

The C decoder finds the end of each. It is right about what it accepts; of anything else the
splitter's own way has to judge, which is to begin where this one has stopped.
"""

from . import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# A first message longer than this is not worth a try of the C decoder: it would be repeated.
_QUICK = 8192

# How far blanks are looked for at once.
_AHEAD = 1024

_SPACE = " \t\r\n"


def messages(
    data: bytes, harmless: int, must_count: "Callable[[str, int, int], bool]"
) -> "tuple[list[Any], int]":
    """Decode the messages at the start of *data*, as far as that can be done.

    Args:
        data: begins with a brace or bracket.
        harmless: messages of no more characters break no limit.
        must_count: tells of a text, and where a message in it begins and ends, whether it may.

    Returns: the values; and where the first message is that is incomplete, or of another kind.
    """
    if len(data) > _QUICK and data.find(b"}" if data[:1] == b"{" else b"]", 0, _QUICK) < 0:
        return [], 0
    try:
        decoded = data.decode()
    except UnicodeDecodeError as error:
        decoded = data[: error.start].decode()
    # QAPI refuses lone surrogates, which the C decoder lets pass.
    if "\\" in decoded and ("\\ud" in decoded or "\\uD" in decoded):
        return [], 0
    values = []
    at, end = 0, len(decoded)
    try:
        while at < end and decoded[at] in "{[":
            value, stop = text.scan(decoded, at)
            if stop - at > harmless and must_count(decoded, at, stop):
                break
            values.append(value)
            at = stop
            if at < end and decoded[at] in _SPACE:
                at += 1
                while at < end and decoded[at] in _SPACE:
                    ahead = decoded[at : at + _AHEAD]
                    at += len(ahead) - len(ahead.lstrip(_SPACE))
    except text.Refused:
        pass
    return values, at if decoded.isascii() else len(decoded[:at].encode())
