"""Handlers of `qga.protocol.power`."""

from qga.agent import apart
from qga.agent.later import Pending, in_steps
from qga.agent.programs import ProgramFailed
from qga.errors import BadArgument, CommandError
from qga.protocol.power import Shutdown, SuspendDisk, SuspendHybrid, SuspendRam

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from qga.agent.app import Agent

_MODES = ("halt", "powerdown", "reboot")


@Shutdown.handler
def shutdown(agent: "Agent", command: Shutdown) -> "Pending[None] | None":
    mode = "powerdown" if command.mode is None else command.mode
    if mode not in _MODES:
        raise BadArgument(
            # Upstream leaves out the closing parenthesis, and clients compare.
            "mode is invalid (valid values are: halt|powerdown|reboot",
            legacy=("InvalidParameter", {"name": "mode"}),
        )
    pending = agent.programs.run(agent.system.power.shutdown_command(mode), "shutdown")
    # Before 1.1 the reply did not wait for the program.
    return None if agent.config.compat < (1, 1) else pending


@SuspendDisk.handler
def suspend_disk(agent: "Agent", command: SuspendDisk) -> Pending[None]:
    return in_steps(_suspend(agent, "disk"))


@SuspendRam.handler
def suspend_ram(agent: "Agent", command: SuspendRam) -> Pending[None]:
    return in_steps(_suspend(agent, "ram"))


@SuspendHybrid.handler
def suspend_hybrid(agent: "Agent", command: SuspendHybrid) -> Pending[None]:
    return in_steps(_suspend(agent, "hybrid"))


def _suspend(agent: "Agent", mode: str) -> "Generator[Pending[Any], Any, None]":
    """Try one way after the other; what the last one that is there said is the error."""
    power, programs = agent.system.power, agent.programs

    def sleep() -> bytes:
        power.suspend(mode)
        return b""

    failure = CommandError("the requested suspend mode is not supported by the guest")
    for ask, yes, act in power.suspend_commands(mode):
        try:
            yield programs.run(ask, "suspend")
            code: int | None = 0
        except ProgramFailed as error:
            code = error.code
        if code not in yes:
            continue
        try:
            yield programs.run(act, "suspend")
            return
        except ProgramFailed as error:
            failure = error
    if power.can_suspend(mode):
        # The kernel holds whoever asks it until the guest is awake again. The agent is held as well
        # then, like all processes, but not before, nor when it takes long to fail.
        try:
            yield apart.run(agent.loop, sleep, lambda _: None)
        except OSError as error:
            raise CommandError(f"child process has failed to suspend: {error.strerror}") from None
        return
    raise failure
