"""What the user calls an agent and a file of its guest: targets and guest paths.

This is the one place that knows the rules:

    target      SCHEME:..., as `schemes` lists them
    guest file  TARGET:PATH
                what follows the last `:/` is the path, with its slash
                :PATH
                everything after the colon is the path; the target is in QGA_TARGET

So in `unix:/run/vm.sock:/etc/hosts` the path is `/etc/hosts`. A path that itself holds `:/`, or
does not begin with a slash, can be told in the second form only.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qga.errors import AgentNotResponding, AgentTimeout, InvalidTarget, NoChannel, TransportError

from .schemes import grammar, scheme_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .aiotransports import AsyncRequestTransport, AsyncTransport
    from .deadline import Deadline
    from .transports import RequestTransport, Transport, Way

VARIABLE = "QGA_TARGET"


class Target:
    """One agent, and how to reach it.

    Args:
        text: the target as the user writes it.

    Raises:
        InvalidTarget: *text* is not a target; the text of the error says why.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._way = _parse(text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Target({self.text!r})"

    def open(self, deadline: Deadline) -> Transport | RequestTransport:
        """Open the channel.

        Raises:
            NoChannel: it cannot be opened.
            AgentNotResponding: not until the deadline.
        """
        with self._explained():
            return self._way.open(deadline)

    async def aopen(self, deadline: Deadline) -> AsyncTransport | AsyncRequestTransport:
        """Open the channel in the running event loop. Errors are those of `open`."""
        with self._explained():
            return await self._way.aopen(deadline)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except TransportError as error:
            raise NoChannel(f"cannot open {self.text}: {error}") from error
        except AgentTimeout as error:
            raise AgentNotResponding(f"cannot open {self.text}: {error}") from error


def from_environment() -> Target:
    """The target in QGA_TARGET.

    Raises:
        InvalidTarget: it is not set, or is no target.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        raise InvalidTarget(f"no target: give one ({grammar()}) or set {VARIABLE}")
    try:
        return Target(text)
    except InvalidTarget as error:
        raise InvalidTarget(f"{VARIABLE}: {error}") from None


def names_target(text: str) -> bool:
    """Whether *text* begins as a target does; a local file of such a name needs `./` in front."""
    return scheme_of(text) is not None


def names_guest_file(text: str) -> bool:
    """Whether *text* is meant as a file of a guest, not of this machine."""
    return text.startswith(":") or names_target(text)


def split_path(text: str) -> tuple[Target, str]:
    """The target and the guest path in *text*, by the rules above.

    Raises:
        InvalidTarget: one of them is missing or wrong.
    """
    if text.startswith(":"):
        if text == ":":
            raise InvalidTarget("no path after the colon")
        return from_environment(), text[1:]
    if not names_target(text):
        raise InvalidTarget(
            f"{text!r} is not TARGET:PATH, as in unix:/run/vm.sock:/etc/hostname "
            f"(or :PATH when {VARIABLE} is set)"
        )
    target, separator, path = text.rpartition(":/")
    if not separator or ":" not in target:
        raise InvalidTarget(f"{text!r} has no guest path: add one, as in {text}:/etc/hostname")
    return Target(target), "/" + path


def _parse(text: str) -> Way:
    scheme = scheme_of(text)
    if scheme is None:
        hint = f"; do you mean unix:{text}?" if text.startswith("/") else f": use {grammar()}"
        raise InvalidTarget(f"{text!r} is not a target{hint}")
    rest = text.partition(":")[2]
    if not rest:
        raise InvalidTarget(f"{text!r} lacks what follows the colon: use {scheme.form}")
    if "\0" in rest:
        raise InvalidTarget(f"{text!r} holds a NUL character")
    return scheme.parse(text, rest, {})
