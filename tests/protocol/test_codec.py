"""Arguments as the agent reads them, strictly and with QAPI's errors; replies as a client does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qga.errors import BadArgument, CommandError
from qga.protocol import FileOpen, FileRead, FileSeek, FileWrite, Info, Ping, Sync
from qga.protocol.codec import LATEST, Mismatch, decoder, encode, reader
from qga.protocol.files import FileChunk, Seek, Whence
from qga.protocol.fsfreeze import FsfreezeState
from qga.protocol.model import Command, Enum, Struct, UInt16, UInt64, Value, member, version
from qga.protocol.session import AgentCommandInfo, AgentInfo
from qga.wire import base64, text
from qga.wire.splitter import Splitter

# Types that the protocol will have, in short.


class Vcpu(Struct):
    """A processor."""

    NAME = "TestVcpu"

    logical_id: int
    online: bool
    can_offline: bool | None = None


class SetVcpus(Command[int]):
    NAME = "test-set-vcpus"

    vcpus: list[Vcpu]


class Block(Struct):
    """A block of memory."""

    NAME = "TestBlock"

    phys_index: UInt64
    online: bool


class SetBlocks(Command[list[Block]]):
    NAME = "test-set-blocks"

    mem_blks: list[Block]


class Mode(Enum):
    """How to capture."""

    NAME = "TestMode"

    NONE = Value("none")
    STDOUT = Value("stdout")
    MERGED = Value("merged", since="9.0")


class Exec(Command[int]):
    NAME = "test-exec"

    path: str
    arg: list[str] | None = None
    input_data: bytes | None = member(default=None, name="input-data")
    mode: Mode | None = None
    grid: list[list[int]] | None = None
    later: bool | None = member(default=None, since="8.1")


class Bus(Enum):
    NAME = "TestBus"

    NVME = Value("nvme")
    USB = Value("usb")
    CXL = Value("cxl", since="9.0")


class Disk(Struct):
    """A flat union."""

    NAME = "TestDisk"
    DISCRIMINATOR = "bus_type"

    name: str
    bus_type: Bus


class NvmeDisk(Disk):
    BRANCH = "nvme"

    spare: UInt16
    health: Vcpu | None = None


class CxlDisk(Disk):
    BRANCH = "cxl"

    lanes: int


class SetDisks(Command[list[Disk]]):
    NAME = "test-set-disks"

    disks: list[Disk]
    load: float | None = None


def error_of(command: type[Struct], arguments: Any, since: tuple[int, ...] = LATEST) -> str:
    with pytest.raises(Mismatch) as caught:
        decoder(command, since)(arguments)
    error = caught.value.error()
    assert isinstance(error, BadArgument)
    assert (error.desc, error.error_class) == (str(caught.value), "GenericError")
    return error.desc


# Errors.

MISSING = "Parameter '{}' is missing"
UNEXPECTED = "Parameter '{}' is unexpected"
WRONG = "Invalid parameter type for '{}', expected: {}"
UINT64 = "Parameter '{}' expects uint64"
NOT_A_VALUE = "Parameter '{}' does not accept value '{}'"

SEEK = {"handle": 1, "offset": 0}
VCPU = {"logical-id": 0, "online": True}


@pytest.mark.parametrize(
    ("command", "arguments", "error"),
    [
        (Sync, {}, MISSING.format("id")),
        (Sync, {"id": "1"}, WRONG.format("id", "integer")),
        (Sync, {"id": 1.0}, WRONG.format("id", "integer")),
        (Sync, {"id": 1e3}, WRONG.format("id", "integer")),
        (Sync, {"id": True}, WRONG.format("id", "integer")),
        (Sync, {"id": None}, WRONG.format("id", "integer")),
        (Sync, {"id": [1]}, WRONG.format("id", "integer")),
        (Sync, {"id": 1 << 63}, WRONG.format("id", "integer")),
        (Sync, {"id": -(1 << 63) - 1}, WRONG.format("id", "integer")),
        (Sync, {"id": 1, "foo": 2}, UNEXPECTED.format("foo")),
        (Ping, {"foo": 2}, UNEXPECTED.format("foo")),
        (Sync, {"ID": 1}, MISSING.format("id")),
        # In the order of the schema, and what is unexpected last.
        (FileWrite, {"foo": 1}, MISSING.format("handle")),
        (FileWrite, {"foo": 1, "handle": "x"}, WRONG.format("handle", "integer")),
        (FileWrite, {"count": "x", "handle": 1}, MISSING.format("buf-b64")),
        (FileWrite, {"count": "x", "buf-b64": 1, "handle": 1}, WRONG.format("buf-b64", "string")),
        (FileWrite, {"count": "x", "buf-b64": "", "handle": 1}, WRONG.format("count", "integer")),
        (FileWrite, {"foo": 1, "buf-b64": "", "handle": 1}, UNEXPECTED.format("foo")),
        (FileWrite, {"buf_b64": "", "handle": 1}, MISSING.format("buf-b64")),
        # null is a value.
        (FileRead, {"handle": 1, "count": None}, WRONG.format("count", "integer")),
        (FileOpen, {"path": "/", "mode": None}, WRONG.format("mode", "string")),
        (FileOpen, {"path": 1}, WRONG.format("path", "string")),
        # Paths.
        (SetVcpus, {"vcpus": {}}, WRONG.format("vcpus", "array")),
        (SetVcpus, {"vcpus": [1]}, WRONG.format("vcpus[0]", "object")),
        (SetVcpus, {"vcpus": [{}]}, MISSING.format("vcpus[0].logical-id")),
        (SetVcpus, {"vcpus": [VCPU, VCPU, {}]}, MISSING.format("vcpus[2].logical-id")),
        (
            SetVcpus,
            {"vcpus": [VCPU, {"logical-id": 1, "online": 1}]},
            WRONG.format("vcpus[1].online", "boolean"),
        ),
        (
            SetVcpus,
            {"vcpus": [VCPU | {"can-offline": None}]},
            WRONG.format("vcpus[0].can-offline", "boolean"),
        ),
        (SetVcpus, {"vcpus": [VCPU | {"x": 1}]}, UNEXPECTED.format("vcpus[0].x")),
        (SetVcpus, {"vcpus": [VCPU], "x": 1}, UNEXPECTED.format("x")),
        (SetVcpus, {"vcpus": [VCPU | {"x": 1}], "y": 1}, UNEXPECTED.format("vcpus[0].x")),
        (Exec, {"path": "/", "arg": ["a", 1]}, WRONG.format("arg[1]", "string")),
        (Exec, {"path": "/", "arg": "a"}, WRONG.format("arg", "array")),
        (Exec, {"path": "/", "grid": [[1], [2, "3"]]}, WRONG.format("grid[1][1]", "integer")),
        (Exec, {"path": "/", "grid": [1]}, WRONG.format("grid[0]", "array")),
        # uint64.
        (SetBlocks, {"mem-blks": [{"phys-index": "0"}]}, UINT64.format("mem-blks[0].phys-index")),
        (SetBlocks, {"mem-blks": [{"phys-index": 1.0}]}, UINT64.format("mem-blks[0].phys-index")),
        (SetBlocks, {"mem-blks": [{"phys-index": True}]}, UINT64.format("mem-blks[0].phys-index")),
        (
            SetBlocks,
            {"mem-blks": [{"phys-index": 0, "online": True}, {"phys-index": 1 << 64}]},
            UINT64.format("mem-blks[1].phys-index"),
        ),
        (
            SetBlocks,
            {"mem-blks": [{"phys-index": -(1 << 63) - 1}]},
            UINT64.format("mem-blks[0].phys-index"),
        ),
        # Enums and alternates.
        (Exec, {"path": "/", "mode": "both"}, NOT_A_VALUE.format("mode", "both")),
        (Exec, {"path": "/", "mode": "{}{0}"}, NOT_A_VALUE.format("mode", "{}{0}")),
        (Exec, {"path": "/", "mode": 1}, WRONG.format("mode", "string")),
        (FileSeek, {"handle": 1, "offset": 0}, MISSING.format("whence")),
        (FileSeek, {"handle": 1, "offset": 0, "whence": "x"}, NOT_A_VALUE.format("whence", "x")),
        (FileSeek, SEEK | {"whence": None}, WRONG.format("whence", "GuestFileWhence")),
        (FileSeek, SEEK | {"whence": True}, WRONG.format("whence", "GuestFileWhence")),
        (FileSeek, SEEK | {"whence": [0]}, WRONG.format("whence", "GuestFileWhence")),
        (FileSeek, SEEK | {"whence": {}}, WRONG.format("whence", "GuestFileWhence")),
        (FileSeek, SEEK | {"whence": 1.0}, WRONG.format("whence", "integer")),
        (FileSeek, SEEK | {"whence": 1 << 63}, WRONG.format("whence", "integer")),
        # Flat unions.
        (SetDisks, {"disks": [{"name": "a"}]}, MISSING.format("disks[0].bus-type")),
        (SetDisks, {"disks": [{"bus-type": "nvme"}]}, MISSING.format("disks[0].name")),
        (
            SetDisks,
            {"disks": [{"name": "a", "bus-type": "isa"}]},
            NOT_A_VALUE.format("disks[0].bus-type", "isa"),
        ),
        (
            SetDisks,
            {"disks": [{"name": "a", "bus-type": 7}]},
            WRONG.format("disks[0].bus-type", "string"),
        ),
        (
            SetDisks,
            {"disks": [{"name": "a", "bus-type": "nvme"}]},
            MISSING.format("disks[0].spare"),
        ),
        (
            SetDisks,
            {"disks": [{"name": "a", "bus-type": "nvme", "spare": 1, "lanes": 1}]},
            UNEXPECTED.format("disks[0].lanes"),
        ),
        (
            SetDisks,
            {"disks": [{"name": "a", "bus-type": "usb", "spare": 1}]},
            UNEXPECTED.format("disks[0].spare"),
        ),
        (
            SetDisks,
            {"disks": [{"name": "a", "bus-type": "nvme", "spare": 1, "health": {}}]},
            MISSING.format("disks[0].health.logical-id"),
        ),
        (SetDisks, {"disks": [], "load": "1"}, WRONG.format("load", "number")),
        (SetDisks, {"disks": [], "load": True}, WRONG.format("load", "number")),
    ],
)  # fmt: skip
def test_error(command: type[Struct], arguments: Any, error: str) -> None:
    assert error_of(command, arguments) == error


def test_errors_of_agents_before_1_2() -> None:
    def legacy(command: type[Struct], arguments: Any) -> Any:
        with pytest.raises(Mismatch) as caught:
            decoder(command)(arguments)
        return caught.value.error().legacy

    assert legacy(Sync, {}) == ("MissingParameter", {"name": "id"})
    assert legacy(Sync, {"id": 1, "x": 1}) == ("InvalidParameter", {"name": "x"})
    assert legacy(SetVcpus, {"vcpus": [{"logical-id": ""}]}) == (
        "InvalidParameterType",
        {"name": "vcpus[0].logical-id", "expected": "integer"},
    )


# Values.


@pytest.mark.parametrize(
    ("command", "arguments", "decoded"),
    [
        (Ping, {}, Ping()),
        (Sync, {"id": -(1 << 63)}, Sync(id=-(1 << 63))),
        (Sync, {"id": (1 << 63) - 1}, Sync(id=(1 << 63) - 1)),
        (FileRead, {"handle": 1}, FileRead(handle=1)),
        (FileRead, {"count": 2, "handle": 1}, FileRead(handle=1, count=2)),
        (FileWrite, {"handle": 1, "buf-b64": "YQ=="}, FileWrite(handle=1, data=b"a")),
        (Exec, {"path": "/", "arg": []}, Exec(path="/", arg=[])),
        (Exec, {"path": "\0", "mode": "merged"}, Exec(path="\0", mode=Mode.MERGED)),
        (Exec, {"path": "", "input-data": "YQ=="}, Exec(path="", input_data=b"a")),
        (Exec, {"path": "", "grid": [[], [1]]}, Exec(path="", grid=[[], [1]])),
        (SetVcpus, {"vcpus": []}, SetVcpus(vcpus=[])),
        (SetVcpus, {"vcpus": [VCPU]}, SetVcpus(vcpus=[Vcpu(logical_id=0, online=True)])),
        (SetDisks, {"disks": [], "load": 1}, SetDisks(disks=[], load=1.0)),
        (SetDisks, {"disks": [], "load": 10**400}, SetDisks(disks=[], load=float("inf"))),
        (SetDisks, {"disks": [], "load": -(10**400)}, SetDisks(disks=[], load=float("-inf"))),
    ],
)
def test_value(command: type[Struct], arguments: Any, decoded: Struct) -> None:
    assert decoder(command)(arguments) == decoded
    assert reader(command)(arguments) == decoded


@pytest.mark.parametrize(
    ("number", "index"), [(0, 0), (-1, (1 << 64) - 1), (-(1 << 63), 1 << 63), ((1 << 64) - 1,) * 2]
)
def test_negative_numbers_wrap_for_uint64(number: int, index: int) -> None:
    decoded = decoder(Block)({"phys-index": number, "online": False})
    assert decoded.phys_index == index


@pytest.mark.parametrize(
    ("number", "fits"), [(0, True), (65535, True), (65536, False), (-1, False)]
)
def test_uint16(number: int, fits: bool) -> None:
    disk = {"name": "a", "bus-type": "nvme", "spare": number}
    if fits:
        assert decoder(Disk)(disk).spare == number
    else:
        assert error_of(Disk, disk) == "Parameter 'spare' expects uint16"


def test_enums_and_alternates_keep_their_types() -> None:
    seek = decoder(FileSeek)({"handle": 1, "offset": 0, "whence": "cur"})
    assert seek.whence is not None
    assert isinstance(seek.whence, Seek)
    assert seek == FileSeek(handle=1, offset=0, whence=Seek.CUR)
    assert decoder(FileSeek)({"handle": 1, "offset": 0, "whence": 7}).whence == 7


def test_branch_of_a_union_is_an_object_of_its_class() -> None:
    disks = decoder(SetDisks)({
        "disks": [
            {"spare": 7, "bus-type": "nvme", "name": "a"},
            {"bus-type": "usb", "name": "b"},
            {"bus-type": "nvme", "name": "c", "spare": 8, "health": VCPU},
        ]
    }).disks  # fmt: skip
    assert [type(disk) for disk in disks] == [NvmeDisk, Disk, NvmeDisk]
    assert disks[0] == NvmeDisk(name="a", bus_type=Bus.NVME, spare=7)
    assert disks[2].health == Vcpu(logical_id=0, online=True)


# Base64 and long strings.


def sent(value: Any) -> Any:
    """*value* as a splitter hands it over when it arrives in two pieces: long strings are blobs."""
    data = b"".join(text.encode(value))
    splitter = Splitter()
    (event,) = splitter.feed(data[:10]) + splitter.feed(data[10:])
    return event


@pytest.mark.parametrize("size", [0, 3, 4, 6000])
def test_base64_from_strings_and_blobs(size: int) -> None:
    data = bytes(range(256)) * 30
    data = data[:size]
    write = decoder(FileWrite)(sent({"handle": 1, "buf-b64": data}))
    assert write.data == data
    run = decoder(Exec)(sent({"path": "/", "input-data": data}))
    assert (type(run.input_data), run.input_data) == (bytes, data)
    chunk = reader(FileChunk)(sent({"count": size, "buf-b64": data, "eof": True}))
    assert (type(chunk.data), chunk.data) == (bytes, data)


def test_base64_as_lenient_as_the_stock_agent() -> None:
    write = decoder(FileWrite)({"handle": 1, "buf-b64": "aGVs\nbG8"})
    assert bytes(write.data) == b"hel"
    long = "QUJD" * 3000
    assert (
        bytes(decoder(FileWrite)(sent({"handle": 1, "buf-b64": long + "Q"})).data) == b"ABC" * 3000
    )


@pytest.mark.parametrize("bad", ["a b=", "\u20ac", "QUJD" * 2000 + "-", "QUJD" * 2000 + "\r"])
def test_invalid_base64(bad: str) -> None:
    with pytest.raises(CommandError) as caught:
        decoder(FileWrite)(sent({"handle": 1, "buf-b64": bad}))
    assert str(caught.value) == "Base64 data contains invalid characters"


def test_long_strings_that_look_like_base64_are_strings_where_strings_are_due() -> None:
    long = "QUJD" * 3000
    assert decoder(FileOpen)(sent({"path": long})).path == long
    assert decoder(Exec)(sent({"path": "/", "arg": [long, "b"]})).arg == [long, "b"]
    for command, name in ((Exec, "mode"), (FileSeek, "whence")):
        arguments = {"path": "/"} if command is Exec else {"handle": 1, "offset": 1}
        assert error_of(command, sent(arguments | {name: long})) == NOT_A_VALUE.format(name, long)
    assert error_of(Sync, sent({"id": long})) == WRONG.format("id", "integer")
    assert reader(FsfreezeState)(sent([long])[0]) == long


# Versions.


def test_members_are_unknown_before_their_version() -> None:
    arguments = {"path": "/", "later": True}
    assert decoder(Exec, (8, 1))(arguments).later is True
    assert error_of(Exec, arguments, (8, 0)) == UNEXPECTED.format("later")
    assert decoder(Exec, (8, 0))({"path": "/"}) == Exec(path="/")


def test_enum_values_are_unknown_before_their_version() -> None:
    arguments = {"path": "/", "mode": "merged"}
    assert decoder(Exec, (9, 0))(arguments).mode == Mode.MERGED
    assert error_of(Exec, arguments, (8, 2)) == NOT_A_VALUE.format("mode", "merged")
    disks = {"disks": [{"name": "a", "bus-type": "cxl", "lanes": 1}]}
    assert type(decoder(SetDisks)(disks).disks[0]) is CxlDisk
    wrong = NOT_A_VALUE.format("disks[0].bus-type", "cxl")
    assert error_of(SetDisks, disks, (8, 2)) == wrong


def test_alternates_are_their_first_branch_before_their_version() -> None:
    seek = {"handle": 1, "offset": 0}
    assert decoder(FileSeek, (2, 6))(seek | {"whence": "set"}).whence == Seek.SET
    assert error_of(FileSeek, seek | {"whence": "set"}, (2, 5)) == WRONG.format("whence", "integer")
    assert decoder(FileSeek, (2, 5))(seek | {"whence": 5}).whence == 5


def test_unknown_arguments_were_ignored_before_1_1() -> None:
    arguments = {"id": 1, "unknown": 2}
    assert decoder(Sync, (1, 0))(arguments) == Sync(id=1)
    assert error_of(Sync, arguments, (1, 1)) == UNEXPECTED.format("unknown")
    # All else was checked.
    assert error_of(Sync, {"unknown": 2}, (1, 0)) == MISSING.format("id")
    assert error_of(Sync, {"id": "x"}, (1, 0)) == WRONG.format("id", "integer")
    nested = {"vcpus": [VCPU | {"x": 1}]}
    assert decoder(SetVcpus, (1, 0))(nested) == SetVcpus(vcpus=[Vcpu(logical_id=0, online=True)])


def test_replies_lack_what_came_later() -> None:
    info = AgentInfo(version="1", supported_commands=[AgentCommandInfo(name="a", enabled=True)])
    entry = {"name": "a", "enabled": True}
    assert encode(info) == {
        "version": "1", "supported_commands": [entry | {"success-response": True}],
    }  # fmt: skip
    assert encode(info, version("1.6")) == {"version": "1", "supported_commands": [entry]}
    assert encode(Exec(path="/", later=True), version("8.0")) == {"path": "/"}


# Replies.


def test_absent_members_are_left_out() -> None:
    assert encode(FileRead(handle=1)) == {"handle": 1}
    assert encode([Vcpu(logical_id=1, online=False)]) == [{"logical-id": 1, "online": False}]
    assert encode(SetVcpus(vcpus=[])) == {"vcpus": []}
    assert encode(None) is None
    assert encode(FsfreezeState.THAWED) == "thawed"
    assert encode(FileChunk(count=1, data=b"a", eof=True)) == {
        "count": 1, "buf-b64": b"a", "eof": True,
    }  # fmt: skip


def test_the_reader_takes_what_a_newer_agent_adds() -> None:
    assert reader(FileChunk)({"count": 1, "buf-b64": "YQ==", "eof": True, "new": 1}) == FileChunk(
        count=1, data=b"a", eof=True
    )
    state = reader(FsfreezeState)("melting")
    assert (type(state), state) == (FsfreezeState, "melting")
    disk = reader(Disk)({"name": "a", "bus-type": "quantum", "new": 1})
    assert (type(disk), disk.bus_type) == (Disk, "quantum")


def test_the_reader_does_without_what_an_older_agent_lacks() -> None:
    assert reader(AgentInfo)({"version": "1.0"}) == AgentInfo(version="1.0", supported_commands=[])
    info = reader(AgentInfo)(
        {"version": "1.5", "supported_commands": [{"name": "a", "enabled": False}]}
    )
    assert info.supported_commands == [AgentCommandInfo(name="a", enabled=False)]


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        (int, "1", WRONG.format("", "integer")),
        (FileChunk, {"count": 1, "eof": True}, MISSING.format("buf-b64")),
        (FileChunk, [], WRONG.format("", "object")),
        (AgentInfo, {"version": None}, WRONG.format("version", "string")),
        (list[Vcpu], [VCPU, {}], MISSING.format("[1].logical-id")),
        (list[Vcpu], {}, WRONG.format("", "array")),
    ],
)
def test_the_reader_refuses_what_is_not_of_the_type(kind: Any, value: Any, error: str) -> None:
    with pytest.raises(Mismatch) as caught:
        reader(kind)(value)
    assert str(caught.value) == error


def test_the_reader_of_nothing() -> None:
    assert reader(Ping.result())({}) is None
    assert reader(Ping.result())({"some": "thing"}) is None


def test_readers_of_lists_are_not_mixed_up() -> None:
    assert reader(list[int])([1]) == [1]
    assert reader(list[str])(["1"]) == ["1"]
    assert reader(SetBlocks.result())([{"phys-index": 1, "online": True}]) == [
        Block(phys_index=1, online=True)
    ]


# There and back.

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
VCPUS = st.builds(
    Vcpu, logical_id=INT64, online=st.booleans(), can_offline=st.none() | st.booleans()
)
STRUCTS: st.SearchStrategy[Struct] = st.one_of(
    st.builds(SetVcpus, vcpus=st.lists(VCPUS)),
    st.builds(
        SetBlocks,
        mem_blks=st.lists(
            st.builds(Block, phys_index=st.integers(0, (1 << 64) - 1), online=st.booleans())
        ),
    ),
    st.builds(
        Exec,
        path=TEXT,
        arg=st.none() | st.lists(TEXT),
        input_data=st.none() | st.binary() | st.binary(min_size=5000, max_size=5000),
        mode=st.none() | st.sampled_from([*map(Mode, Mode.VALUES)]),
        grid=st.none() | st.lists(st.lists(INT64, max_size=3), max_size=3),
        later=st.none() | st.booleans(),
    ),
    st.builds(
        SetDisks,
        disks=st.lists(
            st.builds(Disk, name=TEXT, bus_type=st.just(Bus.USB))
            | st.builds(
                NvmeDisk,
                name=TEXT,
                bus_type=st.just(Bus.NVME),
                spare=st.integers(0, 65535),
                health=st.none() | VCPUS,
            )
        ),
        load=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.builds(
        FileSeek,
        handle=INT64,
        offset=INT64,
        whence=INT64 | st.sampled_from([*map(Seek, Seek.VALUES)]),
    ),
    st.builds(FileWrite, handle=INT64, data=st.binary(), count=st.none() | INT64),
)


@given(STRUCTS)
def test_there_and_back(struct: Struct) -> None:
    encoded = b"".join(text.encode(encode(struct)))
    for value in (json.loads(encoded), sent(encode(struct))):
        for decode in (reader(type(struct)), decoder(type(struct))):
            decoded = decode(value)
            assert decoded == struct
            assert hash(decoded) == hash(struct)
            assert b"".join(text.encode(encode(decoded))) == encoded


def test_base64_of_a_struct_is_base64() -> None:
    encoded = b"".join(text.encode(encode(FileChunk(count=3, data=b"abc", eof=False))))
    assert json.loads(encoded)["buf-b64"].encode() == base64.encode(b"abc")


def test_whence_is_a_union_to_type_checkers() -> None:
    values: list[Whence] = [1, Seek.SET]
    assert [encode(value) for value in values] == [1, "set"]
    assert Info.result() is AgentInfo
