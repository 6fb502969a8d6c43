"""Sleep, shutdown and reboot, and how it is known that a guest is down or back."""

import asyncio
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

import qga
from qga.client import Transport, hints
from qga.client.flows import timing
from qga.client.state import Down
from qga.testing import FakeAgent

from .peer import Gone, Peer, Peers

PATIENCE = 60.0
BOOT_ID = "/proc/sys/kernel/random/boot_id"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that are over soon."""
    monkeypatch.setattr(timing, "LOOK", 0.3)


def test_sleep(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    for mode in ("ram", "disk", "hybrid"):
        client.suspend(mode)
    assert fake_agent.guest.slept == ["ram", "disk", "hybrid"]
    with pytest.raises(ValueError, match="one of ram, disk, hybrid, not 'nap'"):
        client.suspend("nap")
    fake_agent.reply("guest-suspend-ram", qga.CommandError("not supported"))
    with pytest.raises(qga.CommandError, match="not supported"):
        client.suspend()


def test_off(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    client.shutdown()
    assert client.wait_down(PATIENCE, off=True) is Down.OFF


def test_a_channel_that_only_breaks_is_closed_for_good(fake_agent: FakeAgent) -> None:
    """As by what forwards it, which accepts connections also for a machine that is off."""
    with fake_agent.serve() as target, qga.connect(target) as client:
        fake_agent.disturb(cut=0, times=1000)
        assert client.wait_down(PATIENCE, off=True) is Down.OFF


def test_a_channel_that_broke_once_is_not(fake_agent: FakeAgent) -> None:
    seen: list[str] = []
    client = fake_agent.connect()
    fake_agent.disturb("guest-ping", cut=0, times=2)
    with pytest.raises(qga.WaitTimeout, match=r"not off after 1 s: its agent answers$"):
        client.wait_down(1, off=True, seen=seen.append)
    assert ["closed the channel" in said for said in seen[:3]] == [True, True, False]


def test_nobody_answers(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    with fake_agent.stopped():
        assert client.wait_down(PATIENCE) is Down.SILENT
        with pytest.raises(qga.WaitTimeout, match="the machine is not off after 3 s: the agent"):
            client.wait_down(3, off=True)
    with pytest.raises(qga.WaitTimeout, match=r"the guest is not down after 1 s: its agent"):
        client.wait_down(1)


def test_who_is_asleep_takes_the_request_and_another_client_does_not(peers: Peers) -> None:
    def asleep(peer: Peer) -> None:
        try:
            while True:
                peer.request()
        except Gone:
            pass

    with peers(asleep) as client:
        assert client.wait_down(PATIENCE) is Down.SILENT
    with tempfile.TemporaryDirectory(prefix="qga-") as name, socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{name}/s")
        other.listen()
        with (
            qga.connect(f"unix:{name}/s") as client,
            pytest.raises(qga.WaitTimeout, match="the channel is taken: another client"),
        ):
            client.wait_down(1)


def test_down_and_up_again(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    before = client.boot_id()

    def boots(_: str) -> None:
        fake_agent.files[BOOT_ID] = b"another\n"

    assert client.wait_down(PATIENCE, seen=boots) is Down.BACK
    assert client.wait_down(PATIENCE, boot_id=before) is Down.BACK
    assert client.wait_boot(before, PATIENCE) == "another"
    with pytest.raises(qga.WaitTimeout, match="answers, of the same boot as before"):
        client.wait_boot("another", 1)


def test_a_guest_that_does_not_tell_its_boot(fake_agent: FakeAgent) -> None:
    fake_agent.blocked |= {"guest-file-open", "guest-exec"}
    client = fake_agent.connect()
    with pytest.raises(qga.WaitTimeout, match="does not tell of which boot"):
        client.wait_boot(None, 1)
    with pytest.raises(qga.WaitTimeout, match="of the same boot"):
        client.wait_boot("before", 1)
    fake_agent.kill()
    assert client.wait_boot(None, PATIENCE, seen=lambda _: fake_agent.start()) is None


def test_with_asyncio(fake_agent: FakeAgent) -> None:
    async def work() -> None:
        async with await fake_agent.aconnect() as client:
            before = await client.boot_id()
            fake_agent.files[BOOT_ID] = b"another\n"
            assert await client.wait_boot(before, PATIENCE) == "another"
            await client.suspend("disk")
            fake_agent.kill()
            assert await client.wait_down(PATIENCE) == "off"

    asyncio.run(work())
    assert fake_agent.guest.slept == ["disk"]


def test_which_channels_tell_that_the_machine_is_off(fake_agent: FakeAgent, tmp_path: Path) -> None:
    def off(target: str) -> bool:
        with pytest.raises(qga.NoChannel) as raised:
            qga.connect(target, timeout=5)
        return raised.value.off

    assert off(f"unix:{tmp_path}/none")
    (tmp_path / "file").touch()
    assert off(f"unix:{tmp_path}/file")  # as QEMU leaves it when it is killed
    assert not off(f"serial:{tmp_path}/none")
    assert not off("fd:999")
    for number, known in ((104, (False, True)), (19, (True, False)), (13, (False, False))):
        error = qga.NoChannel("x")
        error.__cause__ = OSError(number, os.strerror(number))
        assert hints.down("vsock:3:1", error) == known


def test_asleep_as_libvirt_tells_it(fake_agent: FakeAgent) -> None:
    def dial(_: object) -> Transport:
        error = qga.NoChannel("the domain is paused")
        error.asleep = asleep
        raise error

    asleep = True
    assert qga.Client(dial).wait_down(PATIENCE) is Down.SILENT
    asleep = False
    with pytest.raises(qga.WaitTimeout, match="the domain is paused"):
        qga.Client(dial).wait_down(1)


def test_who_waits_sees_how_it_goes(fake_agent: FakeAgent) -> None:
    seen: list[str] = []
    fake_agent.kill()
    timer = threading.Timer(0.3, fake_agent.start)
    with qga.Client(fake_agent.dial) as client:

        def tell(said: str) -> None:
            seen.append(said)
            if len(seen) == 2:
                fake_agent.start()

        assert client.wait_ready(PATIENCE, seen=tell).ready
        assert client.wait_for(file="/etc/hostname", timeout=PATIENCE, seen=tell)
    timer.cancel()
    assert [said.startswith("no-channel: no agent") for said in seen] == [True, True]
