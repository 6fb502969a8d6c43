"""Handlers of `qga.protocol.fsfreeze`."""

from qga.agent import commands
from qga.errors import GuestOSError
from qga.protocol.fsfreeze import (
    FsfreezeFreeze,
    FsfreezeFreezeList,
    FsfreezeState,
    FsfreezeStatus,
    FsfreezeThaw,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent
    from qga.agent.later import Pending


@FsfreezeStatus.handler
def status(agent: "Agent", command: FsfreezeStatus) -> FsfreezeState:
    if agent.freeze.failed:
        return FsfreezeState.ERROR
    return FsfreezeState.FROZEN if agent.freeze.frozen else FsfreezeState.THAWED


@FsfreezeFreeze.handler
def freeze(agent: "Agent", command: FsfreezeFreeze) -> "int | Pending[int]":
    commands.load_for_freeze()
    return agent.hook.freeze()


@FsfreezeFreezeList.handler
def freeze_list(agent: "Agent", command: FsfreezeFreezeList) -> "int | Pending[int]":
    commands.load_for_freeze()
    return agent.hook.freeze(command.mountpoints)


@FsfreezeThaw.handler
def thaw(agent: "Agent", command: FsfreezeThaw) -> "int | Pending[int]":
    try:
        return agent.hook.thaw()
    except GuestOSError as error:
        if agent.config.compat < (1, 1):  # failed with a number, not with an error
            return -(error.errno or 1)
        raise
