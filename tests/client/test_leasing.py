"""Freezes for a lease: renewed while the block runs, ended by the guest when nobody does."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import qga
from qga.client import Deadline, lease
from qga.client.flows import freezing
from qga.client.lease import Lease
from qga.protocol import (
    PLACES,
    FsfreezeFreeze,
    FsfreezeFreezeList,
    FsfreezeStatus,
    FsfreezeThaw,
    QgaFsfreezeFreeze,
    QgaFsfreezeRenew,
    QgaFsfreezeReport,
    QgaFsfreezeThaw,
)
from qga.protocol.fsfreeze import FreezeEnd, FreezeReport, FsfreezeState
from qga.testing import FakeAgent
from tests.vm.observe import PATIENCE, wait_until

FREEZER = Path(__file__).with_name("freezer.py")
OURS = {name for name in PLACES if name.startswith("qga-")}


@pytest.fixture
def target(fake_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(freezing, "THAW_PAUSE", 0.0)
    with fake_agent.serve() as target:
        yield target


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are long, and renewed as soon as they have begun: no slow machine misses one."""
    monkeypatch.setattr(lease, "_SHOULD", 0.999)
    monkeypatch.setattr(lease, "_MUST", 0.9)
    monkeypatch.setattr(lease, "_LEAST", 0.02)


def renewals(agent: FakeAgent) -> int:
    return len(agent.asked(QgaFsfreezeRenew))


async def renewed(agent: FakeAgent) -> None:
    """Wait for one more."""
    before = renewals(agent)
    while renewals(agent) == before:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("eager")
def test_it_is_renewed_while_the_block_runs(fake_agent: FakeAgent, target: str) -> None:
    with qga.connect(target) as client, client.frozen(deadline=1000) as freeze:
        assert (freeze.frozen, freeze.lease, freeze.unguarded) == (2, True, "")
        wait_until(lambda: renewals(fake_agent) >= 3, "three renewals")
        assert freeze.details is not None
        assert {mount.outcome for mount in freeze.details.mounts} == {"frozen"}
        assert freeze.lost == ""
    assert (freeze.held, freeze.thawed) == (True, 2), freeze.report
    assert freeze.report == f"2 file systems stayed frozen for {freeze.seconds:.1f} s"
    assert freeze.details.end == FreezeEnd.THAWED
    (begun,) = fake_agent.asked(QgaFsfreezeFreeze)
    assert begun.token == freeze.token
    # Long enough for the freeze itself, which may take the client's timeout.
    assert begun.deadline_ms is not None
    assert 30_000 < begun.deadline_ms < 60_000
    assert {each.deadline_ms for each in fake_agent.asked(QgaFsfreezeRenew)} == {30_000}
    assert {each.token for each in fake_agent.asked(QgaFsfreezeRenew)} == {freeze.token}
    assert [each.token for each in fake_agent.asked(QgaFsfreezeThaw)] == [freeze.token]
    assert not fake_agent.asked(FsfreezeFreeze)
    assert not fake_agent.asked(FsfreezeThaw)


@pytest.mark.usefixtures("eager")
def test_the_asynchronous_one_is_renewed(fake_agent: FakeAgent, target: str) -> None:
    async def work() -> qga.AsyncFreeze:
        async with await qga.aconnect(target) as client, client.frozen() as freeze:
            for _ in range(3):
                await renewed(fake_agent)
        return freeze

    freeze = asyncio.run(work())
    assert (freeze.held, freeze.lease, freeze.lost) == (True, True, ""), freeze.report


def test_no_lease_goes_beyond_the_deadline(fake_agent: FakeAgent, target: str) -> None:
    with qga.connect(target) as client, client.frozen(deadline=20) as freeze:
        assert freeze._renewer is None
    (begun,) = fake_agent.asked(QgaFsfreezeFreeze)
    assert begun.deadline_ms is not None
    assert begun.deadline_ms <= 20_000
    short = Lease(Deadline(70))
    assert short.first(600) <= 70
    assert short.next() == 30
    short.until = float("inf")
    assert short.pause() == 0  # shortened at once
    late = Lease(Deadline(10))
    assert late.next() <= 10


@pytest.mark.usefixtures("eager")
def test_who_renews_learns_that_it_is_over(fake_agent: FakeAgent, target: str) -> None:
    told: list[str] = []
    with qga.connect(target) as client, client.frozen(on_lost=told.append) as freeze:
        fake_agent.freezing.end_lease()
        wait_until(lambda: bool(told), "the loss")
    why = f"the freeze of token '{freeze.token}' has ended: the lease ended, and nobody had thawed"
    assert (told, freeze.lost) == ([why], why)
    assert (freeze.held, freeze.thawed) == (False, 0)
    assert freeze.report == "the lease ended, and nobody had thawed"


