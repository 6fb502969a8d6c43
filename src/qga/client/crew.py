"""Several things done at once, by threads that hold up nobody: neither whoever waits for what comes
of them, nor the end of the process. For `probing`, and the command line's many guests.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME = "qga crew"

T = TypeVar("T")
R = TypeVar("R")


class Crew(Generic[T, R]):
    """Threads that do *action* for each of *items*, in order, *forks* at a time.

        >>> from qga.client.crew import Crew
        >>> crew = Crew(str.upper, ["a", "b"], forks=2)
        >>> sorted([crew.next(), crew.next()])
        [(0, 'A'), (1, 'B')]

    Args:
        action: what to do for an item. Its exceptions are its results.
        items: for which.
        forks: for how many at once.

    Attributes:
        begun: the places of the items that were begun with.
    """

    def __init__(self, action: Callable[[T], R], items: Sequence[T], forks: int) -> None:
        self._action = action
        self._waiting = deque(enumerate(items))
        self._results: SimpleQueue[tuple[int, R | BaseException]] = SimpleQueue()
        self._mutex = threading.Lock()
        self.begun: set[int] = set()
        for _ in range(min(forks, len(items))):
            self._start()

    def next(self, timeout: float | None = None) -> tuple[int, R | BaseException] | None:
        """The next result, with the place of its item; None if there is none in so many seconds.

        >>> Crew(str.upper, [], forks=1).next(timeout=0) is None
        True
        """
        try:
            return self._results.get(timeout=timeout)
        except Empty:
            return None

    def stop(self) -> None:
        """Begin with no more items: from now on `begun` stays as it is.

        >>> crew = Crew(str.upper, ["a"], forks=1)
        >>> crew.stop()
        """
        with self._mutex:
            self._waiting.clear()

    def replace(self) -> None:
        """Do without a thread that does not come back: another one takes its place.

        >>> Crew(str.upper, ["a"], forks=1).replace()
        """
        self._start()

    def _start(self) -> None:
        threading.Thread(target=self._work, name=NAME, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._mutex:
                if not self._waiting:
                    return
                place, item = self._waiting.popleft()
                self.begun.add(place)
            try:
                result: R | BaseException = self._action(item)
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result sees it
                result = error
            self._results.put((place, result))


def all_done(
    action: Callable[[T], R], items: Sequence[T], *, forks: int, timeout: float
) -> list[R | None]:
    """What *action* returns for each of *items*; None for what has not returned in time.

    Args:
        action: raises nothing.
        items: for which to do it.
        forks: for how many at once.
        timeout: seconds for all of them together.
    """
    crew = Crew(action, items, forks)
    results: list[R | None] = [None] * len(items)
    end = time.monotonic() + timeout
    for _ in items:
        found = crew.next(max(0.0, end - time.monotonic()))
        if found is None:
            break
        place, result = found
        if isinstance(result, BaseException):
            raise result
        results[place] = result
    crew.stop()
    return results
