"""Every command in a real guest over virtio-serial: our client, with our agent and with QEMU's."""

import hashlib
import random

import pytest

import qga
from tests.vm.conftest import GuestFactory
from tests.vm.observe import MARKER, Process, connect, refused
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

BOTH = pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
COMMANDS = {
    "guest-sync-delimited",
    "guest-sync",
    "guest-ping",
    "guest-info",
    "guest-shutdown",
    "guest-file-open",
    "guest-file-close",
    "guest-file-read",
    "guest-file-write",
    "guest-file-seek",
    "guest-file-flush",
    "guest-fsfreeze-status",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-thaw",
}
MIB = 1 << 20


@BOTH
def test_session(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    with connect(guest) as client:
        client.sync()
        client.ping()
        assert client.call("guest-sync", {"id": -1}) == -1
        assert client.call("guest-sync-delimited", {"id": 1 << 62}) == 1 << 62
        info = client.info()
        names = {command.name for command in info.supported_commands if command.enabled}
        assert names >= COMMANDS
        silent = {c.name for c in info.supported_commands if not c.success_response}
        assert "guest-shutdown" in silent
        error = refused(client, "guest-nothing")
        assert (error.error_class, error.desc) == (
            "CommandNotFound",
            "The command guest-nothing has not been found",
        )


@BOTH
@pytest.mark.parametrize("directory", ["/tmp", "/mnt/data"])
def test_files(guest_factory: GuestFactory, argv: tuple[str, ...], directory: str) -> None:
    guest = guest_factory(argv)
    path = f"{directory}/file"
    data = random.Random(1).randbytes(3 * MIB + 1)
    with connect(guest) as client:
        assert client.write_file(path, data) == len(data)
        assert client.read_file(path) == data
        with client.open(path, "r+") as file:
            assert file.seek(-2, 2) == len(data) - 2
            assert file.read(10) == data[-2:]
            assert file.read(10) == b""
            assert file.seek(7) == 7
            assert file.write(b"seven") == 5
            assert file.tell() == 12
            file.flush()
            assert guest.sh(f"dd if={path} bs=1 skip=7 count=5").out == "seven"
        assert client.write_file(path, b"more", append=True) == 4
        handle = client.call("guest-file-open", {"path": path})
        assert client.call("guest-file-seek", {"handle": handle, "offset": 7, "whence": "set"}) == {
            "position": 7,
            "eof": False,
        }
        assert client.call("guest-file-read", {"handle": handle, "count": 5}) == {
            "count": 5,
            "buf-b64": "c2V2ZW4=",
            "eof": False,
        }
        assert client.call("guest-file-close", {"handle": handle}) == {}
        error = refused(client, "guest-file-read", handle=handle)
        assert error.desc == f"handle '{handle}' has not been found"
        error = refused(client, "guest-file-open", path="/nowhere")
        assert error.desc.endswith("No such file or directory")
    data = data[:7] + b"seven" + data[12:] + b"more"
    expected = f"{hashlib.sha256(data).hexdigest()}  {path}\n"
    assert guest.sh(f"sha256sum {path}; stat -c %a {path}").out == expected + "666\n"


@BOTH
def test_freeze(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    with connect(guest) as client:
        assert client.fsfreeze_status() == "thawed"
        with client.frozen() as freeze:
            assert freeze.frozen == 2
            assert client.fsfreeze_status() == "frozen"
            assert guest.sh(f"test -e {MARKER}").code == 0
        assert freeze.thawed == 2
        assert client.fsfreeze_status() == "thawed"
        assert guest.sh(f"test -e {MARKER}").code == 1


@BOTH
def test_shutdown(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    with connect(guest) as client:
        client.shutdown()
        guest.qmp.wait_event("SHUTDOWN")
        with pytest.raises(qga.TransportError):
            client.ping()


def test_many_commands_leave_nothing_behind(guest: Guest) -> None:
    agent = Process(guest, guest.agent_pid())
    guest.write("/tmp/file", bytes(MIB))
    with connect(guest) as client:

        def work(rounds: int) -> None:
            for number in range(rounds):
                client.ping()
                client.info()
                with client.open("/tmp/file") as file:
                    # Now and then one that is streamed.
                    size = MIB // 2 if number % 100 == 0 else 4096
                    assert len(file.read(size) or b"") == size
                refused(client, "guest-file-close", handle=1)

        work(200)
        before = agent.descriptors, agent.memory
        work(1500)
        descriptors, memory = agent.descriptors, agent.memory
    assert descriptors == before[0]
    assert memory <= before[1] + 256
