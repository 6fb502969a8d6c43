"""What can be typed next: commands and options by click, words by what the synopsis calls them.

For `shells`. The name of a word in the synopsis, as TARGET or TARGET:PATH, tells what is offered in
its place: `KINDS` has them all, so that a command has nothing to do for it. What cannot be found
out, or not soon, is not offered; the command itself will say why.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from qga.client.target import VARIABLE, names_target
from qga.errors import QgaError

from . import guestwords
from .app import TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    Items: TypeAlias = Iterable[CompletionItem[str]]

# The type of an item, beyond click's "plain" and "file", for whatever programs the shell finds.
PROGRAM = "program"

# Commands whose program, behind --, runs on this machine; that of all others runs in the guest.
HERE = {"freeze"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: the next word of a command.

    Attributes:
        context: the command, with the options that are there already.
        words: the words that are there already.
        incomplete: the beginning of the next one.
    """

    context: click.Context
    words: Sequence[str]
    incomplete: str

    @property
    def target(self) -> str | None:
        """The target that is meant so far."""
        first = self.words[0].partition(":")[0] if self.words else ""
        if self.words and names_target(self.words[0]):
            return self.words[0]
        return first if first and names_target(first) else os.environ.get(VARIABLE)


@dataclass(frozen=True, slots=True)
class Slot:
    """A word of the synopsis: `[TARGET]...` is "TARGET", optional and repeated."""

    name: str
    optional: bool
    repeated: bool


def _targets(asked: Asked) -> Items:
    return guestwords.targets(asked.incomplete)


def _names(asked: Asked) -> Items:
    return guestwords.names(asked.incomplete)


def _guest_files(asked: Asked) -> Items:
    return guestwords.files(asked.incomplete)


def _local_files(asked: Asked) -> Items:
    return [CompletionItem(asked.incomplete, "file")]


def _any_files(asked: Asked) -> Items:
    """Of this machine or of a guest."""
    word = asked.incomplete
    if word.startswith(("/", ".", "~")):
        return _local_files(asked)
    found = list(guestwords.files(word))
    return found if ":" in word else [*found, *guestwords.local(word)]


def _users(asked: Asked) -> Items:
    return guestwords.users(asked.target)


def _directories(asked: Asked) -> Items:
    return guestwords.paths(asked.target, asked.incomplete, directories=True)


def _keys(asked: Asked) -> Items:
    """Public keys: as @FILE."""
    beginning = asked.incomplete
    return guestwords.local(beginning[1:], lead="@") if beginning.startswith("@") else []


def _conditions(_: Asked) -> Items:
    from .waiting import FORMS

    for form in FORMS.split(", "):
        name, equals, value = form.partition("=")
        yield CompletionItem(name + equals, "part") if value.isupper() else CompletionItem(form)


def _protocol_commands(_: Asked) -> Items:
    from qga.protocol import COMMANDS, pages

    return [CompletionItem(each.NAME, help=pages.summary(each)) for each in COMMANDS]


def _arguments(asked: Asked) -> Items:
    from .arguments import offered

    at = 1 if asked.words and names_target(asked.words[0]) else 0
    return offered(asked.words[at], asked.words[at + 1 :], asked.incomplete)


def _places(_: Asked) -> Items:
    from qga.client.schemes import SCHEMES

    return [CompletionItem(f"{name}:") for name, scheme in SCHEMES.items() if scheme.listing]


def _explained(asked: Asked) -> Items:
    """What `qga help` tells about."""
    group = asked.context.find_root().command
    own = group.list_commands(asked.context) if isinstance(group, click.Group) else []
    topics = [topic.lower() for topic in TOPICS]
    return [*map(CompletionItem, own), *map(CompletionItem, topics), *_protocol_commands(asked)]


def _paths(asked: Asked) -> Items:
    return guestwords.paths(asked.target, asked.incomplete)


