"""The asynchronous twin of snapshots: within the freeze, and thawed whatever happens."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

import qga
from qga import protocol
from qga.client import aiosnapshot, libvirthost
from tests.support.pretended_libvirt import Failure, Host, pretended_host

MADE = "the snapshot was made all the same"


@pytest.fixture
def host() -> Iterator[Host]:
    with pretended_host() as made:
        yield made
    assert libvirthost._shared == {}
    assert made.agent.state == "thawed"


def test_it_lies_within_the_freeze(host: Host) -> None:
    states: list[str] = []
    host.domain.make = lambda: states.append(str(host.agent.state))
    found = asyncio.run(qga.asnapshot("libvirt:web", "one", disks={"vda": ""}, metadata=False))
    assert states == ["frozen"]
    assert (found.consistent, found.frozen, found.thawed) == (True, 2, 2)
    assert found.confirmed <= found.begun <= found.made <= found.ended
    assert (found.name, found.domain) == ("one", "web")
    assert found.disks == [qga.SnapshotDisk("vda", "/img/root.qcow2", "/img/root.new")]
    [(_, flags)] = host.domain.asked
    assert flags == 16 | 128 | 4


def test_there_is_none(host: Host) -> None:
    def refuse() -> None:
        raise Failure(1, "no room")

    host.domain.make = refuse
    with pytest.raises(qga.SnapshotFailed, match="libvirt made no snapshot: prefix: no room"):
        asyncio.run(qga.asnapshot("libvirt:web"))
    with pytest.raises(qga.SnapshotFailed, match="has no disk 'vdz'"):
        asyncio.run(qga.asnapshot("libvirt:web", disks=["vdz"]))
    with pytest.raises(qga.SnapshotFailed, match="no file system was frozen"):
        asyncio.run(qga.asnapshot("libvirt:web", mountpoints="/nowhere*"))
    with pytest.raises(qga.InvalidTarget, match="is no domain of libvirt"):
        asyncio.run(qga.asnapshot("libvirt:web", domain="unix:/nowhere"))
    assert len(host.domain.asked) == 1


def test_it_takes_longer_than_the_freeze(host: Host) -> None:
    def late() -> None:
        while not host.agent.asked(protocol.QgaFsfreezeThaw):
            time.sleep(0.01)

    host.domain.make = late
    found = asyncio.run(qga.asnapshot("libvirt:web", deadline=1))
    assert not found.consistent
    assert "may not be consistent: the deadline of 1 s passed" in found.report


def test_a_cancelled_one_thaws_at_once(host: Host) -> None:
    """Before libvirt is done; then it is told what became of the snapshot."""
    asked = threading.Event()

    def until_it_is_thawed() -> None:
        asked.set()
        while host.agent.state == "frozen":
            time.sleep(0.01)

    host.domain.make = until_it_is_thawed

    async def cancelled() -> list[str]:
        task = asyncio.create_task(qga.asnapshot("libvirt:web"))
        await asyncio.to_thread(asked.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        return raised.value.__notes__

    assert asyncio.run(cancelled()) == [MADE]
    assert len(host.domain.asked) == 1


def test_a_libvirt_that_hangs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiosnapshot, "PATIENCE", 0.1)
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait(60)

    host.domain.make = hang
    with pytest.raises(qga.AgentTimeout) as raised:
        asyncio.run(qga.asnapshot("libvirt:web", deadline=2))
    go_on.set()
    assert raised.value.__notes__ == ["libvirt has not answered: the snapshot may still be made"]


def test_a_signal(host: Host) -> None:
    def ended() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        while host.agent.state == "frozen":
            time.sleep(0.01)

    host.domain.make = ended
    with pytest.raises(SystemExit) as raised:
        asyncio.run(qga.asnapshot("libvirt:web"))
    assert raised.value.code == 128 + signal.SIGTERM
    assert raised.value.__notes__ == [MADE]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
