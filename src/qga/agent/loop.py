"""Waits for descriptors, signals and timers, and calls whom they concern. Used by `app`.

One thread, epoll, C modules only. A callback does a bounded piece of work and returns; whoever has
more to do asks to be called again (`soon`), so that no client waits for another's long request.
"""

import os
import select
import time
from _heapq import heappop, heappush

from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    OnEvents = Callable[[int], None]

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
HANGUP = select.EPOLLHUP | select.EPOLLERR
# Report changes only. The way to wait on a port that is hung up, which it would report for ever.
EDGE = select.EPOLLET

# How many events are asked for. Room for all that there may be would have to be had each time.
_AT_ONCE = 32


def hung_up(fd: int) -> bool:
    """Whether nobody is at the other end of *fd* now."""
    poller = select.poll()
    poller.register(fd, 0)
    return bool(poller.poll(0))


class Timer:
    """What is to be called once, and when; the earliest is the least.

    Attributes:
        callback: None when it was called, or is not to be.
    """

    __slots__ = ("callback", "due")

    def __init__(self, due: float, callback: "Callable[[], None]") -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def __lt__(self, other: "Timer") -> bool:
        return self.due < other.due


class Loop:
    """The agent's event loop."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, OnEvents] = {}
        self._timers: list[Timer] = []  # a heap
        self._soon: list[Callable[[], None]] = []
        self._signals: dict[int, Callable[[], None]] = {}
        self._before: dict[int, Any] = {}  # their handlers
        self._arrived: list[int] = []
        self._running = False
        self._wakeup, self._wakeup_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wakeup_end, warn_on_full_buffer=False)
        self.watch(self._wakeup, READ, self._woken)

    def watch(self, fd: int, events: int, callback: "OnEvents") -> None:
        """Call *callback* with what happened whenever one of *events*, or a hang-up, is there."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Watch *fd* for *events* from now on."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch *fd* no longer; call it before the descriptor is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def later(self, seconds: float, callback: "Callable[[], None]") -> "Timer":
        """Call *callback* once, in *seconds*; return by what to cancel it."""
        timer = Timer(time.monotonic() + seconds, callback)
        heappush(self._timers, timer)
        return timer

    def cancel(self, timer: "Timer") -> None:
        """Do not call what *timer* stands for, if it was not called yet."""
        timer.callback = None
        self._drop_cancelled()

    def soon(self, callback: "Callable[[], None]") -> None:
        """Call *callback* once, after everybody else has had a turn."""
        self._soon.append(callback)

    def on_signal(self, number: int, callback: "Callable[[], None]") -> None:
        """Call *callback* from the loop after signal *number*."""
        self._signals[number] = callback
        before = signal.signal(number, lambda arrived, _: self._arrived.append(arrived))
        self._before.setdefault(number, before)

    def _woken(self, _: int) -> None:
        os.read(self._wakeup, 512)
        arrived, self._arrived = self._arrived, []
        self._soon += [self._signals[number] for number in dict.fromkeys(arrived)]

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        callbacks, poll = self._callbacks, self._epoll.poll
        while self._running:
            patience = self._patience() if self._soon or self._timers else None
            for fd, events in poll(patience, _AT_ONCE):
                callback = callbacks.get(fd)
                if callback is not None:  # not forgotten by one that was called before
                    callback(events)
            # Last, since it may close descriptors: events that were already there for one would
            # reach whoever has got its number since.
            if self._soon or self._timers:
                self._run_due()

    def stop(self) -> None:
        """Make `run` return after the callbacks that are due."""
        self._running = False

    def _patience(self) -> float:
        if self._soon:
            return 0
        return max(0.0, self._timers[0].due - time.monotonic())

    def _run_due(self) -> None:
        soon, self._soon = self._soon, []
        now = time.monotonic()
        while self._timers and self._timers[0].due <= now:
            timer = heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._drop_cancelled()
        for callback in soon:
            callback()

    def _drop_cancelled(self) -> None:
        """Until the next timer is one to be called: the loop does not wake up for others."""
        while self._timers and self._timers[0].callback is None:
            heappop(self._timers)

    def close(self) -> None:
        """Release the loop's own descriptors and the signals."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._epoll.close()
        os.close(self._wakeup)
        os.close(self._wakeup_end)
