"""One channel to a fake agent, without I/O: bytes in, and bytes out at their time."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from qga.wire.splitter import Splitter

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Answer: TypeAlias = Callable[["Line", Any], None]

# What is sent in place of bytes: the end of the channel.
HANGUP = None


class Line:
    """The agent's end of a channel.

    Args:
        answer: called with this line and each message that has come, to `put` the reply.
        piece: how many bytes are sent at a time; None for as many as there are.
        listener: called when something was put.
    """

    def __init__(
        self, answer: Answer, piece: int | None, listener: Callable[[], None] | None = None
    ) -> None:
        self._answer = answer
        self._piece = piece
        self._listener = listener
        self._splitter = Splitter()
        self._inbox: deque[Any] = deque()
        self._outbox: deque[tuple[float, bytes | None]] = deque()
        self._due = 0.0
        self._ahead = 0.0
        self.held = False
        self.over = False  # nothing more is to come

    def now(self) -> float:
        """What its clock says, in seconds from some moment."""
        return time.monotonic() + self._ahead

    def skip(self, seconds: float) -> None:
        """Put its clock forward."""
        self._ahead += seconds

    def feed(self, data: bytes) -> None:
        """Take what the client sends."""
        if not self.over:
            self._inbox.extend(self._splitter.feed(data))
            self.go_on()

    def go_on(self) -> None:
        """Answer what has come, unless the agent is held."""
        while self._inbox and not self.held and not self.over:
            self._answer(self, self._inbox.popleft())

    def put(self, data: bytes | None, delay: float = 0.0) -> None:
        """Send *data* when *delay* seconds have passed since what was put before is due."""
        self._due = max(self._due, self.now()) + delay
        if data is HANGUP:
            self.over = True
            self._outbox.append((self._due, data))
        else:
            step = self._piece or max(1, len(data))
            for start in range(0, len(data), step):
                self._outbox.append((self._due, data[start : start + step]))
        if self._listener is not None:
            self._listener()

    def next_due(self) -> float | None:
        """When there is something to send, by its clock; None if there is nothing."""
        return self._outbox[0][0] if self._outbox else None

    def take(self) -> bytes | None:
        """What is to be sent next; to be called when it is due. `HANGUP` stays."""
        if self._outbox[0][1] is HANGUP:
            return HANGUP
        return self._outbox.popleft()[1]
