"""The emitted schemas: well-formed by their rules, and what the agents of 2011 and today say."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from qga.protocol import COMMANDS, OWN
from qga.protocol.export import json_schema, qapi_schema
from qga.protocol.model import Command, Enum, Struct, UInt16, UInt64, Value, member
from tests.protocol import qapi_grammar
from tests.protocol.schema_today import (
    ALTERNATES_ADDED,
    COMMANDS_ADDED,
    ENUMS_ADDED,
    NO_SUCCESS_RESPONSE,
    STRUCTS_ADDED,
    UNIONS_ADDED,
    members,
)

# The schema of the agents before 1.1: arguments and result of each command.
COMMANDS_2011: dict[str, tuple[dict[str, Any], Any]] = {
    "guest-sync": ({"id": "int"}, "int"),
    "guest-ping": ({}, None),
    "guest-info": ({}, "GuestAgentInfo"),
    "guest-shutdown": ({"*mode": "str"}, None),
    "guest-file-open": ({"path": "str", "*mode": "str"}, "int"),
    "guest-file-close": ({"handle": "int"}, None),
    "guest-file-read": ({"handle": "int", "*count": "int"}, "GuestFileRead"),
    "guest-file-write": (
        {"handle": "int", "buf-b64": "str", "*count": "int"},
        "GuestFileWrite",
    ),
    "guest-file-seek": ({"handle": "int", "offset": "int", "whence": "int"}, "GuestFileSeek"),
    "guest-file-flush": ({"handle": "int"}, None),
    "guest-fsfreeze-status": ({}, "GuestFsfreezeStatus"),
    "guest-fsfreeze-freeze": ({}, "int"),
    "guest-fsfreeze-thaw": ({}, "int"),
}
TYPES_2011: dict[str, dict[str, Any] | list[str]] = {
    "GuestAgentInfo": {"version": "str", "supported_commands": ["GuestAgentCommandInfo"]},
    "GuestAgentCommandInfo": {"name": "str", "enabled": "bool"},
    "GuestFileRead": {"count": "int", "buf-b64": "str", "eof": "bool"},
    "GuestFileWrite": {"count": "int", "eof": "bool"},
    "GuestFileSeek": {"position": "int", "eof": "bool"},
    "GuestFsfreezeStatus": ["thawed", "frozen", "error"],
}
# What today's agents have beyond that, with the version that added it.
ADDED_MEMBERS = {"GuestAgentCommandInfo": {"success-response": ("bool", "1.7")}}
CHANGED_ARGUMENTS = {"guest-file-seek": {"whence": "GuestFileWhence"}}


@pytest.fixture(scope="module")
def schema() -> qapi_grammar.Schema:
    return qapi_grammar.parse(qapi_schema())


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    # As others see it.
    return json.loads(json.dumps(json_schema()))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", COMMANDS_2011)
def test_command_of_2011(schema: qapi_grammar.Schema, name: str) -> None:
    arguments, returns = COMMANDS_2011[name]
    command = schema.definitions[name]
    assert command.kind == "command"
    assert command.expression.get("data", {}) == arguments | CHANGED_ARGUMENTS.get(name, {})
    assert command.expression.get("returns") == returns
    assert command.expression.get("success-response", True) is (name not in NO_SUCCESS_RESPONSE)
    assert command.doc.sections["Since"] == "0.15"


@pytest.mark.parametrize("name", TYPES_2011)
def test_type_of_2011(schema: qapi_grammar.Schema, name: str) -> None:
    data = TYPES_2011[name]
    definition = schema.definitions[name]
    assert definition.doc.sections["Since"] == "0.15"
    if isinstance(data, list):
        assert (definition.kind, definition.expression["data"]) == ("enum", data)
        return
    added = ADDED_MEMBERS.get(name, {})
    assert definition.kind == "struct"
    assert definition.expression["data"] == data | {new: kind for new, (kind, _) in added.items()}
    for new, (_, since) in added.items():
        assert definition.doc.members[new].endswith(f" (since {since})")
    assert not [old for old in data if "(since" in definition.doc.members[old]]


@pytest.mark.parametrize("name", COMMANDS_ADDED)
def test_command_that_came_later(schema: qapi_grammar.Schema, name: str) -> None:
    arguments, returns, since = COMMANDS_ADDED[name]
    command = schema.definitions[name]
    assert command.kind == "command"
    assert command.expression.get("data", {}) == arguments
    assert command.expression.get("returns") == returns
    assert command.expression.get("success-response", True) is (name not in NO_SUCCESS_RESPONSE)
    assert command.doc.sections["Since"] == since


def test_types_that_came_later(schema: qapi_grammar.Schema) -> None:
    found: dict[str, dict[str, Any]] = {}
    for name, definition in schema.definitions.items():
        if name not in TYPES_2011 and not name.startswith("Qga"):
            found.setdefault(definition.kind, {})[name] = definition.expression
    assert {name: made["data"] for name, made in found["struct"].items()} == STRUCTS_ADDED
    assert {name: made["data"] for name, made in found["enum"].items()} == ENUMS_ADDED
    assert {name: made["data"] for name, made in found["alternate"].items()} == ALTERNATES_ADDED
    unions = {name: (made["base"], made["data"]) for name, made in found["union"].items()}
    assert unions == {n: (members(base), data) for n, (base, data) in UNIONS_ADDED.items()}


def test_schema_declares_what_is_declared_and_no_more(schema: qapi_grammar.Schema) -> None:
    commands = {name for name, found in schema.definitions.items() if found.kind == "command"}
    assert commands == {command.NAME for command in COMMANDS}
    assert {*COMMANDS_2011, *COMMANDS_ADDED} == {
        name for name in commands if not name.startswith(OWN)
    }
    text = qapi_schema()
    used = {name for name in schema.definitions if text.count(f"'{name}'") > 1}
    assert used >= set(schema.definitions) - commands


# What the declarations do not use yet, and the model knows.


class Bus(Enum):
    """A bus.

    Values:
        nvme: fast
        usb: not so
            fast, and rather long to tell of: more than what one line of a comment has the room for
    """

    NAME = "TestBus"
    SINCE = "2.2"

    NVME = Value("nvme", since="7.1")
    USB = Value("usb")


class Smart(Struct):
    """Health of a disk.

    Members:
        bus-type: what it hangs on
    """

    NAME = "TestSmart"
    SINCE = "7.1"
    DISCRIMINATOR = "bus_type"

    bus_type: Bus


class SmartNvme(Smart):
    """Health of an NVMe disk.

    Members:
        units-read: so many
        vendor: by number
        temperature: in degrees
    """

    NAME = "TestSmartNvme"
    SINCE = "7.1"
    BRANCH = "nvme"

    units_read: UInt64
    vendor: UInt16 | None = None
    temperature: float | None = member(default=None, since="8.0")


class SmartUsb(Smart):
    """Nothing is added."""

    NAME = "TestSmartUsb"
    SINCE = "7.1"
    BRANCH = "usb"


class SetSmart(Command[list[Smart]]):
    """Make disks healthy.

    Members:
        disks: all of them
        also: names of more

    Returns: what became of them
    """

    NAME = "guest-set-smart"
    SINCE = "7.1"

    disks: list[Smart]
    also: list[str] | None = None


def test_unions_lists_and_numbers_in_qapi() -> None:
    found = qapi_grammar.parse(qapi_schema([SetSmart])).definitions
    assert [*found] == ["TestBus", "TestSmartNvme", "TestSmart", "guest-set-smart"]
    assert found["TestSmart"].expression == {
        "union": "TestSmart",
        "base": {"bus-type": "TestBus"},
        "discriminator": "bus-type",
        "data": {"nvme": "TestSmartNvme"},
    }
    assert found["TestSmartNvme"].expression == {
        "struct": "TestSmartNvme",
        "data": {"units-read": "uint64", "*vendor": "uint16", "*temperature": "number"},
    }
    assert found["guest-set-smart"].expression == {
        "command": "guest-set-smart",
        "data": {"disks": ["TestSmart"], "*also": ["str"]},
        "returns": ["TestSmart"],
    }
    assert found["TestBus"].doc.members["nvme"] == "fast (since 7.1)"
    assert found["TestBus"].doc.members["usb"].endswith(" has the room for")
    assert found["TestSmartNvme"].doc.members["temperature"] == "in degrees (since 8.0)"
    assert found["guest-set-smart"].doc.sections["Returns"] == "what became of them"


def test_unions_lists_and_numbers_in_json_schema() -> None:
    document = json_schema([SetSmart])
    definitions = document["$defs"]
    check_document(document)
    assert definitions["guest-set-smart.return"] == {
        "type": "array",
        "items": {"$ref": "#/$defs/TestSmart"},
        "description": "what became of them",
    }
    smart, strict = definitions["TestSmart"], definitions["TestSmart.argument"]
    assert strict["unevaluatedProperties"] is False
    assert "unevaluatedProperties" not in smart
    assert strict["allOf"] == [
        {
            "if": {"properties": {"bus-type": {"const": "nvme"}}, "required": ["bus-type"]},
            "then": {"$ref": "#/$defs/TestSmartNvme.argument"},
        }
    ]
    nvme = definitions["TestSmartNvme.argument"]
    assert (nvme["required"], "additionalProperties" in nvme) == (["units-read"], False)
    assert nvme["properties"]["units-read"]["maximum"] == 2**64 - 1
    assert nvme["properties"]["vendor"]["maximum"] == 2**16 - 1
    assert [value.get("const") for value in definitions["TestBus"]["anyOf"]] == [
        "nvme", "usb", None,
    ]  # fmt: skip
    assert [value["const"] for value in definitions["TestBus.argument"]["anyOf"]] == ["nvme", "usb"]


# JSON Schema.

KEYWORDS = {
    "$comment", "$defs", "$ref", "$schema", "additionalProperties", "allOf", "anyOf", "const",
    "contentEncoding", "description", "if", "items", "maximum", "minimum", "not", "oneOf",
    "properties", "required", "then", "title", "type", "unevaluatedProperties",
}  # fmt: skip
TYPES = {"object", "array", "string", "integer", "number", "boolean"}


def subschemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for keyword in ("if", "then", "not", "items"):
        if keyword in schema:
            yield from subschemas(schema[keyword])
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(keyword, ()):
            yield from subschemas(part)
    for keyword in ("properties", "$defs"):
        for part in schema.get(keyword, {}).values():
            yield from subschemas(part)


def check_document(document: dict[str, Any]) -> None:
    """What JSON Schema says of its own form, as far as our schemas make use of it."""
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for schema in subschemas(document):
        assert not set(schema) - KEYWORDS
        assert schema.get("type", "object") in TYPES
        assert isinstance(schema.get("description", ""), str)
        assert schema.get("description", "text").strip()
        required = schema.get("required", [])
        assert len(required) == len(set(required))
        assert set(required) <= set(schema.get("properties", {}))
        if "$ref" in schema:
            prefix, name = schema["$ref"].rsplit("/", 1)
            assert prefix == "#/$defs"
            assert name in document["$defs"]


def test_json_schema_is_well_formed(document: dict[str, Any]) -> None:
    check_document(document)


def test_json_schema_of_arguments(document: dict[str, Any]) -> None:
    for name, (arguments, _) in COMMANDS_2011.items():
        schema = document["$defs"][f"{name}.arguments"]
        assert schema["additionalProperties"] is False
        assert list(schema["properties"]) == [argument.lstrip("*") for argument in arguments]
        assert schema["required"] == [name for name in arguments if not name.startswith("*")]
        assert all(argument["description"] for argument in schema["properties"].values())
    written = document["$defs"]["guest-file-write.arguments"]["properties"]
    assert written["buf-b64"]["contentEncoding"] == "base64"
    assert (written["count"]["minimum"], written["count"]["maximum"]) == (-(2**63), 2**63 - 1)
    whence = document["$defs"]["guest-file-seek.arguments"]["properties"]["whence"]
    assert whence["$ref"] == "#/$defs/GuestFileWhence.argument"
    number, name = document["$defs"]["GuestFileWhence.argument"]["anyOf"]
    assert (number["type"], name["$ref"]) == ("integer", "#/$defs/QGASeek.argument")
    values = document["$defs"]["QGASeek.argument"]["anyOf"]
    assert [value["const"] for value in values] == ["set", "cur", "end"]


def test_json_schema_of_replies(document: dict[str, Any]) -> None:
    definitions = document["$defs"]
    for name, (_, returns) in COMMANDS_2011.items():
        schema = definitions[f"{name}.return"]
        if name in NO_SUCCESS_RESPONSE:
            assert schema["not"] == {}
        elif returns is None:
            assert schema["type"] == "object"
        elif returns == "int":
            assert schema["type"] == "integer"
        else:
            assert schema == {"$ref": f"#/$defs/{returns}"}
    for name, data in TYPES_2011.items():
        if isinstance(data, dict):
            # Open: a newer agent may add members, and an older one lack those that came later.
            assert "additionalProperties" not in definitions[name]
            assert [*data, *ADDED_MEMBERS.get(name, {})] == [*definitions[name]["properties"]]
            assert set(definitions[name]["required"]) <= set(data)
        else:
            *known, unknown = definitions[name]["anyOf"]
            assert [value["const"] for value in known] == data
            assert unknown["type"] == "string"
    assert definitions["GuestFileRead"]["properties"]["buf-b64"]["contentEncoding"] == "base64"


def test_json_schema_of_a_request(document: dict[str, Any]) -> None:
    requests = {request["properties"]["execute"]["const"]: request for request in document["oneOf"]}
    assert set(requests) == {command.NAME for command in COMMANDS}
    assert requests["guest-file-open"]["required"] == ["execute", "arguments"]
    assert requests["guest-shutdown"]["required"] == ["execute"]
    for name, request in requests.items():
        assert request["properties"]["arguments"]["$ref"] == f"#/$defs/{name}.arguments"
        assert request["additionalProperties"] is False


# The parser above is worth something only if it refuses.


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{ 'command': 'guest-x' }\n", "guest-x is not documented"),
        ("##\n# @guest-y:\n#\n# Text.\n#\n# Since: 1\n##\n{ 'command': 'guest-x' }\n", "not docum"),
        ("##\n# @guest-x:\n#\n# Text.\n##\n{ 'command': 'guest-x' }\n", "its version"),
        ("##\n# @X:\n#\n# Text.\n#\n# Since: 1\n##\n{ 'struct': 'X', 'data': {} }\n", "no name"),
        ("##\n# @Xy:\n# Text.\n#Since: 1\n##\n{ 'struct': 'Xy', 'data': {} }\n", "not a line"),
        ('{ "pragma": {} }\n', "not a token"),
        ("{ 'pragma': {}, }\n", "not a new key"),
        ("{ 'pragma': {}\n", "ends inside"),
        ("{ 'pragma' }\n", "no colon"),
        ("[ 'pragma' ]\n", "not an expression"),
        ("{ 'pragma': { 'a': [ 'b' 'c' ] } }\n", "neither comma nor bracket"),
        ("##\n# @Xy:\n#\n# Text.\n#\n# Since: 1\n##\n", "documents nothing"),
        (
            "##\n# @Xy:\n#\n# Text.\n#\n# Since: 1\n##\n{ 'struct': 'Xy', 'data': {'a': 'int'} }\n",
            "has the members",
        ),
        (
            "##\n# @Xx:\n#\n# T.\n#\n# @a: a\n#\n# Since: 1\n##\n{'struct':'Xx','data':{'a':'Y'}}",
            "no type Y",
        ),
    ],
)  # fmt: skip
def test_the_grammar_is_enforced(text: str, what: str) -> None:
    with pytest.raises(qapi_grammar.SchemaError, match=what):
        qapi_grammar.parse(text)
