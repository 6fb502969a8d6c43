"""Turns of threads and tasks; and that none is lost, wherever a call is interrupted."""

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

import pytest

import qga
from qga.client import Deadline
from qga.client.deadline import Urgent
from qga.client.turns import Turns
from qga.testing import FakeAgent
from tests.vm.observe import PATIENCE, wait_until

# Longer than the test may take: a turn that is lost would last as long.
LONG = 600.0


class Interrupts:
    """Sends this process SIGINT when it first comes to a line of the client's code.

    Attributes:
        lines: those that it has come to, with their files.
    """

    def __init__(self, at: tuple[str, int] | None = None) -> None:
        self.lines: dict[tuple[str, int], None] = {}
        self._at = at

    def __call__(self, frame: FrameType, event: str, _: object) -> "Interrupts | None":
        if "/qga/client/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            line = frame.f_code.co_filename, frame.f_lineno
            if line == self._at and line not in self.lines:
                self.lines[line] = None
                signal.raise_signal(signal.SIGINT)
            self.lines[line] = None
        return self

    def during(self, what: Callable[[], object]) -> None:
        """Do *what*."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            what()
        finally:
            sys.settrace(before)


def interrupted(what: Callable[[], object], *, after: Callable[[], None]) -> int:
    """Do *what* again and again, interrupted at each of its lines when it first comes there.

    Args:
        what: this.
        after: called after each time.

    Returns: how often.
    """
    what()  # modules are loaded
    passed = Interrupts()
    passed.during(what)
    count = 0
    for line in passed.lines:
        try:
            Interrupts(line).during(what)
        except KeyboardInterrupt:
            count += 1  # else it has not come there, for it was faster or slower this time
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, line
        after()
    return count


@pytest.fixture
def _sigint() -> None:
    """SIGINT raises KeyboardInterrupt, as in most programs."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("_sigint")
def test_a_call_that_is_interrupted_at_any_line_leaves_the_turn_to_others() -> None:
    client = FakeAgent().connect(timeout=LONG)

    def others_can_call() -> None:
        thread = threading.Thread(target=client.ping, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()

    assert interrupted(client.ping, after=others_can_call) > 20


# What an interrupted call leaves may be collected in the next one, and its end be interrupted.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("_sigint")
@pytest.mark.parametrize("unknown", [(), ("qga-fsfreeze-freeze",)])
def test_a_freeze_that_is_interrupted_at_any_line_is_thawed(unknown: tuple[str, ...]) -> None:
    agent = FakeAgent(unknown=unknown)
    client = agent.connect(timeout=LONG)

    def freeze() -> None:
        with client.frozen(timeout=LONG, deadline=LONG):
            pass

    def is_thawed() -> None:
        assert agent.state == "thawed"
        client.ping()

    assert interrupted(freeze, after=is_thawed) > 100


def test_who_waits_gets_the_turn_of_a_call_that_has_ended_without_giving_it() -> None:
    turns = Turns()
    waits = threading.Event()
    has_it: list[bool] = []

    def lose() -> None:
        turns.take(Deadline(LONG))
        waiting.start()
        waits.wait(PATIENCE)

    def wait() -> None:
        waits.set()
        has_it.append(turns.take(Deadline(LONG)))
        turns.give()

    waiting = threading.Thread(target=wait, daemon=True)
    lose()
    waiting.join(PATIENCE)
    assert has_it == [True]


def test_a_call_that_has_the_turn_is_not_put_out() -> None:
    turns = Turns()
    assert turns.take(Deadline(LONG))

    def come(deadline: Deadline) -> bool:
        try:
            return turns.take(deadline)
        finally:
            turns.give()

    assert not come(Deadline(0))
    assert not come(Urgent(0))
    turns.give()
    assert come(Deadline(0))


def test_urgent_calls_come_first_and_the_others_in_order() -> None:
    turns = Turns()
    order: list[str] = []

    def come(name: str, deadline: Deadline) -> None:
        assert turns.take(deadline)
        order.append(name)
        turns.give()

    assert turns.take(Deadline(LONG))
    threads = []
    for name, deadline in [("a", Deadline(LONG)), ("b", Deadline(LONG)), ("c", Urgent(LONG))]:
        threads.append(threading.Thread(target=come, args=(name, deadline), daemon=True))
        threads[-1].start()
        wait_until(lambda: len(turns._line) == len(threads) + 1, f"{name} waits")
    turns.give()
    for thread in threads:
        thread.join(PATIENCE)
    assert order == ["c", "a", "b"]


def test_a_call_that_is_cancelled_at_any_time_leaves_the_turn_to_others() -> None:
    async def run(steps: int) -> bool:
        """Cancel calls, one that has the turn and one that waits, after so many steps."""
        agent = FakeAgent()
        client = qga.AsyncClient(agent.adial, timeout=LONG)
        calls = [asyncio.create_task(client.info()) for _ in range(2)]
        for _ in range(steps):
            await asyncio.sleep(0)
        over = [call.cancel() for call in calls] == [False, False]
        await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            await client.ping()
        return over

    steps = 0
    while not asyncio.run(run(steps)):
        steps += 1
    assert steps > 2


def test_a_freeze_that_is_cancelled_at_any_time_is_thawed() -> None:
    async def run(steps: int) -> bool:
        agent = FakeAgent()
        client = qga.AsyncClient(agent.adial, timeout=LONG)

        async def freeze() -> None:
            async with client.frozen(deadline=LONG):
                await client.ping()

        task = asyncio.create_task(freeze())
        for _ in range(steps):
            await asyncio.sleep(0)
        over = not task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert agent.state == "thawed"
        async with asyncio.timeout(PATIENCE):
            await client.ping()
        return over

    steps = 0
    while not asyncio.run(run(steps)):
        steps += 1
    assert steps > 5
