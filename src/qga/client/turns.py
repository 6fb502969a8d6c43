"""Threads take turns, in the order in which they came."""

from __future__ import annotations

from _thread import TIMEOUT_MAX, allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections import deque

    from .deadline import Deadline
else:
    from _collections import deque


class Turns:
    """A lock that is handed on in order; `threading.Lock` promises none."""

    def __init__(self) -> None:
        self._mutex = allocate_lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def take(self, deadline: Deadline) -> bool:
        """Wait for one's turn until *deadline*; return whether it has come."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            ticket = allocate_lock()
            ticket.acquire()
            if deadline.urgent:
                self._waiting.appendleft(ticket)
            else:
                self._waiting.append(ticket)
        try:
            if ticket.acquire(timeout=min(deadline.remaining(), TIMEOUT_MAX)):
                return True
        except BaseException:
            if not self._withdraw(ticket):
                self.give()
            raise
        return not self._withdraw(ticket)

    def give(self) -> None:
        """Let the next one have the turn."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def _withdraw(self, ticket: threading.Lock) -> bool:
        """Leave the queue; False if the turn has been handed over in the last moment."""
        with self._mutex:
            if ticket not in self._waiting:
                return False
            self._waiting.remove(ticket)
            return True
