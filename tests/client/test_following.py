"""The end of a file, and what is added: with agents that run programs, and without."""

import asyncio
import errno
import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import qga
from qga.client.flows import following
from qga.testing import AgentProcess, FakeAgent
from tests.support.stock import BLOCKED, BLOCKED_BUT_EXEC, RunningAgent, either

LINES = b"".join(b"line %d\n" % number for number in range(30_000))


@pytest.fixture(
    params=[
        ("ours", BLOCKED_BUT_EXEC),
        ("ours", BLOCKED),
        pytest.param(("stock", BLOCKED_BUT_EXEC), marks=pytest.mark.interop),
        pytest.param(("stock", BLOCKED), marks=pytest.mark.interop),
    ],
    ids=["ours", "ours without programs", "stock", "stock without programs"],
)
def client(request: pytest.FixtureRequest) -> Iterator[qga.Client]:
    """Of agents that run programs, and of those that do not."""
    with either(*request.param) as agent, qga.connect(agent.target) as client:
        yield client


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LENGTH_EVERY", 0.01)
    monkeypatch.setattr(following, "_FIRST_NAME", 0.01)
    monkeypatch.setattr(following, "_LAST_NAME", 0.01)
    monkeypatch.setattr(following, "LAST_PAUSE", 0.02)


