"""What is looked at before several guests are frozen as one. For `group`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.client.facts import FreezePlan
from qga.errors import CommandError, Unsupported
from qga.protocol import Info, QgaFsfreezeFreeze

from .freezable import check_thawed, plan, refusal
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qga.protocol.session import AgentInfo

    from .steps import Flow


def prepare(
    mountpoints: str | Sequence[str] | None,
    exclude: str | Sequence[str] = (),
    *,
    timeout: float | None = None,
) -> Flow[FreezePlan]:
    """See that the guest could be frozen now: what can be known of that without doing it.

    Args:
        mountpoints, exclude: as for `frozen`.
        timeout: seconds for each call; the client's own if None.

    Returns: what would be frozen, and what not; nothing if the agent does not tell.

    Raises:
        AgentFrozen: it is frozen already.
        CommandDisabled: freezing or thawing is not allowed.
        QgaError: there is nothing to freeze, a hook that is required cannot be run, or the agent
            is not reached.
    """
    yield Timeout(timeout)
    yield from check_thawed()
    try:
        found: FreezePlan = yield from plan(mountpoints, exclude=exclude, timeout=timeout)
    except (CommandError, Unsupported):
        # Those that may not tell, and agents before 2.2. One that has plans knows why it has none.
        info: AgentInfo = yield Info()
        if any(
            each.name == QgaFsfreezeFreeze.NAME and each.enabled for each in info.supported_commands
        ):
            raise
        found = FreezePlan([], None, refusal(info, everything=mountpoints is None and not exclude))
    if found.problem is not None:
        raise found.problem
    return found
