"""The client against real agents: ours, and (marked interop) QEMU's own."""

import errno
import hashlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import qga
from qga import protocol
from qga.client.flows.openfile import MODES
from qga.protocol.model import Command, version
from qga.testing import HARMLESS
from tests.support.stock import BLOCKED, RunningAgent, running


@pytest.fixture
def client(agent: RunningAgent) -> Iterator[qga.Client]:
    with qga.connect(agent.target) as client:
        yield client


def test_every_command(client: qga.Client, agent: RunningAgent) -> None:
    execute = client.execute
    path = str(agent.directory / "file")
    there = {command.name for command in execute(protocol.Info()).supported_commands}
    for name in BLOCKED:
        # Before a look at the arguments, of which some have to have some. Our own, others lack.
        with pytest.raises(qga.CommandDisabled if name in there else qga.CommandNotFound):
            client.call(name)
    assert there >= {name for name in BLOCKED if not name.startswith(protocol.OWN)}
    assert execute(protocol.SyncDelimited(id=42)) == 42
    assert execute(protocol.Sync(id=-(1 << 63))) == -(1 << 63)
    execute(protocol.Ping())
    info = execute(protocol.Info())
    assert int(info.version.split(".")[0]) >= 7
    enabled = {command.name: command.enabled for command in info.supported_commands}
    for command in protocol.COMMANDS:
        # An agent older than the newest of them does not have all.
        if not command.PLATFORM and version(command.SINCE) <= version(info.version):
            assert enabled.pop(command.NAME) is (command.NAME not in BLOCKED)
    assert not any(enabled.values())
    handle = execute(protocol.FileOpen(path=path, mode="w+"))
    assert execute(protocol.FileWrite(handle=handle, data=b"0123456789", count=8)).count == 8
    execute(protocol.FileFlush(handle=handle))
    assert execute(protocol.FileSeek(handle=handle, offset=2, whence=0)).position == 2
    piece = execute(protocol.FileRead(handle=handle))
    assert (piece.count, piece.data, piece.eof) == (6, b"234567", True)
    execute(protocol.FileClose(handle=handle))
    assert execute(protocol.FsfreezeStatus()) == "thawed"


QUESTIONS = [
    command
    for command in protocol.COMMANDS
    if command.NAME in HARMLESS and "-get-" in command.NAME and "-ssh-" not in command.NAME
]


@pytest.mark.parametrize("command", QUESTIONS, ids=lambda command: command.NAME)
def test_every_question(client: qga.Client, command: type[Command[Any]]) -> None:
    newest = version(client.info().version)
    if command.PLATFORM or version(command.SINCE) > newest:
        with pytest.raises((qga.CommandNotFound, qga.CommandDisabled)):
            client.execute(command())
        return
    try:
        assert client.execute(command()) is not None
    except qga.GuestOSError as error:
        # What the machine does not tell, as the size of memory blocks in some containers.
        if error.errno != errno.ENOENT:
            raise


def test_errors(client: qga.Client, agent: RunningAgent) -> None:
    with pytest.raises(qga.GuestOSError, match="No such file or directory") as raised:
        client.read_file("/nonexistent/file")
    assert raised.value.errno == 2
    with pytest.raises(qga.BadArgument, match="handle '7' has not been found"):
        client.execute(protocol.FileClose(handle=7))
    with pytest.raises(qga.BadArgument, match="'handle', expected: integer"):
        client.call("guest-file-close", {"handle": "7"})
    with pytest.raises(qga.CommandNotFound, match="guest-nonsense"):
        client.call("guest-nonsense")
    with pytest.raises(qga.GuestOSError, match="Is a directory") as raised:
        client.read_file(str(agent.directory))
    assert raised.value.errno == 21
    client.ping()


def test_a_file_there_and_back(client: qga.Client, agent: RunningAgent) -> None:
    path = str(agent.directory / "file")
    data = os.urandom(5 << 20)
    seen: list[int] = []
    assert client.write_file(path, data, progress=seen.append) == len(data)
    assert seen == [n << 19 for n in range(1, 11)]
    assert client.read_file(path) == data
    assert client.write_file(path, b"more", append=True) == 4
    assert client.read_file(path)[-6:] == data[-2:] + b"more"
    digest = hashlib.sha256()
    client.download(path, digest.update)
    assert digest.digest() == hashlib.sha256(data + b"more").digest()
    client.write_file(path, b"")
    assert client.read_file(path) == b""


