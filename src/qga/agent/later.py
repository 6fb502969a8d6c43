"""Results that are not there when a handler returns, or that are there as text.

A handler may return one of these in place of its result: `Pending` when a program has to end first,
`Stream` when the reply is too large to be held in memory, `Text` when it is made of many numbers
that are text to begin with.
"""

from qga.protocol.model import Later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    R = TypeVar("R")
else:
    R = None


class Pending(Later[R]):
    """A result that comes with an event; until then the connection's next requests wait."""

    def __init__(self) -> None:
        self._outcome: Callable[[], R] | None = None
        self._listener: Callable[[], None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the event has come."""
        return self._outcome is not None

    def resolve(self, outcome: "Callable[[], R]") -> None:
        """The event has come: *outcome* returns the result, or raises."""
        self._outcome = outcome
        if self._listener is not None:
            self._listener()

    def listen(self, listener: "Callable[[], None]") -> None:
        """Call *listener* when the event comes, or now if it has come."""
        self._listener = listener
        if self._outcome is not None:
            listener()

    def result(self) -> R:
        """The result; only after the event."""
        if self._outcome is None:
            raise RuntimeError("the event has not come yet")
        return self._outcome()


class Stream(Later[R]):
    """A result whose JSON text is made while it is sent, piece by piece."""

    def __init__(self, pieces: "Iterator[bytes]") -> None:
        self.pieces = pieces


class Text(Later[R]):
    """A result that is JSON text already."""

    def __init__(self, json: bytes) -> None:
        self.json = json
