"""Tasks take turns, in the order in which they came: what `turns` is for threads."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .deadline import Deadline

# What event loops take for a time, in seconds.
_LONG = 1e9


class AsyncTurns:
    """A lock that is handed on to who waits longest.

    `asyncio.Lock` is free for a moment between two holders: who finds it so would not know that it
    has to wait, and so not for how long.
    """

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, deadline: Deadline) -> bool:
        """Wait for one's turn until *deadline*; return whether it has come."""
        if not self._taken:
            self._taken = True
            return True
        loop = asyncio.get_running_loop()
        ticket: asyncio.Future[None] = loop.create_future()
        if deadline.urgent:
            self._waiting.appendleft(ticket)
        else:
            self._waiting.append(ticket)
        timer = loop.call_later(min(deadline.remaining(), _LONG), ticket.cancel)
        try:
            await asyncio.wait([ticket])
        except asyncio.CancelledError:
            if not ticket.cancel() and not ticket.cancelled():
                self.give()  # it had come in the last moment
            raise
        finally:
            timer.cancel()
        return not ticket.cancelled()

    def give(self) -> None:
        """Let the next one have the turn."""
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_result(None)
                return
        self._taken = False
