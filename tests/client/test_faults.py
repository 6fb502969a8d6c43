"""What befalls the agent in the middle of an operation: stopped, killed, restarted; both agents.

The operation ends with the right error in its time, the next call works, and the `spools` fixture
sees to it that nothing stays in the guest.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import qga
from qga.client.completed import ProgramTimeout
from tests.support.stock import BLOCKED_BUT_EXEC, RunningAgent, either, listens

from .spools import Spools, spools

__all__ = ["spools"]

PATIENCE = 90.0
SIZE = 64 << 20
# So long may a call take that meets an agent in trouble, in seconds.
SHORT = 2.0

Operation = Callable[[qga.Client, Path], object]


def read_file(client: qga.Client, directory: Path) -> None:
    while True:
        client.read_file(str(directory / "large"))


def write_file(client: qga.Client, directory: Path) -> None:
    while True:
        client.write_file(str(directory / "written"), bytes(SIZE))


def run(client: qga.Client, _directory: Path) -> None:
    client.run("while :; do seq 1000; sleep 0.01; done", shell=True)


def stream(client: qga.Client, _directory: Path) -> None:
    with client.popen("while :; do seq 1000; sleep 0.01; done", shell=True) as program:
        assert program.stdout is not None
        while program.stdout.read(1 << 16):
            pass


def terminal(client: qga.Client, _directory: Path) -> None:
    with client.shell("while :; do seq 1000; sleep 0.01; done") as shell:
        while shell.read():
            pass


class Undertaking:
    """An operation in a thread of its own."""

    def __init__(self, operation: Operation, client: qga.Client, directory: Path) -> None:
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._do, args=(operation, client, directory))
        self._thread.start()

    def _do(self, operation: Operation, client: qga.Client, directory: Path) -> None:
        try:
            operation(client, directory)
        except BaseException as error:  # noqa: BLE001 - for the test's thread
            self.error = error

    def end(self) -> BaseException | None:
        """The error that it ends with."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it goes on"
        return self.error


@pytest.fixture(params=["ours", pytest.param("stock", marks=pytest.mark.interop)])
def troubled(request: pytest.FixtureRequest) -> Iterator[RunningAgent]:
    with either(request.param, BLOCKED_BUT_EXEC) as agent:
        (agent.directory / "large").write_bytes(bytes(SIZE))
        yield agent


@contextmanager
def again(agent: RunningAgent) -> Iterator[None]:
    """Another agent of the same kind at the same place."""
    command = list(agent.process.args)  # type: ignore[arg-type]  # it was started with a list
    agent.socket.unlink(missing_ok=True)
    process = subprocess.Popen(command, cwd=agent.directory, stderr=subprocess.DEVNULL)
    try:
        assert listens(agent.socket, process)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("operation", [read_file, write_file, run, stream, terminal])
def test_an_agent_in_trouble(
    troubled: RunningAgent, operation: Operation, spools: Spools, tmp_path: Path
) -> None:
    with qga.connect(troubled.target, timeout=SHORT) as client:
        undertaking = Undertaking(operation, client, troubled.directory)
        time.sleep(0.7)
        with troubled.stopped():
            assert isinstance(undertaking.end(), qga.AgentTimeout | ProgramTimeout)
        client.timeout = PATIENCE  # what it has to do first may be much
        client.ping()
        spools.wait_gone()

        client.timeout = SHORT
        undertaking = Undertaking(operation, client, troubled.directory)
        time.sleep(0.7)
        troubled.process.send_signal(signal.SIGKILL)
        troubled.process.wait()
        assert isinstance(undertaking.end(), qga.TransportError)
        with pytest.raises(qga.NoChannel):
            client.ping()
        with again(troubled):
            client.timeout = PATIENCE
            client.ping()
            spools.wait_gone()
