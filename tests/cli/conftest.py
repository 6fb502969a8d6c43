"""An agent and the command line in this process."""

from tests.support.stock import agent

from .command import qga_command

__all__ = ["agent", "qga_command"]
