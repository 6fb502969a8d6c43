"""Declared types: their constructors, and what their objects do."""

import copy
import pickle
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qga import protocol
from qga.protocol import (
    COMMANDS,
    PLACES,
    PLATFORMS,
    SILENT,
    UPSTREAM_VERSION,
    WHILE_FROZEN,
    FileRead,
    FileSeek,
    FileWrite,
    FsfreezeStatus,
    Ping,
    Shutdown,
)
from qga.protocol.files import FileChunk, Seek
from qga.protocol.fsfreeze import FsfreezeState
from qga.protocol.model import (
    REQUIRED,
    Alternate,
    Command,
    Enum,
    Struct,
    UInt64,
    Value,
    annotation,
    member,
    members,
    version,
    wire_name,
)
from qga.protocol.session import AgentCommandInfo, AgentInfo


class Part(Struct):
    """For these tests."""

    NAME = "TestPart"
    SINCE = "1.0"

    logical_id: int
    notes: list[str] | None = None


class Whole(Struct):
    """For these tests."""

    NAME = "TestWhole"
    SINCE = "1.0"

    parts: list[Part]
    size: UInt64 = 0
    under_score: str = member(default="x", name="under_score", since="2.0")


class Longer(Part):
    """A struct with a base."""

    NAME = "TestLonger"

    extra: bool = False


