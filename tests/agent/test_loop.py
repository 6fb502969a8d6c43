"""Timers of the agent's event loop."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from qga.agent.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_timers_are_called_once_in_their_time(loop: Loop) -> None:
    called: list[str] = []
    loop.later(0.02, lambda: called.append("second"))
    loop.later(0.01, lambda: called.append("first"))
    loop.later(0.05, loop.stop)
    loop.run()
    assert called == ["first", "second"]


def test_a_timer_that_was_cancelled_is_not_called(loop: Loop) -> None:
    called: list[str] = []
    other = loop.later(0.01, lambda: called.append("cancelled"))
    last = loop.later(0.02, lambda: called.append("called"))
    loop.later(0.05, loop.stop)
    loop.cancel(other)
    loop.run()
    assert called == ["called"]
    for timer in (other, last):  # once more, or too late, does no harm
        loop.cancel(timer)


def test_timers_that_are_due_together_are_called_in_their_order(loop: Loop) -> None:
    called: list[int] = []
    for number in (3, 1, 4, 0, 5, 2):
        loop.later(number / 1000, lambda number=number: called.append(number))  # type: ignore[misc]
    loop.later(0.006, loop.stop)
    time.sleep(0.01)  # as on a machine that has no time for the agent
    loop.run()
    assert called == [0, 1, 2, 3, 4, 5]


def test_a_timer_that_is_cancelled_by_one_before_it_is_not_called(loop: Loop) -> None:
    called: list[str] = []
    first = loop.later(0.001, lambda: loop.cancel(second))
    second = loop.later(0.002, lambda: called.append("cancelled"))
    loop.later(0.003, loop.stop)
    time.sleep(0.005)
    loop.run()
    assert called == []
    loop.cancel(first)


def test_what_was_cancelled_does_not_wake_the_loop_up(loop: Loop, monkeypatch: Any) -> None:
    timers = [loop.later(number / 100, loop.stop) for number in range(1, 9)]
    for timer in timers[1:6]:
        loop.cancel(timer)
    patience = []

    def asked() -> float:
        patience.append(Loop._patience(loop))
        return patience[-1]

    monkeypatch.setattr(loop, "_patience", asked)
    loop.run()
    for timer in timers[6:7]:
        loop.cancel(timer)
    loop.run()
    # The first of all, and the last.
    assert len(patience) == 2
