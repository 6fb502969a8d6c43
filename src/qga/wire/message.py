"""The value of one message whose long strings have been cut out of its text, by the splitter."""

from . import quoting, strict, text
from .blob import THRESHOLD, Blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What may surround the string of a `long_request`: far too little to break a limit.
_LITTLE = 1024

# What surrounded the string in the last request of this kind is the same in the next one: a file is
# written in pieces. By that, the name, the arguments, and which of them the string is.
_REPEATED = "guest-file-write"
_repeated: "dict[str, tuple[str, dict[str, Any], str]]" = {}


def long_request(data: bytes) -> "tuple[str, dict[str, Any]] | None":
    """The command's name and the arguments, if *data* is a request with one long string of base64.

    None for anything else, and for what is unusual in any way.
    """
    found = _one_string(data, _LITTLE)
    if found is None:
        return None
    around, start, end = found
    repeated = _repeated.get(around)
    if repeated is not None:
        blob = Blob.of(memoryview(data)[start:end])
        known, others, member = repeated
        return None if blob is None else (known, {**others, member: blob})
    request = _with_string(data, around, start, end)
    if type(request) is not dict or len(request) != 2:
        return None
    name, arguments = request.get("execute"), request.get("arguments")
    if type(name) is not str or type(arguments) is not dict:
        return None
    if name == _REPEATED and not any(map(_is_container, arguments.values())):
        for key, value in arguments.items():
            if type(value) is Blob:
                _repeated.clear()
                _repeated[around] = name, {**arguments, key: None}, key
    return name, arguments


def _is_container(value: "Any") -> bool:
    return type(value) is dict or type(value) is list


def mostly_base64(data: bytes, most: int) -> "Any":
    """The value of *data* if that is one message with one long string, of base64; else None.

    *most* is how much may surround the string.
    """
    found = _one_string(data, most)
    return None if found is None else _with_string(data, *found)


def _one_string(data: bytes, most: int) -> "tuple[str, int, int] | None":
    """What surrounds the one long string in *data*, with its placeholder; where it begins and ends.

    That is only guessed: if one ended at the first quote and another began at the second, the
    placeholder would be outside of them, and refused. With more than one string between them, what
    is taken for one has quotes in it, and is no base64. So most of *data* need not be looked at.
    """
    middle = len(data) // 2
    start = data.rfind(b'"', 0, min(most, middle))
    end = data.find(b'"', max(middle, len(data) - most))
    if start < 0 or end - start <= THRESHOLD or len(data) - (end - start) > most:
        return None
    head = data[:start]
    if head.endswith(b"\\"):
        return None
    try:
        return f'{head.decode()}"{text.PLACEHOLDER}0"{data[end + 1 :].decode()}', start + 1, end
    except UnicodeDecodeError:
        return None


def _with_string(data: bytes, around: str, start: int, end: int) -> "Any":
    """The value of *data*; None if it is not one message, or of an unusual kind."""
    if "\\ud" in around or "\\uD" in around:
        return None
    try:
        value, stop = text.scan(around, 0)
    except text.Refused:
        return None
    blob = None if around[stop:].strip(" \n\r\t") else Blob.of(memoryview(data)[start:end])
    return None if blob is None else resolve(value, [blob])


def decode(parts: "list[bytes | bytearray]") -> "Any":
    """The value whose text is *parts*, with a placeholder for a long string between any two.

    Raises:
        CommandError: it is not JSON.
    """
    try:
        decoded = _join([part.decode() for part in parts])
    except UnicodeDecodeError:
        return strict.parse(_join([strict.to_text(part) for part in parts]))
    for quoted in (decoded, quoting.double_quoted(decoded)):
        if quoted is not None and "\\ud" not in quoted and "\\uD" not in quoted:
            try:
                value, end = text.scan(quoted, 0)
            except text.Refused:
                continue
            if end == len(quoted):
                return value
    return strict.parse(decoded)


def string(quoted: bytes) -> "Any":
    """The value of one long string, with its quotes.

    Raises:
        CommandError: it is not a string.
    """
    value = quoting.unescaped(quoted[1:-1])
    return decode([quoted]) if value is None else value


def _join(parts: "list[str]") -> str:
    joined = parts[0]
    for number, part in enumerate(parts[1:]):
        joined += f'"{text.PLACEHOLDER}{number}"{part}'
    return joined


def resolve(value: "Any", blobs: "list[Blob | str]") -> "Any":
    """Put the long strings where their placeholders are.

    Raises:
        CommandError: two of them are the same key.
    """
    whole = [value]
    pending: list[Any] = [whole]
    while pending:
        container = pending.pop()
        if type(container) is list:
            places = range(len(container))
        else:
            if text.PLACEHOLDER in "".join(container):
                _rename(container, blobs)
            places = container
        for place in places:
            item = container[place]
            if type(item) is str:
                if item.startswith(text.PLACEHOLDER):
                    container[place] = blobs[int(item[1:])]
            elif type(item) is dict or type(item) is list:
                pending.append(item)
    return whole[0]


def _rename(members: "dict[str, Any]", blobs: "list[Blob | str]") -> None:
    """Put the long strings among the keys in their place."""

    def name(key: str) -> str:
        if not key.startswith(text.PLACEHOLDER):
            return key
        long = blobs[int(key[1:])]
        return long.text if isinstance(long, Blob) else long

    renamed = {name(key): item for key, item in members.items()}
    if len(renamed) < len(members):
        raise strict.parse_error("duplicate key")
    members.clear()
    members.update(renamed)
