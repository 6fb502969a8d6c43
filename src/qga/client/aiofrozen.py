"""A freeze that lasts as long as an `async with` block: the asynchronous twin of `frozen`."""

from __future__ import annotations

import asyncio
import math
import signal
import threading
from typing import TYPE_CHECKING

from qga.errors import QgaError

from . import signals
from .flows import freezing
from .freezestate import FreezeState
from .frozen import watch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import TracebackType
    from typing import Any, Self

    from .aio import AsyncClient

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class AsyncFreeze(FreezeState):
    """A freeze for an `async with` block; `AsyncClient.frozen` makes it.

    >>> async with aclient.frozen(deadline=30) as freeze:
    ...     print(freeze.frozen, "file systems are frozen")
    2 file systems are frozen
    >>> freeze.held
    True
    """

    def __init__(
        self,
        client: AsyncClient,
        mountpoints: str | Sequence[str] | None,
        deadline: float,
        timeout: float | None,
        *,
        exclude: str | Sequence[str] = (),
        on_lost: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(client, mountpoints, deadline, timeout, exclude=exclude, on_lost=on_lost)
        self._client = client
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.Task[None] | None = None
        self._renewer: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._guard = Guard()

    async def __aenter__(self) -> Self:
        self._guard.begin()
        try:
            self._start_watch()
            await self._await_watch()
            await self._freeze()
            return self
        except BaseException as error:
            try:
                await self.__aexit__(type(error), error, None)
            except QgaError:
                if not freezing.in_doubt(error):
                    raise
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._guard.end(self._undo, lambda: self.in_doubt, error)

    def _start_watch(self, ahead: float = 0.0) -> None:
        """Have the other process started, up to *ahead* seconds before the freeze."""
        self._watch = watch(self._client.target, self._deadline.seconds + ahead)

    async def _await_watch(self) -> None:
        """Wait until the other process watches, if there is one."""
        if self._watch is not None:
            self.watched = await asyncio.to_thread(self._watch.ready)

    async def _freeze(self) -> None:
        """Freeze; have the lease renewed, if there is one, and a timer thaw at the deadline."""
        await self._client.perform(self._freeze_flow())
        if self._pause() is not None:
            self._renewer = asyncio.create_task(self._renew())
        if math.isfinite(self._remaining()):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._remaining(), self._expire)

    async def _renew(self) -> None:
        """Renew the lease again and again."""
        pause = self._pause()
        while pause is not None:
            try:
                async with asyncio.timeout(pause):
                    await self._over.wait()
                return
            except TimeoutError:
                pause = await self._client.perform(self._renewal_flow())

    async def _undo(self) -> None:
        self._over.set()
        try:
            if self._timer is not None:
                self._timer.cancel()
            if self._expiry is not None:
                await finished(self._expiry)
            await self._client.perform(self._thaw_flow())
            if self._renewer is not None:
                await finished(self._renewer)
        finally:
            if self._watch is not None:
                await asyncio.to_thread(self._watch.end, over=not self.in_doubt)

    def _expire(self) -> None:
        self._over.set()
        self._expiry = asyncio.create_task(self._thaw())

    async def _thaw(self) -> None:
        try:
            await self._client.perform(self._expiry_flow())
        except QgaError:
            pass  # the end of the block tries again, and raises


class Guard:
    """Signals that end the process, and cancellation, kept until something has been undone."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._handled: list[int] = []
        self._signal = 0

    def begin(self) -> None:
        """Have such a signal cancel the running task, where nobody else handles it."""
        self._task = asyncio.current_task()
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            if signals.default(number):
                loop.add_signal_handler(number, self._cancel, number)
                self._handled.append(number)

    async def end(
        self,
        undo: Callable[[], Coroutine[Any, Any, None]],
        in_doubt: Callable[[], bool],
        error: BaseException | None,
    ) -> None:
        """Undo, whatever comes in between; then raise what came.

        Args:
            undo: what is to be done to the end.
            in_doubt: whether it has to be done again, if it was cancelled.
            error: what the block has raised.
        """
        # A task of its own, which a cancellation of this one does not reach. One of all tasks, as
        # at the end of `asyncio.run`, may even keep it from beginning.
        undoing = asyncio.create_task(undo())
        cancelled = await finished(undoing)
        while undoing.cancelled() and in_doubt():
            undoing = asyncio.create_task(undo())
            cancelled = await finished(undoing) or cancelled
        loop = asyncio.get_running_loop()
        for number in self._handled:
            loop.remove_signal_handler(number)
        if self._signal:
            if self._task is not None:
                self._task.uncancel()
            raise signals.Ended(128 + self._signal) from error
        if not undoing.cancelled():
            undoing.result()
        if cancelled is not None:
            raise cancelled

    def _cancel(self, number: int) -> None:
        if not self._signal and self._task is not None:
            self._signal = number
            self._task.cancel()


async def finished(task: asyncio.Task[None]) -> asyncio.CancelledError | None:
    """Wait until *task* has ended, however often that is cancelled; return the cancellation."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as interrupt:
            cancelled = interrupt
    return cancelled
