"""Compiles the declarations of `model` into functions that write the agent's results as JSON text.

They go by the declaration, and so are spared to look at what each value is, and to make
dictionaries that `wire.text` would only take apart: half the time of `codec.encode` and that.
"""

from _json import encode_basestring_ascii as quote

from qga.wire import text

from .codec import LATEST, outline, split_optional
from .model import Alternate, Data, Enum, Struct, UInt16, UInt64, annotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Write = Callable[[Any], str]

_List: "Any" = type(list[int])


def writer(kind: "Any", since: "tuple[int, ...]" = LATEST) -> "Write | None":
    """What writes a value of type *kind* as the version *since* knew it, as `wire.text` would.

    None if there may be bytes in it, which are no text yet, or if there is nothing to write.
    """
    if kind in _WRITERS:
        return _WRITERS[kind]
    if isinstance(kind, _List):
        item = writer(kind.__args__[0], since)
        return None if item is None else _list_writer(item)
    if isinstance(kind, Alternate):
        return None
    if issubclass(kind, Enum):
        return quote
    return _union_writer(kind, since) if kind.DISCRIMINATOR else _struct_writer(kind, since)


def _write_float(value: float) -> str:
    return text.encode(value)[0].decode("ascii")


_WRITERS: "dict[Any, Write | None]" = {
    int: int.__repr__,
    UInt64: int.__repr__,
    UInt16: int.__repr__,
    float: _write_float,
    bool: {False: "false", True: "true"}.__getitem__,
    str: quote,
    bytes: None,
    Data: None,
    None: None,
}


def _list_writer(item: "Write") -> "Write":
    return lambda values: "[" + ", ".join([item(value) for value in values]) + "]"


def _struct_writer(cls: "type[Struct]", since: "tuple[int, ...]") -> "Write | None":
    rows = []
    for name, wire, later in outline(cls):
        if later <= since:
            write = writer(split_optional(annotation(cls, name))[0], since)
            if write is None:
                return None
            rows.append((name, quote(wire) + ": ", write))

    def write_struct(value: Struct) -> str:
        pieces = [
            begin + write(item)
            for name, begin, write in rows
            if (item := getattr(value, name)) is not None
        ]
        return "{" + ", ".join(pieces) + "}"

    return write_struct


def _union_writer(cls: "type[Struct]", since: "tuple[int, ...]") -> "Write | None":
    writers: dict[type, Write] = {}
    for branch in (cls, *cls.__subclasses__()):
        write = _struct_writer(branch, since)
        if write is None:
            return None
        writers[branch] = write
    return lambda value: writers[type(value)](value)
