"""The files of a guest through real agents, by both clients."""

import asyncio
import errno
import hashlib
import os
from pathlib import Path

import pytest

import qga
from qga.client.flows import answer
from tests.support.stock import RunningAgent

NAME = os.fsdecode(b" odd\xff'\n")


def test_the_life_of_a_directory(client: qga.Client, tmp_path: Path) -> None:
    files, top = client.files, tmp_path / NAME
    files.mkdir(top / "a" / "b", 0o700, parents=True)
    files.touch(top / "a" / NAME)
    files.utime(top / "a" / NAME, ns=(5, 1_000_000_000_000_000_001))
    files.chmod(top / "a" / NAME, 0o640)
    files.symlink(NAME, top / "a" / "link")
    found = {entry.name: entry.stat for entry in files.list(top / "a")}
    assert found.keys() == {"b", NAME, "link"}
    assert (found["b"].type, found["b"].permissions) == ("directory", 0o700)
    assert found[NAME].mtime_ns == 1_000_000_000_000_000_001
    assert found["link"].target == NAME
    assert files.readlink(top / "a" / "link") == NAME
    assert [entry.path for entry in files.walk(top)] == [
        f"{top}/a", f"{top}/a/{NAME}", f"{top}/a/b", f"{top}/a/link",
    ]  # fmt: skip
    assert files.glob(f"{top}/**/*\n") == [f"{top}/a/{NAME}"]
    files.copy(top / "a" / NAME, top / "copy", preserve=True)
    assert files.stat(top / "copy") != files.stat(top / "a" / NAME)
    assert files.checksum(top / "copy") == hashlib.sha256().hexdigest()
    files.rename(top / "copy", top / "renamed")
    assert [files.exists(top / name) for name in ("copy", "renamed")] == [False, True]
    assert files.disk_usage(top).total > 0
    assert files.du(top) > 0
    with pytest.raises(qga.GuestOSError) as caught:
        files.remove(top)
    assert caught.value.errno == errno.ENOTEMPTY
    files.remove(files.mktemp(top))
    files.remove(files.mkdtemp(top))
    files.remove(top, recursive=True)
    assert list(tmp_path.iterdir()) == []


def test_the_same_awaited(exec_agent: RunningAgent, tmp_path: Path) -> None:
    top = tmp_path / NAME

    async def work() -> None:
        async with await qga.aconnect(exec_agent.target) as client:
            files = client.files
            await files.mkdir(top)
            await asyncio.gather(*(files.touch(top / str(number)) for number in range(5)))
            await files.symlink("x", top / NAME)
            assert [entry.name for entry in await files.list(top)] == [NAME, *"01234"]
            assert len(await files.walk(tmp_path)) == 7
            assert await files.glob(f"{top}/[0-2]") == [f"{top}/{n}" for n in range(3)]
            await files.rename(top / "0", top / "5")
            assert (await files.lstat(top / NAME)).target == "x"
            assert await files.is_file(top / "5")
            assert not await files.exists(top / "0")
            with pytest.raises(qga.GuestOSError):
                await files.remove(top)
            await files.remove(top, recursive=True)

    asyncio.run(work())
    assert list(tmp_path.iterdir()) == []


def test_many_files(client: qga.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number:05}{'-' * 150}" for number in range(10_000)]
    for name in names:
        (tmp_path / name).touch()
    assert [entry.name for entry in client.files.list(tmp_path)] == names
    monkeypatch.setattr(answer, "PART", 1 << 20)
    assert [entry.name for entry in client.files.walk(tmp_path)] == names
    assert client.files.glob(f"{tmp_path}/0000*") == [f"{tmp_path}/{name}" for name in names[:10]]


def test_an_answer_beyond_what_the_agent_keeps(client: qga.Client) -> None:
    size = (16 << 20) + 12345
    done = client.perform(answer.answer(f"head -c {size} /dev/zero"))
    assert (done.code, done.out.count(0), len(done.out)) == (0, size, size)


def test_an_agent_that_stops(exec_agent: RunningAgent, tmp_path: Path) -> None:
    async def work() -> None:
        async with await qga.aconnect(exec_agent.target) as client:
            with exec_agent.stopped(), qga.deadline(0.3), pytest.raises(qga.AgentTimeout):
                await client.files.touch(tmp_path / "1")
            for delay in range(15):
                task = asyncio.ensure_future(client.files.list("/dev"))
                for _ in range(delay):
                    await asyncio.sleep(0)
                task.cancel()
            assert await client.files.exists("/dev/null")

    with qga.connect(exec_agent.target) as client:
        with exec_agent.stopped(), pytest.raises(qga.AgentTimeout):
            client.files.list(tmp_path, timeout=0.3)
        assert client.files.list(tmp_path) == []
    asyncio.run(work())


def test_where_programs_are_not_allowed(agent: RunningAgent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with qga.connect(agent.target) as client:
        for operation, arguments in (
            (client.files.list, ("/",)),
            (client.files.stat, ("/",)),
            (client.files.mkdir, (tmp_path / "new",)),
        ):
            with pytest.raises(qga.CommandDisabled, match="must allow guest-exec"):
                operation(*arguments)
        with pytest.raises(qga.CommandDisabled, match="must allow guest-exec"):
            client.files.checksum(b"/no/\xff")
        expected = hashlib.sha1(b"content").hexdigest()
        assert client.files.checksum(tmp_path / "file", "sha1") == expected


def test_files_of_any_name_are_opened(exec_agent: RunningAgent, tmp_path: Path) -> None:
    path = tmp_path / NAME

    async def work() -> None:
        async with await qga.aconnect(exec_agent.target) as client:
            async with await client.open(os.fsencode(path), "a") as file:
                await file.write(b"two")
            assert await client.read_file(path) == b"one\ntwo"

    with qga.connect(exec_agent.target) as client:
        assert client.write_file(path, b"one\n") == 4
        assert client.files.append(f"{path}2", b"new") == 3
        client.files.remove(f"{path}2")
    asyncio.run(work())
    with qga.connect(exec_agent.target) as client:
        with client.open(os.fspath(path)) as file:
            assert file.readall() == b"one\ntwo"
            assert file.name == os.fspath(path)
        pieces: list[bytes] = []
        client.download(path, pieces.append)
        assert pieces == [b"one\ntwo"]
        with pytest.raises(ValueError, match="not absolute"):
            client.open(b"\xff")
        with pytest.raises(qga.GuestOSError, match=f"^{tmp_path}: .*Is a directory"):
            client.read_file(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_errors_about_any_name_can_be_printed(client: qga.Client, tmp_path: Path) -> None:
    path = tmp_path / NAME
    (tmp_path / "file").touch()
    for operation in (
        lambda: client.open(path),
        lambda: client.files.read(path),
        lambda: client.files.download(path, tmp_path / "here", verify=True),
        lambda: client.files.write(path / "x", b"data"),
        lambda: client.files.upload_tree(tmp_path, tmp_path / "file" / NAME),
    ):
        with pytest.raises(qga.QgaError) as caught:
            operation()
        assert str(caught.value).encode()
