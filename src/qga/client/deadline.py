"""The time that calls have: the `Deadline` of one, and `deadline()` for all of a block."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from qga.errors import AgentTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a call may take if nobody says otherwise, in seconds.
TIMEOUT = 30.0

# How far this thread's or task's clock has been put forward, in seconds: see `skip`.
_skipped: ContextVar[float] = ContextVar("qga.skipped", default=0.0)


def now() -> float:
    """What the clock of deadlines says, in seconds from some moment."""
    return time.monotonic() + _skipped.get()


def skip(seconds: float) -> None:
    """Have *seconds* pass at once for the deadlines of this thread or task.

    For transports that only pretend to wait, as `qga.testing` does.
    """
    _skipped.set(_skipped.get() + seconds)


class Deadline:
    """The end of a call's time.

    Args:
        seconds: how long the call may take from now; `math.inf` for ever.
    """

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = now() + seconds

    def remaining(self) -> float:
        """The seconds that are left; 0.0 when it has passed."""
        return max(0.0, self._end - now())

    def sooner(self, seconds: float) -> Deadline:
        """A deadline in *seconds*, or this one if that is earlier."""
        return self if self.remaining() <= seconds else Deadline(seconds)

    def expired(self) -> AgentTimeout:
        """The exception to raise when it has passed."""
        return AgentTimeout(f"no answer within {self.seconds:g} s")


_surrounding: ContextVar[Deadline | None] = ContextVar("qga.deadline", default=None)


def within(seconds: float) -> Deadline:
    """A deadline in *seconds*, or that of the surrounding `deadline()` if it is earlier."""
    outer = _surrounding.get()
    return Deadline(seconds) if outer is None else outer.sooner(seconds)


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """Bound the time of everything that clients do in the block, in this thread or task.

        with qga.deadline(60):
            client.write_file("/tmp/a", data)
            client.run(["sync"])

    A call that is not done when the time is over raises `AgentTimeout`, whatever timeout of its own
    it has; what undoes (thawing, removing temporary files) may take a little longer. Blocks nest:
    the earliest end counts.

    Args:
        seconds: how long the block's calls may take together.
    """
    token = _surrounding.set(within(seconds))
    try:
        yield _surrounding.get()  # type: ignore[misc]  # it has just been set
    finally:
        _surrounding.reset(token)
