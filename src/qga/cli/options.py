"""What the commands have in common: options, the target, and how a client is made of them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import click

from qga.client.deadline import TIMEOUT
from qga.client.sync import Client, connect
from qga.client.target import VARIABLE, Target, from_environment, names_target, settled
from qga.errors import CommandDisabled, QgaError
from qga.protocol.fsfreeze import FsfreezeState

from . import ending
from .output import FORMS, Look
from .quantities import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .output import Shown

# How long an agent may take that has just answered with an error, in seconds.
_MOMENT = 5.0


class Settings:
    """The options that every command takes.

    Attributes:
        look: how to print.
        json: whether a program reads what is printed.
        timeout: seconds for each call of the agent; None for the target's own, or the usual.
        debug: whether to show what goes over the channel.
    """

    def __init__(
        self,
        output: str = "table",
        timeout: float | None = None,
        *,
        color: bool | None = None,
        debug: bool = False,
    ) -> None:
        self.look = Look(output, color)
        self.json = self.look.structured
        self.timeout = timeout
        self.debug = debug

    @contextmanager
    def connect(self, target: Target) -> Iterator[Client]:
        """A client for *target* with these settings."""
        trace = ending.show_event if self.debug else None
        with connect(target, timeout=self.timeout, trace=trace) as client:
            try:
                yield client
            except CommandDisabled as error:
                _look_for_a_freeze(client, error)
                raise

    def show(self, shown: Shown) -> int:
        """Print *shown*; return its exit code."""
        return self.look.show(shown)


def _look_for_a_freeze(client: Client, error: CommandDisabled) -> None:
    """Have *error* tell if the agent refuses the command only while the guest is frozen."""
    try:
        frozen = client.fsfreeze_status(timeout=_MOMENT) == FsfreezeState.FROZEN
    except QgaError:
        return
    if frozen:
        error.hint = "the guest's file systems are frozen; `qga thaw` ends that"


def unopened(target: Target) -> Client:
    """A client for *target* whose channel is opened when it is used: it need not be there yet."""
    target, timeout = settled(target, None)
    return Client(target.open, timeout=timeout, target=str(target))


def shared(
    function: Callable[..., Any], *options: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[..., Any]:
    """Add *options*, in this order; `--help` tells them behind those that are the command's own."""
    own = list(getattr(function, "__click_params__", ()))
    for option in reversed(options):
        function = option(function)
    params = function.__click_params__  # type: ignore[attr-defined]
    params[:] = [*params[len(own) :], *own]  # click turns them round
    return function


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o` and `--no-color`; pass them on as `look`. And `--debug`, which `app` looks at."""

    def wrapper(*arguments: Any, output: str, no_color: bool, debug: bool, **named: Any) -> Any:  # noqa: ARG001
        return function(*arguments, look=Look(output, False if no_color else None), **named)

    return shared(update_wrapper(wrapper, function), _output, _no_color, _debug)


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


def timeout_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--timeout`, with *text* as its help."""
    return click.option("--timeout", type=Seconds(), metavar="SECONDS", help=text)


EACH_ANSWER = timeout_option(
    "Seconds to wait for each answer of the agent; by default what a targets file says of"
    f" TARGET, or else {TIMEOUT:g}."
)


_debug = click.option(
    ending.DEBUG,
    is_flag=True,
    help="Show on standard error what goes over the channel, without secrets; and where qga itself"
    " fails.",
)


def with_settings(
    function: Callable[..., Any],
    *,
    timeout: Callable[[Callable[..., Any]], Callable[..., Any]] = EACH_ANSWER,
) -> Callable[..., Any]:
    """Add the options of every command; pass them to *function* as its first argument, `Settings`.

    What it returns may be `Shown`, which is printed, or an exit code.

    Args:
        function: the command.
        timeout: the option of that name, where it means something else.
    """
    return shared(with_settings_but_timeout(function), timeout)


def with_settings_but_timeout(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that has a `--timeout` of its own."""

    def wrapper(
        output: str,
        timeout: float | None = None,
        *,
        no_color: bool,
        debug: bool,
        **arguments: Any,
    ) -> Any:
        settings = Settings(output, timeout, color=False if no_color else None, debug=debug)
        result = function(settings, **arguments)
        return result if result is None or isinstance(result, int) else settings.show(result)

    return shared(update_wrapper(wrapper, function), _output, _no_color, _debug)


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
    from .arguments import find_command

    # That no command is called like a target saves asking libvirt for it each time.
    if words and (first or (find_command(words[0]) is None and names_target(words[0]))):
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
