"""The asynchronous client: in step with the agent whatever its tasks do."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.client import Deadline
from qga.client.aioturns import AsyncTurns
from qga.client.flows.steps import Together
from qga.protocol import FileOpen, Ping
from tests.support.stock import RunningAgent


def test_the_operations_are_awaited(agent: RunningAgent, tmp_path: Path) -> None:
    path = str(tmp_path / "file")

    async def work() -> None:
        async with await qga.aconnect(agent.target) as client:
            await client.ping()
            assert (await client.info()).version
            data = os.urandom(3_000_000)
            assert await client.write_file(path, data) == len(data)
            assert await client.read_file(path) == data
            with pytest.raises(qga.GuestOSError):
                await client.read_file("/no/such/file")

    asyncio.run(work())


def test_tasks_share_a_client(agent: RunningAgent, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")

    async def work() -> None:
        async with await qga.aconnect(agent.target) as client:
            reads = (client.read_file(str(tmp_path / "file")) for _ in range(50))
            pings = (client.call("guest-ping") for _ in range(50))
            results = await asyncio.gather(*reads, *pings)
            assert results == [b"text"] * 50 + [{}] * 50

    asyncio.run(work())


def test_a_cancelled_call_leaves_no_reply_to_the_next(agent: RunningAgent) -> None:
    async def work() -> None:
        async with await qga.aconnect(agent.target) as client:
            for delay in range(20):
                task = asyncio.ensure_future(client.call("guest-info"))
                for _ in range(delay):
                    await asyncio.sleep(0)
                task.cancel()
                assert await client.call("guest-sync", {"id": delay}) == delay

    asyncio.run(work())


def test_another_event_loop_opens_the_channel_again(agent: RunningAgent) -> None:
    client = asyncio.run(qga.aconnect(agent.target))
    asyncio.run(client.ping())
    asyncio.run(client.ping())
    asyncio.run(client.close())


def test_commands_together(agent: RunningAgent, tmp_path: Path) -> None:
    def flow() -> Any:
        return (yield Together([Ping()] * 3))

    def failing() -> Any:
        yield Together([Ping(), FileOpen(path=str(tmp_path / "no" / "file")), Ping()])

    async def work() -> None:
        async with await qga.aconnect(agent.target) as client:
            assert await client.perform(flow()) == [None] * 3
            with pytest.raises(qga.GuestOSError):
                await client.perform(failing())
            await client.ping()

    asyncio.run(work())
    with qga.connect(agent.target) as client:
        assert client.perform(flow()) == [None] * 3
        with pytest.raises(qga.GuestOSError):
            client.perform(failing())
        client.ping()


def test_a_surrounding_deadline_counts(tmp_path: Path) -> None:
    path = tmp_path / "silent"

    async def work() -> None:
        async with await qga.aconnect(f"unix:{path}") as client:
            with pytest.raises(qga.AgentNotResponding), qga.deadline(0.1):
                await client.ping()

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        asyncio.run(work())


def test_no_channel(tmp_path: Path) -> None:
    with pytest.raises(qga.NoChannel, match="cannot open unix:"):
        asyncio.run(qga.aconnect(f"unix:{tmp_path}/none"))


def test_who_comes_between_two_turns_waits_no_longer_than_it_wants() -> None:
    order: list[str] = []

    async def work() -> None:
        turns = AsyncTurns()
        assert await turns.take(Deadline(60))

        async def second() -> None:
            assert await turns.take(Deadline(60))
            order.append("second")
            await asyncio.sleep(30)

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        turns.give()  # to `second`, which has not run yet
        assert not await turns.take(Deadline(0.05))
        order.append("third")
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(work())
    assert order == ["second", "third"]


def test_a_turn_that_nobody_takes_any_more_is_handed_on() -> None:
    async def work() -> None:
        turns = AsyncTurns()
        assert await turns.take(Deadline(60))
        for handed_over in (False, True):
            gone = asyncio.create_task(turns.take(Deadline(60)))
            waiting = asyncio.create_task(turns.take(Deadline(60)))
            await asyncio.sleep(0)
            if handed_over:
                turns.give()
            gone.cancel()
            await asyncio.wait([gone])
            assert gone.cancelled()
            if not handed_over:
                turns.give()
            assert await waiting
        turns.give()
        assert await turns.take(Deadline(0))

    asyncio.run(work())
