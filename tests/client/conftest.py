"""Agents and scripted peers for the client's tests."""

from tests.support.stock import agent, exec_agent

from .peer import peers
from .spools import spools

__all__ = ["agent", "exec_agent", "peers", "spools"]
