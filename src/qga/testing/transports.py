"""Channels to a fake agent in the same process; what its `dial` and `adial` give."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from qga.client.aiotransports import AsyncTransport
from qga.client.transports import Transport
from qga.errors import ConnectionLost

from .line import HANGUP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qga.client.deadline import Deadline

    from .line import Line


class FakeTransport(Transport):
    """For the blocking client. It never waits: the time that it would wait for has passed at once.

    Args:
        plug: makes the agent's end.
        unplug: called with it when the client closes the channel.
    """

    def __init__(
        self, plug: Callable[[Callable[[], None] | None], Line], unplug: Callable[[Line], None]
    ) -> None:
        self._line = plug(None)
        self._unplug = unplug

    def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:  # noqa: ARG002
        _send(self._line, pieces)

    def receive(self, deadline: Deadline) -> bytes:
        due = self._line.next_due()
        wait = inf if due is None else due - self._line.now()
        remaining = deadline.remaining()
        passes = min(max(wait, 0.0), remaining)
        if passes < inf:
            self._line.skip(passes)
            deadline.skip(passes)
        if wait >= remaining:  # at once, even if that is for ever
            raise deadline.expired()
        return _received(self._line)

    def close(self) -> None:
        self._unplug(self._line)


class FakeAsyncTransport(AsyncTransport):
    """For the asynchronous client. It waits as long as it says, so that others have their turn."""

    def __init__(
        self, plug: Callable[[Callable[[], None] | None], Line], unplug: Callable[[Line], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._line = plug(self._on_news)
        self._unplug = unplug
        self._closed = False

    async def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:  # noqa: ARG002
        if self._closed:
            raise ConnectionLost("the channel is closed")
        _send(self._line, pieces)

    async def receive(self, deadline: Deadline) -> bytes:
        # Others run first, as they do while a real reply is on its way.
        await asyncio.sleep(0)
        while True:
            if self._closed:
                raise ConnectionLost("the channel is closed")
            self._news.clear()
            due = self._line.next_due()
            wait = inf if due is None else due - self._line.now()
            if wait <= 0:
                return _received(self._line)
            remaining = deadline.remaining()
            if not remaining:
                raise deadline.expired()
            try:
                async with asyncio.timeout(min(wait, remaining, 1e9)):
                    await self._news.wait()
            except TimeoutError:
                pass

    def close(self) -> None:
        self._closed = True
        self._unplug(self._line)
        self._news.set()

    def _on_news(self) -> None:
        # From whatever thread has something done with the agent.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)


def _send(line: Line, pieces: Sequence[bytes]) -> None:
    if line.over:
        raise ConnectionLost("the agent's side closed the channel")
    line.feed(b"".join(pieces))


def _received(line: Line) -> bytes:
    data = line.take()
    if data is HANGUP:
        raise ConnectionLost("the agent's side closed the channel")
    return data
