"""A parser of QAPI schema text, written from the rules of its grammar, for `test_export`.

Comments begin with `#`; strings are in single quotes; an expression is an object at the top level.
A comment that is enclosed in `##` lines documents the expression that follows it.
"""

import re
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(r"\s+|#[^\n]*|(?P<mark>[{}\[\]:,])|'(?P<string>[^'\\\n]*)'|(?P<word>[a-z]+)")
WORDS = {"true": True, "false": False}

COMMAND_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")
MEMBER_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
BUILT_IN = {"str", "number", "int", "bool", "null", "any", "size"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
KEYS = {
    "command": ({"command"}, {"data", "returns", "success-response", "features"}),
    "struct": ({"struct", "data"}, {"base"}),
    "union": ({"union", "base", "discriminator", "data"}, set()),
    "enum": ({"enum", "data"}, {"prefix"}),
    "alternate": ({"alternate", "data"}, set()),
    "pragma": ({"pragma"}, set()),
}


class SchemaError(Exception):
    pass


@dataclass
class Doc:
    """A comment that documents: the symbol, its text, its members and its tagged sections."""

    symbol: str
    text: list[str] = field(default_factory=list)
    members: dict[str, str] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)


@dataclass
class Definition:
    kind: str
    name: str
    expression: dict[str, Any]
    doc: Doc


@dataclass
class Schema:
    pragmas: dict[str, Any]
    definitions: dict[str, Definition]


def parse(text: str) -> Schema:
    """The definitions in *text* by their names.

    Raises:
        SchemaError: a rule is broken.
    """
    schema = Schema({}, {})
    doc: Doc | None = None
    at = 0
    while at < len(text):
        if text.startswith("##\n", at):
            if doc:
                raise SchemaError(f"{doc.symbol}: a comment documents nothing")
            end = text.index("\n##\n", at)
            doc = parse_doc(text[at + 3 : end].splitlines())
            at = end + 4
        elif text[at] == "{":
            expression, at = parse_value(text, at)
            define(schema, expression, doc)
            doc = None
        elif text[at] == "#":
            at = text.index("\n", at)
        elif text[at] in " \n":
            at += 1
        else:
            raise SchemaError(f"not an expression: {text[at : at + 20]!r}")
    if doc:
        raise SchemaError(f"{doc.symbol}: a comment documents nothing")
    check_types(schema)
    return schema


def tokens_from(text: str, at: int) -> Any:
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise SchemaError(f"not a token: {text[at : at + 20]!r}")
        at = match.end()
        if match.lastgroup:
            yield match.lastgroup, match[match.lastgroup], at
    raise SchemaError("the text ends inside an expression")


def parse_value(text: str, at: int) -> tuple[Any, int]:
    tokens = tokens_from(text, at)
    value, end = take_value(tokens, next(tokens))
    return value, end


def take_value(tokens: Any, token: Any) -> tuple[Any, int]:
    group, value, end = token
    if group == "string":
        return value, end
    if group == "word" and value in WORDS:
        return WORDS[value], end
    if value == "{":
        return take_object(tokens)
    if value == "[":
        return take_array(tokens)
    raise SchemaError(f"not a value: {value!r}")


def take_object(tokens: Any) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    group, key, end = next(tokens)
    if (group, key) == ("mark", "}"):
        return members, end
    while True:
        if group != "string" or key in members:
            raise SchemaError(f"not a new key: {key!r}")
        if next(tokens)[1] != ":":
            raise SchemaError(f"no colon after {key!r}")
        members[key], _ = take_value(tokens, next(tokens))
        _, mark, end = next(tokens)
        if mark == "}":
            return members, end
        if mark != ",":
            raise SchemaError(f"neither comma nor brace after {key!r}")
        group, key, end = next(tokens)


def take_array(tokens: Any) -> tuple[list[Any], int]:
    items: list[Any] = []
    token = next(tokens)
    if token[1] == "]" and token[0] == "mark":
        return items, token[2]
    while True:
        items.append(take_value(tokens, token)[0])
        _, mark, end = next(tokens)
        if mark == "]":
            return items, end
        if mark != ",":
            raise SchemaError("neither comma nor bracket in an array")
        token = next(tokens)


