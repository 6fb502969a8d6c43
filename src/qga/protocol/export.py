"""The protocol written down for others: QAPI schema text and JSON Schema.

Both are derived from `COMMANDS`, docstrings included. Called by `qga schema` and by the tests; the
agent never loads it.
"""

import textwrap
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from types import GenericAlias
from typing import Any, NamedTuple

from . import COMMANDS, UPSTREAM_VERSION
from .codec import split_optional
from .model import (
    REQUIRED,
    Alternate,
    Command,
    Data,
    Enum,
    Struct,
    UInt16,
    UInt64,
    annotation,
    members,
    wire_name,
)

_BASE64 = {"type": "string", "contentEncoding": "base64"}


def _integer(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high - 1}


# The built-in types, in QAPI and in JSON Schema.
_SCALARS: dict[Any, tuple[str, dict[str, Any]]] = {
    int: ("int", _integer(-(1 << 63), 1 << 63)),
    UInt64: ("uint64", _integer(0, 1 << 64)),
    UInt16: ("uint16", _integer(0, 1 << 16)),
    float: ("number", {"type": "number"}),
    bool: ("bool", {"type": "boolean"}),
    str: ("str", {"type": "string"}),
    bytes: ("str", _BASE64),
    Data: ("str", _BASE64),
}

_WIDTH = 80


class _Doc(NamedTuple):
    """A docstring, taken apart."""

    paragraphs: list[str]
    members: dict[str, str]
    returns: str


class _Field(NamedTuple):
    """A member as others see it."""

    name: str
    kind: Any
    optional: bool
    defaulted: bool  # an agent may leave it out of a reply
    doc: str


def _doc(docstring: str | None) -> _Doc:
    doc = _Doc([], {}, "")
    for block in cleandoc(docstring or "").split("\n\n"):
        head, _, rest = block.partition("\n")
        if head in {"Members:", "Values:"}:
            name = ""
            for line in textwrap.dedent(rest).splitlines():
                if line.startswith(" "):
                    doc.members[name] += " " + line.strip()
                else:
                    name, _, text = line.partition(": ")
                    doc.members[name] = text
        elif head.startswith("Returns: "):
            doc = doc._replace(returns=_joined(block.removeprefix("Returns: ")))
        else:
            doc.paragraphs.append(_joined(block))
    return doc


def _joined(text: str) -> str:
    return " ".join(text.split())


def _fields(cls: type[Struct]) -> list[_Field]:
    """The members of *cls*; of a branch, those that it adds to its union."""
    docs = _doc(cls.__doc__).members
    inherited = members(_union(cls)) if cls.BRANCH else {}
    fields = []
    for name, description in members(cls).items():
        if name not in inherited:
            wire = wire_name(name, description)
            kind, optional = split_optional(annotation(cls, name))
            defaulted = description.default is not REQUIRED
            doc = _noted(docs[wire], description.since)
            fields.append(_Field(wire, kind, optional, defaulted, doc))
    return fields


def _values(kind: type[Enum]) -> dict[str, str]:
    docs = _doc(kind.__doc__).members
    return {text: _noted(docs[text], value.since) for text, value in kind.VALUES.items()}


def _noted(doc: str, since: str | None) -> str:
    return f"{doc} (since {since})" if since else doc


def _is_union(cls: type[Struct]) -> bool:
    return bool(cls.DISCRIMINATOR) and not cls.BRANCH


def _union(branch: type[Struct]) -> type[Struct]:
    return next(base for base in branch.__mro__ if issubclass(base, Struct) and _is_union(base))


def _branches(union: type[Struct]) -> dict[str, type[Struct]]:
    """The branches that add members, by their values of the discriminator."""
    return {
        branch.BRANCH: branch
        for branch in union.__subclasses__()
        if branch.BRANCH and _fields(branch)
    }


def _discriminator(union: type[Struct]) -> str:
    return wire_name(union.DISCRIMINATOR, members(union)[union.DISCRIMINATOR])


def _collect(kind: Any, found: list[Any]) -> None:
    """Add the named types that *kind* is made of to *found*, each after those that it uses."""
    if isinstance(kind, GenericAlias):
        _collect(kind.__args__[0], found)
        return
    if kind is None or kind in _SCALARS or kind in found:
        return
    if isinstance(kind, Alternate):
        parts = list(kind.branches.values())
    elif issubclass(kind, Enum):
        parts = []
    else:
        parts = [field.kind for field in _fields(kind)]
        if _is_union(kind):
            parts += _branches(kind).values()
    for part in parts:
        _collect(part, found)
    found.append(kind)


# QAPI schema text.


