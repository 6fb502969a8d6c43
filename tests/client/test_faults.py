"""What befalls the agent in the middle of an operation: stopped, killed, restarted; both agents.

The operation ends with the right error in its time, the next call works, and the `spools` fixture
sees to it that nothing stays in the guest.
"""

import asyncio
import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
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


@contextlib.contextmanager
def again(agent: RunningAgent) -> Iterator[None]:
    """Another agent of the same kind at the same place."""
    command = agent.process.args
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


def test_callers_at_once(troubled: RunningAgent, spools: Spools) -> None:
    """Threads that share a client: each gets its own answers, also after those who gave up."""
    failures: list[BaseException] = []

    def call(client: qga.Client, number: int) -> None:
        try:
            path = str(troubled.directory / f"file-{number}")
            for turn in range(6):
                data = f"{number} {turn}\n".encode() * (1 + 5000 * number)
                client.write_file(path, data)
                assert client.read_file(path) == data
                # The reply comes when nobody waits for it any more, or in time.
                with contextlib.suppress(qga.AgentTimeout):
                    client.read_file(str(troubled.directory / "large"), timeout=0.02)
                word = f"word-{number}-{turn}"
                if number % 2:
                    done = client.run(["sh", "-c", "cat; exit $0", str(number)], input=word)
                    assert (done.stdout, done.returncode) == (word.encode(), number)
                else:
                    with client.open(path) as file:
                        assert file.read(64) == data[:64]
        except BaseException as error:  # noqa: BLE001 - for the test's thread
            failures.append(error)

    with qga.connect(troubled.target, timeout=PATIENCE) as client:
        threads = [threading.Thread(target=call, args=(client, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert failures == []
    spools.wait_gone()


def test_tasks_at_once(troubled: RunningAgent, spools: Spools) -> None:
    """The same with tasks, of which some are cancelled."""

    async def call(client: qga.AsyncClient, number: int) -> None:
        path = str(troubled.directory / f"file-{number}")
        for turn in range(6):
            data = f"{number} {turn}\n".encode() * (1 + 5000 * number)
            await client.write_file(path, data)
            assert await client.read_file(path) == data
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await client.read_file(str(troubled.directory / "large"))
            if number % 2:
                word = f"word-{number}-{turn}"
                done = await client.run(["sh", "-c", "cat; exit $0", str(number)], input=word)
                assert (done.stdout, done.returncode) == (word.encode(), number)

    async def main() -> None:
        async with await qga.aconnect(troubled.target, timeout=PATIENCE) as client:
            await asyncio.gather(*(call(client, number) for number in range(8)))

    asyncio.run(main())
    spools.wait_gone()
