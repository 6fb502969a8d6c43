"""Several guests frozen as one: in order, within a window, and thawed whatever happens."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import qga
from qga.client import group as grouping
from qga.client import signals
from qga.client.flows import freezing
from qga.protocol import PLACES, FsfreezeFreeze, FsfreezeThaw, QgaFsfreezeFreeze, QgaFsfreezeThaw
from qga.protocol.fsfreeze import FsfreezeState
from qga.testing import FakeAgent

NAMES = ("one", "two", "three")


class Guests:
    """Three fake guests, and what they were asked about freezing, in the order of all.

    Args:
        leases: whether their agents have them.
    """

    def __init__(self, *, leases: bool) -> None:
        self.leases = leases
        self.agents = {name: FakeAgent() for name in NAMES}
        self.asked: list[str] = []
        # What happens instead: an error, or something around what the agent does.
        self.failing: dict[str, qga.QgaError | Callable[[Callable[[], object]], object]] = {}
        self.freeze: Any = QgaFsfreezeFreeze if leases else FsfreezeFreeze
        self.thaw: Any = QgaFsfreezeThaw if leases else FsfreezeThaw
        for name, agent in self.agents.items():
            if not leases:
                agent.unknown |= {each for each in PLACES if each.startswith("qga-")}
            answers = agent.freezing.answers()
            for what, command in (("freeze", self.freeze), ("thaw", self.thaw)):
                agent.reply(command.NAME, self._on(f"{what} {name}", answers[command]))

    def _on(self, what: str, do: Callable[[Any], object]) -> Callable[[Any], object]:
        def answer(command: Any) -> object:
            if getattr(command, "dry_run", None):
                return do(command)
            self.asked.append(what)
            failing = self.failing.get(what)
            if isinstance(failing, qga.QgaError):
                raise failing
            return do(command) if failing is None else failing(lambda: do(command))

        return answer

    def block_freezes(self, name: str) -> None:
        self.agents[name].blocked |= {FsfreezeFreeze.NAME, QgaFsfreezeFreeze.NAME}

    def delay_freeze(self, name: str, seconds: float) -> None:
        """Have the reply come later; not that which tells the plan."""
        self.agents[name].disturb(self.freeze, delay=seconds, skip=int(self.leases))

    @property
    def frozen(self) -> list[str]:
        return [name for name, agent in self.agents.items() if agent.state != "thawed"]

    def clients(self) -> list[qga.Client]:
        clients = [agent.connect() for agent in self.agents.values()]
        for name, client in zip(NAMES, clients, strict=True):
            client.target = f"fd:{name}"  # a name, by which no other process could open it
        return clients


@pytest.fixture(params=[True, False], ids=["leases", "stock"])
def guests(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Guests]:
    monkeypatch.setattr(freezing, "THAW_PAUSE", 0.0)
    yield Guests(leases=request.param)
    assert not signals._guards


def test_in_order_and_back(guests: Guests) -> None:
    with qga.freeze_group(guests.clients()) as group:
        assert guests.frozen == ["one", "two", "three"]
        assert [each.name for each in group.members] == ["fd:one", "fd:two", "fd:three"]
        assert {each.mountpoint for each in group.members[0].plan} == {"/", "/srv"}
        assert [each.frozen for each in group.members] == [2, 2, 2]
        assert group.report == ""
    assert guests.asked == [
        "freeze one", "freeze two", "freeze three", "thaw three", "thaw two", "thaw one",
    ]  # fmt: skip
    assert group.held
    assert [(each.thawed, each.held) for each in group.members] == [(2, True)] * 3
    assert group.report == f"3 guests stayed frozen together for {group.together:.2f} s"
    first, last = group.members[0], group.members[-1]
    assert group.together == last.ended - last.confirmed > 0
    assert first.confirmed < last.confirmed < last.ended < first.ended


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_block_raises(guests: Guests, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(error), qga.freeze_group(guests.clients()) as group:
        fail()
    assert guests.frozen == []
    assert group.held


def test_one_fails_to_freeze(guests: Guests) -> None:
    guests.failing["freeze two"] = qga.GuestOSError("failed to freeze /: Input/output error", 5)
    with (
        pytest.raises(qga.GroupFreezeFailed, match="none of the group is left") as raised,
        qga.freeze_group(guests.clients()),
    ):
        pytest.fail("not all are frozen")
    assert guests.asked == ["freeze one", "freeze two", "thaw one"]  # and never again
    assert guests.frozen == []
    assert isinstance(raised.value.failures["fd:two"], qga.GuestOSError)
    assert raised.value.failures.keys() == {"fd:two"}


def test_nothing_to_freeze(guests: Guests) -> None:
    def nothing(do: Callable[[], object]) -> object:
        guests.agents["three"].guest.filesystems = []
        return do()

    guests.failing["freeze three"] = nothing
    with (
        pytest.raises(qga.GroupFreezeFailed, match="fd:three: there is no file system"),
        qga.freeze_group(guests.clients()),
    ):
        pytest.fail("not all are frozen")
    assert guests.frozen == []
    assert guests.asked[3:] == ["thaw three", "thaw two", "thaw one"]


def test_what_is_wrong_before_the_first_freeze(guests: Guests) -> None:
    guests.agents["one"].state = FsfreezeState.FROZEN
    guests.block_freezes("two")
    with pytest.raises(qga.GroupFreezeFailed) as raised, qga.freeze_group(guests.clients()):
        pytest.fail("not all are frozen")
    assert isinstance(raised.value.failures["fd:one"], qga.AgentFrozen)
    assert isinstance(raised.value.failures["fd:two"], qga.CommandDisabled)
    assert guests.asked == []
    with (
        pytest.raises(qga.GroupFreezeFailed, match="no file system that could be frozen"),
        qga.freeze_group(guests.clients()[2:], mountpoints="/nowhere"),
    ):
        pytest.fail("not all are frozen")
    with pytest.raises(qga.GroupFreezeFailed, match="cannot open unix:/nonexistent"):
        qga.freeze_group(["unix:/nonexistent", guests.clients()[2]]).__enter__()
    assert guests.asked == []


def test_a_guest_that_nobody_could_thaw(guests: Guests) -> None:
    guests.agents["two"].blocked |= {FsfreezeThaw.NAME, QgaFsfreezeThaw.NAME}
    guests.agents["two"].unknown.add(QgaFsfreezeThaw.NAME)
    with (
        pytest.raises(qga.GroupFreezeFailed, match="fd:two: Command guest-fsfreeze-thaw has been"),
        qga.freeze_group(guests.clients()),
    ):
        pytest.fail("not all are frozen")
    assert guests.asked == []


def test_what_the_agents_cannot_tell(guests: Guests) -> None:
    """One that has plans knows why it has none; of others the lists may be missing."""
    agent = guests.agents["two"]
    agent.reply("guest-get-fsinfo", qga.GuestOSError("failed to stat /srv", 5))
    if not guests.leases:
        with qga.freeze_group(guests.clients()) as group:
            assert (group.members[1].plan, group.members[1].frozen) == ([], 2)
            assert group.members[1].hooks is None
        return
    agent.reply(QgaFsfreezeFreeze, qga.CommandError("guest-fstrim is still under way"))
    with (
        pytest.raises(qga.GroupFreezeFailed, match="fd:two: guest-fstrim is still under way"),
        qga.freeze_group(guests.clients()),
    ):
        pytest.fail("not all are frozen")
    assert guests.asked == []


def test_their_hooks(guests: Guests) -> None:
    hooks = {name: agent.freezing.add_hook("h") for name, agent in guests.agents.items()}
    with qga.freeze_group(guests.clients()) as group:
        assert [hook.told for hook in hooks.values()] == [["freeze"]] * 3
    told = [member.hooks for member in group.members]
    if guests.leases:
        assert [[hook.name for hook in each or ()] for each in told] == [["h"]] * 3
    else:
        assert told == [None] * 3
    hooks["two"].required = True
    hooks["two"].fail("freeze")
    with (
        pytest.raises(qga.GroupFreezeFailed, match=r"fd:two: .* fsfreeze hook h: exit status 1"),
        qga.freeze_group(guests.clients()),
    ):
        pytest.fail("not all are frozen")
    assert [hook.told[2:] for hook in hooks.values()] == [["freeze", "thaw"]] * 2 + [[]]
    assert guests.frozen == []
    hooks["one"].problem, hooks["one"].required = "it is not executable", True
    guests.asked.clear()
    with (
        pytest.raises(qga.GroupFreezeFailed) as raised,
        qga.freeze_group(guests.clients()),
    ):
        pytest.fail("not all are frozen")
    if guests.leases:  # before anything was done
        assert "fd:one: the hook h is required, and cannot be run" in str(raised.value)
        assert guests.asked == []
    else:
        assert guests.asked == ["freeze one"]


def test_no_group(guests: Guests) -> None:
    one = guests.clients()[0]
    with pytest.raises(qga.InvalidTarget, match="fd:one is in the group twice"):
        qga.freeze_group([one, one]).__enter__()
    with pytest.raises(qga.InvalidTarget, match="no guest"):
        qga.freeze_group([]).__enter__()


def test_the_window(guests: Guests) -> None:
    guests.delay_freeze("two", 20)  # which passes at once
    with pytest.raises(qga.GroupFreezeFailed) as raised, qga.freeze_group(guests.clients()):
        pytest.fail("not all are frozen")
    assert "the window of 10 s was over before all were frozen" in str(raised.value)
    assert isinstance(raised.value.failures["fd:two"], qga.AgentTimeout)
    assert guests.frozen == []
    assert "freeze three" not in guests.asked


def test_the_last_one_is_late(guests: Guests) -> None:
    def slow(do: Callable[[], object]) -> object:
        time.sleep(0.3)
        return do()

    guests.failing["freeze three"] = slow
    with (
        pytest.raises(qga.GroupFreezeFailed, match=r"window of 0\.2 s"),
        qga.freeze_group(guests.clients(), window=0.2),
    ):
        pytest.fail("not all are frozen in time")
    assert guests.frozen == []


def test_one_does_not_thaw(guests: Guests) -> None:
    guests.failing["thaw two"] = qga.GuestOSError("failed to thaw /: Input/output error", 5)
    with (
        pytest.raises(qga.GroupFreezeFailed) as raised,
        qga.freeze_group(guests.clients()) as group,
    ):
        pass
    assert "fd:two: failed to thaw /: Input/output error; the guest may" in raised.value.text
    assert raised.value.hint == "fd:two may still be frozen: `qga thaw` tries again"
    assert guests.frozen == ["two"]
    assert (group.held, group.together) == (False, 0.0)
    assert [each.held for each in group.members] == [True, False, True]
    assert group.report.startswith("fd:two: nobody has confirmed the thaw")


def test_one_hangs_in_its_thaw(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are not kept waiting for ever."""
    monkeypatch.setattr(grouping, "THAW_PATIENCE", 0.1)
    go_on = threading.Event()

    def hang(do: Callable[[], object]) -> object:
        go_on.wait(60)
        return do()

    guests.failing["thaw three"] = hang

    def release(do: Callable[[], object]) -> object:
        go_on.set()
        return do()

    guests.failing["thaw one"] = release
    with qga.freeze_group(guests.clients()) as group:
        pass
    assert guests.frozen == []
    assert group.held


