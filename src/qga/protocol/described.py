"""What the declarations say of themselves, taken apart: members, values, branches, docstrings.

Used by `export` and `pages`, which write it down for others; the agent never loads it.
"""

import textwrap
from inspect import cleandoc
from types import GenericAlias
from typing import Any, NamedTuple

from .codec import split_optional
from .model import (
    REQUIRED,
    Alternate,
    Data,
    Enum,
    Struct,
    UInt16,
    UInt64,
    annotation,
    members,
    wire_name,
)

# The built-in types, and QAPI's names for them.
SCALARS: dict[Any, str] = {
    int: "int",
    UInt64: "uint64",
    UInt16: "uint16",
    float: "number",
    bool: "bool",
    str: "str",
    bytes: "str",
    Data: "str",
}


class Doc(NamedTuple):
    """A docstring, taken apart."""

    paragraphs: list[str]
    members: dict[str, str]
    returns: str


class Field(NamedTuple):
    """A member as others see it."""

    name: str
    kind: Any
    optional: bool
    defaulted: bool  # an agent may leave it out of a reply
    doc: str


def read_doc(docstring: str | None) -> Doc:
    """Take a docstring apart."""
    doc = Doc([], {}, "")
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


def fields(cls: type[Struct]) -> list[Field]:
    """The members of *cls*; of a branch, those that it adds to its union."""
    docs = read_doc(cls.__doc__).members
    inherited = members(union_of(cls)) if cls.BRANCH else {}
    found = []
    for name, description in members(cls).items():
        if name not in inherited:
            wire = wire_name(name, description)
            kind, optional = split_optional(annotation(cls, name))
            defaulted = description.default is not REQUIRED
            doc = _noted(docs[wire], description.since)
            found.append(Field(wire, kind, optional, defaulted, doc))
    return found


def values(kind: type[Enum]) -> dict[str, str]:
    """The values of an enum, and what they mean."""
    docs = read_doc(kind.__doc__).members
    return {text: _noted(docs[text], value.since) for text, value in kind.VALUES.items()}


def _noted(doc: str, since: str | None) -> str:
    return f"{doc} (since {since})" if since else doc


def is_union(cls: type[Struct]) -> bool:
    """Whether *cls* is a flat union, and none of its branches."""
    return bool(cls.DISCRIMINATOR) and not cls.BRANCH


def union_of(branch: type[Struct]) -> type[Struct]:
    """The flat union that *branch* is one of."""
    return next(base for base in branch.__mro__ if issubclass(base, Struct) and is_union(base))


def branches(union: type[Struct]) -> dict[str, type[Struct]]:
    """The branches that add members, by their values of the discriminator."""
    return {
        branch.BRANCH: branch
        for branch in union.__subclasses__()
        if branch.BRANCH and fields(branch)
    }


def discriminator(union: type[Struct]) -> str:
    """The name on the wire of the member that tells the branch."""
    return wire_name(union.DISCRIMINATOR, members(union)[union.DISCRIMINATOR])


def collect(kind: Any, found: list[Any]) -> None:
    """Add the named types that *kind* is made of to *found*, each after those that it uses."""
    if isinstance(kind, GenericAlias):
        collect(kind.__args__[0], found)
        return
    if kind is None or kind in SCALARS or kind in found:
        return
    for part in parts(kind):
        collect(part, found)
    found.append(kind)


def parts(kind: Any) -> list[Any]:
    """The types that a named type is made of, named or not."""
    if isinstance(kind, Alternate):
        return list(kind.branches.values())
    if issubclass(kind, Enum):
        return []
    own = [field.kind for field in fields(kind)]
    return [*own, *branches(kind).values()] if is_union(kind) else own
