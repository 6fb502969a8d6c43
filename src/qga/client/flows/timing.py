"""Time in flows: `within` bounds all steps of one, `pauses` are those between looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .steps import Leave, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeVar

    from qga.client.deadline import Deadline

    from .steps import Flow

    T = TypeVar("T")


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
