"""The words of `qga call`: `name=value` by the command's declaration, `name:=JSON` as it stands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from qga.protocol import COMMANDS, codec
from qga.protocol.model import (
    Alternate,
    Data,
    Enum,
    UInt16,
    UInt64,
    annotation,
    members,
    wire_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qga.protocol.model import Command

_TRUTH = {"true": True, "false": False}


def find_command(name: str) -> type[Command[Any]] | None:
    """The declaration of the command *name*; None if qga does not know it."""
    return next((command for command in COMMANDS if name == command.NAME), None)


def parse(command: type[Command[Any]] | None, words: Iterable[str]) -> dict[str, Any]:
    """The arguments that *words* mean, by their names on the wire; bytes where it has base64.

    Raises:
        click.UsageError: a word is no assignment, or its value is not of the declared type.
    """
    kinds = {}
    if command is not None:
        for name, member in members(command).items():
            kind, _ = codec.split_optional(annotation(command, name))
            on_wire = wire_name(name, member)
            kinds[name] = kinds[on_wire] = (on_wire, kind)
    arguments: dict[str, Any] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name.rstrip(":"):
            raise click.UsageError(
                f"{word!r} is not an argument: write name=value, or name:=JSON for raw JSON"
            )
        on_wire, kind = kinds.get(name.rstrip(":"), (name.rstrip(":"), str))
        if on_wire in arguments:
            raise click.UsageError(f"{on_wire} is given twice")
        arguments[on_wire] = _json(on_wire, value) if name[-1] == ":" else _value(word, kind, value)
    return arguments


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{name}: {text!r} is not JSON: {error}") from None


def _value(word: str, kind: Any, text: str) -> Any:
    if kind in (int, UInt64, UInt16):
        return _number(word, text)
    if kind is float:
        try:
            return float(text)
        except ValueError:
            raise click.UsageError(f"{word!r}: a number is needed") from None
    if kind is bool:
        if text not in _TRUTH:
            raise click.UsageError(f"{word!r}: true or false is needed")
        return _TRUTH[text]
    if kind in (bytes, Data):
        return _bytes(text)
    if isinstance(kind, Alternate):
        return _alternate(kind, text)
    if kind is str or (isinstance(kind, type) and issubclass(kind, Enum)):
        return text
    is_list = isinstance(kind, GenericAlias)
    # No text can be meant, so that the colon is not needed.
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, list if is_list else dict):
        return value
    what = "a list" if is_list else "an object"
    raise click.UsageError(
        f"{word!r}: {what} is needed; write it as JSON: {word.partition('=')[0]}:=..."
    )


def _number(word: str, text: str) -> int:
    try:
        return int(text, 0)  # 0x, 0o, 0b too
    except ValueError:
        raise click.UsageError(f"{word!r}: an integer is needed") from None


def _alternate(kind: Alternate, text: str) -> Any:
    branches = kind.branches.values()
    if bool in branches and text in _TRUTH:
        return _TRUTH[text]
    if int in branches:
        try:
            return int(text, 0)
        except ValueError:
            return text
    return text


def _bytes(text: str) -> bytes:
    """The data that *text* means: itself, or a file as `@FILE` (`@-`: standard input)."""
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    if text.startswith("@@"):
        return text[1:].encode("utf-8", "surrogateescape")
    return sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()


def offered(name: str, words: Iterable[str], beginning: str) -> Iterator[CompletionItem[str]]:
    """What the next argument of the command *name* may be, for who types it."""
    command = find_command(name)
    if command is None:
        return
    there = {word.partition("=")[0].rstrip(":") for word in words}
    for attribute, member in members(command).items():
        on_wire = wire_name(attribute, member)
        if beginning.startswith(f"{on_wire}="):
            kind, _ = codec.split_optional(annotation(command, attribute))
            for value in _values(kind):
                yield CompletionItem(f"{on_wire}={value}")
        elif on_wire not in there:
            yield CompletionItem(f"{on_wire}=", "part", f"argument of {name}")


def _values(kind: Any) -> Iterable[str]:
    """The values of a type that has few."""
    if isinstance(kind, Alternate):
        return [value for branch in kind.branches.values() for value in _values(branch)]
    if kind is bool:
        return _TRUTH
    return kind.VALUES if isinstance(kind, type) and issubclass(kind, Enum) else ()
