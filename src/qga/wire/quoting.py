"""Where quotes are, strings with many escapes, and strings in single quotes, at the speed of C.

Used by the splitter and by `message`. JSON's own scanner takes far longer for an escape than for a
character, and knows no single quotes; a search for a quote stops at each escaped one.
"""

_CONTROLS = bytes(range(0x20))

# All but \\ and \u, and what they stand for.
_ESCAPES = (
    ('\\"', '"'), ("\\'", "'"), ("\\/", "/"),
    ("\\b", "\b"), ("\\f", "\f"), ("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t"),
)  # fmt: skip

# How many bytes are looked at together.
_WINDOW = 1024


def next_quote(data: bytes, at: int, limit: int) -> int:
    """Where in *data*, outside of strings at *at*, the next quote is, or *limit*."""
    double = data.find(b'"', at, limit)
    if double < 0:
        double = limit
    single = data.find(b"'", at, double)
    return double if single < 0 else single


def after_escaped(data: bytes, at: int, quote: int) -> int:
    """Where to search *data* for *quote* again, after an escaped one that ends before *at*.

    That is at a quote that is not escaped, or where this has not been looked at further.
    """
    window = data[at : at + _WINDOW]
    if window.find(quote) < 0:
        return at
    # An escaped quote is no quote, but one after an escaped backslash is.
    window = window.replace(b"\\\\", b"__").replace(b"\\" + bytes((quote,)), b"__")
    found = window.find(quote)
    if found >= 0:
        return at + found
    return at + len(window) - window.endswith(b"\\")


def unescaped(string: bytes) -> "str | None":
    """What *string* stands for, given without its quotes; None where this cannot tell."""
    if len(string.translate(None, _CONTROLS)) < len(string):
        return None
    try:
        text = string.decode()
    except UnicodeDecodeError:
        return None
    if "\\" not in text:
        return text
    # None of the characters can be a NUL.
    text = text.replace("\\\\", "\0")
    for escape, character in _ESCAPES:
        if "\\" not in text:
            break
        text = text.replace(escape, character)
    if "\\" in text:
        return None
    return text.replace("\0", "\\")


def double_quoted(message: str) -> "str | None":
    """*message*, where strings are in single quotes, as JSON; None where this cannot tell."""
    if "'" not in message or "\\" in message or "\0" in message:
        return None
    parts = message.split('"')
    outside = "\0".join(parts[::2])
    single = outside.split("'")
    # One with a double quote in it, or one that is not closed.
    if len(parts) % 2 == 0 or len(single) % 2 == 0 or "\0" in "".join(single[1::2]):
        return None
    parts[::2] = outside.replace("'", '"').split("\0")
    return '"'.join(parts)
