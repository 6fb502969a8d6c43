"""A frozen guest is thawed: whatever the block does, whatever the channel does."""

import threading

import pytest

import qga
from qga.client.flows import freezing
from qga.client.flows.steps import Wait
from qga.protocol import FsfreezeFreeze, FsfreezeFreezeList, FsfreezeStatus, FsfreezeThaw
from qga.protocol.fsfreeze import FsfreezeState
from qga.testing import FakeAgent

from .driven import Driven
from .peer import Peer, Peers

NOT_ALLOWED = {"class": "CommandNotFound", "desc": "Command x has been disabled: not allowed"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "THAW_PAUSE", 0.0)


def has_no_leases(peer: Peer) -> None:
    """What agents but ours answer to the freeze of ours; then they are asked for theirs."""
    peer.expect("qga-fsfreeze-freeze")
    peer.refuse(**{"class": "CommandNotFound", "desc": "The command qga-f... has not been found"})


def still_frozen(peer: Peer) -> None:
    peer.expect("guest-fsfreeze-status")
    peer.answer("frozen")


def freezes_and_thaws(peer: Peer) -> None:
    peer.sync()
    has_no_leases(peer)
    peer.expect("guest-fsfreeze-freeze")
    peer.answer(3)
    still_frozen(peer)
    peer.expect("guest-fsfreeze-thaw")
    peer.answer(3)
    peer.expect("guest-ping")
    peer.answer({})


