"""QAPI's JSON dialect, and what QAPI says about everything else.

RFC 8259 with strings in single quotes too; no lone surrogates, no duplicate keys; NUL may be
written as the two bytes C0 80. Only messages that the C scanner of `text` refuses come here, to be
accepted after all or to get the error text that clients know. The texts are those of QEMU 7.2.

Nothing recurses: a message may be nested 1024 deep, which is more than Python's own limit allows.
"""

from qga.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SPACE = " \t\r\n"
_DIGITS = "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_KEYWORDS: "dict[str, bool | None]" = {"true": True, "false": False, "null": None}
_ESCAPES = {
    '"': '"', "'": "'", "\\": "\\", "/": "/",
    "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip

# The bytes C0 80 in what `to_text` returns.
_NUL = "\udcc0\udc80"

# An integer of more digits is a double to QAPI, whatever its value.
_UINT64_DIGITS = 20

# How much of a broken token an error text repeats.
STRAY_LIMIT = 80

_STRING, _NUMBER, _WORD = '"', "0", "a"

# In place of the container of what stands where a key should.
_NOT_A_KEY = object()


def parse_error(what: str) -> CommandError:
    """The error reply for input that is not JSON."""
    return CommandError(f"JSON parse error, {what}", legacy=("JSONParsing", {}))


def stray(token: str) -> CommandError:
    """The error reply for a byte that no token can hold there; *token* ends with it."""
    return parse_error(f"stray '{token[-STRAY_LIMIT:]}'")


def to_text(data: "bytes | bytearray") -> str:
    """*data* as text, each byte that is not UTF-8 as a lone surrogate, which `parse` reports."""
    return data.decode("utf-8", "surrogateescape")


def printable(data: "bytes | bytearray") -> str:
    """*data* for an error text."""
    return data.decode("utf-8", "replace")


def parse(text: str) -> "Any":
    """Decode one message.

    Raises:
        CommandError: with QAPI's text for what is wrong.
    """
    tokens = _tokens(text)
    try:
        return _value(text, tokens)
    except CommandError:
        # What is no token is reported first, wherever it is.
        for _ in tokens:
            pass
        raise


def _value(text: str, tokens: "Iterator[tuple[str, Any]]") -> "Any":
    stack: list[tuple[Any, str]] = []  # the containers around, each with its pending key
    container: Any = None
    key = ""
    token = _next(tokens)
    while True:
        # A value is due, and `token` is its first.
        kind, value = token
        if kind == "{":
            token = _next(tokens)
            if token[0] != "}":
                stack.append((container, key))
                key, token, container = _key(text, token, tokens, {}, stack)
                continue
            value = {}
        elif kind == "[":
            token = _next(tokens)
            if token[0] != "]":
                stack.append((container, key))
                container = []
                continue
            value = []
        elif kind == _STRING:
            value = _string(text, *value)
        elif kind == _WORD:
            value = _keyword(value)
        elif kind != _NUMBER:
            raise parse_error("expecting value")
        # The value is complete: put it into its container, and close what ends after it.
        while container is not None:
            if container is _NOT_A_KEY:
                raise parse_error("key is not a string in object")
            if isinstance(container, dict):
                if key in container:
                    raise parse_error("duplicate key")
                container[key] = value
                closer, name = "}", "dict"
            else:
                container.append(value)
                closer, name = "]", "list"
            kind, _ = _next(tokens)
            if kind == ",":
                break
            if kind != closer:
                raise parse_error(f"expected separator in {name}")
            value = container
            container, key = stack.pop()
        else:
            return value
        token = _next(tokens)
        if isinstance(container, dict):
            key, token, container = _key(text, token, tokens, container, stack)


def _key(
    text: str,
    token: "tuple[str, Any]",
    tokens: "Iterator[tuple[str, Any]]",
    container: "dict[str, Any]",
    stack: "list[tuple[Any, str]]",
) -> "tuple[str, tuple[str, Any], Any]":
    """The key that *token* is, the token after the colon, and the container of the value there.

    What is no string is taken for a value, in which another mistake may come first.
    """
    kind, value = token
    if kind != _STRING:
        stack.append((container, ""))
        return "", token, _NOT_A_KEY
    key = _string(text, *value)
    if _next(tokens)[0] != ":":
        raise parse_error("missing : in object pair")
    return key, _next(tokens), container


def _keyword(word: str) -> "bool | None":
    if word not in _KEYWORDS:
        raise parse_error(f"invalid keyword '{word}'")
    return _KEYWORDS[word]


def _next(tokens: "Iterator[tuple[str, Any]]") -> "tuple[str, Any]":
    for token in tokens:
        return token
    raise parse_error("premature EOI")


def _tokens(text: str) -> "Iterator[tuple[str, Any]]":
    """Yield (kind, value): a structural character, `_STRING`, `_NUMBER` or `_WORD`.

    Of a string where it begins and ends, quotes included.
    """
    at, end = 0, len(text)
    while at < end:
        char = text[at]
        if char in _SPACE:
            at += 1
        elif char in "{}[]:,":
            yield char, None
            at += 1
        elif char in "\"'":
            start, at = at, _string_end(text, at)
            yield _STRING, (start, at)
        elif char in _LETTERS:
            start = at
            while at < end and text[at] in _LETTERS:
                at += 1
            yield _WORD, text[start:at]
        elif char == "-" or char in _DIGITS:
            number, at = _number(text, at)
            yield _NUMBER, number
        else:
            raise stray(_replaced(char))


def _replaced(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _number(text: str, start: int) -> "tuple[int | float, int]":
    def digits(at: int) -> int:
        begin = at
        while text[at : at + 1] and text[at] in _DIGITS:
            at += 1
        if at == begin:
            raise stray(_replaced(text[start : at + 1]))
        return at

    at = start + (text[start] == "-")
    if text[at : at + 1] == "0":
        at += 1
        if text[at : at + 1] and text[at] in _DIGITS:
            raise stray(text[start : at + 1])
    else:
        at = digits(at)
    whole = at
    if text[at : at + 1] == ".":
        at = digits(at + 1)
    if text[at : at + 1] in ("e", "E"):
        at += 1
        at = digits(at + (text[at : at + 1] in ("+", "-")))
    literal = text[start:at]
    if at == whole and len(literal) <= _UINT64_DIGITS:
        return int(literal), at
    return float(literal), at


def _string_end(text: str, start: int) -> int:
    """Where the string that begins at *start* ends; what no string may hold is refused."""
    quote = text[start]
    at = start + 1
    end = -1
    while True:
        if end < at:  # not again for each escape: a string may be made of millions
            end = text.find(quote, at)
        if end < 0:
            raise parse_error("premature EOI")
        backslash = text.find("\\", at, end)
        plain = text[at : end if backslash < 0 else backslash]
        if not plain.isprintable():
            for place, char in enumerate(plain, at):
                if char < " ":
                    raise stray(_replaced(text[start : place + 1]))
        if backslash < 0:
            return end + 1
        at = backslash + 2


def _string(text: str, start: int, stop: int) -> str:
    """The string between its quotes at *start* and before *stop*."""
    out: list[str] = []
    at, end = start + 1, stop - 1
    while True:
        backslash = text.find("\\", at, end)
        plain = text[at : end if backslash < 0 else backslash]
        if not plain.isprintable():
            plain = plain.replace(_NUL, "\0")
            if any("\udc80" <= char <= "\udcff" for char in plain):
                raise parse_error("invalid UTF-8 sequence in string")
        out.append(plain)
        if backslash < 0:
            return "".join(out)
        escaped, at = _escape(text, backslash, end)
        out.append(escaped)


def _escape(text: str, at: int, end: int) -> "tuple[str, int]":
    """What the escape at *at* means, and where it ends; *end* is where the string may end."""
    char = text[at + 1 : at + 2]
    if char != "u":
        if char not in _ESCAPES:
            raise parse_error("invalid escape sequence in string")
        return _ESCAPES[char], at + 2
    unit = _hex(text, at, end)
    if 0xD800 <= unit <= 0xDBFF and text[at + 6 : at + 8] == "\\u":
        low = _hex(text, at + 6, end)
        if 0xDC00 <= low <= 0xDFFF:
            return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)), at + 12
    if 0xD800 <= unit <= 0xDFFF:
        raise _not_a_character(text, at, end)
    return chr(unit), at + 6


def _hex(text: str, at: int, end: int) -> int:
    digits = text[at + 2 : at + 6]
    if len(digits) != 4 or digits.strip("0123456789abcdefABCDEF"):
        raise _not_a_character(text, at, end)
    return int(digits, 16)


def _not_a_character(text: str, at: int, end: int) -> CommandError:
    # As many bytes as the escape should have, though a character may be cut in two.
    shown = text[at : min(at + 6, end + 1)].encode("utf-8", "surrogateescape")[:6]
    return parse_error(f"{printable(shown)} is not a valid Unicode character")
