"""Agents on this machine to try clients on: QEMU's own and ours, each on a private unix socket.

They run as the user who runs the tests, with every command blocked that could harm the machine.
A conftest imports the fixtures that its folder needs.
"""

import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from qga.testing import AgentProcess, process
from tests.support.need import missing
from tests.vm.cache import Unavailable
from tests.vm.debs import stock_agent

BLOCKED = (
    "guest-exec",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-freeze-list",
    "guest-fsfreeze-thaw",
    "guest-fstrim",
    "guest-set-memory-blocks",
    "guest-set-time",
    "guest-set-user-password",
    "guest-set-vcpus",
    "guest-shutdown",
    "guest-ssh-add-authorized-keys",
    "guest-ssh-remove-authorized-keys",
    "guest-suspend-disk",
    "guest-suspend-hybrid",
    "guest-suspend-ram",
    "qga-fsfreeze-freeze",
    "qga-fsfreeze-renew",
    "qga-fsfreeze-thaw",
)

# For tests of guest-exec, which have harmless programs started.
BLOCKED_BUT_EXEC = tuple(name for name in BLOCKED if name != "guest-exec")


RunningAgent = AgentProcess


def listens(path: Path, program: Popen[bytes]) -> bool:
    """Wait until *program* listens on the socket *path*; tell whether it came to that."""
    deadline = time.monotonic() + 30
    while program.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as stream:
            try:
                stream.connect(str(path))
                return True
            except OSError:  # not there, or bound but not listening yet
                time.sleep(0.01)
    return False


@contextmanager
def running(command: list[str], blocked: Sequence[str] = BLOCKED) -> Iterator[RunningAgent]:
    """Start *command*, an agent without options yet; it ends with the block."""
    with process.running([*command, "-b", ",".join(blocked)]) as agent:
        try:
            yield agent
        finally:
            agent.process.kill()  # qemu-ga may not end by SIGTERM


@contextmanager
def running_stock(blocked: Sequence[str] = BLOCKED) -> Iterator[RunningAgent]:
    """QEMU's own agent; the test is skipped where it cannot be had."""
    try:
        program = stock_agent()
    except Unavailable as error:
        missing(error.what, error.remedy)
    with running([os.fspath(program)], blocked) as agent:
        yield agent


@pytest.fixture
def stock_agent_socket() -> Iterator[Path]:
    """The socket of QEMU's own agent."""
    with running_stock() as agent:
        yield agent.socket


@pytest.fixture(params=["ours", pytest.param("stock", marks=pytest.mark.interop)])
def agent(request: pytest.FixtureRequest) -> Iterator[RunningAgent]:
    """Our agent and, among the interop tests, QEMU's own."""
    with either(request.param, BLOCKED) as found:
        yield found


@pytest.fixture(params=["ours", pytest.param("stock", marks=pytest.mark.interop)])
def exec_agent(request: pytest.FixtureRequest) -> Iterator[RunningAgent]:
    """The same, and they run programs when they are asked to."""
    with either(request.param, BLOCKED_BUT_EXEC) as found:
        yield found


def either(which: str, blocked: Sequence[str]) -> AbstractContextManager[RunningAgent]:
    """Ours or stock."""
    if which == "stock":
        return running_stock(blocked)
    return running([sys.executable, "-m", "qga.agent"], blocked)