def test_members_and_defaults() -> None:
    read = FileRead(handle=1000)
    assert (read.handle, read.count) == (1000, None)
    assert FileRead(handle=1, count=2).count == 2
    whole = Whole(parts=[Part(logical_id=1)])
    assert (whole.size, whole.under_score, whole.parts[0].logical_id) == (0, "x", 1)
    longer = Longer(logical_id=7, extra=True)
    assert (longer.logical_id, longer.notes, longer.extra) == (7, None, True)
    assert Ping() == Ping()


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (FileRead, {}, "FileRead needs handle="),
        (FileRead, {"handle": 1, "size": 2}, "FileRead has no member 'size'"),
        (Longer, {"extra": True}, "Longer needs logical_id="),
        (Ping, {"id": 1}, "Ping has no member 'id'"),
        (FileChunk, {"count": 1, "eof": True}, "FileChunk needs data="),
    ],
)
def test_wrong_arguments_of_a_constructor(cls: Any, values: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        cls(**values)
    assert str(caught.value) == message


def test_members_are_given_by_name_only() -> None:
    build: Any = FileRead
    with pytest.raises(TypeError, match="positional"):
        build(1000)


def test_objects_do_not_change() -> None:
    read: Any = FileRead(handle=1)
    with pytest.raises(AttributeError, match="FileRead objects do not change"):
        read.handle = 2
    with pytest.raises(AttributeError, match="FileRead objects do not change"):
        read.other = 2
    with pytest.raises(AttributeError, match="FileRead objects do not change"):
        del read.handle
    assert read == FileRead(handle=1)


def test_equality() -> None:
    assert FileRead(handle=1) == FileRead(handle=1, count=None)
    assert FileRead(handle=1) != FileRead(handle=1, count=4096)
    assert Part(logical_id=1) != Longer(logical_id=1)
    assert Part(logical_id=1, notes=["a"]) == Part(logical_id=1, notes=["a"])
    assert FileRead(handle=1) != 1
    assert Whole(parts=[Part(logical_id=1)]) == Whole(parts=[Part(logical_id=1)])


EQUAL: list[tuple[Any, Any]] = [
    (FileRead(handle=1), FileRead(handle=1, count=None)),
    (FileWrite(handle=1, data=b"ab"), FileWrite(handle=1, data=bytearray(b"ab"))),
    (FileWrite(handle=1, data=b"ab"), FileWrite(handle=1, data=memoryview(b"ab"))),
    (Whole(parts=[Part(logical_id=1)]), Whole(parts=[Part(logical_id=1)])),
    (Part(logical_id=1, notes=["a", "b"]), Part(logical_id=1, notes=["a", "b"])),
    (AgentInfo(version="1"), AgentInfo(version="1")),
]
if not TYPE_CHECKING:  # they are no strings to type checkers
    EQUAL.append(
        (FileSeek(handle=1, offset=0, whence="set"), FileSeek(handle=1, offset=0, whence=Seek.SET))
    )


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_objects_hash_alike(one: Struct, other: Struct) -> None:
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1


def test_different_objects_hash_differently() -> None:
    different = {FileWrite(handle=1, data=b"ab"), FileWrite(handle=1, data=b"cd"), Ping()}
    assert len(different) == 3


def test_repr() -> None:
    whole = Whole(parts=[Part(logical_id=1, notes=["a"])])
    part = "Part(logical_id=1, notes=['a'])"
    assert repr(whole) == f"Whole(parts=[{part}], size=0, under_score='x')"
    assert repr(Ping()) == "Ping()"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_repr_keeps_contents_to_itself(kind: Any) -> None:
    shown = repr(FileWrite(handle=1, data=kind(b"secret")))
    assert shown == "FileWrite(handle=1, data=<6 bytes>, count=None)"


def test_copy_and_pickle() -> None:
    for struct in (Whole(parts=[Part(logical_id=1)]), FileChunk(count=1, data=b"a", eof=False)):
        assert copy.deepcopy(struct) == struct
        assert pickle.loads(pickle.dumps(struct)) == struct


def test_the_schema_of_a_class() -> None:
    assert [*members(Longer)] == ["logical_id", "notes", "extra"]
    assert members(Whole)["parts"].default is REQUIRED
    assert annotation(Longer, "logical_id") is int
    assert annotation(Whole, "size") is UInt64
    with pytest.raises(KeyError):
        annotation(Whole, "none")
    names = [wire_name(name, description) for name, description in members(Whole).items()]
    assert names == ["parts", "size", "under_score"]
    assert [wire_name(name, description) for name, description in members(FileChunk).items()] == [
        "count", "buf-b64", "eof",
    ]  # fmt: skip


def test_results_of_commands() -> None:
    assert FileRead.result() is FileChunk
    assert FsfreezeStatus.result() is FsfreezeState
    assert Ping.result() is None
    assert not Shutdown.SUCCESS_RESPONSE

    class Derived(FileRead):
        NAME = "guest-test"

    assert Derived.result() is FileChunk

    class Untold(Command):  # type: ignore[type-arg]
        NAME = "guest-test"

    with pytest.raises(TypeError, match="Untold does not say what it returns"):
        Untold.result()


def test_handler_is_called_as_a_function() -> None:
    class Echo(Command[int]):
        NAME = "guest-test"

        value: int

    def called(command: Echo) -> Any:
        return Echo.HANDLER and Echo.HANDLER("abc", command)

    assert called(Echo(value=4)) is None

    @Echo.handler
    def echo(agent: str, command: Echo) -> int:
        return len(agent) + command.value

    assert called(Echo(value=4)) == 7
    assert echo("", Echo(value=1)) == 1


def test_every_declaration_is_complete() -> None:
    names = [command.NAME for command in COMMANDS]
    assert names == list(PLACES)
    assert {c.NAME for c in COMMANDS if c.WHILE_FROZEN} == WHILE_FROZEN
    assert {c.NAME for c in COMMANDS if not c.SUCCESS_RESPONSE} == SILENT
    assert {c.NAME: c.PLATFORM for c in COMMANDS if c.PLATFORM} == PLATFORMS
    latest = version(UPSTREAM_VERSION)  # every agent of that has all of them
    assert all(version(command.SINCE) <= latest for command in COMMANDS)
    assert len(names) == len(set(names))
    for command in COMMANDS:
        version(command.SINCE)
        assert command.__doc__
        command.result()


def test_no_declaration_is_left_out() -> None:
    folder = Path(protocol.__file__).parent
    topics = [import_module(f"qga.protocol.{path.stem}") for path in folder.glob("*.py")]
    declared = [
        thing
        for topic in topics
        for thing in vars(topic).values()
        if isinstance(thing, type) and issubclass(thing, Command) and thing.NAME
    ]
    assert {command.NAME: command for command in declared} == {c.NAME: c for c in COMMANDS}
    names = {command.__name__ for command in COMMANDS}
    assert {name for name in protocol.__all__ if name not in vars(protocol)} <= names
    assert names <= set(protocol.__all__)
    assert all(getattr(protocol, command.__name__) is command for command in COMMANDS)
    with pytest.raises(AttributeError, match="has no attribute 'Gone'"):
        _ = protocol.Gone  # type: ignore[attr-defined]


# Enums, alternates, versions.


def test_enum_values() -> None:
    assert Seek.SET == "set"
    assert isinstance(Seek.SET, Seek)
    assert Seek("set") == Seek.SET
    assert hash(Seek("set")) == hash("set")
    assert [*Seek.VALUES] == ["set", "cur", "end"]
    assert (str(Seek.CUR), repr(Seek.CUR), f"{Seek.CUR}") == ("cur", "Seek('cur')", "cur")


def test_enums_are_open() -> None:
    new = FsfreezeState("melting")
    assert new == "melting"
    assert new not in FsfreezeState.VALUES
    assert repr(new) == "FsfreezeState('melting')"


def test_enums_keep_their_values_apart() -> None:
    class Colour(Enum):
        RED = Value("red")
        BLUE = Value("blue", since="2.1")

    assert [*Colour.VALUES] == ["red", "blue"]
    assert (Colour.VALUES["red"].since, Colour.VALUES["blue"].since) == (None, "2.1")
    assert "red" not in Seek.VALUES


def test_alternate_may_be_optional() -> None:
    alternate: Any = Alternate("TestAlternate", since="2.0", doc="Either.", number=int, name=str)
    assert [*alternate.branches] == ["number", "name"]
    optional: Any = alternate | None
    assert optional.inner is alternate


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.15", (0, 15)),
        ("1.0", (1, 0)),
        ("1.0.1", (1, 0)),
        ("2", (2, 0)),
        ("10.2.0", (10, 2)),
        ("7.2.22", (7, 2)),
    ],
)
def test_version(text: str, number: tuple[int, ...]) -> None:
    assert version(text) == number


def test_versions_are_compared_as_numbers() -> None:
    assert version("0.15") < version("1.0") < version("2.6") < version("2.10") < version("10.2.0")


@pytest.mark.parametrize("text", ["", "x", "1.x", "1,0", "v1"])
def test_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        version(text)


def test_agent_of_2011_has_no_list() -> None:
    assert len(AgentInfo(version="1.0").supported_commands) == 0
    assert AgentCommandInfo(name="x", enabled=True).success_response
