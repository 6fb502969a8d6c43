"""Freezing and thawing, so that nothing stays frozen. For `frozen.Freeze`."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qga.errors import (
    AgentNotResponding,
    AgentTimeout,
    CommandDisabled,
    CommandError,
    CommandNotFound,
    ConnectionLost,
    GuestOSError,
    QgaError,
    TransportError,
    Unsupported,
)
from qga.protocol import (
    FsfreezeFreeze,
    FsfreezeFreezeList,
    FsfreezeStatus,
    FsfreezeThaw,
    QgaFsfreezeReport,
)
from qga.protocol.fsfreeze import FsfreezeState

from .steps import Timeout, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from qga.protocol.fsfreeze import FreezeReport
    from qga.protocol.model import Command

    from .steps import Flow

    T = TypeVar("T")

# Attempts to thaw before the caller is told that the guest may still be frozen, and the pause in
# seconds between them where the channel is broken (a timeout has waited already).
THAW_ATTEMPTS = 5
THAW_PAUSE = 1.0

# What an exception notes when nobody has confirmed the thaw.
DOUBT = "the guest may still be frozen"

# How long the question whether all is frozen still may put off the thaw, in seconds.
ASKING = 5.0


def status(*, timeout: float | None = None) -> Flow[FsfreezeState]:
    """Whether the guest's file systems are frozen.

        >>> client.fsfreeze_status()
        FsfreezeState('thawed')

    Args:
        timeout: seconds for the call; the client's own if None.
    """
    yield Timeout(timeout)
    state: FsfreezeState = yield FsfreezeStatus()
    return state


def freeze(
    mountpoints: str | Sequence[str] | None = None, *, timeout: float | None = None
) -> Flow[int]:
    """Freeze; when that fails in any way that may leave something frozen, thaw before raising.

    Args:
        mountpoints: of the file systems to freeze; all that can be if None.
        timeout: seconds for the freeze, and for each attempt to thaw; the client's own if None.

    Returns: the number of file systems frozen.

    Raises:
        CommandDisabled: freezing is not allowed, or somebody else's freeze lasts: that one is not
            touched.
        CommandError: the guest refused.
        AgentTimeout: no reply in time; the guest has been thawed.
    """
    if isinstance(mountpoints, str):
        mountpoints = [mountpoints]  # not its letters, of which "/" is one
    command: Command[int] = FsfreezeFreeze()
    if mountpoints is not None:
        command = FsfreezeFreezeList(mountpoints=list(mountpoints))
    count = yield from undone_if_it_fails(command, lambda: thaw(timeout=timeout), timeout)
    return count


def undone_if_it_fails(
    command: Command[T], undo: Callable[[], Flow[object]], timeout: float | None
) -> Flow[T]:
    """Freeze by *command*; when that fails in a way that may leave something frozen, *undo* it."""
    yield Timeout(timeout)
    try:
        result: T = yield command
        return result
    except (CommandDisabled, CommandNotFound, Unsupported, AgentNotResponding, GeneratorExit):
        raise  # not carried out: if anything is frozen, then by somebody else
    except CommandError as error:
        # By the protocol nothing is left frozen, but agents of 2011 could.
        try:
            state = yield FsfreezeStatus()
            if state != FsfreezeState.THAWED and (yield from _may_be_ours(state)):
                yield from undo()
        except QgaError as failure:
            _tell(error, failure)
        raise
    except BaseException as error:
        if isinstance(error, TransportError) and not isinstance(error, ConnectionLost):
            raise  # the channel could not be opened
        # Also an interrupt: the request is out, and the agent may freeze later than we gave up.
        try:
            yield from undo()
        except QgaError as failure:
            _tell(error, failure)
        raise


def _may_be_ours(state: FsfreezeState) -> Flow[bool]:
    """Whether the *state* after a freeze that was refused may be of that freeze.

    While anything is frozen, no agent begins another freeze: "error" is what ours has left. After
    it, somebody else may have frozen. Agents that tell of a freeze never leave one that has failed
    frozen; of others nobody knows, and they have no lease that would end it.
    """
    if state == FsfreezeState.ERROR:
        return True
    try:
        yield QgaFsfreezeReport()
    except (CommandNotFound, Unsupported):
        return True
    except CommandDisabled:
        pass  # it could tell
    return False


def _tell(error: BaseException, failure: QgaError) -> None:
    """Have *error* tell of a *failure* to undo what it has left."""
    error.add_note(f"and {failure.text}")
    for note in getattr(failure, "__notes__", ()):
        error.add_note(note)


def in_doubt(error: BaseException) -> bool:
    """Whether *error*, of `freeze` or `thaw`, may have left the guest frozen."""
    return DOUBT in getattr(error, "__notes__", ())


def thaw(*, attempts: int = THAW_ATTEMPTS, timeout: float | None = None) -> Flow[int]:
    """Thaw, again and again until the agent has confirmed it.

    An interrupt in the meantime is raised afterwards. That the time of a surrounding
    `qga.deadline()` is over does not keep it from thawing.

        >>> client.execute(FsfreezeFreeze())
        2
        >>> client.thaw()
        2

    Args:
        attempts: how often to try.
        timeout: seconds for each attempt; the client's own if None.

    Returns: the number of file systems that were thawed.

    Raises:
        CommandError: the guest could not thaw all of them.
        AgentTimeout, TransportError: nobody confirmed; the guest may still be frozen.
    """
    lost: list[BaseException] = []
    count = yield from confirmed(thaw_once, attempts, timeout, lost)
    interrupt = interrupt_of(lost)
    if interrupt is not None:
        raise interrupt
    return count


def thaw_once() -> Flow[int]:
    """One attempt to thaw."""
    count: int = yield FsfreezeThaw()
    if count < 0:  # how agents of 2011 tell a failure
        number = errno.EIO if count == -1 else -count
        raise GuestOSError(f"failed to thaw: {os.strerror(number)}", number)
    return count


def interrupt_of(lost: list[BaseException]) -> BaseException | None:
    """What of *lost* came from outside."""
    return next((error for error in reversed(lost) if isinstance(error, interrupts())), None)


def confirmed(
    thaw: Callable[[], Flow[T]], attempts: int, timeout: float | None, lost: list[BaseException]
) -> Flow[T]:
    """Do *thaw* until it is confirmed; what kept attempts from being so goes to *lost*."""
    yield Timeout(timeout, despite=True)
    interrupt: BaseException | None = None
    for attempt in range(1, attempts + 1):
        try:
            result = yield from thaw()
        except (CommandDisabled, CommandNotFound, Unsupported):
            raise
        except interrupts() as error:
            lost.append(error)
            interrupt = error
        except QgaError as error:
            lost.append(error)
            if attempt == attempts:
                error.add_note(DOUBT)
                raise
            if not isinstance(error, AgentTimeout):
                yield Wait(THAW_PAUSE)
        else:
            return result
    # The last attempt was interrupted, as earlier ones may have been.
    raise interrupt or AgentTimeout(DOUBT)


@dataclass(frozen=True, slots=True)
class End:
    """What the end of a freeze has shown.

    Attributes:
        state: what the agent said just before the thaw; None if it did not say.
        thawed: the number of file systems that the thaw has thawed.
        repeated: whether it was tried more than once, so that the number may be too small.
        interrupt: what tried to interrupt it, and is to be raised.
        report: what the agent told of the freeze; None from agents without leases.
        failure: what went wrong after the thaw, or with that report.
    """

    state: FsfreezeState | None
    thawed: int
    repeated: bool
    interrupt: BaseException | None
    report: FreezeReport | None = None
    failure: QgaError | None = None


def end(*, timeout: float | None = None) -> Flow[End]:
    """Ask whether all is still frozen, then thaw as `thaw` does.

    Args:
        timeout: seconds for each attempt to thaw; the client's own if None.

    Raises: as `thaw`; an interrupt is told instead.
    """
    asked: list[BaseException] = []
    lost: list[BaseException] = []
    state = yield from before_the_thaw(FsfreezeStatus(), timeout, asked)
    thawed = yield from confirmed(thaw_once, THAW_ATTEMPTS, timeout, lost)
    return End(state, thawed, bool(lost), interrupt_of(asked + lost))


def before_the_thaw(
    command: Command[T], timeout: float | None, lost: list[BaseException]
) -> Flow[T | None]:
    """What the agent says to *command*; None if it does not, for the thaw matters more.

    An interrupt goes to *lost*.
    """
    yield Timeout(ASKING if timeout is None else min(ASKING, timeout), despite=True)
    try:
        answer: T = yield command
        return answer
    except interrupts() as error:
        lost.append(error)
    except QgaError:
        pass
    return None


def interrupts() -> tuple[type[BaseException], ...]:
    """What ends a program or a task from outside."""
    found: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit)
    # Not imported for this: who has not loaded it has no tasks to cancel.
    asyncio = sys.modules.get("asyncio")
    return (*found, asyncio.CancelledError) if asyncio else found
