"""The guest's clock, compared with this machine's and set to it. For `operations`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qga.client.facts import TimeOffset, TimeSync
from qga.errors import CommandDisabled, CommandError, CommandNotFound
from qga.protocol import GetTime, SetTime

from .steps import Timeout

if TYPE_CHECKING:
    from .steps import Flow


def time_offset(*, samples: int = 5, timeout: float | None = None) -> Flow[TimeOffset]:
    """How far the guest's clock is from this machine's.

    The guest's time is asked *samples* times. Each answer was given between question and reply, so
    each bounds the offset from both sides; the result is the middle of what all allow.

        >>> agent.guest.clock_offset = -3600
        >>> round(client.time_offset().seconds)
        -3600

    Args:
        samples: how often to ask, at least once.
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    bounds: list[tuple[int, int]] = []
    for _ in range(samples):
        asked = time.time_ns()
        guest: int = yield GetTime()
        answered = time.time_ns()
        bounds.append((guest - answered, guest - asked))
    round_trip = min(high - low for low, high in bounds)
    low, high = max(low for low, _ in bounds), min(high for _, high in bounds)
    if low > high:
        # A clock was set or slewed meanwhile: the best single answer it is.
        low, high = min(bounds, key=lambda bound: bound[1] - bound[0])
    # An agent tells microseconds, and cuts off the rest.
    return TimeOffset((low + high) / 2e9, (high - low) / 2e9 + 1e-6, round_trip / 1e9)


def sync_time(*, rtc: bool = False, timeout: float | None = None) -> Flow[TimeSync]:
    """Set the guest's clock to this machine's, as after the guest was suspended or restored.

    The agent sets the hardware clock too. Guests without the program `hwclock` have none set: with
    agents that set the system clock all the same, that is a warning; others refuse everything.

        >>> agent.guest.clock_offset = -3600
        >>> done = client.sync_time()
        >>> round(agent.guest.clock_offset)
        0

    Args:
        rtc: set it to the guest's own hardware clock, which the host keeps right, instead.
        timeout: seconds for each call; the client's own if None.

    Raises:
        CommandError: the guest refused, and its clock is where it was.
    """
    before = yield from time_offset(timeout=timeout)
    refused: CommandError | None = None
    try:
        # It is set when the request has arrived: half a round trip from now.
        now = None if rtc else time.time_ns() + int(before.round_trip * 1e9 / 2)
        yield SetTime(time=now)
    except (CommandDisabled, CommandNotFound):
        raise
    except CommandError as error:
        refused = error
    after = yield from time_offset(timeout=timeout)
    if refused is not None and abs(after.seconds) >= max(
        abs(before.seconds) / 2, after.uncertainty
    ):
        raise refused
    return TimeSync(before, after, "" if refused is None else refused.text)
