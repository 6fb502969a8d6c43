"""Handlers of `qga.protocol.fsfreeze`."""

from qga.errors import GuestOSError
from qga.protocol.fsfreeze import FsfreezeFreeze, FsfreezeState, FsfreezeStatus, FsfreezeThaw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent


@FsfreezeStatus.handler
def status(agent: "Agent", command: FsfreezeStatus) -> FsfreezeState:
    if agent.freeze.failed:
        return FsfreezeState.ERROR
    return FsfreezeState.FROZEN if agent.freeze.frozen else FsfreezeState.THAWED


@FsfreezeFreeze.handler
def freeze(agent: "Agent", command: FsfreezeFreeze) -> int:
    return agent.freeze.freeze()


@FsfreezeThaw.handler
def thaw(agent: "Agent", command: FsfreezeThaw) -> int:
    try:
        return agent.freeze.thaw()
    except GuestOSError as error:
        if agent.config.compat < (1, 1):  # failed with a number, not with an error
            return -(error.errno or 1)
        raise