def parse_doc(lines: list[str]) -> Doc:
    for line in lines:
        if line != "#" and not line.startswith("# "):
            raise SchemaError(f"not a line of a documentation comment: {line!r}")
        if len(line) > 80:
            raise SchemaError(f"a long line: {line!r}")
        if line != line.rstrip():
            raise SchemaError(f"blanks at the end: {line!r}")
    plain = [line[2:] for line in lines]
    first = re.fullmatch(r"@([A-Za-z0-9_-]+):", plain[0])
    if not first:
        raise SchemaError(f"names no symbol: {plain[0]!r}")
    doc = Doc(first[1])
    for paragraph in "\n".join(plain[1:]).strip("\n").split("\n\n"):
        head, *more = paragraph.split("\n")
        tag = re.match(r"@(?P<member>[a-z0-9_-]+): (?P<text>.+)|(?P<tag>Returns|Since): (.+)", head)
        indents = {len(line) - len(line.lstrip()) for line in more}
        if indents - ({4} if tag and tag["tag"] != "Since" else {0}):
            raise SchemaError(f"badly indented: {paragraph!r}")
        if not tag:
            if doc.members or doc.sections:
                raise SchemaError(f"text behind members or sections: {head!r}")
            doc.text.append(paragraph)
        elif tag["member"]:
            if tag["member"] in doc.members or doc.sections:
                raise SchemaError(f"a second or late @{tag['member']}")
            doc.members[tag["member"]] = " ".join([tag["text"], *map(str.strip, more)])
        else:
            if tag["tag"] in doc.sections:
                raise SchemaError(f"a second {tag['tag']}")
            doc.sections[tag["tag"]] = " ".join([tag[4], *map(str.strip, more)])
    return doc


def define(schema: Schema, expression: Any, doc: Doc | None) -> None:
    kind = next((kind for kind in KEYS if kind in expression), None)
    if kind is None:
        raise SchemaError(f"defines nothing: {expression}")
    required, optional = KEYS[kind]
    if not required <= set(expression) <= required | optional:
        raise SchemaError(f"wrong keys: {expression}")
    if kind == "pragma":
        if doc:
            raise SchemaError("a pragma is not documented")
        schema.pragmas |= expression["pragma"]
        return
    name = expression[kind]
    if doc is None or doc.symbol != name:
        raise SchemaError(f"{name} is not documented")
    if name in schema.definitions:
        raise SchemaError(f"{name} is defined twice")
    if not (COMMAND_NAME if kind == "command" else TYPE_NAME).fullmatch(name):
        raise SchemaError(f"{name} is no name of a {kind}")
    if not doc.text or "Since" not in doc.sections:
        raise SchemaError(f"{name} lacks a text or its version")
    if "Returns" in doc.sections and "returns" not in expression:
        raise SchemaError(f"{name} does not return anything")
    own = own_members(kind, expression)
    if own != list(doc.members):
        raise SchemaError(f"{name} has the members {own} and documents {list(doc.members)}")
    for member in own:
        if not MEMBER_NAME.fullmatch(member):
            raise SchemaError(f"{name}: {member} is no name of a member")
        if "_" in member and name not in schema.pragmas.get("member-name-exceptions", ()):
            raise SchemaError(f"{name}: {member} has an underscore")
    schema.definitions[name] = Definition(kind, name, expression, doc)


def own_members(kind: str, expression: dict[str, Any]) -> list[str]:
    data = expression["base"] if kind == "union" else expression.get("data", {})
    if kind == "enum":
        return list(data)
    return [name.removeprefix("*") for name in data]


def check_types(schema: Schema) -> None:
    """Every type that is mentioned exists, and is of a kind that may stand there."""
    for definition in schema.definitions.values():
        expression, name = definition.expression, definition.name
        if definition.kind == "enum":
            if not all(isinstance(value, str) for value in expression["data"]):
                raise SchemaError(f"{name}: a value is no string")
            continue
        used = list(expression.get("data", {}).values())
        if definition.kind == "union":
            used += expression["base"].values()
            check_union(schema, definition)
        if definition.kind == "alternate":
            check_alternate(schema, definition)
        if "returns" in expression:
            used.append(expression["returns"])
            check_returns(schema, definition)
        for kind in used:
            inner = kind[0] if isinstance(kind, list) and len(kind) == 1 else kind
            if inner not in BUILT_IN and kind_of(schema, inner) in {"command", None}:
                raise SchemaError(f"{name}: no type {kind}")


def kind_of(schema: Schema, name: str) -> str | None:
    return schema.definitions[name].kind if name in schema.definitions else None


def check_union(schema: Schema, definition: Definition) -> None:
    expression = definition.expression
    enum = schema.definitions[expression["base"][expression["discriminator"]]]
    if enum.kind != "enum" or not set(expression["data"]) <= set(enum.expression["data"]):
        raise SchemaError(f"{definition.name}: a branch is no value of {enum.name}")
    for branch in expression["data"].values():
        if kind_of(schema, branch) != "struct":
            raise SchemaError(f"{definition.name}: {branch} is no struct")


def check_alternate(schema: Schema, definition: Definition) -> None:
    def json_type(name: str) -> str:
        if name in BUILT_IN:
            return "number" if "int" in name else name
        return "str" if kind_of(schema, name) == "enum" else "object"

    branches = [json_type(name) for name in definition.expression["data"].values()]
    if len(set(branches)) != len(branches):
        raise SchemaError(f"{definition.name}: the JSON type does not tell the branch")


def check_returns(schema: Schema, definition: Definition) -> None:
    returns = definition.expression["returns"]
    inner: str = returns[0] if isinstance(returns, list) else returns
    is_object = kind_of(schema, inner) in {"struct", "union"}
    if is_object is (definition.name in schema.pragmas.get("command-returns-exceptions", ())):
        raise SchemaError(f"{definition.name}: returns {returns} and is an exception, or should be")
