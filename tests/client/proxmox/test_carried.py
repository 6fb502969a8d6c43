"""What the API carries, in front of both agents, through both clients."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.client import proxmox
from qga.client.flows.script import script
from qga.client.flows.steps import GetLimits
from qga.protocol import (
    Exec,
    ExecGetStatus,
    FileClose,
    FileOpen,
    FileRead,
    FileSeek,
    FileWrite,
    SetUserPassword,
)
from tests.client.proxmox.conftest import Anyway
from tests.support.proxmox import Certificates, Options, Server, serving
from tests.support.proxmox.server import TOKEN
from tests.support.proxmox.verbs import AUDIT, READ, WRITE

# The rights that a token needs for files, without programs.
FILES = {AUDIT, READ, WRITE}


def limits() -> Any:
    return (yield GetLimits())


def test_facts(server: Server, anyway: Anyway) -> None:
    async def check(client: Any) -> None:
        await client.ping()
        await client.sync()
        info = await client.info()
        assert info.version
        assert any(command.name == "guest-exec" for command in info.supported_commands)
        for name in ("get-osinfo", "get-users", "get-vcpus", "get-timezone", "get-fsinfo"):
            assert isinstance(await client.call(f"guest-{name}"), dict | list)
        assert (await client.call("guest-get-host-name"))["host-name"] == socket.gethostname()
        assert await client.call("guest-get-time") > 1.6e18
        assert await client.call("guest-fsfreeze-status") == "thawed"
        assert await client.call("guest-sync", {"id": 1234}) == 1234
        assert (await client.perform(limits())).commands >= {"guest-exec", "guest-file-open"}

    anyway(check)
    assert "sync" not in server.verbs()


@pytest.mark.parametrize("offsets", [True, False])
def test_reading(server: Server, anyway: Anyway, directory: Path, offsets: bool) -> None:
    """By `file-read` from an offset, and by programs where the server is too old for that."""
    server.options.offsets = offsets
    path = directory / "file"

    async def check(client: Any) -> None:
        for size in (0, 5, 70_000, 2_500_000):
            data = os.urandom(size)
            path.write_bytes(data)
            assert await client.read_file(str(path)) == data
            assert await client.read_file(str(path), limit=100) == data[:100]
        # As much as was asked for, if there is as much.
        handle = await client.execute(FileOpen(path=str(path)))
        most = (await client.perform(limits())).read
        piece = await client.execute(FileRead(handle=handle, count=most))
        assert (bytes(piece.data), piece.eof) == (data, True)

    anyway(check)
    assert ("exec" in server.verbs()) is not offsets


@pytest.mark.parametrize("offsets", [True, False])
def test_reading_without_programs(
    server: Server, anyway: Anyway, directory: Path, offsets: bool
) -> None:
    server.options.offsets, server.options.rights = offsets, FILES
    data = os.urandom(1_500_000)
    path = directory / "file"
    path.write_bytes(data)

    async def check(client: Any) -> None:
        assert await client.read_file(str(path)) == data
        assert "exec" in server.verbs() or offsets

    anyway(check)


def test_the_longest_file_without_offsets_and_programs(
    server: Server, settings: dict[str, Any], directory: Path
) -> None:
    server.options.offsets, server.options.rights = False, FILES
    (directory / "long").write_bytes(b"a" * ((16 << 20) + 1))
    client = proxmox.connect("node1", 100, **settings)
    with client, pytest.raises(qga.Unsupported, match=r"16 MiB.*Unrestricted"):
        client.read_file(str(directory / "long"))


def test_writing(server: Server, anyway: Anyway, directory: Path) -> None:
    path = directory / "file"

    async def check(client: Any) -> None:
        path.write_bytes(b"was here")
        for size in (0, 5, 46_080, 46_081, 150_000):
            data = os.urandom(size)
            assert await client.write_file(str(path), data) == size
            assert path.read_bytes() == data
        assert await client.write_file(str(path), b"\0end", append=True) == 4
        assert path.read_bytes() == data + b"\0end"

    anyway(check)


def test_writing_without_programs(server: Server, anyway: Anyway, directory: Path) -> None:
    server.options.rights = FILES
    data = os.urandom(46_080)
    path = directory / "file"

    async def check(client: Any) -> None:
        await client.upload(str(path), [data[:20_000], data[20_000:30_000], data[30_000:]])
        assert path.read_bytes() == data
        with pytest.raises(qga.Unsupported, match=r"46080 bytes.*Unrestricted"):
            await client.write_file(str(path), data + b"x")
        with pytest.raises(qga.CommandDisabled, match="Unrestricted"):
            await client.write_file(str(path), b"x", append=True)

    anyway(check)


@pytest.mark.parametrize("offsets", [True, False])
def test_names_that_are_not_ascii(
    server: Server, anyway: Anyway, directory: Path, offsets: bool
) -> None:
    server.options.offsets = offsets
    path = directory / "nämé\n日本"

    async def check(client: Any) -> None:
        await client.write_file(str(path), b"\0text\xff")
        assert path.read_bytes() == b"\0text\xff"
        assert await client.read_file(str(path)) == b"\0text\xff"
        path.unlink()
        with pytest.raises(qga.GuestOSError) as error:
            await client.read_file(str(path))
        assert error.value.errno == 2

    anyway(check)


@pytest.mark.parametrize("offsets", [True, False])
def test_handles(server: Server, anyway: Anyway, directory: Path, offsets: bool) -> None:
    server.options.offsets = offsets
    path = directory / "file"
    path.write_bytes(b"0123456789")

    async def check(client: Any) -> None:
        handle = await client.execute(FileOpen(path=str(path), mode="r+b"))
        read = FileRead(handle=handle, count=4)
        piece = await client.execute(read)
        assert (piece.count, piece.data, piece.eof) == (4, b"0123", False)
        assert (await client.execute(FileWrite(handle=handle, data=b"\xff\0"))).count == 2
        piece = await client.execute(FileRead(handle=handle, count=100))
        assert (piece.data, piece.eof) == (b"6789", True)
        assert (await client.execute(FileSeek(handle=handle, offset=-3, whence=2))).position == 7
        assert (await client.execute(read)).data == b"789"
        assert (await client.execute(FileSeek(handle=handle, offset=-5, whence=1))).position == 5
        assert (await client.execute(read)).data == b"\x00678"
        assert (await client.execute(FileSeek(handle=handle, offset=1, whence=0))).position == 1
        with pytest.raises(qga.GuestOSError):
            await client.execute(FileSeek(handle=handle, offset=-1, whence=0))
        with pytest.raises(qga.BadArgument):
            await client.execute(FileRead(handle=handle, count=-1))
        await client.call("guest-file-flush", {"handle": handle})
        await client.execute(FileClose(handle=handle))
        for command in (read, FileClose(handle=handle)):
            with pytest.raises(qga.BadArgument, match=f"handle '{handle}' has not been found"):
                await client.execute(command)
        assert path.read_bytes() == b"0123\xff\x006789"
        path.write_bytes(b"0123456789")

    anyway(check)


@pytest.mark.parametrize(("offsets", "programs"), [(True, True), (False, True), (False, False)])
def test_a_growing_file_is_followed(
    server: Server, anyway: Anyway, directory: Path, offsets: bool, programs: bool
) -> None:
    """Whoever reads to the end gets all that was written before: nothing is read ahead."""
    path = directory / "log"
    server.options.offsets = offsets
    if not programs:
        server.options.rights = FILES

    async def check(client: Any) -> None:
        path.write_bytes(b"")
        handle = await client.execute(FileOpen(path=str(path)))
        for text in (b"one", b"", b"two", b"three" * 50_000):
            with path.open("ab") as file:
                file.write(text)
            piece = await client.execute(FileRead(handle=handle, count=1 << 20))
            assert (piece.data, piece.eof) == (text, True)

    anyway(check)


def test_what_a_mode_does_not_allow(server: Server, anyway: Anyway, directory: Path) -> None:
    path = directory / "file"

    async def check(client: Any) -> None:
        handle = await client.execute(FileOpen(path=str(path), mode="w"))
        with pytest.raises(qga.GuestOSError) as error:
            await client.execute(FileRead(handle=handle))
        assert error.value.errno == 9
        handle = await client.execute(FileOpen(path=str(path)))
        with pytest.raises(qga.GuestOSError):
            await client.execute(FileWrite(handle=handle, data=b"x"))
        with pytest.raises(qga.BadArgument, match="sideways"):
            await client.execute(FileOpen(path=str(path), mode="sideways"))
        with pytest.raises(qga.GuestOSError) as error:
            await client.execute(FileOpen(path=str(path / "none"), mode="a"))
        assert error.value.errno is not None
        with pytest.raises(qga.GuestOSError) as error:
            await client.execute(FileOpen(path=str(directory), mode="w"))
        assert error.value.errno == 21

    anyway(check)


def test_a_file_object(server: Server, settings: dict[str, Any], directory: Path) -> None:
    data = os.urandom(120_000)
    path = directory / "file"
    client = proxmox.connect("node1", 100, **settings)
    with client, client.open(str(path), "w+") as file:
        written = 0
        while written < len(data):
            written += file.write(data[written:])
        assert file.seek(0, os.SEEK_END) == len(data)
        assert file.seek(-10, os.SEEK_CUR) == len(data) - 10
        assert file.read() == data[-10:]
    assert path.read_bytes() == data


async def run(client: Any, **arguments: Any) -> Any:
    started = await client.execute(Exec(**arguments))
    while True:
        status = await client.execute(ExecGetStatus(pid=started.pid))
        if status.exited:
            return status
        await asyncio.sleep(0.02)


def test_programs(server: Server, anyway: Anyway) -> None:
    async def check(client: Any) -> None:
        data = bytes(range(256))
        status = await run(client, path="cat", input_data=data, capture_output=True)
        assert (status.exitcode, bytes(status.out_data), status.err_data) == (0, data, None)
        text = "printf '\\377\\0' >&2; exit 3"
        status = await run(client, path="sh", arg=["-c", text], capture_output=True)
        assert (status.exitcode, bytes(status.err_data)) == (3, b"\xff\0")
        status = await run(client, path="sh", arg=["-c", "kill -9 $$"], capture_output=True)
        assert (status.exitcode, status.signal) == (None, 9)
        status = await run(client, path="sh", arg=["-c", "echo ü"])
        assert (status.out_data, status.out_truncated) == (None, None)
        status = await run(client, path="env", env=["A=ü"], capture_output=True)
        assert bytes(status.out_data) == "A=ü\n".encode()
        done = await client.perform(script('printf %s "$1"; cat /no/such/file', b"\xff'\n"))
        assert (done.code, done.out) == (1, b"\xff'\n")
        assert b"No such file" in done.err
        with pytest.raises(qga.CommandError):
            await client.execute(Exec(path="/no/such/program", capture_output=True))
        with pytest.raises(qga.CommandError):
            await client.execute(ExecGetStatus(pid=4_000_000))

    anyway(check)


def test_long_output_is_cut_as_the_agent_cuts_it(server: Server, settings: dict[str, Any]) -> None:
    async def check() -> None:
        async with await proxmox.aconnect("node1", 100, **settings) as client:
            text = "yes | head -c 17000000"
            status = await run(client, path="sh", arg=["-c", text], capture_output=True)
            assert (len(status.out_data), status.out_truncated) == (16 << 20, True)

    asyncio.run(check())


def test_what_cannot_be_carried_is_refused_before_anything_is_sent(
    server: Server, anyway: Anyway
) -> None:
    async def check(client: Any) -> None:
        asked = len(server.asked)
        with pytest.raises(qga.Unsupported, match=r"guest-get-disks: run lsblk.*100\.qga"):
            await client.call("guest-get-disks")
        with pytest.raises(qga.Unsupported, match=r"guest-nonsense"):
            await client.call("guest-nonsense")
        with pytest.raises(qga.Unsupported, match="mode"):
            await client.shutdown("reboot")
        with pytest.raises(qga.Unsupported, match="minimum"):
            await client.call("guest-fstrim", {"minimum": 4096})
        with pytest.raises(qga.Unsupported, match="crypted"):
            await client.execute(
                SetUserPassword(username="a", password="ä".encode(), crypted=False)
            )
        with pytest.raises(qga.Unsupported, match="bytes of input"):
            await client.execute(Exec(path="cat", input_data=b"\xff" * 70_000))
        assert len(server.asked) == asked

    anyway(check)


def test_a_server_that_lacks_verbs(server: Server, anyway: Anyway) -> None:
    server.options.hidden = ("get-vcpus", "exec", "exec-status", "file-write")

    async def check(client: Any) -> None:
        found = (await client.perform(limits())).commands
        assert not found & {"guest-get-vcpus", "guest-exec", "guest-exec-status"}
        assert found >= {"guest-file-open", "guest-ping"}
        with pytest.raises(qga.Unsupported, match="guest-exec"):
            await client.execute(Exec(path="true"))

    anyway(check)


def test_tasks_share_a_client(server: Server, settings: dict[str, Any], directory: Path) -> None:
    (directory / "file").write_bytes(b"text")

    async def check() -> None:
        async with await proxmox.aconnect("node1", 100, **settings) as client:
            path = str(directory / "file")
            results = await asyncio.gather(*(client.read_file(path) for _ in range(8)))
            assert results == [b"text"] * 8

    asyncio.run(check())


# Commands that would harm this machine go to an agent that only says what it was asked.


class Listener:
    """An agent on a socket that answers every command with the same, and remembers it."""

    def __init__(self, path: Path) -> None:
        self.reply = b'{"return": 3}'
        self.asked: list[bytes] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                stream = self._socket.accept()[0]
            except OSError:
                return
            with stream, stream.makefile("rwb", buffering=0) as file:
                number = file.readline().rpartition(b":")[2].strip(b" }\n")
                request = file.readline()
                reply = b'{"return": {}}' if b"guest-ping" in request else self.reply
                if b"guest-ping" not in request:
                    self.asked.append(request)
                if reply:
                    file.write(b'\xff{"return": %s}\n%s\n' % (number, reply))


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    found = Listener(tmp_path / "a.sock")
    yield found
    found.close()


@pytest.fixture
def lone_server(certificates: Certificates, tmp_path: Path, listener: Listener) -> Iterator[Server]:
    with serving(certificates, tmp_path / "a.sock", Options()) as found:
        yield found


def test_freezing(lone_server: Server, anyway: Anyway, listener: Listener) -> None:
    lone_server.options.rights = {"VM.GuestAgent.FileSystemMgmt"}

    async def check(client: Any) -> None:
        assert await client.call("guest-fsfreeze-freeze") == 3
        assert await client.thaw() == 3

    anyway(check)
    assert [b"freeze-freeze" in asked for asked in listener.asked] == [True, False] * 1


def test_a_frozen_agent(lone_server: Server, anyway: Anyway, listener: Listener) -> None:
    text = "Command {} has been disabled: the command is not allowed while frozen"
    listener.reply = (
        b'{"error": {"class": "CommandNotFound", "desc": "%s"}}' % text.format("x").encode()
    )

    async def check(client: Any) -> None:
        for call in (client.info, lambda: client.execute(Exec(path="true", capture_output=True))):
            with pytest.raises(qga.AgentFrozen):
                await call()

    anyway(check)


def test_shutting_down(lone_server: Server, anyway: Anyway, listener: Listener) -> None:
    """The agent is silent when it goes down, and the channel ends."""
    listener.reply = b""

    async def check(client: Any) -> None:
        await client.shutdown()
        await client.shutdown("powerdown")
        await client.call("guest-suspend-ram", silent=True)

    anyway(check)
    assert [b"guest-shutdown" in asked for asked in listener.asked] == [True, True, False]


def test_passwords(lone_server: Server, anyway: Anyway, listener: Listener) -> None:
    listener.reply = b'{"return": {}}'

    async def check(client: Any) -> None:
        command = SetUserPassword(username="ann", password=b"a secret", crypted=True)
        await client.execute(command)
        short = SetUserPassword(username="ann", password=b"x", crypted=False)
        with pytest.raises(qga.BadArgument, match="password"):
            await client.execute(short)

    anyway(check)
    assert b'"YSBzZWNyZXQ="' in listener.asked[0]
    assert b'"crypted": true' in listener.asked[0]
    assert TOKEN not in str(lone_server.asked)


@pytest.mark.parametrize("limit", [512 * 1024, 64 * 1024])
def test_writing_in_large_and_in_small_pieces(
    server: Server, anyway: Anyway, directory: Path, limit: int
) -> None:
    """Servers before Proxmox VE 8.4 take requests of 64 KiB."""
    server.options.post = limit
    data = os.urandom(500_000)

    async def check(client: Any) -> None:
        for name in ("file", "fäle"):
            path = directory / name
            before = len(server.asked)
            await client.write_file(str(path), data)
            assert path.read_bytes() == data
            calls = server.verbs()[before:].count("exec")
            assert calls <= 3 if limit > 64 * 1024 else calls >= 500_000 // 46_080

    anyway(check)
