"""Sees when the way to a guest does not come back from a call whose time is long over.

Every way keeps the deadlines that it is given. This is for the one that does not, as a library or
a driver below it may hang: `fleet` gives that guest up, and its thread is left behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qga.client.deadline import Deadline
from qga.client.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds past the end of a call's time. A way may need a moment to come back, as on a busy machine.
GRACE = 3.0

_CALLS = frozenset(("send", "receive", "request"))


class Watch:
    """What one guest's thread is waiting for."""

    def __init__(self) -> None:
        self._deadline: Deadline | None = None
        self._since: float | None = None

    def over(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """*call*, which gets a deadline among its arguments, watched."""

        def watched(*arguments: Any, **named: Any) -> Any:
            found = (argument for argument in arguments if isinstance(argument, Deadline))
            self._since, self._deadline = None, next(found, None)
            try:
                return call(*arguments, **named)
            finally:
                self._deadline = None

        return watched

    def hangs(self, now: float) -> bool:
        """Whether the call is past its time, and has been for a while; *now* is monotonic."""
        deadline = self._deadline
        if deadline is None or deadline.remaining():
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since > GRACE


class WatchedTarget(Target):
    """*target*, and whoever opens its channel is watched."""

    def __init__(self, target: Target, watch: Watch) -> None:
        vars(self).update(vars(target))
        self._opening = watch.over(target.open)
        self._watch = watch

    def open(self, deadline: Deadline) -> Any:
        return _Watched(self._opening(deadline), self._watch)


class _Watched:
    """A transport of either kind."""

    def __init__(self, transport: Any, watch: Watch) -> None:
        self._transport = transport
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._transport, name)
        return self._watch.over(found) if name in _CALLS else found
