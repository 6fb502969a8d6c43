"""Handlers of `qga.protocol.clock`."""

import time

from qga.agent.later import LastText, Pending, Text, in_steps
from qga.errors import BadArgument, CommandError, GuestOSError
from qga.protocol.clock import GetTime, GetTimezone, SetTime, Timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from qga.agent.app import Agent
    from qga.agent.loop import Loop
    from qga.agent.system.asked import HardwareClock

_SECOND = 1_000_000_000

# The end of the year 2069, in seconds since 1970; upstream's limit.
_END = 3_155_760_000

# How often the hardware clock is looked at until it ticks, and for how long. By then a clock that
# goes has ticked, however slow the guest is.
_LOOK = 0.005
_STANDS_STILL = 5.0


@GetTime.handler
def get(agent: "Agent", command: GetTime) -> int:
    return agent.system.clock.now()


@SetTime.handler
def set_(agent: "Agent", command: SetTime) -> "Pending[None] | None":
    clock = agent.system.clock
    if command.time is None:
        try:
            hardware = clock.hardware()
        except OSError as error:
            raise _failed("open", error) from None
        return in_steps(_set_from(agent, hardware))
    if not 0 <= command.time < _END * _SECOND:
        raise BadArgument("Invalid time")
    try:
        clock.set(command.time)
    except OSError as error:
        raise GuestOSError(f"Failed to set time to guest: {error.strerror}", error.errno) from None
    try:
        hardware = clock.hardware()
    except FileNotFoundError:
        return None  # a guest without one has nothing more to set
    except OSError as error:
        raise _failed("open", error) from None
    return in_steps(_set_hardware(agent, hardware))


def _set_from(agent: "Agent", hardware: "HardwareClock") -> "Generator[Pending[Any], Any, None]":
    """Set the system's clock to the hardware's, at the moment when its next second begins."""
    try:
        end = time.monotonic() + _STANDS_STILL
        first = now = hardware.read()
        while now == first:
            if time.monotonic() > end:
                raise CommandError(f"the hardware clock {hardware.path} stands still")
            yield _pause(agent.loop, _LOOK)
            now = hardware.read()
    except OSError as error:
        raise _failed("read", error) from None
    finally:
        hardware.close()
    try:
        agent.system.clock.set(now * _SECOND)
    except OSError as error:
        raise GuestOSError(f"Failed to set time to guest: {error.strerror}", error.errno) from None


def _set_hardware(
    agent: "Agent", hardware: "HardwareClock"
) -> "Generator[Pending[Any], Any, None]":
    """Set the hardware clock to the system's, at the moment when that is a number of seconds."""
    clock = agent.system.clock
    # It is to tick when the system's clock does.
    early = int((1 - hardware.tick_delay) * _SECOND)
    try:
        yield _pause(agent.loop, (early - clock.now()) % _SECOND / _SECOND)
        hardware.write((clock.now() - early + _SECOND // 2) // _SECOND)
    except OSError as error:
        raise _failed("set", error) from None
    finally:
        hardware.close()


def _pause(loop: "Loop", seconds: float) -> Pending[None]:
    pending: Pending[None] = Pending()
    loop.later(seconds, lambda: pending.resolve(lambda: None))
    return pending


def _failed(what: str, error: OSError) -> GuestOSError:
    return GuestOSError(f"failed to {what} the hardware clock: {error.strerror}", error.errno)


_TIMEZONE = LastText(lambda zone: zone)


@GetTimezone.handler
def get_timezone(agent: "Agent", command: GetTimezone) -> Text[Timezone]:
    return _TIMEZONE.of(agent.system.timezone.now(), agent.config.compat)
