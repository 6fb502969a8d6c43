"""The signals that `qga` gets while programs of guests run, passed on to these."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any, Self

_DEFAULTS: dict[signal.Signals, object] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGALRM: signal.SIG_DFL,
}
# How long programs may take to end when qga is to, in seconds; then they are killed.
_GRACE = 5.0


class Signals:
    """Takes SIGINT, SIGQUIT, SIGTERM and SIGHUP, unless they are ignored or handled, for a block.

    An interrupt while an earlier signal has not been passed on, for the agent does not answer,
    raises KeyboardInterrupt.

    Attributes:
        received: whether a signal has come: nothing is to be started any more.
    """

    def __init__(self) -> None:
        self.received = False
        self._queues: list[SimpleQueue[int]] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number, default in _DEFAULTS.items():
            if signal.getsignal(number) is default:
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def queue(self) -> Iterator[SimpleQueue[int]]:
        """Where the signals for a program are put that runs as long as the block."""
        queue: SimpleQueue[int] = SimpleQueue()
        self._queues.append(queue)
        try:
            yield queue
        finally:
            self._queues.remove(queue)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and any(not queue.empty() for queue in self._queues):
            raise KeyboardInterrupt
        self.received = True
        if number == signal.SIGALRM:
            number = signal.SIGKILL
        elif number in {signal.SIGTERM, signal.SIGHUP}:
            signal.setitimer(signal.ITIMER_REAL, _GRACE)
        for queue in self._queues:
            queue.put(number)
