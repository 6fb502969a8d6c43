"""What options take that is a number: so many, or so many seconds."""

from __future__ import annotations

import re
from typing import Any

import click

_DURATION = re.compile(r"(inf|\d+(?:\.\d*)?|\.\d+)([smh]?)", re.ASCII)
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Count(click.ParamType):  # type: ignore[type-arg]
    """A whole number.

    Args:
        least: the smallest that there may be.
    """

    name = "n"

    def __init__(self, least: int = 0) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not (text.isascii() and text.isdecimal() and int(text) >= self._least):
            self.fail(f"{text!r} is no number from {self._least} on", param, ctx)
        return int(text)


class Seconds(click.ParamType):  # type: ignore[type-arg]
    """A time: seconds, or with s, m or h behind it.

    Args:
        least: the shortest that there may be; 0 for any but none at all.
    """

    name = "seconds"

    def __init__(self, least: float = 0.0) -> None:
        self._least = least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = f"{value:g}" if isinstance(value, float) else str(value)
        found = _DURATION.fullmatch(text)
        seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
        if found is None:
            self.fail(f"{text!r} is no number of seconds, as 30, or a time as 5m", param, ctx)
        if not seconds or seconds < self._least:
            least = f"{self._least:g} seconds or more" if self._least else "more than 0 seconds"
            self.fail(f"{text!r} is too short: give {least}", param, ctx)
        return seconds
