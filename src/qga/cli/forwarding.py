"""The signals that `qga` gets while programs of guests run, passed on to these."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
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
        self._waiting: list[Waiting] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number, default in _DEFAULTS.items():
            if signal.getsignal(number) is default:
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Iterator[Waiting]:
        """Those for a program that runs as long as the block."""
        waiting = Waiting()
        self._waiting.append(waiting)
        try:
            yield waiting
        finally:
            self._waiting.remove(waiting)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and any(waiting.numbers for waiting in self._waiting):
            raise KeyboardInterrupt
        self.received = True
        for waiting in self._waiting:
            waiting.add(number)


class Waiting:
    """Signals that a program has still to get; called for them again and again while it runs.

    Attributes:
        numbers: theirs.
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._end: float | None = None

    def add(self, number: int) -> None:
        """Take one more; after one that ends `qga` the program has little time."""
        self.numbers.append(number)
        if number in {signal.SIGTERM, signal.SIGHUP}:
            self._end = time.monotonic() + _GRACE

    def __call__(self) -> list[int]:
        if self._end is not None and time.monotonic() > self._end:
            self._end = None
            self.add(signal.SIGKILL)
        taken, self.numbers = self.numbers, []
        return taken
