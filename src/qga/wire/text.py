"""One message's text to a value, and a value to text, by the C code that `json` is made of.

`scan` accepts what QAPI accepts, or less: on anything unusual it raises `Refused`, and the caller
asks `strict`, which knows QAPI's dialect in full. `json` itself is not imported, because it loads
the regular expressions and enums that a small agent otherwise does without.
"""

from _json import encode_basestring_ascii, make_encoder, make_scanner

from . import base64
from .blob import Blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any


# A text as a JSON string, in ASCII.
quote = encode_basestring_ascii


class Refused(ValueError):
    """Not JSON, or JSON of a kind that the quick decoder leaves to `strict`."""


# What stands for the n-th long string of a message: UTF-8 text cannot hold a lone surrogate, and
# an escaped one is refused, so nothing that a peer sends can be taken for it.
PLACEHOLDER = "\udc00"
# With its quotes: a string that merely spells the escape has a second backslash or no quote there.
_PLACEHOLDER_ESCAPED = b'"\\udc00"'

# Written for infinity, which JSON does not have: every reader rounds it to infinity.
_HUGE = "1e999"


def _refuse(_: str) -> "Any":
    raise Refused


def _pairs(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Refused
    return members


class _Options:
    """Where the C scanner reads its settings."""

    strict = True
    object_hook = None
    object_pairs_hook: "Callable[[Any], Any] | None" = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_refuse)
    memo: "dict[str, str]" = {}  # noqa: RUF012 - the scanner clears it after each use


class _OptionsForPairs(_Options):
    object_pairs_hook = staticmethod(_pairs)


# The last one of members with the same name wins in the first; the other refuses them.
_scan: "Callable[[str, int], tuple[Any, int]]" = make_scanner(_Options())  # type: ignore[arg-type]
_scan_pairs: "Callable[[str, int], tuple[Any, int]]" = make_scanner(_OptionsForPairs())  # type: ignore[arg-type]

# SystemError: CPython 3.11's scanner needs json.decoder loaded to tell a syntax error.
_FAILURES = StopIteration, ValueError, SystemError, RecursionError

# How long most requests are at most, and what they end with.
SHORT = 256
_ENDS = frozenset(("", "\n"))


def scan(text: str, start: int) -> "tuple[Any, int]":
    """Decode the JSON value that begins at *start*; return it and where it ends.

    Raises:
        Refused: there is no complete value, or one that needs `strict` to judge.
    """
    try:
        return _scan_pairs(text, start)
    except _FAILURES:
        raise Refused from None


def short_request(data: bytes) -> "tuple[str, dict[str, Any]] | None":
    """The command's name and the arguments, if *data* is a short request with arguments, and whole.

    None for anything else, and for what is unusual in any way.
    """
    if len(data) > SHORT or not data.isascii() or b"\\" in data:
        return None
    text = data.decode()
    try:
        request, end = _scan(text, 0)
    except _FAILURES:
        return None
    if type(request) is not dict or len(request) != 2 or (text[end:] not in _ENDS):
        return None
    name, arguments = request.get("execute"), request.get("arguments")
    # Each member has a colon: with as many of them no name was there twice, which is refused.
    if type(name) is str and type(arguments) is dict and text.count(":") == 2 + len(arguments):
        return name, arguments
    return None


def _new_encoder(default: "Callable[[Any], Any]") -> "Callable[[Any], str]":
    # Positional: circular-reference table, default, string encoder, indent, separators,
    # sort_keys, skipkeys, allow_nan.
    encoder = make_encoder(None, default, quote, None, ": ", ", ", False, False, False)
    return lambda value: "".join(encoder(value, 0))


class _Binary(Exception):
    """There is a value in it that becomes base64."""


def _refuse_binary(_: "Any") -> str:
    raise _Binary


# Most messages have none, and an encoder for each would take longer than encoding them.
_encode_plain = _new_encoder(_refuse_binary)


def encode(value: "Any") -> "list[bytes]":
    """JSON text of *value* in ASCII, in pieces that belong one behind the other.

    bytes-like values and `Blob`s become base64 strings; each is a piece of its own, so that
    megabytes are copied no more than needed.
    """
    try:
        return [_encode_plain(value).encode("ascii")]
    except (_Binary, RecursionError, ValueError):
        pass
    blobs: list[bytes] = []

    def default(data: "bytes | bytearray | memoryview | Blob") -> str:
        blobs.append(base64.encode(data.data if isinstance(data, Blob) else data))
        return PLACEHOLDER

    try:
        encoded = _new_encoder(default)(value)
    except (RecursionError, ValueError):
        blobs.clear()
        encoded = "".join(_iterative(value, default))
    if not blobs:
        return [encoded.encode("ascii")]
    between = encoded.encode("ascii").split(_PLACEHOLDER_ESCAPED)
    pieces = between[:1]
    for blob, text in zip(blobs, between[1:], strict=True):
        pieces[-1] += b'"'
        pieces += (blob, b'"' + text)
    return pieces


class _Markup(str):
    """Text between values."""

    __slots__ = ()


def _iterative(value: "Any", default: "Callable[[Any], Any]") -> "Iterator[str]":
    """What the C encoder does, for values that it refuses: nested deeply, or infinite numbers."""
    pending: list[Iterable[Any]] = [iter((value,))]
    closers: list[str] = [""]
    while pending:
        for item in pending[-1]:
            if type(item) is _Markup:
                yield item
            elif isinstance(item, dict):
                yield "{"
                pending.append(_members(item))
                closers.append("}")
                break
            elif isinstance(item, list | tuple):
                yield "["
                pending.append(_elements(item))
                closers.append("]")
                break
            else:
                yield _scalar(item, default)
        else:
            pending.pop()
            yield closers.pop()


def _members(members: "dict[str, Any]") -> "Iterator[Any]":
    separator = ""
    for name, value in members.items():
        yield _Markup(f"{separator}{quote(name)}: ")
        yield value
        separator = ", "


def _elements(elements: "Iterable[Any]") -> "Iterator[Any]":
    separator = _Markup("")
    for element in elements:
        yield separator
        yield element
        separator = _Markup(", ")


def _scalar(value: "Any", default: "Callable[[Any], Any]") -> str:
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        if value - value == 0:
            return float.__repr__(value)
        return _HUGE if value > 0 else "-" + _HUGE
    return quote(default(value))