def test_a_freeze_and_its_thaw_fail(guests: Guests) -> None:
    """What nobody has confirmed is told, though the freeze itself has failed."""
    guests.delay_freeze("two", 20)
    guests.failing["thaw two"] = qga.GuestOSError("failed to thaw /: Input/output error", 5)
    with pytest.raises(qga.GroupFreezeFailed) as raised, qga.freeze_group(guests.clients()):
        pytest.fail("not all are frozen")
    assert raised.value.hint == "fd:two may still be frozen: `qga thaw` tries again"
    assert "one" not in guests.frozen


def test_somebody_else_thaws(guests: Guests) -> None:
    with qga.freeze_group(guests.clients()) as group:
        guests.agents["two"].connect().thaw()
    assert (group.held, group.together) == (False, 0.0)
    assert group.report == "fd:two: somebody else thawed the guest before the end"


def test_the_deadline(guests: Guests) -> None:
    with qga.freeze_group(guests.clients(), deadline=0.5) as group:
        while guests.frozen:
            time.sleep(0.01)
    assert not group.held
    assert all(each.expired for each in group.members)
    assert group.report.startswith("fd:one: the deadline of 0.5 s passed")


def test_a_signal_in_the_block(guests: Guests) -> None:
    def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    with pytest.raises(SystemExit) as raised, qga.freeze_group(guests.clients()) as group:
        end()
    assert raised.value.code == 128 + signal.SIGTERM
    assert guests.frozen == []
    assert group.held


def test_an_interrupt_between_the_freezes(guests: Guests) -> None:
    def interrupted(do: Callable[[], object]) -> object:
        result = do()
        os.kill(os.getpid(), signal.SIGINT)
        return result

    guests.failing["freeze two"] = interrupted
    with pytest.raises(KeyboardInterrupt), qga.freeze_group(guests.clients()):
        pytest.fail("interrupted before")
    assert guests.frozen == []
    assert "freeze three" not in guests.asked


def test_an_interrupt_during_the_thaw(guests: Guests) -> None:
    def interrupted(do: Callable[[], object]) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return do()

    guests.failing["thaw three"] = interrupted
    with pytest.raises(KeyboardInterrupt), qga.freeze_group(guests.clients()):
        pass
    assert guests.frozen == []
    assert guests.asked[3:] == ["thaw three", "thaw two", "thaw one"]


def test_over_their_own_ways(guests: Guests) -> None:
    with ExitStack() as stack:
        targets = [stack.enter_context(agent.serve()) for agent in guests.agents.values()]
        with qga.freeze_group(targets, deadline=300, window=300) as group:
            assert all(each.watched for each in group.members)
            assert guests.frozen == list(NAMES)
        assert group.held
    assert guests.frozen == []
