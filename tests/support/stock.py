"""Agents on this machine to try clients on: QEMU's own and ours, each on a private unix socket.

They run as the user who runs the tests, with every command blocked that could harm the machine.
A conftest imports the fixtures that its folder needs.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

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
)

# For tests of guest-exec, which have harmless programs started.
BLOCKED_BUT_EXEC = tuple(name for name in BLOCKED if name != "guest-exec")


class RunningAgent:
    """An agent that listens on a socket.

    Args:
        command: what it is started with.
        directory: where its socket and state are, and where a test may have it write.
    """

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self._command = command
        self.directory = directory
        self.socket = directory / "agent.sock"
        self.process = self._start()

    def restart(self) -> None:
        """Kill the agent and start it once more."""
        self.process.kill()
        self.process.wait()
        self.socket.unlink()
        self.process = self._start()
        self.wait()

    def wait(self) -> None:
        """Wait until it listens."""
        if not listens(self.socket, self.process):
            pytest.fail(f"{self._command[0]} does not listen: {self._log.read_text()}")

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as stderr:
            return subprocess.Popen(self._command, stderr=stderr, cwd=self.directory)

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    @property
    def target(self) -> str:
        return f"unix:{self.socket}"

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have the agent not run in the meantime."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


def listens(path: Path, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until *process* listens on the socket *path*; tell whether it came to that."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
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
    # Not pytest's own directory: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="qga-") as name:
        directory = Path(name)
        path = directory / "agent.sock"
        options = ["-m", "unix-listen", "-p", str(path), "-t", name, "-b", ",".join(blocked)]
        agent = RunningAgent([*command, *options], directory)
        try:
            agent.wait()
            yield agent
        finally:
            agent.process.kill()
            agent.process.wait()


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
    with _either(request.param, BLOCKED) as found:
        yield found


@pytest.fixture(params=["ours", pytest.param("stock", marks=pytest.mark.interop)])
def exec_agent(request: pytest.FixtureRequest) -> Iterator[RunningAgent]:
    """The same, and they run programs when they are asked to."""
    with _either(request.param, BLOCKED_BUT_EXEC) as found:
        yield found


def _either(which: str, blocked: Sequence[str]) -> AbstractContextManager[RunningAgent]:
    if which == "stock":
        return running_stock(blocked)
    return running([sys.executable, "-m", "qga.agent"], blocked)