# By what the synopsis or the help of an option calls a word. Nothing is offered for any other.
KINDS: dict[str, Callable[[Asked], Items]] = {
    "TARGET": _targets,
    "TARGET:PATH": _guest_files,
    "SRC": _any_files,
    "DST": _any_files,
    "COMMAND": _protocol_commands,
    "NAME=VALUE": _arguments,
    "PLACE": _places,
    "NAME": _explained,
    "PATTERN": _names,
    "USER": _users,
    "KEY": _keys,
    "CONDITION": _conditions,
    "DIR": _directories,
    "PATH": _paths,
}


class Word(click.types.StringParamType):
    """Any text; offers what the name of the word stands for.

    Args:
        words: the words of the command that are there already.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        asked = Asked(ctx, self.words, incomplete)
        if isinstance(param, click.Option):
            return found([bare(param.metavar or "")], asked)
        return found([slot.name for slot in expected(slots(ctx.command), self.words)], asked)


def teach(command: click.Command, words: Sequence[str]) -> None:
    """Have *command*, of which *words* are there already, offer others by what it calls them."""
    for param in command.params:
        known = isinstance(param, click.Argument) or bare(param.metavar or "") in KINDS
        if known and (param.type is click.STRING or isinstance(param.type, Word)):
            param.type = Word(words)


def found(kinds: Iterable[str], asked: Asked) -> list[CompletionItem[str]]:
    """What these kinds of words offer, each as far as it can."""
    items: list[CompletionItem[str]] = []
    for kind in kinds:
        offer = KINDS.get(kind)
        if offer:
            items += _fitting(offer, asked)
    return items


def behind(context: click.Context, words: Sequence[str], incomplete: str) -> Items:
    """What is offered behind `--`, where *words* are there already."""

    def offer(asked: Asked) -> Items:
        if context.info_name in HERE:
            return [CompletionItem(incomplete, "file" if words else PROGRAM)]
        return guestwords.paths(asked.target, incomplete) if incomplete.startswith("/") else []

    return _fitting(offer, Asked(context, given(context), incomplete))


def _fitting(offer: Callable[[Asked], Items], asked: Asked) -> list[CompletionItem[str]]:
    try:
        return [item for item in offer(asked) if item.value.startswith(asked.incomplete)]
    except (QgaError, OSError):
        return []


def given(context: click.Context) -> list[str]:
    """The words that are there already, without options and what stands behind `--`."""
    words: list[str] = []
    for param in context.command.params:
        if isinstance(param, click.Argument):
            value = context.params.get(param.name or "")
            words += [value] if isinstance(value, str) else value or ()
    return words


def bare(word: str) -> str:
    """A word of a synopsis without what tells how often it stands there."""
    return word.translate({ord(char): None for char in "[]."})


def slots(command: click.Command) -> list[Slot]:
    """The synopsis of *command*, without options and what stands behind `--`."""
    result = []
    for param in command.params:
        if isinstance(param, click.Argument):
            if param.metavar is None:
                result.append(Slot((param.name or "").upper(), not param.required, param.nargs < 0))
                continue
            words = re.split(r"\[?-- |\[--\] ", param.metavar)[0].split()
            result += [Slot(bare(word), "[" in word, "..." in word) for word in words]
    return result


def expected(synopsis: Sequence[Slot], words: Iterable[str]) -> list[Slot]:
    """What the next word can be, where *words* are there already."""
    at = 0
    for word in words:
        while at < len(synopsis) and synopsis[at].optional and not _fits(synopsis, at, word):
            at += 1
        if at < len(synopsis) and not synopsis[at].repeated:
            at += 1
    following: list[Slot] = []
    for slot in synopsis[at:]:
        following.append(slot)
        if not slot.optional:
            break
    return following


def _fits(synopsis: Sequence[Slot], at: int, word: str) -> bool:
    """Whether *word* is meant by an optional slot, and not by one that follows."""
    return at == len(synopsis) - 1 or synopsis[at].name != "TARGET" or names_target(word)
