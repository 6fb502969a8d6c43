"""Open files of the guest in an event loop, and what a lost reply means for the position."""

import asyncio
import io
import os
from pathlib import Path

import pytest

import qga
from qga.client.flows.openfile import BufferedFile, OpenFile
from qga.protocol import FileClose, FileRead, FileSeek
from qga.protocol.files import FileChunk, FilePosition
from tests.client.driven import Driven
from tests.support.stock import RunningAgent

LINES = [b"one\n", b"\xff\n", b"\n", b"x" * 3_000_000 + b"\n", b"no end"]


def test_an_async_file(agent: RunningAgent, tmp_path: Path) -> None:
    path = str(tmp_path / "file")

    async def work() -> None:
        async with await qga.aconnect(agent.target) as client:
            async with await client.open(path, "w") as file:
                assert (file.readable(), file.writable(), file.seekable()) == (False, True, True)
                assert await file.write(b"".join(LINES)) == sum(map(len, LINES))
                assert await file.write(b"") == 0
                await file.flush()
                assert os.stat(path).st_size == sum(map(len, LINES))  # noqa: PTH116
                with pytest.raises(io.UnsupportedOperation):
                    await file.read()
            assert file.closed
            await file.close()
            with pytest.raises(ValueError, match="closed"):
                await file.write(b"x")
            async with await client.open(path) as file:
                assert (file.name, file.mode) == (path, "r")
                assert await file.readline() == LINES[0]
                assert await file.tell() == 4
                assert await file.read(2) == LINES[1]
                assert [line async for line in file] == LINES[2:]
                assert (await file.read(), await file.readline()) == (b"", b"")
                assert await file.seek(-3, os.SEEK_END) == sum(map(len, LINES)) - 3
                assert await file.read() == b"end"
                await file.seek(0)
                assert await file.readline() == LINES[0]
                assert await file.seek(1, os.SEEK_CUR) == 5
                assert await file.read(-1) == b"".join(LINES)[5:]
                await file.seek(0)
                buffer = bytearray(2_000_000)
                assert await file.readinto(buffer) == 2_000_000
                assert buffer == b"".join(LINES)[:2_000_000]
            with pytest.raises(qga.GuestOSError):
                await client.open("/no/such/file")
            with pytest.raises(ValueError, match="invalid mode"):
                await client.open(path, "x")

    asyncio.run(work())


def test_reading_and_writing_by_turns(agent: RunningAgent, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo\nthree\n")

    async def work() -> None:
        async with await qga.aconnect(agent.target) as client:
            async with await client.open(str(path), "r+") as file:
                assert await file.readline() == b"one\n"
                await file.write(b"TWO")
                assert await file.tell() == 7
                assert await file.readline() == b"\n"
                assert await file.read(2) == b"th"
                await file.write(b"R")
            async with await client.open(str(path), "a") as file:
                await file.write(b"four")

    asyncio.run(work())
    assert path.read_bytes() == b"one\nTWO\nthRee\nfour"


def test_a_read_that_is_cancelled_loses_nothing(agent: RunningAgent, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)

    async def work() -> None:
        client = await qga.aconnect(agent.target)
        async with client, await client.open(str(tmp_path / "file")) as file:
            for delay in range(12):
                task = asyncio.ensure_future(file.read())
                for _ in range(delay):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    assert task.result() == data
                    await file.seek(0)
            assert await file.read(2_000_000) == data[:2_000_000]
            with agent.stopped(), qga.deadline(0.3), pytest.raises(qga.AgentTimeout):
                await file.read()
            assert await file.read() == data[2_000_000:]

    asyncio.run(work())


def test_a_forgotten_async_file_warns(agent: RunningAgent, tmp_path: Path) -> None:
    async def work() -> None:
        async with await qga.aconnect(agent.target) as client:
            file = await client.open(str(tmp_path / "file"), "w")
            with pytest.warns(ResourceWarning, match="unclosed <AsyncGuestFile"):
                del file

    asyncio.run(work())


def opened(file: OpenFile) -> OpenFile:
    file.handle = 1000
    return file


def test_the_position_after_a_lost_reply() -> None:
    file = opened(OpenFile("/f", "r"))
    read = Driven(file.read_some(4))
    read.begin()
    with pytest.raises(StopIteration):
        read.send(FileChunk(count=4, data=b"0123", eof=False))
    late = Driven(file.read_some(4))
    late.begin()
    with pytest.raises(qga.AgentTimeout):
        late.throw(qga.AgentTimeout("late"))
    again = Driven(file.read_some(4))
    step = again.begin()
    assert isinstance(step, FileSeek)
    assert (step.offset, step.whence) == (4, os.SEEK_SET)
    assert isinstance(again.send(FilePosition(position=4, eof=False)), FileRead)
    with pytest.raises(qga.GuestOSError):  # an answer, so that nothing is in doubt
        again.throw(qga.GuestOSError("failed"))
    assert isinstance(Driven(file.read_some(4)).begin(), FileRead)
    # Where the position cannot be known nobody goes there.
    file = opened(BufferedFile("/f", "a"))
    lost = Driven(file.write_some(b"x"))
    lost.begin()
    with pytest.raises(qga.AgentTimeout):
        lost.throw(qga.AgentTimeout("late"))
    assert not isinstance(Driven(file.write_some(b"x")).begin(), FileSeek)


def test_a_close_that_is_late_is_left() -> None:
    file = opened(OpenFile("/f", "r"))
    close = Driven(file.close())
    close.begin()
    step = close.throw(qga.AgentTimeout("late"))
    assert isinstance(step.command, FileClose)
    with pytest.raises(qga.AgentTimeout):
        close.send(None)
    with pytest.raises(StopIteration):
        Driven(file.close()).begin()
