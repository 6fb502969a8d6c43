"""Timers of the agent's event loop."""

from collections.abc import Iterator

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
