"""Agents and scripted peers for the client's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import qga
from tests.support.stock import RunningAgent, agent, exec_agent

from .peer import peers
from .spools import spools

__all__ = ["agent", "exec_agent", "peers", "spools"]


@pytest.fixture
def client(exec_agent: RunningAgent) -> Iterator[qga.Client]:
    """A client of an agent that runs programs."""
    with qga.connect(exec_agent.target) as client:
        yield client


@pytest.fixture
def guest(exec_agent: RunningAgent) -> Path:
    """The guest's directory."""
    directory = exec_agent.directory / "guest"
    directory.mkdir()
    return directory
