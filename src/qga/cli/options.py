"""What the commands have in common: options, the target, and how a client is made of them."""

from __future__ import annotations

import os
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import click

from qga.client import Client, Target, connect
from qga.client.deadline import TIMEOUT
from qga.client.target import VARIABLE, from_environment, names_target

if TYPE_CHECKING:
    from collections.abc import Callable


class Settings:
    """The options that every command takes.

    Attributes:
        json: whether to print JSON.
        timeout: seconds for each call of the agent; None for the target's own, or the usual.
    """

    def __init__(self, output: str, timeout: float | None) -> None:
        self.json = output == "json"
        self.timeout = timeout

    def connect(self, target: Target) -> Client:
        """A client for *target* with these settings."""
        return connect(target, timeout=self.timeout)


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="What to print.",
    )(function)


def with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o` and `--timeout`; pass them to *function* as its first argument, `Settings`."""

    def wrapper(output: str, timeout: float | None, **arguments: Any) -> Any:
        return function(Settings(output, timeout), **arguments)

    timeout = click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Seconds to wait for each answer of the agent; by default what a targets file says of"
        f" TARGET, or else {TIMEOUT:g}.",
    )
    return output_option(timeout(update_wrapper(wrapper, function)))


def target_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the optional argument TARGET; pass it to *function* as a `Target`."""

    def wrapper(*arguments: Any, target: str | None, **named: Any) -> Any:
        return function(
            *arguments, target=from_environment() if target is None else Target(target), **named
        )

    return click.argument("target", required=False)(update_wrapper(wrapper, function))


def leading_target(words: tuple[str, ...]) -> tuple[Target, tuple[str, ...]]:
    """The target that *words* begin with, or else QGA_TARGET; and the other words."""
    # Where there is no other target, the first of two words is meant as one, and told to be none.
    meant = len(words) > 1 and "=" not in words[1] and not os.environ.get(VARIABLE)
    if words and (meant or names_target(words[0])):
        return Target(words[0]), words[1:]
    return from_environment(), words
