"""Fixtures for tests of the agent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.agent import standing
from qga.agent.app import Agent
from tests.agent.frozenfiles import FileFreezer
from tests.agent.harness import RunningAgent, closing, make_agent
from tests.agent.logdaemon import direct


class AgentFactory:
    """Makes agents in this process: ``make(compat="1.0")``; they end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Agent] = []

    def __call__(self, system: Any = None, **settings: Any) -> Agent:
        # The loop of one agent at a time has this process's signals.
        agent = make_agent(self.folder, system, **settings)
        self.made.append(agent)
        return agent


class Starter:
    """Starts agents in processes of their own; those still running end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[RunningAgent] = []

    def __call__(self, *options: str, **more: Any) -> RunningAgent:
        agent = RunningAgent(self.folder, options, **more)
        self.started.append(agent)
        return agent


@pytest.fixture(autouse=True)
def _no_log_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Agents in this process tell nothing to the daemon of this machine."""
    direct(monkeypatch, tmp_path)


@pytest.fixture(autouse=True)
def _memory_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guardians that are copies of this process have more memory than is worth locking."""
    monkeypatch.setattr(standing, "lock_memory", lambda: False)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[AgentFactory]:
    (tmp_path / "state").mkdir()
    factory = AgentFactory(tmp_path / "state")
    yield factory
    closing(factory.made)


@pytest.fixture
def agent(make: AgentFactory) -> Agent:
    """An agent in this process, on a made-up platform with file systems / and /data."""
    return make()


@pytest.fixture
def freezer(tmp_path: Path) -> FileFreezer:
    """Two file systems that are files."""
    (tmp_path / "disks").mkdir()
    return FileFreezer(tmp_path / "disks")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    closing(starter.started)


@pytest.fixture
def running(start: Starter) -> RunningAgent:
    """An agent in a process of its own, on a private unix socket."""
    return start()