@pytest.mark.usefixtures("eager")
def test_somebody_else_thaws(fake_agent: FakeAgent, target: str) -> None:
    async def work() -> qga.AsyncFreeze:
        lost = asyncio.Event()
        async with (
            await qga.aconnect(target) as client,
            client.frozen(on_lost=lambda _: lost.set()) as freeze,
        ):
            await client.thaw()
            await lost.wait()
        return freeze

    freeze = asyncio.run(work())
    assert freeze.lost.endswith("has ended: it was thawed")
    assert (freeze.held, freeze.thawed) == (False, 0)
    assert freeze.report == "somebody else thawed the guest before the end"
    # It is not thawed again: by now it might be somebody else's.
    assert len(fake_agent.asked(FsfreezeThaw)) == 1


def test_an_agent_that_hangs(
    fake_agent: FakeAgent, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE", 3.0)
    lost = threading.Event()
    with (
        qga.connect(target, timeout=5) as client,
        client.frozen(on_lost=lambda _: lost.set()) as freeze,
    ):
        with fake_agent.stopped():
            assert lost.wait(PATIENCE)
        assert freeze.lost.startswith("its lease could not be renewed: ")
    assert not freeze.held
    assert freeze.report == "the lease ended, and nobody had thawed"
    assert fake_agent.state == "thawed"


@pytest.mark.usefixtures("eager")
def test_a_call_whose_answer_is_lost_does_not_let_it_end(
    fake_agent: FakeAgent, target: str
) -> None:
    with qga.connect(target) as client, client.frozen(deadline=1000) as freeze:
        wait_until(lambda: renewals(fake_agent) > 0, "the first renewal")
        fake_agent.disturb(FsfreezeStatus, silent=True)
        with pytest.raises(qga.AgentTimeout, match="the channel was needed to keep the guest"):
            client.execute(FsfreezeStatus(), timeout=600)
        before = renewals(fake_agent)
        wait_until(lambda: renewals(fake_agent) > before, "a renewal")
        assert client.fsfreeze_status() == "frozen"
    assert (freeze.held, freeze.lost) == (True, "")
    assert client.lease is None


@pytest.mark.usefixtures("eager")
def test_neither_does_one_of_another_task(fake_agent: FakeAgent, target: str) -> None:
    async def work() -> qga.AsyncFreeze:
        async with await qga.aconnect(target) as client, client.frozen(deadline=1000) as freeze:
            await renewed(fake_agent)
            fake_agent.disturb(FsfreezeStatus, silent=True, times=3)
            calls = [client.execute(FsfreezeStatus(), timeout=600) for _ in range(3)]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(each, qga.AgentTimeout) for each in found)
            await renewed(fake_agent)
        return freeze

    freeze = asyncio.run(work())
    assert (freeze.held, freeze.lost) == (True, "")


@pytest.mark.parametrize(
    ("spoil", "why", "then"),
    [
        (
            lambda agent: agent.unknown.update(OURS),
            "the agent has no leases",
            "the guest may stay frozen",
        ),
        (
            lambda agent: agent.blocked.update(OURS),
            "the agent does not allow leases",
            "the guest stays frozen until the agent's own fsfreeze-timeout",
        ),
    ],
    ids=["unknown", "blocked"],
)
def test_what_is_not_guaranteed(
    fake_agent: FakeAgent, target: str, spoil: Callable[[FakeAgent], None], why: str, then: str
) -> None:
    spoil(fake_agent)
    with qga.connect(target) as client, client.frozen(["/srv", "/nowhere"]) as freeze:
        assert (freeze.frozen, freeze.lease, freeze.token) == (1, False, "")
        assert freeze.unguarded == (
            f"{why}: if this process and the one that watches it are killed, or the channel is "
            f"lost, {then}"
        )
        assert client.lease is None
    assert (freeze.held, freeze.details) == (True, None)
    assert not fake_agent.asked(QgaFsfreezeRenew)
    client = fake_agent.connect()
    with client.frozen(exclude="/s?v") as freeze:
        assert "if this process is killed, or" in freeze.unguarded
    assert freeze.held
    with client.frozen("/*", exclude=["type:xfs", "/"]) as freeze:
        assert freeze.frozen == 1
    lists = [each.mountpoints for each in fake_agent.asked(FsfreezeFreezeList)]
    assert lists == [["/srv", "/nowhere"], ["/"], ["/srv"]]


