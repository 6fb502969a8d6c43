"""Streams of the caller joined with those of a program of the guest."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import qga
from qga.client.attached import Patience
from qga.client.flows.steps import Flow
from qga.client.flows.transfer import read_file
from qga.protocol.fsfreeze import FsfreezeState
from qga.testing import FakeAgent
from tests.support.stock import RunningAgent

from .spools import Spools

PIPE = subprocess.PIPE
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def nothing_left(spools: Spools) -> None:
    """Of what ran nothing stays in the guest."""


def test_streams_and_what_they_come_to(client: qga.Client, tmp_path: Path) -> None:
    data = os.urandom(1 << 20)
    (tmp_path / "data").write_bytes(data)
    out, err = bytearray(), bytearray()
    with (tmp_path / "data").open("rb") as file:
        program = client.popen("cat; echo end >&2; exit 3", shell=True, stdin=PIPE)
        code = program.interact(stdin=file.fileno(), stdout=out.extend, stderr=err.extend)
    assert (code, bytes(err)) == (3, b"end\n")
    assert out == data
    with (tmp_path / "shown").open("wb") as file, client.popen(["cat"], stdin=PIPE) as program:
        assert program.interact(stdin=None, stdout=file.fileno(), stderr=file.fileno()) == 0
    program = client.popen(["sh", "-c", "echo lost; kill $$"], stdout=None, stderr=None)
    assert program.interact(stdin=None) == -signal.SIGTERM


def test_its_time_may_be_over(client: qga.Client) -> None:
    out = bytearray()
    with client.popen("echo begun; read line; echo $line", shell=True, stdin=PIPE) as program:
        read, write = os.pipe()
        with pytest.raises(qga.ProgramTimeout):
            program.interact(stdin=read, stdout=out.extend, timeout=1)
        os.write(write, b"end\n")
        os.close(write)
        assert program.interact(stdin=read, stdout=out.extend) == 0
        os.close(read)
    assert out == b"begun\nend\n"


def test_signals_and_readers_that_go(client: qga.Client) -> None:
    text = "trap 'echo trapped; exit 4' INT; echo begun; while :; do sleep 0.05; done"
    out = bytearray()
    waiting: list[list[int]] = []

    def signals() -> list[int]:
        if out and not waiting:
            waiting.append([])
            return [signal.SIGINT]
        return []

    with client.popen(text, shell=True) as program:
        assert program.interact(stdin=None, stdout=out.extend, signals=signals) == 4
    assert out == b"begun\ntrapped\n"

    def enough(data: bytes) -> None:
        raise BrokenPipeError

    with client.popen("while echo y; do sleep 0.05; done", shell=True) as program:
        assert program.interact(stdin=None, stdout=enough) == -signal.SIGPIPE


def test_it_goes_on_after_the_agent_was_away(
    exec_agent: RunningAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = bytearray()
    with (
        qga.connect(exec_agent.target, timeout=0.3) as client,
        client.popen(["cat"], stdin=PIPE, timeout=PATIENCE) as program,
    ):
        read, write = os.pipe()
        codes: list[int] = []

        def interact() -> None:
            codes.append(program.interact(stdin=read, stdout=out.extend))

        thread = threading.Thread(target=interact)
        thread.start()
        for number in range(20):
            os.write(write, b"%d\n" % number)
            with exec_agent.stopped():
                time.sleep(0.05 * (number % 8))
            time.sleep(0.02)
        os.close(write)
        thread.join(PATIENCE)
        client.timeout = PATIENCE
        assert codes == [0]
        os.close(read)
    assert out == b"".join(b"%d\n" % number for number in range(20))


def test_a_freeze_is_waited_for() -> None:
    agent = FakeAgent(version="7.2")
    with agent.connect() as client:
        patience = Patience(client)

        def name() -> Flow[bytes]:
            return read_file("/etc/hostname")

        assert patience.perform(name, b"") == b"fake\n"
        agent.state = FsfreezeState("frozen")
        assert patience.perform(name, b"") == b""
        agent.state = FsfreezeState("thawed")
        assert patience.perform(name, b"") == b"fake\n"
        agent.blocked.add("guest-file-open")
        with pytest.raises(qga.CommandDisabled):
            patience.perform(name, b"")


def test_an_agent_that_stays_away() -> None:
    agent = FakeAgent()
    with agent.connect(timeout=10) as client:
        agent.disturb("guest-file-open", delay=60, times=3)

        def name() -> Flow[bytes]:
            return read_file("/etc/hostname")

        assert Patience(client).perform(name, b"later") == b"later"
        with pytest.raises(qga.AgentTimeout):
            Patience(client, -1.0).perform(name, b"")


def test_what_was_closed_is_not_read_again(client: qga.Client, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * (1 << 20))
    text = "exec <&-; until test -e go; do sleep 0.05; done"
    with (
        (tmp_path / "data").open("rb") as file,
        client.popen(text, shell=True, stdin=PIPE, cwd=tmp_path) as program,
    ):
        with pytest.raises(qga.ProgramTimeout):
            program.interact(stdin=file.fileno(), timeout=2)
        (tmp_path / "go").touch()
        assert program.interact(stdin=file.fileno()) == 0
