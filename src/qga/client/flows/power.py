"""The guest's going to sleep, its going down, and its coming back. For `operations`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.client.deadline import Deadline
from qga.client.state import Down
from qga.errors import (
    AgentBusy,
    AgentTimeout,
    CommandError,
    ConnectionLost,
    NoChannel,
    TransportError,
    Unsupported,
)
from qga.protocol import Ping, SuspendDisk, SuspendHybrid, SuspendRam

from . import facts
from .steps import Timeout
from .timing import NotYet, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .steps import Flow

_SUSPEND = {"ram": SuspendRam, "disk": SuspendDisk, "hybrid": SuspendHybrid}

# How many looks in a row, of some seconds each, have to see nobody before an agent counts as gone;
# and how often a channel has to break, one time after the other, before its end counts as closed
# for good: what forwards it accepts connections also for a machine that is off.
_SILENT, _BROKEN = 2, 3


def suspend(mode: str = "ram", *, timeout: float | None = None) -> Flow[None]:
    """Have the guest go to sleep.

    The agent is silent when it does, so this returns after 3 seconds without an error. `wait_down`
    waits until it sleeps.

        >>> client.suspend("ram")
        >>> agent.guest.slept
        ['ram']

    Args:
        mode: "ram": its memory is kept, and the host wakes it up; "disk": it is switched off, and
            has its memory back when it is started; "hybrid": as "ram", with a copy on the disk.
        timeout: seconds for the call; the client's own if None.

    Raises:
        ValueError: there is no such mode.
        CommandError: the guest cannot.
    """
    if mode not in _SUSPEND:
        raise ValueError(f"the mode is one of {', '.join(_SUSPEND)}, not {mode!r}")
    yield Timeout(timeout)
    yield _SUSPEND[mode]()


def boot(*, timeout: float | None = None) -> Flow[str | None]:
    """What `boot_id` says; None of guests that do not tell."""
    try:
        return (yield from facts.boot_id(timeout=timeout))
    except (CommandError, Unsupported):
        return None


def wait_down(
    timeout: float = 300.0,
    *,
    off: bool = False,
    boot_id: str | None = None,
    seen: Callable[[str], object] | None = None,
) -> Flow[Down]:
    """Wait until the guest has gone down, as after `shutdown` or `suspend`.

    Only the channel can tell. That its end at the machine is gone is certain: the machine does not
    run any more. That nobody answers is less: so it is of a guest that is halted or asleep, but
    also where only the agent was stopped, as services are early in a shutdown.

        >>> boot_id = client.boot_id()
        >>> client.shutdown("powerdown")
        >>> client.wait_down(60, boot_id=boot_id)
        <Down.OFF: 'off'>

    Args:
        timeout: how many seconds to wait.
        off: wait until the machine is off, however long nobody answers.
        boot_id: what `boot_id` was before, if that is known: another one says that the guest has
            been down, and was booted again. By default the first that is seen.
        seen: called with what each look has seen instead: to show how it goes.

    Returns: how it is known.

    Raises:
        WaitTimeout: it is not down in time; the text says what was seen last.
    """
    known = boot_id
    silent = broken = 0

    def look() -> Flow[Down]:
        nonlocal known, silent, broken
        try:
            yield Ping()
        except ConnectionLost:
            broken += 1
            if broken == _BROKEN:
                return Down.OFF
            raise
        except (AgentTimeout, NoChannel) as error:
            broken = 0
            if isinstance(error, NoChannel):
                if error.off:
                    return Down.OFF
                if not error.asleep:
                    raise  # the way there is broken: who knows
            elif isinstance(error, AgentBusy) and not error.taken:
                raise  # another client is before us
            silent += 1
            if silent >= _SILENT and not off:
                return Down.SILENT
            raise
        except (CommandError, Unsupported):
            pass  # it answers
        silent = broken = 0
        found = yield from boot()
        if known is not None and found not in (None, known):
            return Down.BACK
        known = known or found
        raise NotYet("its agent answers")

    what = "the machine is not off" if off else "the guest is not down"
    return (yield from until(Deadline(timeout), look, what, seen))


def wait_boot(
    boot_id: str | None = None,
    timeout: float = 300.0,
    *,
    seen: Callable[[str], object] | None = None,
) -> Flow[str | None]:
    """Wait until the guest has been booted again, as after `shutdown("reboot")`.

        >>> before = client.boot_id()
        >>> client.shutdown("reboot")
        >>> client.wait_boot(before, timeout=60) != before
        True

    Args:
        boot_id: what `boot_id` was before. With None, for guests that do not tell, its agent has to
            be seen to be away, and to answer again.
        timeout: how many seconds to wait.
        seen: called with what each look has seen instead: to show how it goes.

    Returns: what `boot_id` is now; None if the guest does not tell.

    Raises:
        WaitTimeout: it was not booted in time; the text says what was seen last.
    """
    away = False

    def look() -> Flow[str | None]:
        nonlocal away
        try:
            yield Ping()
            found = yield from boot()
        except (AgentTimeout, TransportError):
            away = True
            raise
        if boot_id is not None:
            if found in (None, boot_id):
                raise NotYet("its agent answers, of the same boot as before")
        elif not away:
            raise NotYet("its agent answers, and does not tell of which boot it is")
        return found

    return (yield from until(Deadline(timeout), look, "the guest was not booted again", seen))
