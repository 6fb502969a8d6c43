"""The asynchronous freeze: thawed at the end, at the deadline, when cancelled, by a signal."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable

import pytest

import qga
from qga.client.aiotransports import AsyncDescriptorTransport
from qga.client.deadline import Deadline

from .peer import Peer, Script
from .test_freeze import freezes_and_thaws

Work = Callable[[qga.AsyncClient], Awaitable[None]]


def with_peer(script: Script, work: Work) -> None:
    """Have *work* done with a client whose peer plays *script*."""
    ours, theirs = socket.socketpair()
    failures: list[BaseException] = []

    def play() -> None:
        with theirs:
            try:
                script(Peer(theirs))
            except BaseException as error:  # noqa: BLE001 - told in the test's thread
                failures.append(error)

    async def dial(_: Deadline) -> AsyncDescriptorTransport:
        return AsyncDescriptorTransport(ours.detach())

    async def main() -> None:
        async with qga.AsyncClient(dial, timeout=60) as client:
            await work(client)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        asyncio.run(main())
    finally:
        thread.join(60)
        ours.close()
    assert failures == []


def test_it_thaws_at_the_end() -> None:
    async def work(client: qga.AsyncClient) -> None:
        async with client.frozen() as freeze:
            assert (freeze.frozen, freeze.thawed) == (3, None)
        assert (freeze.thawed, freeze.held) == (3, True)
        await client.ping()

    with_peer(freezes_and_thaws, work)


def test_it_thaws_when_the_block_raises() -> None:
    async def work(client: qga.AsyncClient) -> None:
        with pytest.raises(ValueError, match="block"):
            async with client.frozen():
                raise ValueError("of the block")
        await client.ping()

    with_peer(freezes_and_thaws, work)


def test_it_thaws_when_it_is_cancelled_again_and_again() -> None:
    async def work(client: qga.AsyncClient) -> None:
        freeze = client.frozen()
        entered = asyncio.Event()

        async def block() -> None:
            async with freeze:
                entered.set()
                await asyncio.sleep(600)

        task = asyncio.create_task(block())
        await entered.wait()
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (freeze.thawed, freeze.held) == (3, True)
        await client.ping()

    with_peer(freezes_and_thaws, work)


def test_it_thaws_when_all_tasks_are_cancelled() -> None:
    freezes: list[qga.AsyncFreeze] = []

    async def work(client: qga.AsyncClient) -> None:
        async def block() -> None:
            freeze = client.frozen()
            freezes.append(freeze)
            async with freeze:
                for task in asyncio.all_tasks():
                    task.cancel()
                await asyncio.sleep(600)

        task = asyncio.create_task(block())
        done = asyncio.Event()
        task.add_done_callback(lambda _: done.set())
        while not done.is_set():
            try:
                await done.wait()
            except asyncio.CancelledError:
                pass
        await client.ping()

    with_peer(freezes_and_thaws, work)
    (freeze,) = freezes
    assert freeze.held


def test_it_thaws_at_the_deadline() -> None:
    thawed = threading.Event()

    def script(peer: Peer) -> None:
        freezes_and_thaws(peer)
        thawed.set()

    async def work(client: qga.AsyncClient) -> None:
        async with client.frozen(deadline=0.2) as freeze:
            # The last thing that the peer waits for comes after the thaw.
            ping = asyncio.create_task(_when_expired(client, freeze))
            assert await asyncio.to_thread(thawed.wait, 60)
            await ping
        assert (freeze.expired, freeze.held, freeze.thawed) == (True, False, 3)

    with_peer(script, work)


async def _when_expired(client: qga.AsyncClient, freeze: qga.AsyncFreeze) -> None:
    while freeze.thawed is None:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    await client.ping()
