"""QAPI's types in Python: the base classes that every command and type of the protocol is made of.

    class FileRead(Command[FileChunk]):
        "Read from an open file..."
        NAME = "guest-file-read"
        SINCE = "0.15"
        handle: int
        count: int | None = None

A class is its own schema. Type checkers know its constructor (`dataclass_transform`) and, from
`Command[R]`, what executing it returns. `codec` compiles what is declared here into functions that
decode and encode; `export` writes it down as QAPI text and JSON Schema.

    annotation        QAPI                annotation          QAPI
    int               int (64 bits)       bytes               str, as base64
    UInt64, UInt16    uint64, uint16      list[T]             ['T']
    float             number              T | None            '*member': 'T'
    str, bool         str, bool           Enum, Struct        enum, struct or flat union
    Data              str, as base64      Alternate           alternate

Used on both sides, and loaded in every guest: nothing here imports typing, enum or dataclasses.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, Generic, Self, TypeVar, dataclass_transform

    R = TypeVar("R")
    A = TypeVar("A")
    E = TypeVar("E", bound="Enum")
    UInt64 = int
    UInt16 = int
    Data = bytes | bytearray | memoryview
else:

    def dataclass_transform(**_):
        return lambda cls: cls

    class Generic:
        """Stands in for typing.Generic: remembers the argument in `__orig_bases__`, as it does."""

        def __class_getitem__(cls, argument):
            return cls if cls is Generic else _Of(cls, argument)

    class _Of:
        def __init__(self, origin, argument):
            self.origin, self.argument = origin, argument

        def __mro_entries__(self, _):
            return (self.origin,)

    class UInt64:
        """uint64: 0 to 2**64 - 1."""

    class UInt16:
        """uint16: 0 to 2**16 - 1."""

    class Data:
        """Base64 that may be large: any bytes-like object, so that it need not be copied."""

    R = None


_BYTES_LIKE = (bytes, bytearray, memoryview)


class Missing:
    """The type of `REQUIRED`."""


REQUIRED = Missing()


class Member:
    """What `member()` says of a member beyond its annotation."""

    __slots__ = ("default", "name", "since")

    def __init__(self, default: "Any", name: "str | None", since: "str | None") -> None:
        self.default = default
        self.name = name
        self.since = since


def member(
    *, default: "Any" = REQUIRED, name: "str | None" = None, since: "str | None" = None
) -> "Any":
    """Describe one member of a `Struct` or `Command`.

    Args:
        default: its value when it is absent. A member whose type is not `T | None` is required all
            the same: the default stands in where an agent older than *since* leaves it out.
        name: its name on the wire, where that is not the Python name with `-` for `_`.
        since: the upstream version that added it, when that is later than its class.
    """
    return Member(default, name, since)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(member,))
class Struct:
    """A QAPI struct. Subclasses annotate their members; instances do not change.

    A struct with a `DISCRIMINATOR`, the Python name of a member that is an `Enum`, is a flat union;
    its branches are subclasses that name their value of it as `BRANCH`.
    """

    NAME = ""
    SINCE = ""
    DISCRIMINATOR = ""
    BRANCH = ""

    if not TYPE_CHECKING:
        _members = {}

        def __init__(self, **values):
            declared = self._members
            if values.keys() != declared.keys():
                for name in values:
                    if name not in declared:
                        raise TypeError(f"{type(self).__name__} has no member {name!r}")
                for name, description in declared.items():
                    if name not in values and description.default is REQUIRED:
                        raise TypeError(f"{type(self).__name__} needs {name}=")
            self.__dict__.update(values)

        def __setattr__(self, name, value):
            raise AttributeError(f"{type(self).__name__} objects do not change")

        def __delattr__(self, name):
            raise AttributeError(f"{type(self).__name__} objects do not change")

        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__(**kwargs)
            annotations = cls.__annotations__
            cls._own_members = {
                name: given
                if isinstance(given := cls.__dict__.get(name, REQUIRED), Member)
                else Member(given, None, None)
                for name in annotations
            }
            cls._members = {**cls._members, **cls._own_members}
            # An absent member is then simply the class's attribute.
            for name, description in cls._own_members.items():
                if description.default is not REQUIRED:
                    setattr(cls, name, description.default)
                elif name in cls.__dict__:
                    delattr(cls, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Struct) or type(self) is not type(other):
            return False
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash((type(self), *map(_hashable, _values(self).values())))

    def __repr__(self) -> str:
        shown = (f"{name}={_shown(value)}" for name, value in _values(self).items())
        return f"{type(self).__name__}({', '.join(shown)})"


def members(cls: "type[Struct]") -> "dict[str, Member]":
    """The members of *cls* by their Python names, those of its base struct first."""
    found: dict[str, Member] = cls._members  # type: ignore[attr-defined]
    return found


def annotation(cls: "type[Struct]", name: str) -> "Any":
    """The annotated type of the member *name*."""
    for base in cls.__mro__:
        if name in base.__dict__.get("_own_members", {}):
            return base.__annotations__[name]
    raise KeyError(name)


def wire_name(name: str, description: Member) -> str:
    """The name of a member on the wire."""
    return description.name or name.replace("_", "-")


def _values(struct: Struct) -> "dict[str, Any]":
    return {name: getattr(struct, name, None) for name in members(type(struct))}


def _hashable(value: "Any") -> "Any":
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    return bytes(value) if isinstance(value, _BYTES_LIKE) else value


def _shown(value: "Any") -> str:
    # File contents and passwords have no place in a log or a traceback.
    return f"<{len(value)} bytes>" if isinstance(value, _BYTES_LIKE) else repr(value)


class Later(Generic[R]):
    """A result that is not there yet: what a handler may return in place of R."""


class Command(Struct, Generic[R]):
    """A command: its members are the arguments, R is what it returns (None: nothing)."""

    # False where upstream sends no reply on success.
    SUCCESS_RESPONSE = True
    # Whether it is allowed while file systems are frozen, when nothing may be written.
    WHILE_FROZEN = False
    # The platform that it is confined to, where that is another than Linux.
    PLATFORM = ""

    # What the agent calls; set by `handler`.
    if TYPE_CHECKING:
        HANDLER: ClassVar[Callable[[Any, Any], Any] | None]
    else:
        HANDLER = None

    @classmethod
    def handler(
        cls, function: "Callable[[A, Self], R | Later[R]]"
    ) -> "Callable[[A, Self], R | Later[R]]":
        """Make *function* what the agent calls for this command (decorator)."""
        cls.HANDLER = staticmethod(function)
        return function

    @classmethod
    def result(cls) -> "Any":
        """R: the type of the result, None for a command that returns nothing."""
        for base in cls.__mro__:
            for generic in base.__dict__.get("__orig_bases__", ()):
                if hasattr(generic, "argument"):
                    return generic.argument
        raise TypeError(f"{cls.__name__} does not say what it returns: Command[...]")


class Value:
    """One value of an `Enum`: its text on the wire and the upstream version that added it."""

    def __init__(self, text: str, since: "str | None" = None) -> None:
        self.text = text
        self.since = since

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: type[E]) -> E: ...


class Enum(str):
    """A QAPI enum: strings of which the known ones are attributes of the class.

    Open: a value that a newer agent invented is kept as it is, and compares as a string.
    """

    NAME = ""
    SINCE = ""
    VALUES: "dict[str, Value]" = {}  # noqa: RUF012 - each subclass has its own

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        declared = {name: v for name, v in cls.__dict__.items() if isinstance(v, Value)}
        cls.VALUES = {value.text: value for value in declared.values()}
        for name, value in declared.items():
            setattr(cls, name, cls(value.text))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    __str__ = str.__str__


class Alternate:
    """A QAPI alternate: the JSON type of the value tells which of *branches* it is.

    Declared as a union for type checkers, and as an instance of this class at run time.

    Args:
        name: QAPI's name.
        since: the upstream version that made the member an alternate; before, it was of the type
            of the first branch.
        doc: what it is for.
        branches: QAPI's names of the branches, and their types.
    """

    def __init__(self, name: str, /, *, since: str, doc: str, **branches: "Any") -> None:
        self.NAME = name
        self.SINCE = since
        self.doc = doc
        self.branches = branches

    def __or__(self, other: None) -> "Optional":
        return Optional(self)


class Optional:
    """`Alternate | None`, at run time."""

    def __init__(self, inner: Alternate) -> None:
        self.inner = inner


def version(text: str) -> "tuple[int, ...]":
    """An upstream version for comparison: major and minor, `1.0` and `1.0.1` being the same.

    Raises:
        ValueError: *text* is not a version.
    """
    return tuple(int(part) for part in [*text.split("."), "0"][:2])
