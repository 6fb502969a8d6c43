"""Compiles the declarations of `model` into functions that decode and encode.

`decoder(cls, version)` is what the agent applies to arguments: strict, in QAPI's order of checks
and with QAPI's error texts and paths. `reader(type)` is what the client applies to replies:
lenient about what a newer or older agent adds or leaves out. `encode` serves both.

Compiled at first use and kept: a guest pays only for the commands that it is sent.
"""

from qga.errors import BadArgument, CommandError
from qga.wire import base64
from qga.wire.blob import Blob

from .model import (
    REQUIRED,
    Alternate,
    Data,
    Enum,
    Optional,
    Struct,
    UInt16,
    UInt64,
    annotation,
    members,
    version,
    wire_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Decode = Callable[[Any], Any]
    from types import GenericAlias, UnionType
else:
    # As in `types`, which is not loaded for them alone.
    GenericAlias, UnionType = type(list[int]), type(int | None)

LATEST = (1 << 16, 0)

_INT64 = 1 << 63
_UINT64 = 1 << 64


class Mismatch(Exception):
    """A value is not what its declaration says; `path` grows on the way out."""

    def __init__(self, template: str, legacy: str, **data: str) -> None:
        super().__init__(template)
        self.template = template
        self.legacy = legacy
        self.data = data
        self.path = ""

    def under(self, step: str) -> "Mismatch":
        if self.path and not self.path.startswith("["):
            step += "."
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return self.template.format(self.path)

    def error(self) -> CommandError:
        return BadArgument(str(self), legacy=(self.legacy, {"name": self.path} | self.data))


def _wrong(expected: str) -> Mismatch:
    return Mismatch(
        "Invalid parameter type for '{}', expected: " + expected,
        "InvalidParameterType",
        expected=expected,
    )


# Scalars. `type() is`: a bool is an int to Python, and 1.0 is not one to QAPI.


def _int(value: "Any") -> int:
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    raise _wrong("integer")


def _uint(bits: int) -> "Decode":
    def decode(value: "Any") -> int:
        # QAPI takes a negative int64 for the unsigned number of the same bits.
        if type(value) is int and -_INT64 <= value < _UINT64:
            value %= _UINT64
            if value < 1 << bits:
                return int(value)
        raise Mismatch("Parameter '{}' expects uint" + str(bits), "InvalidParameter")

    return decode


def _number(value: "Any") -> float:
    if type(value) is float or type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    raise _wrong("number")


def _bool(value: "Any") -> bool:
    if type(value) is bool:
        return value
    raise _wrong("boolean")


def _str(value: "Any") -> str:
    if type(value) is str:
        return value
    if type(value) is Blob:
        return value.text
    raise _wrong("string")


def _data(value: "Any") -> "bytes | memoryview":
    if type(value) is Blob:
        return value.data
    if type(value) is not str:
        raise _wrong("string")
    try:
        return base64.decode(value.encode())
    except base64.InvalidBase64:
        raise CommandError(
            "Base64 data contains invalid characters", legacy=("InvalidParameter", {})
        ) from None


def _bytes(value: "Any") -> bytes:
    return bytes(_data(value))


_SCALARS: "dict[Any, Decode]" = {
    int: _int,
    UInt64: _uint(64),
    UInt16: _uint(16),
    float: _number,
    bool: _bool,
    str: _str,
    bytes: _bytes,
    Data: _data,
}


def split_optional(kind: "Any") -> "tuple[Any, bool]":
    """A member's annotation without `| None`, and whether it had that."""
    if isinstance(kind, UnionType):
        inner = [part for part in kind.__args__ if part is not type(None)]
        return inner[0], True
    if isinstance(kind, Optional):
        return kind.inner, True
    return kind, False


def _compile(kind: "Any", since: "tuple[int, ...]", strict: bool) -> "Decode":  # noqa: FBT001
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(kind, GenericAlias):
        return _list(_compile(kind.__args__[0], since, strict))
    if isinstance(kind, Alternate):
        return _alternate(kind, since, strict)
    if issubclass(kind, Enum):
        return _enum(kind, since, strict)
    return _Codec(kind, since, strict).decode


def _list(item: "Decode") -> "Decode":
    def decode(value: "Any") -> "list[Any]":
        if type(value) is not list:
            raise _wrong("array")
        decoded: list[Any] = []
        try:
            for element in value:
                decoded.append(item(element))  # noqa: PERF401 - the length tells where it failed
        except Mismatch as mismatch:
            raise mismatch.under(f"[{len(decoded)}]") from None
        return decoded

    return decode


def _enum(kind: "type[Enum]", since: "tuple[int, ...]", strict: bool) -> "Decode":  # noqa: FBT001
    known = {
        text: kind(text)
        for text, value in kind.VALUES.items()
        if not value.since or version(value.since) <= since
    }

    def decode(value: "Any") -> Enum:
        value = _str(value)
        if value in known:
            return known[value]
        if strict:
            raise Mismatch(
                "Parameter '{}' does not accept value '" + _braced(value) + "'", "InvalidParameter"
            )
        return kind(value)

    return decode


def _braced(value: str) -> str:
    return value.replace("{", "{{").replace("}", "}}")


def _alternate(kind: Alternate, since: "tuple[int, ...]", strict: bool) -> "Decode":  # noqa: FBT001
    branches = list(kind.branches.values())
    if version(kind.SINCE) > since:
        return _compile(branches[0], since, strict)
    decoders: dict[type, Decode] = {
        bool if branch is bool else int if branch in (int, UInt64) else str: _compile(
            branch, since, strict
        )
        for branch in branches
    }
    if int in decoders:  # QAPI chooses by JSON's types, where 1.0 is a number like 1
        decoders[float] = decoders[int]

    def decode(value: "Any") -> "Any":
        decoder = decoders.get(str if type(value) is Blob else type(value))
        if decoder is None:
            raise _wrong(kind.NAME)
        return decoder(value)

    return decode


class _Codec:
    """Decoder of one struct, at one upstream version."""

    def __init__(self, cls: "type[Struct]", since: "tuple[int, ...]", strict: bool) -> None:  # noqa: FBT001
        self.cls = cls
        self.strict = strict and since >= (1, 1)  # agents before 1.1 ignored unknown arguments
        self.table: list[tuple[str, str, Decode, bool]] = []
        for name, description in members(cls).items():
            if strict and description.since and version(description.since) > since:
                continue
            kind, optional = split_optional(annotation(cls, name))
            if not strict:
                optional = description.default is not REQUIRED
            decode = _compile(kind, since, strict)
            self.table.append((name, wire_name(name, description), decode, optional))
        # Most commands have no arguments; as values do not change, one will do.
        self.empty: Struct = object.__new__(cls)
        # Lists that an older agent leaves out are empty ones; a class cannot have one as attribute.
        self.lists = [
            name
            for name, description in members(cls).items()
            if not strict and description.default == ()
        ]
        self.branches: dict[str, _Codec] = {
            branch.BRANCH: _Codec(branch, since, strict)
            for branch in cls.__subclasses__()
            if cls.DISCRIMINATOR and branch.BRANCH
        }

    def decode(self, value: "Any") -> Struct:
        if not isinstance(value, dict):
            raise _wrong("object")
        if not value and not self.table:
            return self.empty
        if self.branches:
            discriminator = value.get(self.cls.DISCRIMINATOR.replace("_", "-"))
            if branch := self.branches.get(str(discriminator)):
                return branch.decode(value)
        found = {}
        wire = ""
        try:
            for name, wire, decode, optional in self.table:
                if wire in value:
                    found[name] = decode(value[wire])
                elif not optional:
                    raise Mismatch("Parameter '{}' is missing", "MissingParameter")
        except Mismatch as mismatch:
            raise mismatch.under(wire) from None
        if self.strict and len(found) != len(value):
            known = {row[1] for row in self.table}
            extra = next(name for name in value if name not in known)
            raise Mismatch("Parameter '{}' is unexpected", "InvalidParameter").under(extra)
        for name in self.lists:
            found.setdefault(name, [])
        decoded = object.__new__(self.cls)
        decoded.__dict__.update(found)
        return decoded


_decoders: "dict[tuple[type[Struct], tuple[int, ...]], Decode]" = {}
_readers: "dict[Any, Decode]" = {}


def decoder(cls: "type[Struct]", since: "tuple[int, ...]" = LATEST) -> "Decode":
    """The strict decoder of a command's arguments, as the upstream version *since* knew them.

    It raises `Mismatch` (or `CommandError` for bad base64).
    """
    found = _decoders.get((cls, since))
    if found is None:
        found = _decoders[cls, since] = _Codec(cls, since, strict=True).decode
    return found


def reader(kind: "Any") -> "Decode":
    """The lenient decoder of a reply's value of type *kind*; it raises `Mismatch`."""
    key = repr(kind) if isinstance(kind, GenericAlias) else kind
    found = _readers.get(key)
    if found is None:
        found = _readers[key] = _nothing if kind is None else _compile(kind, LATEST, strict=False)
    return found


def _nothing(_: "Any") -> None:
    return None


def encode(value: "Any", since: "tuple[int, ...]" = LATEST) -> "Any":
    """*value* as JSON has it, without members that came after the version *since*.

    bytes stay bytes, for `wire.text` to make base64 of.
    """
    if isinstance(value, Struct):
        encoded = {}
        for name, wire, later in outline(type(value)):
            if later <= since:
                item = getattr(value, name)
                if item is not None:
                    encoded[wire] = item if type(item) in _PLAIN else encode(item, since)
        return encoded
    if isinstance(value, list):
        return [encode(item, since) for item in value]
    return value


_PLAIN = frozenset((int, str, bool, bytes, float))
_NEVER_LATER = (0, 0)
_outlines: "dict[type[Struct], list[tuple[str, str, tuple[int, ...]]]]" = {}


def outline(cls: "type[Struct]") -> "list[tuple[str, str, tuple[int, ...]]]":
    """The members of *cls*: name, name on the wire, the version that added it."""
    found = _outlines.get(cls)
    if found is None:
        found = _outlines[cls] = [
            (
                name,
                wire_name(name, description),
                version(description.since) if description.since else _NEVER_LATER,
            )
            for name, description in members(cls).items()
        ]
    return found
