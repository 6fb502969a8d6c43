"""The lease of a freeze, as far as it is known on this side. For `frozen`, and for clients.

A guest whose agent has leases thaws by itself when one ends: this one's end is the guest's, or
comes before it. It is short, and renewed in good time, as long as the one who froze lives.
"""

from __future__ import annotations

import os
import secrets
import time

from qga.errors import AgentTimeout

from .deadline import Deadline

# For how long the guest stays frozen when nobody is left who could thaw it, in seconds.
LEASE = 30.0

# The longest that agents give, in seconds.
_DAY = 86_400.0

# Shares of it: what is left when it should be renewed, and when it has to be; what a call has in
# any case; and what is so much that it is shortened.
_SHOULD, _MUST, _LEAST, _TOO_LONG = 2 / 3, 1 / 3, 1 / 6, 3 / 2

# Close enough to the end of it all not to be renewed, in seconds; and what a request may be late.
_NEARLY, _LATE = 0.05, 1.0


class Lease:
    """A lease.

    Args:
        deadline: by when the freeze is to be over at the latest.

    Attributes:
        token: what the freeze is called.
        until: to when the guest is frozen for certain, if nobody thaws it, as `time.monotonic` has
            it; 0.0 before it was asked for.
        begun: whether the guest is frozen.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.token = f"qga-{os.getpid()}-{secrets.token_hex(4)}"
        self.until = 0.0
        self.begun = False
        self._deadline = deadline

    def first(self, patience: float) -> float:
        """The seconds to begin with.

        The lease counts from the request on, and nothing can be renewed before it is answered.

        Args:
            patience: the seconds that the freeze itself may take.
        """
        return min(self._deadline.remaining(), max(LEASE, patience + LEASE * _MUST + _LATE), _DAY)

    def next(self) -> float:
        """The seconds to renew it for."""
        return min(self._deadline.remaining(), LEASE)

    def left(self) -> float:
        """The seconds until it ends; 0.0 if nobody knows whether it has."""
        return max(0.0, self.until - time.monotonic())

    def pause(self) -> float | None:
        """The seconds until it should be renewed; None if it lasts as long as it may."""
        left = self.left()
        if left > LEASE * _TOO_LONG:  # it had to cover a freeze that might have taken long
            return 0.0
        if self.is_last():
            return None
        return max(0.0, left - LEASE * _SHOULD)

    def is_last(self) -> bool:
        """Whether it ends with the deadline."""
        return self.left() >= self._deadline.remaining() - _NEARLY

    def attempt(self) -> float:
        """The seconds that one attempt to renew it may take, so that there is time for another."""
        return max(self.left() / 2, _NEARLY)

    def bound(self, deadline: Deadline) -> Deadline:
        """The *deadline* of a call, or the time when the channel is needed for the renewal.

        While frozen, agents answer at once, so that a call which takes long is one whose answer
        does not come. It would let the lease end.
        """
        if self.pause() is None:
            return deadline
        # A renewal that is on its way may shorten it.
        left = min(self.left(), LEASE) if self.begun else self.left()
        last = max(left - LEASE * _MUST, LEASE * _LEAST)
        return deadline if deadline.remaining() <= last else _Bound(last, deadline)


class _Bound(Deadline):
    """When a call has to give way."""

    __slots__ = ()

    def expired(self) -> AgentTimeout:
        within = f"no answer within {self.seconds:.3g} s"
        return AgentTimeout(f"{within}, when the channel was needed to keep the guest frozen")