def qapi_schema(commands: Iterable[type[Command[Any]]] = COMMANDS) -> str:
    """The schema of *commands* in the language of QEMU's QAPI generator."""
    commands = tuple(commands)
    types: list[Any] = []
    blocks = []
    for command in commands:
        known = len(types)
        for kind in (*(field.kind for field in _fields(command)), command.result()):
            _collect(kind, types)
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
            kind.NAME for kind in structs if any("_" in field.name for field in _fields(kind))
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
    fields = _fields(command)
    expression: dict[str, Any] = {"command": command.NAME}
    if fields:
        expression["data"] = _qapi_members(fields)
    if command.result() is not None:
        expression["returns"] = _qapi_name(command.result())
    if not command.SUCCESS_RESPONSE:
        expression["success-response"] = False
    documented = {field.name: field.doc for field in fields}
    return _definition(command, _doc(command.__doc__), documented, expression)


def _qapi_type(kind: Any) -> str:
    expression: dict[str, Any]
    if isinstance(kind, Alternate):
        branches = {name: _qapi_name(branch) for name, branch in kind.branches.items()}
        documented = {name: f"as `{branch}`" for name, branch in branches.items()}
        expression = {"alternate": kind.NAME, "data": branches}
        return _definition(kind, _Doc([kind.doc], {}, ""), documented, expression)
    doc = _doc(kind.__doc__)
    if issubclass(kind, Enum):
        expression = {"enum": kind.NAME, "data": list(kind.VALUES)}
        return _definition(kind, doc, _values(kind), expression)
    fields = _fields(kind)
    expression = {"struct": kind.NAME, "data": _qapi_members(fields)}
    if _is_union(kind):
        expression = {
            "union": kind.NAME,
            "base": _qapi_members(fields),
            "discriminator": _discriminator(kind),
            "data": {value: branch.NAME for value, branch in _branches(kind).items()},
        }
    return _definition(kind, doc, {field.name: field.doc for field in fields}, expression)


def _qapi_name(kind: Any) -> Any:
    if isinstance(kind, GenericAlias):
        return [_qapi_name(kind.__args__[0])]
    return _SCALARS[kind][0] if kind in _SCALARS else kind.NAME


def _qapi_members(fields: list[_Field]) -> dict[str, Any]:
    return {"*" * field.optional + field.name: _qapi_name(field.kind) for field in fields}


def _definition(
    kind: Any, doc: _Doc, documented: dict[str, str], expression: dict[str, Any]
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
        _collect(command.result(), replies)
        for field in _fields(command):
            _collect(field.kind, arguments)
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
    required = any(not field.optional for field in _fields(command))
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
        schema["description"] = _doc(command.__doc__).returns
    return schema


def _json_reference(kind: Any, *, strict: bool) -> dict[str, Any]:
    if isinstance(kind, GenericAlias):
        return {"type": "array", "items": _json_reference(kind.__args__[0], strict=strict)}
    if kind in _SCALARS:
        return dict(_SCALARS[kind][1])
    return {"$ref": f"#/$defs/{kind.NAME}{'.argument' * strict}"}


def _json_type(kind: Any, *, strict: bool) -> dict[str, Any]:
    if isinstance(kind, Alternate):
        branches = [_json_reference(branch, strict=strict) for branch in kind.branches.values()]
        return {"description": kind.doc, "$comment": f"since {kind.SINCE}", "anyOf": branches}
    if issubclass(kind, Enum):
        return _json_enum(kind, strict=strict)
    return _json_object(kind, strict=strict)


def _described(kind: type[Struct | Enum]) -> dict[str, Any]:
    description = "\n\n".join(_doc(kind.__doc__).paragraphs)
    return {"description": description, "$comment": f"since {kind.SINCE}"}


def _json_enum(kind: type[Enum], *, strict: bool) -> dict[str, Any]:
    values: list[dict[str, Any]] = [
        {"const": text, "description": doc} for text, doc in _values(kind).items()
    ]
    if not strict:
        values.append({"type": "string", "description": "a value of a newer agent"})
    return _described(kind) | {"anyOf": values}


def _json_object(cls: type[Struct], *, strict: bool) -> dict[str, Any]:
    fields = _fields(cls)
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
    if _is_union(cls):
        name = _discriminator(cls)
        schema["allOf"] = [
            {
                "if": {"properties": {name: {"const": value}}, "required": [name]},
                "then": _json_reference(branch, strict=strict),
            }
            for value, branch in _branches(cls).items()
        ]
        if strict:
            schema["unevaluatedProperties"] = False
    elif strict and not cls.BRANCH:
        schema["additionalProperties"] = False
    return schema
