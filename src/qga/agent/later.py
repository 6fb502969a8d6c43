"""Results that are not there when a handler returns, or that are there as text.

A handler may return one of these in place of its result: `Pending` when a program has to end first,
`Stream` when the reply is too large to be held in memory, `Text` when it is made of many numbers
that are text to begin with, or when it is the same as the last time.
"""

from qga.protocol.codec import encode
from qga.protocol.model import Later
from qga.wire import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Any, NoReturn, TypeVar

    R = TypeVar("R")
else:
    R = None


class Pending(Later[R]):
    """A result that comes with an event; until then the connection's next requests wait.

    Attributes:
        give_up: what brings it about, as an error, for a client that does not want to wait longer;
            None if that has to.
    """

    def __init__(self) -> None:
        self.give_up: Callable[[], None] | None = None
        self._outcome: Callable[[], R] | None = None
        self._listener: Callable[[], None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the event has come."""
        return self._outcome is not None

    def resolve(self, outcome: "Callable[[], R]") -> None:
        """The event has come: *outcome* returns the result, or raises. Another one is ignored."""
        if self._outcome is not None:
            return
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


def in_steps(work: "Generator[Pending[Any], Any, R]") -> Pending[R]:
    """The result of *work*, which yields each `Pending` that it has to wait for.

    It goes on with what that results in, be it an exception.
    """
    whole: Pending[R] = Pending()

    def go_on(step: "Callable[[], Pending[Any]]") -> None:
        try:
            pending = step()
        except StopIteration as end:
            result: R = end.value
            whole.resolve(lambda: result)
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            whole.resolve(raising(error))
        else:
            pending.listen(lambda: go_on(lambda: resume(pending)))

    def resume(pending: "Pending[Any]") -> "Pending[Any]":
        try:
            result = pending.result()
        except Exception as error:  # noqa: BLE001 - it is the work's
            return work.throw(error)
        return work.send(result)

    go_on(lambda: next(work))
    return whole


def raising(error: Exception) -> "Callable[[], NoReturn]":
    """An outcome that is *error*."""

    def raise_it() -> "NoReturn":
        raise error

    return raise_it


def made_of(pending: "Pending[Any]", make: "Callable[[Any], R]") -> Pending[R]:
    """What *make* makes of the result of *pending*."""
    made: Pending[R] = Pending()
    pending.listen(lambda: made.resolve(lambda: make(pending.result())))
    return made


class Stream(Later[R]):
    """A result whose JSON text is made while it is sent, piece by piece."""

    def __init__(self, pieces: "Iterator[bytes]") -> None:
        self.pieces = pieces


class Text(Later[R]):
    """A result that is JSON text already, in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces


class LastText:
    """The text of what a handler is told, made anew only when that is not the same object.

    Args:
        result: what it makes of that.
    """

    __slots__ = ("_compat", "_result", "_text", "_told")

    def __init__(self, result: "Callable[[Any], Any]") -> None:
        self._result = result
        self._told: object = self
        self._compat: tuple[int, ...] = ()
        self._text: Text[Any] = Text(b"")

    def of(self, told: object, compat: "tuple[int, ...]") -> "Text[Any]":
        """The result's text, in the words of the upstream version *compat*."""
        if told is not self._told or compat != self._compat:
            result = encode(self._result(told), compat)
            self._text = Text(b"".join(text.encode(result)))
            self._told, self._compat = told, compat
        return self._text
