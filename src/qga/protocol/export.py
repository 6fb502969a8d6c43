"""The protocol written down for others: QAPI schema text and JSON Schema.

Both are derived from `COMMANDS`, docstrings included. Called by `qga schema` and by the tests; the
agent never loads it.
"""

import textwrap
from collections.abc import Iterable, Iterator
from types import GenericAlias
from typing import Any

from . import COMMANDS, UPSTREAM_VERSION, described
from .model import Alternate, Command, Data, Enum, Struct, UInt16, UInt64

_BASE64 = {"type": "string", "contentEncoding": "base64"}


def _integer(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high - 1}


_JSON_SCALARS: dict[Any, dict[str, Any]] = {
    int: _integer(-(1 << 63), 1 << 63),
    UInt64: _integer(0, 1 << 64),
    UInt16: _integer(0, 1 << 16),
    float: {"type": "number"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    bytes: _BASE64,
    Data: _BASE64,
}

_WIDTH = 80


# QAPI schema text.


def qapi_schema(commands: Iterable[type[Command[Any]]] = COMMANDS) -> str:
    """The schema of *commands* in the language of QEMU's QAPI generator."""
    commands = tuple(commands)
    types: list[Any] = []
    blocks = []
    for command in commands:
        known = len(types)
        for kind in (*(field.kind for field in described.fields(command)), command.result()):
            described.collect(kind, types)
        blocks += [_qapi_type(kind) for kind in types[known:]]
        blocks.append(_qapi_command(command))
    return "\n".join([_qapi_head(commands, types), *blocks])


def _qapi_head(commands: tuple[type[Command[Any]], ...], types: list[Any]) -> str:
    """What the file is, and leave for what the generator forbids by default."""
    structs = [kind for kind in types if isinstance(kind, type) and issubclass(kind, Struct)]
    exceptions: dict[str, Any] = {
        "command-returns-exceptions": [
            command.NAME for command in commands if _returns_no_object(command.result())
        ],
        "member-name-exceptions": [
            kind.NAME
            for kind in structs
            if any("_" in field.name for field in described.fields(kind))
        ],
    }
    pragmas = {"doc-required": True} | {name: names for name, names in exceptions.items() if names}
    head = f"# The guest agent protocol, as of version {UPSTREAM_VERSION}.\n"
    return "\n".join([head, *(_expression({"pragma": {p: v}}) + "\n" for p, v in pragmas.items())])


def _returns_no_object(kind: Any) -> bool:
    if isinstance(kind, GenericAlias):
        kind = kind.__args__[0]
    return kind is not None and not (isinstance(kind, type) and issubclass(kind, Struct))


def _qapi_command(command: type[Command[Any]]) -> str:
    fields = described.fields(command)
    expression: dict[str, Any] = {"command": command.NAME}
    if fields:
        expression["data"] = _qapi_members(fields)
    if command.result() is not None:
        expression["returns"] = _qapi_name(command.result())
    if not command.SUCCESS_RESPONSE:
        expression["success-response"] = False
    documented = {field.name: field.doc for field in fields}
    return _definition(command, described.read_doc(command.__doc__), documented, expression)


def _qapi_type(kind: Any) -> str:
    expression: dict[str, Any]
    if isinstance(kind, Alternate):
        branches = {name: _qapi_name(branch) for name, branch in kind.branches.items()}
        documented = {name: f"as `{branch}`" for name, branch in branches.items()}
        expression = {"alternate": kind.NAME, "data": branches}
        return _definition(kind, described.Doc([kind.doc], {}, ""), documented, expression)
    doc = described.read_doc(kind.__doc__)
    if issubclass(kind, Enum):
        expression = {"enum": kind.NAME, "data": list(kind.VALUES)}
        return _definition(kind, doc, described.values(kind), expression)
    fields = described.fields(kind)
    expression = {"struct": kind.NAME, "data": _qapi_members(fields)}
    if described.is_union(kind):
        expression = {
            "union": kind.NAME,
            "base": _qapi_members(fields),
            "discriminator": described.discriminator(kind),
            "data": {value: branch.NAME for value, branch in described.branches(kind).items()},
        }
    return _definition(kind, doc, {field.name: field.doc for field in fields}, expression)


def _qapi_name(kind: Any) -> Any:
    if isinstance(kind, GenericAlias):
        return [_qapi_name(kind.__args__[0])]
    return described.SCALARS.get(kind) or kind.NAME


def _qapi_members(fields: list[described.Field]) -> dict[str, Any]:
    return {"*" * field.optional + field.name: _qapi_name(field.kind) for field in fields}


def _definition(
    kind: Any, doc: described.Doc, documented: dict[str, str], expression: dict[str, Any]
) -> str:
    sections = [f"@{kind.NAME}:", *doc.paragraphs]
    sections += [f"@{member}: {text}" for member, text in documented.items()]
    if doc.returns:
        sections.append(f"Returns: {doc.returns}")
    sections.append(f"Since: {kind.SINCE}")
    lines = ["##"]
    for number, section in enumerate(sections):
        if number:
            lines.append("#")
        tagged = section.startswith(("@", "Returns:"))
        first, *more = textwrap.wrap(section, _WIDTH - 6, break_on_hyphens=False)
        lines += [f"# {first}", *(f"# {'    ' * tagged}{line}" for line in more)]
    return "\n".join([*lines, "##", _expression(expression), ""])


def _expression(value: Any, indent: int = 0) -> str:
    """*value* as QAPI writes it: on one line where it fits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}'"
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    parts = list(_parts(value, indent + 2))
    short = f"{opening} {', '.join(parts)} {closing}"
    if len(short) + indent <= _WIDTH and "\n" not in short:
        return short
    between = ",\n" + " " * (indent + 2)
    return f"{opening} {between.join(parts)} {closing}"


def _parts(value: Any, indent: int) -> Iterator[str]:
    for item in value:
        label = f"'{item}': " if isinstance(value, dict) else ""
        yield label + _expression(value[item] if label else item, indent + len(label))


# JSON Schema.


def json_schema(commands: Iterable[type[Command[Any]]] = COMMANDS) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a request, with the types of arguments and replies in `$defs`.

    `guest-x.arguments` is what a command takes and `guest-x.return` what it answers with. A type
    is open in replies, where a newer agent may add members and values; `X.argument` is the strict
    form that it has in arguments.
    """
    commands = tuple(commands)
    replies: list[Any] = []
    arguments: list[Any] = []
    for command in commands:
        described.collect(command.result(), replies)
        for field in described.fields(command):
            described.collect(field.kind, arguments)
    definitions = {}
    for kinds, strict in ((replies, False), (arguments, True)):
        for kind in kinds:
            definitions[kind.NAME + ".argument" * strict] = _json_type(kind, strict=strict)
    for command in commands:
        definitions[f"{command.NAME}.arguments"] = _json_object(command, strict=True)
        definitions[f"{command.NAME}.return"] = _json_return(command)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "QEMU guest agent request",
        "description": f"A request of the guest agent protocol, as of version {UPSTREAM_VERSION}.",
        "oneOf": [_json_request(command) for command in commands],
        "$defs": definitions,
    }


