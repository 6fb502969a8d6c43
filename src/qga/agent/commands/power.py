"""Handlers of `qga.protocol.power`."""

from qga.agent.later import Pending
from qga.errors import BadArgument
from qga.protocol.power import Shutdown

TYPE_CHECKING = False
if TYPE_CHECKING:
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
