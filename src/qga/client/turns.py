"""Threads take turns, in the order in which they came, and none is lost.

An interrupt may end a call at any line, also at one that is about to give the turn back. So a call
is known by its frame: when that has ended, whoever comes or waits puts the call out of the line.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections import deque
    from types import FrameType

    from .deadline import Deadline
else:
    from _collections import deque

# How often who waits looks whether whoever has the turn is there still, in seconds.
_LOOK = 1.0


class _Call:
    """A call in the line."""

    __slots__ = ("frame", "gate")

    def __init__(self, frame: FrameType) -> None:
        self.frame = frame
        self.gate: threading.Lock | None = None  # released when its turn has come

    def tell(self) -> None:
        """Have it look whether its turn has come, if it waits."""
        if self.gate is not None and self.gate.locked():
            try:
                self.gate.release()
            except RuntimeError:
                pass  # another thread has been faster

    def ended(self) -> bool:
        """Whether its function, which is no generator, has returned or raised."""
        try:
            self.frame.clear()  # which is refused for one that runs
        except RuntimeError:
            return False
        return True


class Turns:
    """A lock that is handed on in order; `threading.Lock` promises none.

    The first in the line has the turn. Each change of the line is one step, which an interrupt
    comes before or after.
    """

    def __init__(self) -> None:
        self._line: deque[_Call] = deque()

    def take(self, deadline: Deadline) -> bool:
        """Wait for the caller's turn until *deadline*; return whether it has come.

        In any case `give` is to be called by the same function.
        """
        call = _Call(sys._getframe(1))  # noqa: SLF001 - as documented
        if deadline.urgent:
            self._line.insert(1, call)
        else:
            self._line.append(call)
        if self._line[0] is call:
            return True
        gate = allocate_lock()
        gate.acquire()
        call.gate = gate  # from now on it is told; until now it was not
        while True:
            self._hand_on()
            if self._line[0] is call:
                return True
            left = deadline.remaining()
            if not left:
                return False
            gate.acquire(timeout=min(left, _LOOK))

    def give(self) -> None:
        """Let the next one have the turn, or do not wait for it any more."""
        frame = sys._getframe(1)  # noqa: SLF001
        for call in tuple(self._line):
            if call.frame is frame:
                self._line.remove(call)
                break
        self._hand_on()

    def _hand_on(self) -> None:
        """Tell whoever is the first in the line, if that call has not ended."""
        while self._line:
            try:
                first = self._line[0]
                if not first.ended():
                    first.tell()
                    return
                self._line.remove(first)
            except (IndexError, ValueError):
                pass  # another thread has been faster
