"""Whole files by `client.files`, with ours and (marked interop) QEMU's own agent."""

import asyncio
import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import qga
from qga import TransferProgress
from qga.client.aio import aconnect
from tests.support.need import need_root
from tests.support.sparse import MIB, SIZE, make_sparse
from tests.support.stock import RunningAgent


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A file with a hole in the middle and one at its end."""
    return make_sparse(tmp_path / "sparse", 3 * MIB + 17)


def inside(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def occupied(path: Path) -> int:
    return path.stat().st_blocks * 512


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_small_files(client: qga.Client, guest: Path) -> None:
    files, path = client.files, guest / "file"
    assert files.write(path, b"one\n") == 4
    assert path.stat().st_mode & 0o7777 == 0o644
    assert files.append(path, b"two\n") == 4
    assert files.read(path) == b"one\ntwo\n"
    assert files.read(path, limit=5, verify=True) == b"one\nt"
    path.chmod(0o4710)
    old = path.stat()
    files.write(path, b"three", verify=True)
    new = path.stat()
    assert (new.st_mode, new.st_uid, new.st_gid) == (old.st_mode, old.st_uid, old.st_gid)
    assert new.st_ino != old.st_ino
    files.write(path, bytearray(b"four"), atomic=False, verify=True)
    assert (path.read_bytes(), path.stat().st_ino) == (b"four", new.st_ino)
    files.write(path, b"", mode=0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (b"", 0o600)
    files.append(guest / "new", b"x")
    assert inside(guest) == ["file", "new"]
    assert files.read("/proc/version") == Path("/proc/version").read_bytes()


def test_owners(client: qga.Client, guest: Path) -> None:
    need_root("to give files away")
    files, path = client.files, guest / "file"
    files.write(path, b"", owner=1234, group=5678, mode=0o640)
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 5678, 0o640)
    files.write(path, b"1")
    files.write(path, b"2", group="daemon")
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 1, 0o640)
    files.write(guest / "in place", b"3", atomic=False, owner="daemon", mode=0o400)
    status = (guest / "in place").stat()
    assert (status.st_uid, status.st_mode & 0o7777) == (1, 0o400)
    with pytest.raises(qga.GuestOSError, match="nosuch"):
        files.write(path, b"3", owner="nosuch")
    assert path.read_bytes() == b"2"
    assert inside(guest) == ["file", "in place"]


def test_symlinks_are_followed(client: qga.Client, guest: Path) -> None:
    (guest / "file").write_bytes(b"old")
    (guest / "link").symlink_to("file")
    (guest / "dangling").symlink_to("nowhere\n")
    client.files.write(guest / "link", b"new")
    client.files.write(guest / "dangling", b"there")
    assert (guest / "file").read_bytes() == b"new"
    assert (guest / "nowhere\n").read_bytes() == b"there"
    assert (guest / "link").is_symlink()
    assert (guest / "dangling").is_symlink()


def test_odd_names(client: qga.Client, guest: Path, tmp_path: Path) -> None:
    directory = os.fsencode(guest) + b"/\xff\n'\"$x `"
    Path(os.fsdecode(directory)).mkdir()
    name = directory + b"/-\xfe\n"
    client.files.write(name, b"odd")
    client.files.append(name, b"er")
    assert client.files.read(name, verify=True) == b"odder"
    assert client.files.download(name, tmp_path / "back").verified
    assert (tmp_path / "back").read_bytes() == b"odder"
    client.files.write(os.fsdecode(directory) + "/" + "n" * 255, b"")
    assert len(inside(Path(os.fsdecode(directory)))) == 2
    client.ping()
    wait_until(lambda: not list(Path("/tmp").glob(".qga-??????/file")))


def test_refusals(client: qga.Client, guest: Path, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"x")
    for path in (guest / "absent" / "file", guest, local / "file"):
        for atomic in (True, False):
            with pytest.raises(qga.GuestOSError):
                client.files.upload(local, path, atomic=atomic)
        with pytest.raises(qga.GuestOSError):
            client.files.download(path, tmp_path / "back")
    with pytest.raises(ValueError, match="not absolute"):
        client.files.write("relative", b"")
    with pytest.raises(FileNotFoundError):
        client.files.upload(tmp_path / "absent", guest / "file")
    with pytest.raises(FileNotFoundError):
        client.files.download(local, tmp_path / "absent" / "file")
    with pytest.raises(qga.GuestOSError, match=f"{guest}: .*Is a directory"):
        client.files.read(guest)
    with pytest.raises(qga.GuestOSError, match=f"{guest}: .*Is a directory"):
        client.read_file(str(guest))
    os.mkfifo(guest / "fifo")
    # Whoever opens it would wait for a writer.
    with pytest.raises(qga.GuestOSError, match="fifo: it is no regular file") as caught:
        client.files.download(guest / "fifo", tmp_path / "back")
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(qga.GuestOSError, match="not a regular file"):
        client.files.upload(local, guest / "fifo")
    # Of a kernel's file, the caller learns what to do, not what the script was about.
    with pytest.raises(qga.GuestOSError) as caught:
        client.files.write("/proc/version", b"x")
    assert str(caught.value) == (
        "cannot make a file beside /proc/version to begin with: No such file or directory"
    )
    assert caught.value.errno == errno.ENOENT
    assert caught.value.__notes__ == ["atomic=False writes to the file itself"]
    assert inside(guest) == ["fifo"]
    assert inside(tmp_path) == ["local"]


def test_holes_and_attributes_there_and_back(
    client: qga.Client, guest: Path, tmp_path: Path, sparse: Path
) -> None:
    size = SIZE
    sparse.chmod(0o640)
    os.utime(sparse, (10**9, 10**9))
    seen: list[TransferProgress] = []
    up = client.files.upload(sparse, guest / "up", preserve=True, progress=seen.append)
    assert (up.size, up.verified) == (size, True)
    assert 4 * MIB < up.moved < 5 * MIB
    assert (guest / "up").read_bytes() == sparse.read_bytes()
    assert occupied(guest / "up") < 6 * MIB
    assert [(guest / "up").stat().st_mode & 0o7777, (guest / "up").stat().st_mtime] == [
        0o640,
        10**9,
    ]
    assert [moment.done for moment in seen] == sorted(moment.done for moment in seen)
    last = seen[-1]
    assert (last.done, last.total, last.files, last.moved) == (size, size, 1, up.moved)
    assert last.rate > 0
    back = tmp_path / "back"
    down = client.files.download(guest / "up", back, preserve=True, progress=seen.append)
    assert (down.size, down.verified) == (size, True)
    assert down.moved < 6 * MIB  # Python has told where its holes are
    assert back.read_bytes() == sparse.read_bytes()
    assert occupied(back) < 6 * MIB
    assert [back.stat().st_mode & 0o7777, back.stat().st_mtime] == [0o640, 10**9]
    assert seen[-1].done == size
    plain = client.files.download(guest / "up", back, sparse=False)
    assert (plain.moved, occupied(back) >= size) == (size, True)
    assert back.read_bytes() == sparse.read_bytes()
    assert client.files.upload(sparse, guest / "up", sparse=False, atomic=False).moved == size
    assert (guest / "up").read_bytes() == sparse.read_bytes()


def test_what_is_there_already_is_not_sent_again(
    client: qga.Client, guest: Path, tmp_path: Path, sparse: Path, exec_agent: RunningAgent
) -> None:
    class Broken(Exception):
        pass

    def stop(moment: TransferProgress) -> None:
        if moment.done >= 2 * MIB:
            raise Broken

    back = tmp_path / "back"
    for _ in range(2):
        with pytest.raises(Broken):
            client.files.upload(sparse, guest / "up", resume=True, progress=stop)
        assert len(inside(guest)) == 1
    assert not (guest / "up").exists()
    client.ping()
    done = client.files.upload(sparse, guest / "up", resume=True)
    assert (done.verified, done.moved < 3 * MIB) == (True, True)
    assert (guest / "up").read_bytes() == sparse.read_bytes()
    assert inside(guest) == ["up"]

    with pytest.raises(Broken):
        client.files.download(guest / "up", back, resume=True, progress=stop)
    assert not back.exists()
    assert len(inside(tmp_path)) == 2
    assert client.files.download(guest / "up", back, resume=True).moved < 4 * MIB
    assert back.read_bytes() == sparse.read_bytes()

    # What has changed in the meantime is begun anew.
    with pytest.raises(Broken):
        client.files.upload(sparse, guest / "up", resume=True, progress=stop)
    with pytest.raises(Broken):
        client.files.download(guest / "up", back, resume=True, progress=stop)
    for path in (sparse, guest / "up"):
        with path.open("r+b") as file:
            file.write(b"changed")
    down = client.files.download(guest / "up", back, resume=True)
    assert (down.verified, down.moved > 4 * MIB) == (True, True)
    assert client.files.upload(sparse, guest / "up", resume=True).moved > 4 * MIB
    assert (guest / "up").read_bytes() == sparse.read_bytes() == back.read_bytes()
    assert (inside(guest), inside(tmp_path)) == (["up"], ["back", "sparse"])


@pytest.mark.parametrize("case", ["up stopped", "up killed", "down stopped", "down killed"])
def test_an_agent_that_is_gone_in_the_middle(
    client: qga.Client, guest: Path, tmp_path: Path, exec_agent: RunningAgent, case: str
) -> None:
    way, end = case.split()
    data = os.urandom(8 * MIB)
    there = guest / "file" if way == "down" else tmp_path / "file"
    there.write_bytes(data)

    def interrupt(moment: TransferProgress) -> None:
        if moment.done >= 2 * MIB and not gone.is_set():
            gone.set()
            exec_agent.process.send_signal(signal.SIGSTOP if end == "stopped" else signal.SIGKILL)

    def transfer(progress: Callable[[TransferProgress], None] | None, timeout: float) -> int:
        files = client.files
        with qga.deadline(timeout):
            if way == "up":
                return files.upload(there, guest / "copy", progress=progress).size
            return files.download(there, tmp_path / "copy", progress=progress).size

    gone = threading.Event()
    began = time.monotonic()
    expected = qga.AgentTimeout if end == "stopped" else qga.TransportError
    with pytest.raises(expected):
        transfer(interrupt, 3.0)
    assert time.monotonic() - began < 30
    assert gone.is_set()
    if end == "killed":
        exec_agent.restart()
    else:
        exec_agent.process.send_signal(signal.SIGCONT)
    client.ping()
    wait_until(lambda: inside(guest) == (["file"] if way == "down" else []))
    assert inside(tmp_path) == ([] if way == "down" else ["file"])
    assert transfer(None, 60.0) == len(data)


def test_without_programs(agent: RunningAgent, tmp_path: Path) -> None:
    """What guest-exec is not needed for, and what says that it is."""
    path = agent.directory / "file"
    with qga.connect(agent.target) as client:
        files = client.files
        with pytest.raises(qga.CommandDisabled) as raised:
            files.write(path, b"data")
        assert "atomic=False" in raised.value.__notes__[0]
        assert files.write(path, b"data", atomic=False) == 4
        assert files.append(path, b"more") == 4
        assert files.read(path) == b"datamore"
        assert not files.download(path, tmp_path / "back").verified
        assert not files.download(path, tmp_path / "back", resume=True).verified
        assert (tmp_path / "back").read_bytes() == b"datamore"
        assert not files.upload(tmp_path / "back", path, atomic=False).verified
        for refused in (
            lambda: files.write(path, b"", atomic=False, verify=True),
            lambda: files.download(path, tmp_path / "back", verify=True),
            lambda: files.download(path, tmp_path / "back", preserve=True),
            lambda: files.read(path, verify=True),
            lambda: files.upload_tree(tmp_path, agent.directory / "tree"),
            lambda: files.download_tree(agent.directory, tmp_path / "tree"),
        ):
            with pytest.raises(qga.CommandDisabled):
                refused()
        assert inside(tmp_path) == ["back"]


def test_asynchronously(
    exec_agent: RunningAgent, guest: Path, tmp_path: Path, sparse: Path
) -> None:
    async def work() -> None:
        async with await aconnect(exec_agent.target) as client:
            files = client.files
            assert await files.write(guest / "file", b"data") == 4
            await files.append(guest / "file", b"more")
            assert await files.read(guest / "file", verify=True) == b"datamore"
            both = await asyncio.gather(
                files.upload(sparse, guest / "one"), files.upload(sparse, guest / "two")
            )
            assert all(done.verified for done in both)
            assert (await files.download(guest / "two", tmp_path / "back")).verified
            # A task that is cancelled leaves nothing behind.
            reached = asyncio.Event()

            def progress(moment: TransferProgress) -> None:
                if moment.done >= 2 * MIB:
                    reached.set()

            task = asyncio.create_task(files.upload(sparse, guest / "three", progress=progress))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.ping()

    asyncio.run(work())
    assert (tmp_path / "back").read_bytes() == sparse.read_bytes()
    wait_until(lambda: inside(guest) == ["file", "one", "two"])
