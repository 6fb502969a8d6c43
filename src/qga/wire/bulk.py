"""Skips many short strings at once. Used by the splitter, in long pieces of a long message.

A message of a million short strings is slow to follow string by string; cut apart at its quotes
by C code it is not.
"""

# With fewer strings than this in a piece, only its start is looked at: those before a long string,
# which is the rest of the piece.
_MANY = 32
_START = 1024

# Fewer than this are not worth the attempt.
_FEW = 3


def short_strings(data: bytes, at: int, longest: int) -> "tuple[int, bytes, list[bytes]] | None":
    """Look for strings in *data* from *at*, which is outside of strings.

    Args:
        data: a piece of the stream.
        at: where in it to begin.
        longest: how long each string may be.

    Returns:
        where the last string that ends in *data* ends, or the end of *data* when no other begins
        after it; all that is outside of strings up to there, with a blank in place of each; and
        the strings, with something else for escaped characters. None where this is of no use:
        there are few strings, or long ones.
    """
    # Strings in both kinds of quotes are not found at once.
    quote = b"'" if data.find(b'"', at) < 0 else b'"'
    piece = data[at:] if _has_many(data, at, quote) else data[at : at + _START]
    if b"\\" in piece:
        # An escaped quote is no quote, but one after an escaped backslash is.
        piece = piece.replace(b"\\\\", b"__").replace(b"\\" + quote, b"__")
    if piece.count(quote) % 2:
        piece = piece[: piece.rindex(quote)]
    parts = piece.split(quote)
    strings = parts[1::2]
    if len(strings) < _FEW or max(map(len, strings)) > longest:
        return None
    return at + len(piece), b" ".join(parts[::2]), strings


def _has_many(data: bytes, at: int, quote: bytes) -> bool:
    # One by one: to count them looks at each byte, and in most long pieces they are few.
    for _ in range(2 * _MANY):
        at = data.find(quote, at) + 1
        if not at:
            return False
    return True
