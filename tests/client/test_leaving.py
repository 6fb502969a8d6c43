"""What flows have left to be done later: tried again, given up, or forgotten in time."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

import qga
from qga.client import Deadline, Limits
from qga.client.flows.steps import MOST_LEFT, Flow, Leave
from qga.protocol import FileClose


class Narrow:
    """A transport that carries pings; on the next others it raises *failures*, and then no more."""

    limits = Limits()

    def __init__(self, *failures: BaseException) -> None:
        self._failures = list(failures)
        self.asked: list[str] = []

    def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        self.asked.append(name)
        if name != "guest-ping" and self._failures:
            raise self._failures.pop(0)
        return {}

    def close(self) -> None:
        pass


class AsyncNarrow:
    """The same for the asynchronous client."""

    limits = Limits()

    def __init__(self, *failures: BaseException) -> None:
        self._narrow = Narrow(*failures)
        self.asked = self._narrow.asked

    async def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        return self._narrow.request(name, arguments, deadline, silent=silent)

    def close(self) -> None:
        pass


def leaving(count: int = 1) -> Flow[None]:
    for handle in range(count):
        yield Leave(FileClose(handle=handle))


def test_what_the_channel_does_not_carry_is_not_tried_again() -> None:
    narrow = Narrow(qga.Unsupported("no files here"))
    anarrow = AsyncNarrow(qga.Unsupported("no files here"))
    with qga.Client(lambda _: narrow) as client:
        client.perform(leaving())
        client.ping()
        client.ping()

    async def work() -> None:
        async def dial(_: Deadline) -> AsyncNarrow:
            return anarrow

        async with qga.AsyncClient(dial) as client:
            await client.perform(leaving())
            await client.ping()
            await client.ping()

    asyncio.run(work())
    assert narrow.asked == anarrow.asked == ["guest-file-close", "guest-ping", "guest-ping"]


def test_what_nobody_answered_is_tried_again() -> None:
    narrow = Narrow(qga.AgentTimeout("late"))
    with qga.Client(lambda _: narrow) as client:
        client.perform(leaving())
        with pytest.raises(qga.AgentTimeout):
            client.ping()
        client.ping()
    assert narrow.asked == ["guest-file-close", "guest-file-close", "guest-ping"]


def test_the_oldest_are_forgotten() -> None:
    narrow = Narrow()
    with qga.Client(lambda _: narrow) as client:
        client.perform(leaving(MOST_LEFT + 5))
        client.ping()
    assert len(narrow.asked) == MOST_LEFT + 1


def test_a_close_that_is_interrupted_closes() -> None:
    narrow = Narrow(KeyboardInterrupt())
    client = qga.Client(lambda _: narrow)
    client.open_channel()
    client.perform(leaving())
    with pytest.raises(KeyboardInterrupt):
        client.close()
    with pytest.raises(qga.TransportError, match="closed"):
        client.ping()
