"""Freezing for a lease, and what such a freeze tells of itself. For `frozen.Freeze`.

Agents that have leases know exactly whether a freeze held: what they say goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import CommandDisabled, CommandError, CommandNotFound, QgaError, Unsupported
from qga.protocol import (
    FsfreezeStatus,
    QgaFsfreezeFreeze,
    QgaFsfreezeRenew,
    QgaFsfreezeReport,
    QgaFsfreezeThaw,
)
from qga.protocol.fsfreeze import FreezeOutcome, FreezeReport, FsfreezeState

from . import freezing
from .freezing import THAW_ATTEMPTS, End, confirmed
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .steps import Flow

# How agents, and channels, say that they have no leases.
NO_LEASES = (CommandDisabled, CommandNotFound, Unsupported)


def report(*, timeout: float | None = None) -> Flow[FreezeReport]:
    """The freeze that lasts, or the last one; of agents that do not tell, the state alone.

        >>> with client.frozen(deadline=20):
        ...     report = client.fsfreeze_report()
        >>> report.state, [mount.path for mount in report.mounts if mount.outcome == "frozen"]
        (FsfreezeState('frozen'), ['/srv', '/'])
        >>> client.fsfreeze_report().held
        True

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    try:
        found: FreezeReport = yield QgaFsfreezeReport()
    except NO_LEASES:
        state: FsfreezeState = yield FsfreezeStatus()
        return FreezeReport(state=state, mounts=[])
    return found


def freeze(
    token: str,
    seconds: float,
    mountpoints: Sequence[str] | None,
    exclude: Sequence[str],
    *,
    timeout: float | None = None,
) -> Flow[FreezeReport]:
    """Freeze for a lease; when that fails in any way that may leave something frozen, thaw.

    Args:
        token: what the freeze is called.
        seconds: the lease.
        mountpoints: patterns of what to freeze; all that can be if None.
        exclude: patterns of what not to freeze.
        timeout: seconds for the freeze, and for each attempt to thaw; the client's own if None.

    Raises:
        CommandDisabled, CommandNotFound, Unsupported: there are no leases; nothing was done.
        QgaError: as `freezing.freeze`.
    """
    command = QgaFsfreezeFreeze(
        mountpoints=None if mountpoints is None else list(mountpoints),
        exclude=list(exclude) or None,
        deadline_ms=_milliseconds(seconds),
        token=token,
    )

    def undo() -> Flow[object]:
        return thaw(token, timeout=timeout)

    return (yield from freezing.undone_if_it_fails(command, undo, timeout))


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def renew(token: str, seconds: float, *, timeout: float) -> Flow[None]:
    """Let the freeze of that *token* last *seconds* from now on.

    Raises:
        CommandError: it has ended; the text says why.
    """
    yield Timeout(timeout, despite=True)
    yield QgaFsfreezeRenew(token=token, deadline_ms=_milliseconds(seconds))


def thaw(
    token: str, *, attempts: int = THAW_ATTEMPTS, timeout: float | None = None
) -> Flow[FreezeReport | None]:
    """End the freeze of that *token* and no other, again and again until the agent confirms it.

    Args:
        token: which.
        attempts: how often to try.
        timeout: seconds for each attempt; the client's own if None.

    Returns: what the agent tells of it; None if it does not know it any more.

    Raises:
        CommandDisabled, CommandNotFound, Unsupported: there are no leases.
        QgaError: as `freezing.thaw`.
    """
    lost: list[BaseException] = []
    found, _ = yield from confirmed(lambda: _thaw_once(token), attempts, timeout, lost)
    interrupt = freezing.interrupt_of(lost)
    if interrupt is not None:
        raise interrupt
    return found


def _thaw_once(token: str) -> Flow[tuple[FreezeReport | None, QgaError | None]]:
    """One attempt; what the agent tells of the freeze, and what went wrong all the same."""
    try:
        found: FreezeReport = yield QgaFsfreezeThaw(token=token)
    except NO_LEASES:
        raise
    except CommandError as error:
        # A mount that does not thaw; or the hook after the thaw; or there is no such freeze.
        found = yield QgaFsfreezeReport()
        if found.token != token:
            return None, error
        if found.state != FsfreezeState.THAWED:
            raise
        return found, error
    return found, None


def end(token: str, *, timeout: float | None = None) -> Flow[End]:
    """Ask whether the freeze of that *token* still lasts, then end it.

    Args:
        token: which.
        timeout: seconds for each attempt to thaw; the client's own if None.

    Raises: as `freezing.thaw`; an interrupt is told instead.
    """
    lost: list[BaseException] = []
    before = yield from freezing.before_the_thaw(QgaFsfreezeReport(), timeout, lost)
    state = None
    if before is not None:
        lasts = before.token == token and before.ended is None
        state = FsfreezeState.FROZEN if lasts else FsfreezeState.THAWED
    try:
        found, failure = yield from confirmed(
            lambda: _thaw_once(token), THAW_ATTEMPTS, timeout, lost
        )
    except NO_LEASES as error:
        # Another agent has come in its place, one that knows of no freeze.
        thawed = yield from confirmed(freezing.thaw_once, THAW_ATTEMPTS, timeout, lost)
        return End(state, thawed, bool(lost), freezing.interrupt_of(lost), failure=error)
    thawed = 0
    if found is not None:
        thawed = sum(mount.outcome == FreezeOutcome.THAWED for mount in found.mounts)
    return End(state, thawed, bool(lost), freezing.interrupt_of(lost), found, failure)
