"""A thread for calls that block for as long as they like, and callers that do not.

For ways to an agent that lead through a library of blocking calls. Each has a thread of its own, so
that one that hangs keeps nobody else waiting, and is left behind when the process ends.
"""

from __future__ import annotations

import threading
import weakref
from concurrent import futures
from queue import SimpleQueue
from typing import TYPE_CHECKING

from qga.errors import AgentNotResponding, AgentTimeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias, TypeVar

    from .deadline import Deadline

    R = TypeVar("R")
    Jobs: TypeAlias = SimpleQueue[tuple[futures.Future[Any], Callable[[], Any]] | None]


# A signal that comes just before a wait begins does not end it: seconds until it is noticed.
_LOOK = 1.0


class Worker:
    """Calls functions in a thread, one after the other.

    A caller whose time is over, or who is cancelled, leaves the function running; those that follow
    queue behind it.
    """

    def __init__(self) -> None:
        self._jobs: Jobs = SimpleQueue()
        self._started = False
        self.close = weakref.finalize(self, self._jobs.put, None)

    def run(self, function: Callable[[], R], deadline: Deadline, name: str) -> R:
        """Call *function* in the thread; return its result, or raise its exception.

        Args:
            function: what may block.
            deadline: until when to wait for it.
            name: what it does, for errors.

        Raises:
            AgentNotResponding: the deadline passed before it could be called.
            AgentTimeout: the deadline passed, and it still runs.
        """
        future = self._submit(function)
        try:
            while not future.done() and (seconds := deadline.remaining()):
                futures.wait([future], min(seconds, _LOOK))
        except BaseException:
            future.cancel()
            raise
        if not future.done():
            raise _late(future, deadline, name)
        return future.result()

    async def arun(self, function: Callable[[], R], deadline: Deadline, name: str) -> R:
        """The same in an event loop."""
        # Who blocks does without it: to load it takes longer than most calls.
        import asyncio

        future = self._submit(function)
        waiting = asyncio.wrap_future(future)
        try:
            await asyncio.wait([waiting], timeout=min(deadline.remaining(), threading.TIMEOUT_MAX))
            if not waiting.done():
                raise _late(future, deadline, name)
        except BaseException:
            future.cancel()
            waiting.cancel()
            raise
        return waiting.result()

    def _submit(self, function: Callable[[], R]) -> futures.Future[R]:
        if not self._started:
            self._started = True
            _Thread(self._jobs).start()
        future: futures.Future[R] = futures.Future()
        self._jobs.put((future, function))
        return future


class _Thread(threading.Thread):
    """Not held up by whoever forgets to close a worker, and holding up nobody's exit."""

    def __init__(self, jobs: Jobs) -> None:
        super().__init__(name="qga worker", daemon=True)
        self._jobs = jobs

    def run(self) -> None:
        while job := self._jobs.get():
            future, function = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:  # noqa: BLE001 - the caller's
                    future.set_exception(error)
            del job, future, function


def in_worker() -> bool:
    """Whether this thread is a worker's."""
    return isinstance(threading.current_thread(), _Thread)


def _late(future: futures.Future[Any], deadline: Deadline, name: str) -> Exception:
    if future.cancel():
        return AgentNotResponding(
            f"{name}: an earlier call, which was given up, is still under way"
        )
    return AgentTimeout(f"{name}: {deadline.expired()}")
