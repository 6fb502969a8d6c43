"""What is looked at before several guests are frozen as one. For `group`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import AgentFrozen, CommandDisabled, CommandError, QgaError, Unsupported
from qga.protocol import (
    FsfreezeFreeze,
    FsfreezeFreezeList,
    FsfreezeStatus,
    Info,
    QgaFsfreezeFreeze,
)
from qga.protocol.fsfreeze import FsfreezeState

from .freezable import freezable
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qga.client.facts import Freezable
    from qga.protocol.session import AgentInfo

    from .steps import Flow

NOTHING = "there is no file system that could be frozen"


def prepare(
    mountpoints: str | Sequence[str] | None,
    exclude: str | Sequence[str] = (),
    *,
    timeout: float | None = None,
) -> Flow[list[Freezable]]:
    """See that the guest could be frozen now: what can be known of that without doing it.

    Args:
        mountpoints, exclude: as for `frozen`.
        timeout: seconds for each call; the client's own if None.

    Returns: what would be frozen, and what not; nothing if the agent does not tell.

    Raises:
        AgentFrozen: it is frozen already.
        CommandDisabled: freezing is not allowed.
        QgaError: there is nothing to freeze, or the agent is not reached.
    """
    yield Timeout(timeout)
    state: FsfreezeState = yield FsfreezeStatus()
    if state != FsfreezeState.THAWED:
        raise AgentFrozen("its file systems are frozen already")
    info: AgentInfo = yield Info()
    name = (FsfreezeFreeze if mountpoints is None and not exclude else FsfreezeFreezeList).NAME
    enabled = {each.name: each.enabled for each in info.supported_commands}
    if not enabled.get(name, True) and not enabled.get(QgaFsfreezeFreeze.NAME):
        raise CommandDisabled.named(name)
    try:
        plan = yield from freezable(mountpoints, exclude=exclude, timeout=timeout)
    except (CommandError, Unsupported):
        return []  # agents before 2.2, and those that may not tell
    if not any(each.taken for each in plan):
        raise QgaError(NOTHING)
    return plan
