"""A way to an agent on which something befalls it at a chosen moment: as a request is sent."""

from collections.abc import Callable, Sequence
from typing import Any

import qga


class Ambush:
    """What lies in wait for an agent.

    Args:
        target: of the agent.

    Attributes:
        sent: how many requests have been sent since `lay`.
        struck: whether it has happened.
        request: how the request begins that was sent then.
    """

    def __init__(self, target: str) -> None:
        self._target = qga.Target(target)
        self.lay()

    def lay(
        self, number: int = 0, strike: Callable[[], object] = int, *, after: bool = False
    ) -> None:
        """Have *strike* called before the request of that *number* from now on is sent, or *after*.

        The first is 1; by default nothing happens.
        """
        self.sent = 0
        self.struck = False
        self.request = b""
        self._number = number
        self._strike = strike
        self._after = after

    def dial(self, deadline: Any) -> Any:
        """For `qga.Client`."""
        return _Way(self._target.open(deadline), self)

    def passes(self, pieces: Sequence[bytes], *, after: bool) -> None:
        """A request is sent now, or has just been."""
        self.sent += not after
        if self.sent == self._number and not self.struck and after == self._after:
            self.struck = True
            self.request = bytes(pieces[0])
            self._strike()


class _Way:
    def __init__(self, transport: Any, ambush: Ambush) -> None:
        self._transport = transport
        self._ambush = ambush
        self.receive = transport.receive
        self.hung_up = transport.hung_up
        self.close = transport.close

    def send(self, pieces: Sequence[bytes], deadline: Any) -> None:
        self._ambush.passes(pieces, after=False)
        self._transport.send(pieces, deadline)
        self._ambush.passes(pieces, after=True)
