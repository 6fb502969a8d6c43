"""`qga completion SHELL`, and what the scripts that it prints ask `qga` for.

A script runs `qga __complete SHELL ...` with what is typed so far, and prints what comes:

    bash    the line up to the cursor, and COMP_WORDBREAKS
    zsh     the words, the last one up to the cursor, all without quotes
    fish    the words without quotes, the last one up to the cursor as it is typed

The reply's first line tells what the shell is to do: "file" or "program", whatever it offers of
these by itself; otherwise to offer the lines that follow. For zsh and fish these have a description
behind a tab, and for zsh in front "plain", or "part" if no blank is to follow. Bash gets them
quoted, without what stands before the last of its word breaks, as it keeps that; and "part" in the
first line if no blank is to follow the only one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.shell_completion import CompletionItem, ShellComplete

from . import completing
from .ending import USAGE, printable
from .guestwords import PART
from .options import WithProgram, behind_dashes

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPTS = Path(__file__).with_name("scripts")

# For each shell, the file that it reads.
FILES = {"bash": "qga.bash", "zsh": "_qga", "fish": "qga.fish"}


@click.command(
    short_help="Print what makes a shell complete the words of qga.",
    epilog="""\b
Examples:
  source <(qga completion bash)
  qga completion zsh > ~/.zfunc/_qga
  qga completion fish > ~/.config/fish/completions/qga.fish
""",
)
@click.argument("shell", type=click.Choice(list(FILES)))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete commands, options, guests and their files."""
    print((SCRIPTS / FILES[shell]).read_text(encoding="utf-8"), end="")


class Typed(NamedTuple):
    """The beginning of a word that a user has typed.

    Attributes:
        text: it, without quotes.
        kept: so much of that stays as it is; what is offered takes the place of the rest.
        quote: the quote that is open at its end, or "".
        redirection: whether it is the file of one, and no word of the command.
    """

    text: str
    kept: int = 0
    quote: str = ""
    redirection: bool = False


def complete(group: click.Group, asked: Sequence[str]) -> int:
    """Print what can be typed next; return the exit code."""
    shell, *words = *asked, ""
    if shell not in FILES:
        return USAGE
    if shell == "bash":
        line = typed(words[0], words[1])
        last = line[-1]
        words = [word.text for word in line[:-1] if not word.redirection]
        while words and re.match(r"\w+=", words[0]):  # variables for the command
            del words[0]
        del words[:1]
    else:
        words.pop()
        last = typed(words.pop())[-1] if shell == "fish" else Typed(words.pop())
    if last.redirection:
        print("file")
        return 0
    items = Completion(group, plain=shell == "bash").get_completions(words, last.text)
    # Neither a terminal nor a script of a shell could cope with others.
    items = [item for item in items if item.value.isprintable()]
    shown = [item for item in items if item.type in {"plain", PART}]
    kinds = {item.type for item in items}
    if not shown and kinds:
        print("program" if kinds == {completing.PROGRAM} else "file")
    elif shell == "bash":
        print("part" if [item.type for item in shown] == [PART] else "word")
        for item in shown:
            print(quoted(item.value[last.kept :], last.quote))
    else:
        print("word")
        for item in shown:
            kind = f"{item.type}\t" if shell == "zsh" else ""
            print(f"{kind}{item.value}\t{printable(item.help or '')}")
    return 0


class Completion(ShellComplete):
    """Click's completion, and what it does not know.

    Args:
        group: the commands.
        plain: whether descriptions are not shown. To have those of all commands takes time.
    """

    def __init__(self, group: click.Group, *, plain: bool) -> None:
        super().__init__(group, {}, "qga", "")
        self.group = group
        self.plain = plain

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        context = click.Context(self.group, info_name=self.prog_name)
        command: click.Command = self.group
        words = list(args)
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            found = command.get_command(context, name)
            if found is None:
                return []
            context = click.Context(found, info_name=name, parent=context)
            command = found
        if isinstance(command, click.Group) and self.plain and not incomplete.startswith("-"):
            names = command.list_commands(context)
            return [CompletionItem(name) for name in names if name.startswith(incomplete)]
        known = _parsed(command, context, words)
        there = completing.given(known)
        if isinstance(command, WithProgram):
            program = behind_dashes(known)
            if program is None and there and incomplete.startswith("/"):
                program = ()  # it may begin without --
            if program is not None:
                return list(completing.behind(known, program, incomplete))
        if not there and words and words[-1].startswith("-"):
            # What lacks its value keeps click from telling the words.
            there = completing.given(_parsed(command, context, words[:-1]))
        completing.teach(command, there)
        option, equals, value = incomplete.partition("=")
        if not equals or not option.startswith("--") or "--" in args:
            return super().get_completions(args, incomplete)
        # Shells take the whole of it for one word.
        return [
            CompletionItem(f"{option}={item.value}", item.type, item.help)
            for item in super().get_completions([*args, option], value)
        ]


def _parsed(command: click.Command, context: click.Context, words: list[str]) -> click.Context:
    """The context of *command* with *words*, as far as they make sense."""
    return command.make_context(
        context.info_name, list(words), parent=context.parent, resilient_parsing=True
    )


def typed(line: str, breaks: str = "") -> list[Typed]:
    """The words of *line*, as bash has them; the last one is at its end, and may be empty.

    Args:
        line: what is typed.
        breaks: the characters at which bash begins another word that is completed.
    """
    words = []
    text, kept, quote = "", 0, ""
    redirection = began = False
    characters = iter(line)
    for char in characters:
        if char == quote:
            quote = ""
        elif quote == "'" or (quote and char != "\\"):
            text += char
        elif char == "\\":
            following = next(characters, "")
            text += following if not quote or following in '"\\$`' else char + following
        elif char in "'\"":
            quote, kept, began = char, len(text), True
        elif char in " \t\n<>":
            if began or (text and not (char in "<>" and text.isdecimal())):
                words.append(Typed(text, redirection=redirection))
                redirection = False
            redirection = redirection or char in "<>"
            text, kept, began = "", 0, False
        else:
            text += char
            kept = len(text) if char in breaks else kept
    return [*words, Typed(text, kept, quote, redirection)]


def quoted(text: str, quote: str) -> str:
    """*text* as bash reads it, behind an open *quote* or none."""
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        return re.sub(r'(["\\$`])', r"\\\1", text)
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", text)