def test_tells_how_many_were_frozen_and_thawed(peers: Peers) -> None:
    client = peers(freezes_and_thaws)
    with client.frozen() as freeze:
        assert freeze.frozen == 3
        before = freeze.thawed
    assert before is None
    assert freeze.thawed == 3
    assert 0 <= freeze.seconds < 10
    assert freeze.held
    assert freeze.report.startswith("3 file systems stayed frozen for ")
    assert not freeze.watched  # no other process could open this channel
    client.ping()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_thaws_when_the_block_raises(peers: Peers, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    client = peers(freezes_and_thaws)
    freeze = client.frozen()
    with pytest.raises(error), freeze:
        fail()
    assert (freeze.thawed, freeze.held) == (3, True)
    client.ping()


def test_thaws_when_the_freeze_takes_too_long(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        has_no_leases(peer)
        peer.expect("guest-fsfreeze-freeze")
        number = peer.expect("guest-sync-delimited")["id"]
        peer.answer(3)  # frozen after all
        peer.send(b"\xff")
        peer.answer(number)
        peer.expect("guest-fsfreeze-thaw")
        peer.answer(3)
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    with pytest.raises(qga.AgentTimeout, match="freeze"), client.frozen(timeout=0.2):
        pytest.fail("not frozen")
    client.ping()


def test_thaws_again_after_timeouts_and_over_a_new_channel(peers: Peers) -> None:
    def first(peer: Peer) -> None:
        peer.sync()
        has_no_leases(peer)
        peer.expect("guest-fsfreeze-freeze")
        peer.answer(1)
        still_frozen(peer)
        peer.expect("guest-fsfreeze-thaw")
        number = peer.expect("guest-sync-delimited")["id"]
        peer.answer(1)
        peer.send(b"\xff")
        peer.answer(number)
        peer.expect("guest-fsfreeze-thaw")
        peer.close()

    def second(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-fsfreeze-thaw")
        peer.answer(0)

    client = peers(first, second)
    with client.frozen(timeout=0.2) as freeze:
        pass
    assert (freeze.thawed, freeze.held) == (0, False)
    assert "nobody can tell" in freeze.report


def test_somebody_elses_freeze_is_not_touched(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        has_no_leases(peer)
        peer.expect("guest-fsfreeze-freeze")
        peer.refuse(**NOT_ALLOWED)
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    with pytest.raises(qga.CommandDisabled), client.frozen():
        pytest.fail("not frozen")
    client.ping()


@pytest.mark.parametrize("state", ["thawed", "error", "frozen"])
def test_a_refused_freeze_is_thawed_if_anything_stayed_frozen(peers: Peers, state: str) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        has_no_leases(peer)
        peer.expect("guest-fsfreeze-freeze")
        peer.refuse(**{"class": "GenericError", "desc": "failed to freeze /: Input/output error"})
        peer.expect("guest-fsfreeze-status")
        peer.answer(state)
        if state == "frozen":
            peer.expect("qga-fsfreeze-report")
            peer.refuse(**{"class": "CommandNotFound", "desc": "The command has not been found"})
        if state != "thawed":
            peer.expect("guest-fsfreeze-thaw")
            peer.answer(1)
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    with pytest.raises(qga.GuestOSError, match="failed to freeze"), client.frozen():
        pytest.fail("not frozen")
    client.ping()


@pytest.mark.parametrize("blocked", [(), ("qga-fsfreeze-report", "qga-fsfreeze-freeze")])
def test_a_freeze_of_others_after_a_refused_one_is_not_thawed(blocked: tuple[str, ...]) -> None:
    agent = FakeAgent(blocked=blocked)

    def refuse(_: object) -> int:
        agent.state = FsfreezeState.FROZEN  # by who came next
        raise qga.CommandError("failed to freeze")

    agent.reply(FsfreezeFreeze, refuse)
    with agent.connect() as client, pytest.raises(qga.CommandError, match="failed to freeze"):
        client.perform(freezing.freeze())
    assert agent.state == "frozen"
    assert not agent.asked(FsfreezeThaw)


@pytest.mark.parametrize(
    ("frozen", "state", "thawed", "why"),
    [
        (2, "thawed", 0, "somebody else thawed"),
        (2, "frozen", 1, "of 2 file systems only 1 were still frozen"),
        (2, "frozen", 0, "of 2 file systems only 0 were still frozen"),
        (0, "thawed", 0, "no file system was frozen"),
    ],
)
def test_it_did_not_hold(peers: Peers, frozen: int, state: str, thawed: int, why: str) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        has_no_leases(peer)
        assert peer.expect("guest-fsfreeze-freeze-list") == {"mountpoints": ["/a", "/b"]}
        peer.answer(frozen)
        peer.expect("guest-fsfreeze-status")
        peer.answer(state)
        peer.expect("guest-fsfreeze-thaw")
        peer.answer(thawed)

    with peers(script).frozen(["/a", "/b"]) as freeze:
        assert not freeze.held
    assert (freeze.held, freeze.thawed) == (False, thawed)
    assert why in freeze.report


def test_an_agent_that_does_not_tell_its_state_is_thawed(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        has_no_leases(peer)
        peer.expect("guest-fsfreeze-freeze")
        peer.answer(1)
        peer.expect("guest-fsfreeze-status")
        peer.refuse(**NOT_ALLOWED)
        peer.expect("guest-fsfreeze-thaw")
        peer.answer(1)

    with peers(script).frozen() as freeze:
        pass
    assert freeze.held


def test_the_deadline_thaws_whatever_the_block_is_at(peers: Peers) -> None:
    thawed = threading.Event()

    def script(peer: Peer) -> None:
        peer.sync()
        has_no_leases(peer)
        peer.expect("guest-fsfreeze-freeze")
        peer.answer(2)
        still_frozen(peer)
        peer.expect("guest-fsfreeze-thaw")
        peer.answer(2)
        thawed.set()
        # The end of the block has nothing to thaw: it may be somebody else's by then.
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    with client.frozen(deadline=0.3) as freeze:
        assert thawed.wait(60)
        client.ping()
    assert (freeze.expired, freeze.held, freeze.thawed) == (True, False, 2)
    assert freeze.report.startswith("the deadline of 0.3 s passed: 2 file systems thawed after ")


def test_the_deadline_bounds_the_freeze_itself(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        has_no_leases(peer)
        peer.expect("guest-fsfreeze-freeze")
        number = peer.expect("guest-sync-delimited")["id"]
        peer.answer(3)
        peer.send(b"\xff")
        peer.answer(number)
        peer.expect("guest-fsfreeze-thaw")
        peer.answer(3)

    with pytest.raises(qga.AgentTimeout), peers(script).frozen(deadline=0.2):
        pytest.fail("not frozen")


def test_a_timer_that_could_not_thaw_leaves_it_to_the_end(peers: Peers) -> None:
    tried = threading.Event()

    def script(peer: Peer) -> None:
        peer.sync()
        has_no_leases(peer)
        peer.expect("guest-fsfreeze-freeze")
        peer.answer(1)
        still_frozen(peer)
        peer.expect("guest-fsfreeze-thaw")
        peer.refuse(**NOT_ALLOWED)
        tried.set()
        still_frozen(peer)
        peer.expect("guest-fsfreeze-thaw")
        peer.answer(1)

    with peers(script).frozen(deadline=0.1) as freeze:
        assert tried.wait(60)
    assert (freeze.expired, freeze.held, freeze.thawed) == (True, False, 1)


def test_a_thaw_that_never_succeeds_says_that_the_guest_may_still_be_frozen(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        for _ in range(freezing.THAW_ATTEMPTS):
            peer.expect("guest-fsfreeze-thaw")
            peer.refuse(**{"class": "GenericError", "desc": "failed to thaw /: Input/output error"})

    with pytest.raises(qga.GuestOSError) as raised:
        peers(script).thaw()
    assert raised.value.__notes__ == ["the guest may still be frozen"]


def test_the_thaw_of_2011_tells_failures_by_negative_numbers(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        for result in (-1, -16, 2):
            peer.expect("guest-fsfreeze-thaw")
            peer.answer(result)

    assert peers(script).thaw() == 2


# The flows by themselves: what a driver throws into them.


def test_an_interrupt_of_the_freeze_command_thaws() -> None:
    flow = Driven(freezing.freeze())
    assert flow.begin() == FsfreezeFreeze()
    assert flow.throw(KeyboardInterrupt()) == FsfreezeThaw()
    with pytest.raises(KeyboardInterrupt):
        flow.send(1)


@pytest.mark.parametrize(
    "error", [qga.AgentNotResponding("nobody"), qga.TransportError("no such socket")]
)
def test_a_freeze_that_was_not_even_sent_is_not_thawed(error: qga.QgaError) -> None:
    flow = Driven(freezing.freeze())
    flow.begin()
    with pytest.raises(type(error)):
        flow.throw(error)


def test_an_interrupt_of_the_thaw_waits_until_it_is_done() -> None:
    flow = Driven(freezing.thaw())
    assert flow.begin() == FsfreezeThaw()
    assert flow.throw(KeyboardInterrupt()) == FsfreezeThaw()
    pause = flow.throw(qga.ConnectionLost("gone"))
    assert isinstance(pause, Wait)
    assert flow.send(None) == FsfreezeThaw()
    with pytest.raises(KeyboardInterrupt):
        flow.send(1)


def test_interrupts_without_end_end_the_thaw() -> None:
    flow = Driven(freezing.thaw(attempts=3))
    flow.begin()
    flow.throw(KeyboardInterrupt())
    flow.throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        flow.throw(KeyboardInterrupt())


def test_a_freeze_that_cannot_be_undone_says_so() -> None:
    flow = Driven(freezing.freeze())
    flow.begin()
    flow.throw(qga.AgentTimeout("guest-fsfreeze-freeze: no answer"))
    with pytest.raises(qga.AgentTimeout, match="freeze-freeze") as raised:
        flow.throw(qga.CommandDisabled("thaw is disabled"))
    assert raised.value.__notes__ == ["and thaw is disabled"]


def test_a_refused_freeze_whose_state_cannot_be_asked_says_so() -> None:
    flow = Driven(freezing.freeze())
    flow.begin()
    assert flow.throw(qga.CommandError("refused")) == FsfreezeStatus()
    with pytest.raises(qga.CommandError, match="refused") as raised:
        flow.throw(qga.ConnectionLost("gone"))
    assert raised.value.__notes__ == ["and gone"]


def test_a_text_is_one_mountpoint() -> None:
    freeze = Driven(freezing.freeze("/srv"))
    assert freeze.begin() == FsfreezeFreezeList(mountpoints=["/srv"])