def test_a_python_file_there_and_back(client: qga.Client, agent: RunningAgent) -> None:
    path = str(agent.directory / "file")
    data = os.urandom(5 << 20)
    with io.BufferedWriter(client.open(path, "w"), 1 << 20) as writer:
        for start in range(0, len(data), 300_000):
            writer.write(data[start : start + 300_000])
    with io.BufferedReader(client.open(path), 1 << 20) as reader:
        reader.seek(-100, os.SEEK_END)
        assert reader.read() == data[-100:]
        reader.seek(0)
        assert reader.read() == data
    with client.open(path, "r+") as raw:
        raw.seek(10)
        raw.write(b"between")
        assert raw.read(3) == data[17:20]
    with io.TextIOWrapper(client.open(path, "w"), encoding="utf-8", write_through=True) as text:
        text.write("first\nsecond\n")
    with io.TextIOWrapper(io.BufferedReader(client.open(path)), encoding="utf-8") as text:
        assert list(text) == ["first\n", "second\n"]


@pytest.mark.parametrize("mode", sorted(MODES))
def test_every_mode(client: qga.Client, agent: RunningAgent, mode: str) -> None:
    path = agent.directory / "file"
    path.write_bytes(b"abc")
    with client.open(str(path), mode) as file:
        if file.writable():
            file.write(b"X")
        if file.readable():
            file.seek(0)
            file.read(1)
    expected = {"w": b"X", "a": b"abcX"}.get(mode[0], b"Xbc" if "+" in mode else b"abc")
    assert path.read_bytes() == expected


def test_late_replies_are_stale(client: qga.Client, agent: RunningAgent) -> None:
    path = str(agent.directory / "file")
    client.write_file(path, b"data")
    with agent.stopped():
        with pytest.raises(qga.AgentTimeout, match="guest-info"):
            client.info(timeout=0.2)
        for _ in range(2):
            with pytest.raises(qga.AgentNotResponding):
                client.ping(timeout=0.2)
    assert client.fsfreeze_status() == "thawed"
    assert client.read_file(path) == b"data"


def test_a_request_that_was_sent_by_half_is_forgotten(
    client: qga.Client, agent: RunningAgent
) -> None:
    path = str(agent.directory / "file")
    with client.open(path, "w") as file:
        with agent.stopped(), pytest.raises(qga.AgentTimeout):
            client.call(
                "guest-file-write",
                {"handle": file._file.handle, "buf-b64": bytes(8 << 20)},
                timeout=0.3,
            )
        file.write(b"only this")
    assert client.read_file(path) == b"only this"


def test_threads_share_a_client(client: qga.Client, agent: RunningAgent) -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        path = str(agent.directory / f"file{number}")
        data = bytes([number]) * 100_000
        for _ in range(5):
            client.write_file(path, data)
            if client.read_file(path) != data:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_agent_that_ends_is_lost_and_a_new_client_is_told(agent: RunningAgent) -> None:
    with qga.connect(agent.target) as client:
        client.ping()
        agent.process.kill()
        agent.process.wait()
        with pytest.raises(qga.NoChannel, match="refused"):
            client.ping()


@pytest.mark.parametrize("version", ["0.15", "1.0", "1.1", "2.0", "6.0", "7.2", "10.0"])
def test_agents_of_every_age(version: str) -> None:
    with (
        running([sys.executable, "-m", "qga.agent", "--compat", version]) as agent,
        qga.connect(agent.target) as client,
    ):
        client.ping()
        assert client.info().version
        path = str(agent.directory / "file")
        client.write_file(path, b"0123456789")
        with client.open(path) as file:
            assert file.seek(-3, os.SEEK_END) == 7
            assert file.read(10) == b"789"
        with agent.stopped(), pytest.raises(qga.AgentTimeout):
            client.fsfreeze_status(timeout=0.2)
        assert client.fsfreeze_status() == "thawed"
        with pytest.raises(qga.CommandNotFound, match="guest-nonsense"):
            client.call("guest-nonsense")
        with pytest.raises(qga.GuestOSError, match="/nonexistent"):
            client.read_file("/nonexistent")
        with pytest.raises(qga.BadArgument):
            client.execute(protocol.FileClose(handle=7))