def test_patterns_are_the_agents(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    with client.frozen("/*", exclude=["device:*2"]) as freeze:
        assert freeze.frozen == 1
    assert freeze.held
    with pytest.raises(qga.CommandError, match="cannot freeze /nowhere"):
        client.frozen(["/", "/nowhere"]).__enter__()
    assert fake_agent.state == "thawed"


def test_a_freeze_that_is_not_answered_is_undone(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    fake_agent.disturb(QgaFsfreezeFreeze, delay=100)
    with pytest.raises(qga.AgentTimeout), client.frozen():
        pytest.fail("not frozen")
    (thaw,) = fake_agent.asked(QgaFsfreezeThaw)
    assert thaw.token == fake_agent.asked(QgaFsfreezeFreeze)[0].token
    assert (fake_agent.state, client.lease) == ("thawed", None)


def test_a_freeze_that_cannot_be_undone_ends_by_itself(
    fake_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "THAW_PAUSE", 0.0)
    client = fake_agent.connect()
    fake_agent.disturb(QgaFsfreezeFreeze, delay=100)
    fake_agent.reply(QgaFsfreezeThaw, qga.GuestOSError("failed to thaw /: Input/output error", 5))
    # Why it had to be undone, and what became of that.
    with pytest.raises(qga.AgentTimeout, match="no answer within") as raised:
        client.frozen(deadline=40).__enter__()
    undone, doubt, comfort = raised.value.__notes__
    assert undone == "and failed to thaw /: Input/output error"
    assert doubt == freezing.DOUBT
    assert comfort.startswith("it thaws by itself within ")
    assert fake_agent.state == "frozen"

    async def awaited() -> None:
        async with await fake_agent.aconnect() as aclient:
            fake_agent.freezing.reset()
            fake_agent.disturb(QgaFsfreezeFreeze, silent=True)
            async with aclient.frozen(timeout=1):
                pytest.fail("it is not known to be frozen")

    with pytest.raises(qga.AgentTimeout, match="no answer within") as raised:
        asyncio.run(awaited())
    assert raised.value.__notes__[:2] == [undone, doubt]


def test_a_freeze_that_somebody_else_has_begun_is_not_touched(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    with client.frozen() as freeze:
        with pytest.raises(qga.CommandDisabled):
            client.frozen().__enter__()
        assert client.fsfreeze_status() == "frozen"
        assert client.lease is not None
    assert freeze.held


def test_something_goes_wrong_after_the_thaw(fake_agent: FakeAgent) -> None:
    real = fake_agent.freezing.answers()[QgaFsfreezeThaw]

    def thaw(command: QgaFsfreezeThaw) -> FreezeReport:
        real(command)
        raise qga.CommandError("child process has failed to run the hook")

    fake_agent.reply(QgaFsfreezeThaw, thaw)
    with fake_agent.connect().frozen() as freeze:
        pass
    assert (freeze.held, freeze.thawed) == (True, 2)
    assert freeze.report.endswith(" s; and then: child process has failed to run the hook")
    assert len(fake_agent.asked(QgaFsfreezeThaw)) == 1


def test_the_agent_is_replaced_meanwhile(fake_agent: FakeAgent) -> None:
    with fake_agent.connect().frozen() as freeze:
        fake_agent.unknown |= OURS
    assert (freeze.held, freeze.thawed) == (False, 2)
    assert freeze.report.startswith("the agent does not know of the freeze any more; and then: ")
    assert fake_agent.state == "thawed"


def test_the_guest_is_started_again_meanwhile(fake_agent: FakeAgent) -> None:
    with fake_agent.connect().frozen() as freeze:
        fake_agent.freezing.reset()
        another = fake_agent.connect().frozen()
        another.__enter__()
    assert (freeze.held, freeze.thawed) == (False, 0)
    assert freeze.report.startswith("the agent does not know of the freeze any more")
    assert fake_agent.state == "frozen"
    another.__exit__(None, None, None)
    assert another.held


def test_an_agent_that_does_not_say_whether_it_lasted(fake_agent: FakeAgent) -> None:
    fake_agent.reply(QgaFsfreezeReport, qga.CommandError("not now"))
    with fake_agent.connect().frozen() as freeze:
        pass
    assert (freeze.held, fake_agent.state) == (False, "thawed")
    assert freeze.report == "the agent has not said whether it lasted until the end"


def test_the_deadline(fake_agent: FakeAgent, target: str) -> None:
    with qga.connect(target) as client, client.frozen(deadline=0.3) as freeze:
        wait_until(lambda: freeze.thawed is not None, "the deadline")
        assert fake_agent.state == "thawed"
    assert (freeze.expired, freeze.held) == (True, False)
    assert freeze.report.startswith("the deadline of 0.3 s passed: 2 file systems thawed after ")


def test_the_state_alone_of_agents_that_tell_no_more(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    fake_agent.unknown |= OURS
    assert client.fsfreeze_report() == FreezeReport(state=FsfreezeState.THAWED, mounts=[])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_killed(fake_agent: FakeAgent, target: str, kind: str) -> None:
    """The process that watches thaws this freeze and no other."""
    process = subprocess.Popen(
        [sys.executable, str(FREEZER), kind, target], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "frozen True\n"
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: fake_agent.state == "thawed", "the thaw")
    (thaw,) = fake_agent.asked(QgaFsfreezeThaw)
    assert thaw.token == fake_agent.asked(QgaFsfreezeFreeze)[0].token
    assert not fake_agent.asked(FsfreezeThaw)