def tailed(*words: str) -> bytes:
    return subprocess.run(["tail", *words], capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"one", b"one\n", b"\n\n\n", b"a\r\nb\n\x0bc", LINES, LINES + b"end"]
)
def test_the_last_lines(client: qga.Client, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for count in (0, 1, 2, 10, 9000, 100_000):
        assert client.files.tail(path, count) == tailed("-n", str(count), str(path))
    for size in (0, 1, 5, 1000, 10_000_000):
        assert client.files.tail(path, size=size) == tailed("-c", str(size), str(path))


def test_a_file_without_positions(client: qga.Client) -> None:
    assert client.files.tail("/proc/self/mounts", 2).count(b"\n") == 2
    assert client.files.tail("/proc/cpuinfo", 3) == tailed("-n", "3", "/proc/cpuinfo")
    assert len(client.files.tail("/proc/cpuinfo", size=7)) == 7
    assert client.files.tail("/proc/cpuinfo", 1_000_000) == Path("/proc/cpuinfo").read_bytes()


def test_what_cannot_be_tailed(client: qga.Client, tmp_path: Path) -> None:
    for action in (client.files.tail, lambda path: client.files.follow(path, by_name=False)):
        with pytest.raises(qga.GuestOSError) as caught:
            action(tmp_path / "none")
        assert caught.value.errno == errno.ENOENT


def test_growth_truncation_and_rotation(client: qga.Client, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"log")
    path.write_bytes(b"zero\none\n")
    changes: list[str] = []
    with client.files.follow(path, lines=1, on_change=changes.append) as log:
        assert next(log) == b"one\n"
        assert log.poll() == b""
        with path.open("ab") as file:
            file.write(b"two\n")
            file.flush()
            assert log.read() == b"two\n"
            path.write_bytes(b"3\n")
            assert log.read() == b"3\n"
            assert changes.pop() == "truncated"
            # What the old file gets before the new one is there is not lost, nor is what is in it.
            path.rename(tmp_path / "log.1")
            file.write(b"four\n")
            file.flush()
            assert log.read() == b"four\n"
            while not changes:
                log.poll()
            assert changes.pop() == "gone"
            file.write(b"five\n")
        path.write_bytes(b"six, of a new file\n")
        assert log.read() == b"five\n"
        assert log.read() == b"six, of a new file\n"
        assert changes.pop() == "appeared"
        (tmp_path / "other").write_bytes(b"seven, of another file\n")
        (tmp_path / "other").rename(path)
        assert log.read() == b"seven, of another file\n"
        assert changes == ["replaced"]
    assert log.closed
    with pytest.raises(ValueError, match="not followed any more"):
        log.read()
    log.close()


def test_by_descriptor(client: qga.Client, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    with client.files.follow(path, lines=None, by_name=False) as log, path.open("ab") as file:
        assert log.read() == b"one\n"
        path.rename(tmp_path / "log.1")
        path.write_bytes(b"another\n")
        for _ in range(10):
            assert log.poll() == b""
            time.sleep(0.01)
        file.write(b"two\n")
        file.flush()
        assert log.read() == b"two\n"


def test_a_file_that_comes_later(client: qga.Client, tmp_path: Path) -> None:
    path, changes = tmp_path / "log", list[str]()
    with client.files.follow(path, on_change=changes.append) as log:
        assert (log.poll(), changes) == (b"", ["gone"])
        path.write_bytes(b"all of it\n")
        assert log.read() == b"all of it\n"
        assert changes == ["gone", "appeared"]


def test_a_copy_of_the_file_has_nothing_new(agent: RunningAgent, tmp_path: Path) -> None:
    """Where no program tells one file from another."""
    path, changes = tmp_path / "log", list[str]()
    path.write_bytes(LINES)
    with (
        qga.connect(agent.target) as client,
        client.files.follow(path, lines=1, on_change=changes.append) as log,
    ):
        assert log.read() == b"line 29999\n"
        copy = tmp_path / "copy"
        copy.write_bytes(LINES + b"new\n")
        copy.rename(path)
        assert (log.read(), changes) == (b"new\n", [])
        copy.write_bytes(b"other" + LINES + b"new\n")
        copy.rename(path)
        assert log.read().startswith(b"otherline 0\n")
        assert changes == ["replaced"]


def test_nothing_stays_open(agent: RunningAgent, tmp_path: Path) -> None:
    def descriptors() -> int:
        return len([*Path(f"/proc/{agent.process.pid}/fd").iterdir()])

    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    with qga.connect(agent.target) as client:
        client.files.tail(path)
        before = descriptors()
        with client.files.follow(path, lines=None) as log:
            for number in range(10):
                path.rename(tmp_path / f"log.{number}")
                path.write_bytes(b"%d\n" % number * 300)
                assert log.read()
            assert descriptors() <= before + 2
        client.ping()
        assert descriptors() == before


def test_the_agent_is_restarted(fake_agent: FakeAgent) -> None:
    fake_agent.files["/log"] = b"one\n"
    with (
        fake_agent.serve() as target,
        qga.connect(target) as client,
        client.files.follow("/log", lines=1) as log,
    ):
        assert log.read() == b"one\n"
        fake_agent.files["/log"] += b"two\n"
        client.call("guest-file-close", {"handle": log._state._handle})
        assert log.read() == b"two\n"
        fake_agent.files["/log"] = b"3\n"
        client.call("guest-file-close", {"handle": log._state._handle})
        assert log.read() == b"3\n"


def test_awaited(exec_agent: AgentProcess, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"log\xff")
    path.write_bytes(b"one\n")

    async def work() -> None:
        async with await qga.aconnect(exec_agent.target) as client:
            assert await client.files.tail(path) == b"one\n"
            async with await client.files.follow(path, lines=1) as log:
                got = []
                async for data in log:
                    got.append(data)
                    if len(got) == 2:
                        break
                    await client.files.append(path, b"two\n")
                assert got == [b"one\n", b"two\n"]
                reading = asyncio.create_task(log.read())
                await asyncio.sleep(0.05)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                await client.files.append(path, b"three\n")
                assert await log.read() == b"three\n"
                assert (log.path, repr(log)) == (path, f"<AsyncFollower {path!r} open>")

    asyncio.run(work())


def test_one_that_is_forgotten_warns(fake_agent: FakeAgent) -> None:
    fake_agent.files["/log"] = b""
    with fake_agent.serve() as target, qga.connect(target) as client:
        log = client.files.follow("/log")
        with pytest.warns(ResourceWarning, match="unclosed <Follower '/log' open>"):
            del log
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            client.files.follow("/log").close()
