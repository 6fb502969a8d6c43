"""Time in flows: `within` bounds all steps of one, `until` looks again and again.

`pauses` are those between looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import QgaError, WaitTimeout

from .steps import Leave, Timeout, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from qga.client.deadline import Deadline

    from .steps import Flow

    T = TypeVar("T")

# How long one look may take while something is waited for, and the pauses between, in seconds. A
# question that is on its way into a guest that boots is answered when the agent starts; one that is
# lost with a reboot is not, so it is asked again.
LOOK = 5.0
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 1.0


class NotYet(QgaError):
    """What a look of `until` has seen instead."""


def within(deadline: Deadline, flow: Flow[T]) -> Flow[T]:
    """Carry out *flow*; its commands and pauses together end by *deadline*.

    What it does despite a deadline, to undo, takes the time that it needs.

    Raises:
        AgentTimeout: the time was over; *flow* has seen it, and has tidied up.
    """
    despite = False
    yield Timeout(None, by=deadline)
    try:
        step = next(flow)
        while True:
            try:
                if isinstance(step, Timeout):
                    despite = step.despite
                    answer = yield Timeout(step.seconds, despite=despite, by=deadline)
                elif despite or isinstance(step, Leave) or deadline.remaining():
                    answer = yield step
                else:
                    raise deadline.expired()
            except GeneratorExit:
                flow.close()
                raise
            except BaseException as error:  # noqa: BLE001 - the flow decides
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


def pauses(first: float, last: float) -> Iterator[float]:
    """For how many seconds to wait between looks at what comes: short ones first."""
    while True:
        yield first
        first = min(first * 1.5, last)


def until(
    deadline: Deadline,
    look: Callable[[], Flow[T]],
    what: str,
    seen: Callable[[str], object] | None = None,
) -> Flow[T]:
    """Do *look* until it raises no `QgaError`; return what it returned.

    Args:
        deadline: the end of the whole.
        look: made for each look; each of its commands may take `LOOK` seconds.
        what: what is wrong if it never does.
        seen: called with what each look has seen instead.

    Raises:
        WaitTimeout: the time was over; the text says what was seen last.
    """

    def one() -> Flow[T]:
        yield Timeout(LOOK)
        return (yield from look())

    pause = pauses(_FIRST_PAUSE, _LAST_PAUSE)
    last: QgaError | None = None
    while True:
        try:
            return (yield from within(deadline, one()))
        except QgaError as error:
            # A look that the end has cut short says less than the one before.
            if last is None or deadline.remaining():
                last = error
        if not deadline.remaining():
            break
        if seen is not None:
            seen(str(last))
        yield Wait(min(next(pause), deadline.remaining()))
    raise WaitTimeout(f"{what} after {deadline.seconds:g} s: {last}") from last
