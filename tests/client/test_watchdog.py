"""A process that has frozen a guest and is ended, somehow: the guest is thawed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.client import watchdog
from qga.client.watch import Watch
from tests.support.pretended import Pretended, pretending

FREEZER = Path(__file__).with_name("freezer.py")
FROZEN = ["qga-fsfreeze-freeze", "guest-fsfreeze-freeze"]
FROZEN_AND_THAWED = [*FROZEN, "guest-fsfreeze-status", "guest-fsfreeze-thaw"]
PATIENCE = 60.0


@pytest.fixture
def pretended() -> Iterator[Pretended]:
    with pretending() as agent:
        yield agent


@pytest.fixture(autouse=True)
def _default_handlers() -> Iterator[None]:
    """Whatever other tests have made of them, and whether these run in the background."""
    defaults: dict[int, Any] = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def start(kind: str, agent: Pretended) -> "subprocess.Popen[str]":
    """A process that has frozen."""
    process = subprocess.Popen(
        [sys.executable, str(FREEZER), kind, agent.target],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "frozen True\n"
    assert agent.asked == FROZEN
    return process


def asked_until(agent: Pretended, count: int) -> list[str]:
    """What it was asked, when that is *count* commands."""
    end = time.monotonic() + PATIENCE
    while len(agent.asked) < count and time.monotonic() < end:
        time.sleep(0.02)
    return agent.asked


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_killed(pretended: Pretended, kind: str) -> None:
    with start(kind, pretended) as process:
        process.kill()
        # Nobody asks for the state: that is for the one who froze.
        assert asked_until(pretended, 3) == [*FROZEN, "guest-fsfreeze-thaw"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_ended_by_a_signal(pretended: Pretended, kind: str, number: signal.Signals) -> None:
    with start(kind, pretended) as process:
        process.send_signal(number)
        output, errors = process.communicate(timeout=PATIENCE)
    assert output == ""
    if number == signal.SIGINT:
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert process.returncode == -signal.SIGINT
    else:
        assert (process.returncode, errors) == (128 + number, "")
    assert pretended.asked == FROZEN_AND_THAWED


def test_nobody_to_ask(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"\n")
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader))
    monkeypatch.setattr(watchdog, "_PATIENCE", 0.2)
    monkeypatch.setattr(watchdog, "_PAUSE", 0.01)
    # The parent is another process than the one that is said to be watched.
    assert watchdog.main(["unix:/nonexistent/s", "60", "1"]) == 1
    assert "the guest of unix:/nonexistent/s may still be frozen" in capfd.readouterr().err
    os.close(writer)
    sys.stdin.close()


def test_a_watch_that_is_not_over_thaws_at_once(pretended: Pretended) -> None:
    watch = Watch(pretended.target, 60)
    assert watch.ready()
    watch.tell("")
    watch.end(over=False)
    assert asked_until(pretended, 1) == ["guest-fsfreeze-thaw"]


@pytest.mark.parametrize("seconds", [60, -watchdog.GRACE])
def test_what_is_frozen_before_anything_was_asked_for_is_somebody_elses(
    pretended: Pretended, seconds: float
) -> None:
    """As when a process is killed while it still waits for the one that watches."""
    watch = Watch(pretended.target, seconds)
    assert watch.ready()
    process = watch._process
    watch.end(over=False)
    assert process.wait(PATIENCE) == 0
    assert pretended.asked == []


def test_a_watch_that_is_over_leaves_the_guest_alone(pretended: Pretended) -> None:
    watch = Watch(pretended.target, 60)
    assert watch.ready()
    watch.end(over=True)
    assert pretended.asked == []


def test_the_deadline_is_over_and_nothing_is_heard(pretended: Pretended) -> None:
    watch = Watch(pretended.target, -watchdog.GRACE)
    watch.tell("")
    assert asked_until(pretended, 1) == ["guest-fsfreeze-thaw"]
    assert watch.ready()
    watch.end(over=True)


def test_no_watch_for_what_cannot_be_opened_again() -> None:
    assert qga.Client(lambda _: pytest.fail("opened"), timeout=1).target is None


def test_signals_that_the_program_handles_are_left_to_it(pretended: Pretended) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with qga.connect(pretended.target) as client, client.frozen() as freeze:
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (seen, freeze.held) == ([signal.SIGTERM], True)


def test_a_signal_during_the_thaw_waits_until_it_is_done(pretended: Pretended) -> None:
    with qga.connect(pretended.target) as client:
        freeze = client.frozen()
        perform = client.perform

        def disturbed(flow: object) -> object:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            return perform(flow)  # type: ignore[arg-type]

        with pytest.raises((SystemExit, KeyboardInterrupt)), freeze:
            client.perform = disturbed  # type: ignore[method-assign, assignment]
        assert (freeze.held, pretended.asked) == (True, FROZEN_AND_THAWED)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_signals_are_not_touched(pretended: Pretended) -> None:
    handlers: list[object] = []

    def work() -> None:
        with qga.connect(pretended.target) as client, client.frozen():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert handlers == [signal.SIG_DFL]
    assert json.dumps(pretended.asked) == json.dumps(FROZEN_AND_THAWED)