def _json_request(command: type[Command[Any]]) -> dict[str, Any]:
    required = any(not field.optional for field in described.fields(command))
    return {
        "type": "object",
        "properties": {
            "execute": {"const": command.NAME},
            "arguments": {"$ref": f"#/$defs/{command.NAME}.arguments"},
            "id": {"description": "any value; the reply repeats it"},
        },
        "required": ["execute", "arguments"] if required else ["execute"],
        "additionalProperties": False,
    }


def _json_return(command: type[Command[Any]]) -> dict[str, Any]:
    if not command.SUCCESS_RESPONSE:
        return {"not": {}, "description": "There is no reply on success."}
    if command.result() is None:
        return {"type": "object", "description": "An empty object."}
    schema = _json_reference(command.result(), strict=False)
    if "$ref" not in schema:
        schema["description"] = described.read_doc(command.__doc__).returns
    return schema


def _json_reference(kind: Any, *, strict: bool) -> dict[str, Any]:
    if isinstance(kind, GenericAlias):
        return {"type": "array", "items": _json_reference(kind.__args__[0], strict=strict)}
    if kind in _JSON_SCALARS:
        return dict(_JSON_SCALARS[kind])
    return {"$ref": f"#/$defs/{kind.NAME}{'.argument' * strict}"}


def _json_type(kind: Any, *, strict: bool) -> dict[str, Any]:
    if isinstance(kind, Alternate):
        branches = [_json_reference(branch, strict=strict) for branch in kind.branches.values()]
        return {"description": kind.doc, "$comment": f"since {kind.SINCE}", "anyOf": branches}
    if issubclass(kind, Enum):
        return _json_enum(kind, strict=strict)
    return _json_object(kind, strict=strict)


def _described(kind: type[Struct | Enum]) -> dict[str, Any]:
    description = "\n\n".join(described.read_doc(kind.__doc__).paragraphs)
    return {"description": description, "$comment": f"since {kind.SINCE}"}


def _json_enum(kind: type[Enum], *, strict: bool) -> dict[str, Any]:
    values: list[dict[str, Any]] = [
        {"const": text, "description": doc} for text, doc in described.values(kind).items()
    ]
    if not strict:
        values.append({"type": "string", "description": "a value of a newer agent"})
    return _described(kind) | {"anyOf": values}


def _json_object(cls: type[Struct], *, strict: bool) -> dict[str, Any]:
    fields = described.fields(cls)
    schema: dict[str, Any] = {
        **_described(cls),
        "type": "object",
        "properties": {
            field.name: _json_reference(field.kind, strict=strict) | {"description": field.doc}
            for field in fields
        },
        "required": [
            field.name for field in fields if not (field.optional if strict else field.defaulted)
        ],
    }
    if described.is_union(cls):
        name = described.discriminator(cls)
        schema["allOf"] = [
            {
                "if": {"properties": {name: {"const": value}}, "required": [name]},
                "then": _json_reference(branch, strict=strict),
            }
            for value, branch in described.branches(cls).items()
        ]
        if strict:
            schema["unevaluatedProperties"] = False
    elif strict and not cls.BRANCH:
        schema["additionalProperties"] = False
    return schema
