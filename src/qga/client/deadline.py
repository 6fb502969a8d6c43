"""The time that calls have: the `Deadline` of one, and `deadline()` for all of a block."""

from __future__ import annotations

import time
from contextvars import ContextVar

from qga.errors import AgentTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from .flows.steps import Timeout
    from .lease import Lease

# What a call may take if nobody says otherwise, in seconds.
TIMEOUT = 30.0


class Deadline:
    """The end of a call's time.

        >>> from qga.client import Deadline
        >>> Deadline(60).remaining() <= 60
        True

    Args:
        seconds: how long the call may take from now; `math.inf` for ever.
        outer: the later deadline that this one is a part of, if there is one.
    """

    __slots__ = ("_end", "_outer", "seconds")

    # Whether its call comes before those of others that wait.
    urgent = False

    def __init__(self, seconds: float, outer: Deadline | None = None) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._outer = outer

    def remaining(self) -> float:
        """The seconds that are left; 0.0 when it has passed.

        >>> Deadline(0).remaining()
        0.0
        """
        return max(0.0, self._end - time.monotonic())

    def sooner(self, seconds: float) -> Deadline:
        """A deadline in *seconds*, or this one if that is earlier.

        >>> Deadline(60).sooner(5).seconds
        5
        """
        return self if self.remaining() <= seconds else Deadline(seconds, self)

    def skip(self, seconds: float) -> None:
        """Have *seconds* pass at once, for transports that only pretend to wait.

        >>> deadline = Deadline(60)
        >>> deadline.skip(50)
        >>> deadline.remaining() <= 10
        True
        """
        self._end -= seconds
        if self._outer is not None:
            self._outer.skip(seconds)

    def or_by(self, other: Deadline | None) -> Deadline:
        """This deadline, or *other* if that is earlier.

        >>> Deadline(60).or_by(Deadline(5)).seconds
        5
        """
        if other is None or self.remaining() <= other.remaining():
            return self
        return other

    def expired(self) -> AgentTimeout:
        """The exception to raise when it has passed.

        >>> Deadline(5).expired()
        AgentTimeout('no answer within 5 s')
        """
        return AgentTimeout(f"no answer within {self.seconds:g} s")


class Urgent(Deadline):
    """That of what ends or keeps a freeze, or else undoes something.

    >>> from qga.client.deadline import Urgent
    >>> Urgent(60).urgent, Deadline(60).urgent
    (True, False)
    """

    __slots__ = ()

    urgent = True


_surrounding: ContextVar[Deadline | None] = ContextVar("qga.deadline", default=None)


def within(seconds: float) -> Deadline:
    """A deadline in *seconds*, or that of the surrounding `deadline()` if it is earlier."""
    outer = _surrounding.get()
    return Deadline(seconds) if outer is None else outer.sooner(seconds)


def deadline(seconds: float) -> AbstractContextManager[Deadline]:
    """Bound the time of everything that clients do in the block, in this thread or task.

        >>> agent.disturb(delay=40, times=2)
        >>> with qga.deadline(60):
        ...     client.write_file("/tmp/a", b"data", timeout=50)
        Traceback (most recent call last):
        qga.errors.AgentTimeout: guest-file-write: no answer within 60 s

    A call that is not done when the time is over raises `AgentTimeout`, whatever timeout of its own
    it has; what undoes (thawing, removing temporary files) may take a little longer. Blocks nest:
    the earliest end counts.

    Args:
        seconds: how long the block's calls may take together.
    """
    from contextlib import contextmanager  # which a single call can do without

    return contextmanager(_bounded)(seconds)


def _bounded(seconds: float) -> Iterator[Deadline]:
    token = _surrounding.set(within(seconds))
    try:
        yield _surrounding.get()  # type: ignore[misc]  # it has just been set
    finally:
        _surrounding.reset(token)


class Paced:
    """What has calls, which take their time.

    Attributes:
        timeout: what a call may take unless it says otherwise, in seconds.
        lease: of the freeze that is being kept, whose renewal no call may hold up.
    """

    timeout: float
    lease: Lease | None = None

    def _pace(self, pace: Timeout, otherwise: float) -> Deadline:
        """The deadline of a step of a flow."""
        seconds = otherwise if pace.seconds is None else pace.seconds
        if pace.despite:
            return Urgent(seconds)
        return self._bound(within(seconds).or_by(pace.by))

    def _deadline(self, timeout: float | None) -> Deadline:
        return self._bound(within(self.timeout if timeout is None else timeout))

    def _bound(self, deadline: Deadline) -> Deadline:
        return deadline if self.lease is None else self.lease.bound(deadline)
