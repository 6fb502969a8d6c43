"""What the user calls an agent and a file of its guest: targets and guest paths.

This is the one place that knows the rules:

    target      unix:PATH | vsock:CID:PORT | serial:PATH
    guest file  TARGET:PATH
                what follows the last `:/` is the path, with its slash
                :PATH
                everything after the colon is the path; the target is in QGA_TARGET

So in `unix:/run/vm.sock:/etc/hosts` the path is `/etc/hosts`. A path that itself holds `:/`, or
does not begin with a slash, can be told in the second form only.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qga.errors import (
    AgentBusy,
    AgentNotResponding,
    AgentTimeout,
    InvalidTarget,
    NoChannel,
    TransportError,
)

from . import hints
from .transports import SerialWay, SocketWay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .aiotransports import AsyncRequestTransport, AsyncTransport
    from .deadline import Deadline
    from .transports import RequestTransport, Transport, Way

VARIABLE = "QGA_TARGET"
SCHEMES = ("unix", "vsock", "serial")
GRAMMAR = "unix:/path/to/socket, vsock:CID:PORT or serial:/dev/pts/N"

_VSOCK_LIMIT = (1 << 32) - 1  # that number itself means "any"


class Target:
    """One agent, and how to reach it.

        >>> target = qga.Target("vsock:42:9000")
        >>> str(target)
        'vsock:42:9000'
        >>> qga.Target("/run/vm1/qga.sock")
        Traceback (most recent call last):
        qga.errors.InvalidTarget: '/run/vm1/qga.sock' is not a target; do you mean unix:...

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

            >>> from qga.client import Deadline
            >>> with agent.serve() as text:
            ...     qga.Target(text).open(Deadline(5)).close()

        Raises:
            NoChannel: it cannot be opened.
            AgentNotResponding: not until the deadline; an AgentBusy if others are before us.
        """
        with self._explained():
            return self._way.open(deadline)

    async def aopen(self, deadline: Deadline) -> AsyncTransport | AsyncRequestTransport:
        """Open the channel in the running event loop. Errors are those of `open`.

        >>> from qga.client import Deadline
        >>> with agent.serve() as text:
        ...     (await qga.Target(text).aopen(Deadline(5))).close()
        """
        with self._explained():
            return await self._way.aopen(deadline)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except TransportError as error:
            failure = NoChannel(f"cannot open {self.text}: {error.text}")
            failure.hint = hints.opening(self.text, error.__cause__) or error.hint
            raise failure from error
        except AgentTimeout as error:
            # A unix socket that is there and takes no connection has its queue full of others.
            kind = AgentBusy if self.text.startswith("unix:") else AgentNotResponding
            raise kind(f"cannot open {self.text}: {error.text}") from error


def from_environment() -> Target:
    """The target in QGA_TARGET.

    Raises:
        InvalidTarget: it is not set, or is no target.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        raise InvalidTarget(f"no target: give one ({GRAMMAR}) or set {VARIABLE}")
    try:
        return Target(text)
    except InvalidTarget as error:
        raise InvalidTarget(f"{VARIABLE}: {error}") from None


def names_target(text: str) -> bool:
    """Whether *text* begins as a target does; a local file of such a name needs `./` in front."""
    return text.partition(":")[0] in SCHEMES and ":" in text


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
    if not separator or target in SCHEMES:
        raise InvalidTarget(f"{text!r} has no guest path: add one, as in {text}:/etc/hostname")
    return Target(target), "/" + path


def _parse(text: str) -> Way:
    scheme, separator, rest = text.partition(":")
    if not separator or scheme not in SCHEMES:
        hint = f"; do you mean unix:{text}?" if text.startswith("/") else f": use {GRAMMAR}"
        raise InvalidTarget(f"{text!r} is not a target{hint}")
    if not rest:
        raise InvalidTarget(f"{text!r} lacks what follows the colon: use {GRAMMAR}")
    if "\0" in rest:
        raise InvalidTarget(f"{text!r} holds a NUL character")
    if scheme == "unix":
        return SocketWay(socket.AF_UNIX, rest)
    if scheme == "serial":
        return SerialWay(rest)
    return SocketWay(socket.AF_VSOCK, _vsock(text, rest))


def _vsock(text: str, address: str) -> tuple[int, int]:
    numbers = [int(part) if _is_number(part) else -1 for part in address.split(":")]
    if len(numbers) != 2 or not all(0 <= number < _VSOCK_LIMIT for number in numbers):
        raise InvalidTarget(f"{text!r} is not vsock:CID:PORT with two numbers below 2**32 - 1")
    return numbers[0], numbers[1]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10
