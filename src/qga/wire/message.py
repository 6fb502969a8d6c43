"""The value of one message whose long strings have been cut out of its text, by the splitter."""

from . import strict, text
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
        if "\\ud" in decoded or "\\uD" in decoded:
            raise text.Refused
        value, end = text.scan(decoded, 0)
        if end < len(decoded):
            raise text.Refused
    except (UnicodeDecodeError, text.Refused):
        value = strict.parse(_join([strict.to_text(part) for part in parts]))
    return value


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
