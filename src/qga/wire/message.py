"""The value of one message whose long strings have been cut out of its text, by the splitter."""

from . import quoting, strict, text
from .blob import Blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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

    def resolved(item: "Any") -> "Any":
        if isinstance(item, str) and item.startswith(text.PLACEHOLDER):
            return blobs[int(item[1:])]
        if isinstance(item, dict | list):
            pending.append(item)
        return item

    def name(key: str) -> str:
        long = resolved(key)
        return long.text if isinstance(long, Blob) else str(long)

    pending: list[Any] = []
    value = resolved(value)
    while pending:
        container = pending.pop()
        if isinstance(container, list):
            container[:] = [resolved(item) for item in container]
        else:
            members = {name(key): resolved(item) for key, item in container.items()}
            if len(members) < len(container):
                raise strict.parse_error("duplicate key")
            container.clear()
            container.update(members)
    return value
