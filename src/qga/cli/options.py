"""What the commands have in common: options, the target, and how a client is made of them."""

from __future__ import annotations

import os
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import click

from qga.client.deadline import TIMEOUT
from qga.client.sync import connect
from qga.client.target import VARIABLE, Target, from_environment, names_target

from .output import FORMS, Look

if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.client import Client

    from .output import Shown


class Settings:
    """The options that every command takes.

    Attributes:
        look: how to print.
        json: whether a program reads what is printed.
        timeout: seconds for each call of the agent; None for the target's own, or the usual.
    """

    def __init__(
        self, output: str = "table", timeout: float | None = None, *, color: bool | None = None
    ) -> None:
        self.look = Look(output, color)
        self.json = self.look.structured
        self.timeout = timeout

    def connect(self, target: Target) -> Client:
        """A client for *target* with these settings."""
        return connect(target, timeout=self.timeout)

    def show(self, shown: Shown) -> int:
        """Print *shown*; return its exit code."""
        return self.look.show(shown)


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o` and `--no-color`; pass them on as `look`."""

    def wrapper(*arguments: Any, output: str, no_color: bool, **named: Any) -> Any:
        return function(*arguments, look=Look(output, False if no_color else None), **named)

    return _output(_no_color(update_wrapper(wrapper, function)))


_output = click.option(
    "-o",
    "--output",
    type=click.Choice(FORMS),
    default="table",
    show_default=True,
    help="What to print.",
)
_no_color = click.option(
    "--no-color", is_flag=True, help="No colours on a terminal either; nor with NO_COLOR set."
)
_timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Seconds to wait for each answer of the agent; by default what a targets file says of"
    f" TARGET, or else {TIMEOUT:g}.",
)


def with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command; pass them to *function* as its first argument, `Settings`.

    What it returns may be `Shown`, which is printed, or an exit code.
    """
    return _timeout(with_settings_but_timeout(function))


def with_settings_but_timeout(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that has another meaning for `--timeout`."""

    def wrapper(
        output: str, timeout: float | None = None, *, no_color: bool, **arguments: Any
    ) -> Any:
        settings = Settings(output, timeout, color=False if no_color else None)
        result = function(settings, **arguments)
        return result if result is None or isinstance(result, int) else settings.show(result)

    return _output(_no_color(update_wrapper(wrapper, function)))


def target_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the optional argument TARGET; pass it to *function* as a `Target`."""

    def wrapper(*arguments: Any, target: str | None, **named: Any) -> Any:
        return function(*arguments, target=meant(target), **named)

    return click.argument("target", required=False)(update_wrapper(wrapper, function))


def meant(text: str | None) -> Target:
    """The target *text*, or the one in QGA_TARGET."""
    return from_environment() if text is None else Target(text)


def leading_target(words: tuple[str, ...]) -> tuple[Target, tuple[str, ...]]:
    """The target that *words* begin with, or else QGA_TARGET; and the other words."""
    # Where there is no other target, the first of two words is meant as one, and told to be none.
    first = len(words) > 1 and "=" not in words[1] and not os.environ.get(VARIABLE)
    if words and (first or names_target(words[0])):
        return Target(words[0]), words[1:]
    return from_environment(), words


class WithProgram(click.Command):
    """Keeps what stands behind `--` apart: it is never a target, whatever its name is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            border = args.index("--")
            ctx.meta[_PROGRAM] = tuple(args[border + 1 :])
            args = args[:border]
        return super().parse_args(ctx, args)


class WithWords(WithProgram):
    """Finds where the program begins when no `--` stands before it.

    That is the first word that is no option and no target. What follows is the program's own.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args or any(name in args for name in ctx.help_option_names):
            return super().parse_args(ctx, args)
        begins = self._first_word(ctx, args, 0)
        many = any(word.startswith(("-l", "--limit", "--all")) for word in args[:begins])
        if begins < len(args) and not many:
            word = args[begins]
            # Where there is no other target, the first word is meant as one.
            if names_target(word) or not os.environ.get(VARIABLE):
                begins = self._first_word(ctx, args, begins + 1)
        if begins == len(args):
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, [*args[:begins], "--", *args[begins:]])

    def _first_word(self, ctx: click.Context, args: list[str], start: int) -> int:
        """The place of the first word from *start* on that is no option, nor belongs to one."""
        parser = self.make_parser(ctx)
        parser.allow_interspersed_args = False
        words = parser.parse_args(args[start:])[0].get("words")
        return len(args) - (len(words) if isinstance(words, tuple) else 0)


_PROGRAM = "qga.program"


def behind_dashes(context: click.Context) -> tuple[str, ...] | None:
    """What stands behind `--`; None if that is not there. For commands that are `WithProgram`."""
    found: tuple[str, ...] | None = context.meta.get(_PROGRAM)
    return found
