"""An agent and the command line in this process."""

from tests.client.spools import spools
from tests.support.stock import agent, exec_agent

from .command import qga_command

__all__ = ["agent", "exec_agent", "qga_command", "spools"]
