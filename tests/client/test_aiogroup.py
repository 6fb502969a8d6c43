"""The asynchronous twin of groups: in order, and thawed whatever happens."""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

import qga
from qga.client import group as grouping
from qga.client.flows import freezing

from .test_group import Guests


@pytest.fixture(params=[True, False], ids=["leases", "stock"])
def guests(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Guests:
    monkeypatch.setattr(freezing, "THAW_PAUSE", 0.0)
    return Guests(leases=request.param)


async def clients(guests: Guests) -> list[qga.AsyncClient]:
    made = [await agent.aconnect() for agent in guests.agents.values()]
    for name, client in zip(guests.agents, made, strict=True):
        client.target = f"fd:{name}"
    return made


def run(
    guests: Guests, block: Callable[[], None], window: float = 300, timeout: float | None = None
) -> qga.AsyncGroupFreeze:
    """The group of all guests, in whose block *block* is called."""
    found: list[qga.AsyncGroupFreeze] = []

    async def main() -> None:
        found.append(qga.afreeze_group(await clients(guests), window=window, timeout=timeout))
        async with found[0]:
            block()
            await asyncio.sleep(0)

    asyncio.run(main())
    return found[0]


def test_in_order_and_back(guests: Guests) -> None:
    frozen: list[str] = []
    group = run(guests, lambda: frozen.extend(guests.frozen))
    assert frozen == ["one", "two", "three"]
    assert guests.asked == [
        "freeze one", "freeze two", "freeze three", "thaw three", "thaw two", "thaw one",
    ]  # fmt: skip
    assert group.held
    assert group.together > 0
    assert [each.thawed for each in group.members] == [2, 2, 2]


def test_one_fails_to_freeze(guests: Guests) -> None:
    guests.failing["freeze two"] = qga.GuestOSError("failed to freeze /: Input/output error", 5)
    with pytest.raises(qga.GroupFreezeFailed, match="none of the group is left") as raised:
        run(guests, lambda: pytest.fail("not all are frozen"))
    assert guests.asked == ["freeze one", "freeze two", "thaw one"]
    assert raised.value.failures.keys() == {"fd:two"}


def test_before_the_first_freeze(guests: Guests) -> None:
    guests.block_freezes("two")
    with pytest.raises(qga.GroupFreezeFailed, match="fd:two: "):
        run(guests, lambda: pytest.fail("not all are frozen"))
    assert guests.asked == []


def test_the_window(guests: Guests) -> None:
    guests.delay_freeze("two", 1)
    with pytest.raises(qga.GroupFreezeFailed, match=r"the window of 0\.2 s was over"):
        run(guests, lambda: pytest.fail("not all are frozen"), window=0.2)
    assert guests.frozen == []


def test_one_does_not_thaw(guests: Guests) -> None:
    guests.failing["thaw two"] = qga.GuestOSError("failed to thaw /: Input/output error", 5)
    with pytest.raises(qga.GroupFreezeFailed, match="fd:two may still be frozen"):
        run(guests, lambda: None)
    assert guests.frozen == ["two"]


def test_one_hangs_in_its_thaw(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "THAW_PATIENCE", 0.0)
    guests.agents["three"].disturb(guests.thaw, silent=True)
    group = run(guests, lambda: None, timeout=3.0)
    assert guests.frozen == []
    # Asked again, an agent with leases tells how it ended.
    assert [each.held for each in group.members] == [True, True, guests.leases]


def test_a_cancelled_block(guests: Guests) -> None:
    frozen = asyncio.Event()

    async def main() -> None:
        async with qga.afreeze_group(await clients(guests)):
            frozen.set()
            await asyncio.sleep(600)

    async def cancelled() -> None:
        task = asyncio.create_task(main())
        await frozen.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancelled())
    assert guests.frozen == []


def test_a_signal(guests: Guests) -> None:
    async def main() -> None:
        async with qga.afreeze_group(await clients(guests)):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(600)

    with pytest.raises(SystemExit) as raised:
        asyncio.run(main())
    assert raised.value.code == 128 + signal.SIGTERM
    assert guests.frozen == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
