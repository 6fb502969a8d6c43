"""What the parsers of the guest's facts make of arbitrary bytes: a result or an error, in time.

The kernel writes better, but the files may have been replaced, and names may be anything.
"""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qga.agent.config import Config
from qga.agent.journal import Event
from qga.agent.keyfile import KeyFileError, read_group
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux import nvme, timezone
from qga.agent.system.linux.blockdevices import BlockDevice, BlockDevices
from qga.agent.system.linux.clock import LinuxClock, from_fields
from qga.agent.system.linux.counters import LinuxCounters
from qga.agent.system.linux.filesystems import Filesystems
from qga.agent.system.linux.freezer import parse_mountinfo
from qga.agent.system.linux.identity import LinuxIdentity
from qga.agent.system.linux.logins import LinuxLogins
from qga.agent.system.linux.network import LinuxNetwork
from qga.agent.system.linux.reading import read_file
from qga.errors import CommandError
from qga.protocol.codec import LATEST, encode
from qga.wire import text
from tests.agent.conftest import AgentFactory
from tests.agent.harness import answer, call, make_agent, request
from tests.wire.reading import read_strictly

WORDS = [
    b" ", b"\n", b"\t", b"\\", b"\\040", b"\\000", b"\\777", b"-", b" - ", b"ext4", b"btrfs", b"0:",
    b"8:1", b"cpu", b"cpu0", b"cpux", b"1", b"-1", b"9" * 30, b"00000000", b"fe80" * 8, b"vda",
    b"\xff", b"\0", b"\xed\xa0\x80", b"=", b'"', b"'", b"NAME=", b"ID=", b"E:ID_SERIAL=", b"[a]",
    b"USER=", b"REALTIME=", b"STATE=active", b"CLASS=user", b"#", b"ssh-ed25519 AAAA", b"\r",
]  # fmt: skip
HOSTILE = st.binary(max_size=400) | st.lists(st.sampled_from(WORDS), max_size=60).map(b"".join)
SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def attempt(function: Any) -> Any:
    """What it returns, as the reply has it; None for an error that a handler may raise."""
    try:
        found = function()
    except (CommandError, OSError):
        return None
    reply = b"".join(text.encode(encode(found)))
    return read_strictly(reply)


@SETTINGS
@given(data=HOSTILE)
def test_files(tmp_path: Path, data: bytes) -> None:
    for name in (
        *("os-release", "stat", "utmp", "sessions/1"),
        *("net/route", "net/ipv6_route", "net/dev", "net/if_inet6"),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    attempt(LinuxIdentity(etc=str(tmp_path), lib=str(tmp_path)).os_info)
    attempt(LinuxCounters(str(tmp_path)).cpus)
    network = LinuxNetwork(str(tmp_path))
    attempt(lambda: read_strictly(network.routes_text()))
    for _ in range(2):
        assert read_strictly(network.interfaces_text(LATEST))
    for utmp, machine in (("utmp", "x86_64"), ("utmp", "aarch64"), ("none", "")):
        logins = LinuxLogins(str(tmp_path / utmp), str(tmp_path / "sessions"), machine)
        attempt(lambda logins=logins: [[user, time] for user, time in logins.current()])
    (tmp_path / "adjtime").write_bytes(data)
    clock = LinuxClock((os.devnull,), str(tmp_path), str(tmp_path / "adjtime"))
    clock.hardware().close()


@SETTINGS
@given(data=st.binary(min_size=800, max_size=1200))
def test_login_records(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "utmp").write_bytes(b"\7\0" + data)
    for machine in ("x86_64", "aarch64"):
        logins = LinuxLogins(str(tmp_path / "utmp"), machine=machine)
        attempt(lambda logins=logins: [[user, time] for user, time in logins.current()])


@SETTINGS
@given(data=HOSTILE, path=st.binary(min_size=1, max_size=30))
def test_mount_tables(tmp_path: Path, data: bytes, path: bytes) -> None:
    attempt(lambda: [len(mounts) for mounts in parse_mountinfo(data)])
    escaped = b"".join(b"\\%03o" % c if c < 33 or c == 92 else bytes((c,)) for c in path)
    table = b"24 1 250:9 / /%s rw - ext4 /dev/x rw\n" % escaped
    (tmp_path / "mountinfo").write_bytes(table)
    systems = Filesystems(BlockDevices(str(tmp_path), str(tmp_path)), str(tmp_path / "mountinfo"))
    try:
        (((mount,)),) = parse_mountinfo(table)
    except OSError:
        assert b"\0" in path
        return
    assert os.fsencode(mount.path) == b"/" + path
    # A file is always readable, but not to epoll's taste: what is read is what counts here.
    systems._table = os.open(tmp_path / "mountinfo", os.O_RDONLY)
    try:
        (found,) = systems._read()
        systems._look(found)
    finally:
        os.close(systems._table)
    info = attempt(lambda: found.info)
    assert info["mountpoint"] == (b"/" + path).decode("utf-8", "replace")


@SETTINGS
@given(name=st.binary(max_size=20), garbage=HOSTILE, count=st.integers(0, 20))
def test_disk_counters(tmp_path: Path, name: bytes, garbage: bytes, count: int) -> None:
    path = tmp_path / "diskstats"
    numbers = b" ".join(b"%d" % n for n in range(count))
    path.write_bytes(b" 8 0 %s %s\n%s x\n" % (name, numbers, garbage))
    (tmp_path / "state").mkdir(exist_ok=True)
    agent = make_agent(tmp_path / "state", FakeSystem(counters=LinuxCounters(str(tmp_path))))
    try:
        reply = agent.dispatcher.answer(request("guest-get-diskstats"))
    finally:
        agent.close()
    assert isinstance(reply, list)
    read_strictly(b"".join(reply))


def test_a_disk_with_a_blank_in_its_name(make: AgentFactory, tmp_path: Path) -> None:
    """As one gets by writing "md_a b" to the kernel's new_array."""
    path = tmp_path / "diskstats"
    numbers = " ".join(str(n) for n in range(17))
    path.write_text(f" 9 1 md_a b {numbers}\n 8 0 sda {numbers}\n 8 x sdb {numbers}\n")
    agent = make(FakeSystem(counters=LinuxCounters(str(tmp_path))))
    found = call(agent, "guest-get-diskstats")
    assert [disk["name"] for disk in found] == ["md_a b", "sda"]
    assert found[0]["stats"] == found[1]["stats"]


class Kernel:
    """In place of the kernel's socket."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers

    def send(self, _: bytes) -> None:
        pass

    def recvmsg(self, _: int) -> tuple[bytes, list[Any], int, tuple[int, int]]:
        if not self._answers:
            raise ConnectionResetError(errno.ECONNRESET, "no more")
        return self._answers.pop(0), [], 0, (0, 0)

    def close(self) -> None:
        pass


def message(kind: int, body: bytes, length: int | None = None) -> bytes:
    size = 16 + len(body) if length is None else length
    head = size.to_bytes(4, "little") + kind.to_bytes(2, "little") + bytes(10)
    return head + body + bytes(-len(body) % 4)


DONE = message(3, bytes(4))
LINK = bytes(16)
ATTRIBUTES = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 3, 23]), st.integers(0, 80), st.binary(max_size=70)).map(
        lambda t: t[1].to_bytes(2, "little") + t[0].to_bytes(2, "little") + t[2]
    ),
    max_size=4,
).map(b"".join)


@SETTINGS
@given(
    link=st.binary(max_size=40) | ATTRIBUTES.map(lambda rest: LINK + rest),
    address=st.binary(max_size=40) | ATTRIBUTES.map(lambda rest: b"\2" + LINK[:7] + rest),
    length=st.none() | st.integers(0, 200),
    junk=HOSTILE,
)
def test_netlink(link: bytes, address: bytes, length: int | None, junk: bytes) -> None:
    for answers in (
        [message(16, link, length) + DONE, message(20, address) + DONE],
        [message(16, link), DONE, message(20, address, length), DONE],
        [junk],
    ):
        network = LinuxNetwork()
        network._netlink._stream = Kernel(answers)  # type: ignore[assignment]
        attempt(network.interfaces)


@SETTINGS
@given(log=st.binary(min_size=512, max_size=512), record=HOSTILE)
def test_disks(tmp_path: Path, log: bytes, record: bytes) -> None:
    attempt(lambda: nvme.parse(log))
    (tmp_path / "b8:0").write_bytes(record)
    devices = BlockDevices(str(tmp_path), str(tmp_path))
    attempt(lambda: list(devices.recorded(BlockDevice("/nowhere/sda", "/dev/sda", "8:0"))))


@SETTINGS
@given(
    fields=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=9, max_size=9).map(tuple),
    local=st.booleans(),
)
def test_hardware_times(fields: tuple[int, ...], local: bool) -> None:
    attempt(lambda: from_fields(fields, local=local))


@SETTINGS
@given(data=HOSTILE, said=st.text(max_size=50))
def test_settings_and_messages(data: bytes, said: str) -> None:
    try:
        read_group(data, "general")
    except KeyFileError:
        pass
    event = Event(said, QGA_PATH=said)
    assert event.for_journal().count(b"\n") == 5
    assert b"\n" not in event.for_syslog(0.0)
    Config()


class Keys:
    """A key file in memory."""

    path = "/home/x/.ssh/authorized_keys"

    def __init__(self) -> None:
        self.content: bytes | None = None

    def read(self) -> bytes | None:
        return self.content

    def replace(self, content: bytes) -> None:
        self.content = content


class Accounts:
    def __init__(self) -> None:
        self.keys = Keys()

    def key_file(self, _: str) -> Keys:
        return self.keys


KEY = st.text(max_size=20) | st.sampled_from(["ssh-ed25519 AAAA x", "a\rb", " a ", "", "\u2028"])


@SETTINGS
@given(content=st.none() | HOSTILE, keys=st.lists(KEY, max_size=6), reset=st.booleans())
def test_keys(tmp_path: Path, content: bytes | None, keys: list[str], reset: bool) -> None:
    accounts = Accounts()
    accounts.keys.content = content
    (tmp_path / "state").mkdir(exist_ok=True)
    agent = make_agent(tmp_path / "state", FakeSystem(accounts=accounts))

    def ask(command: str, **more: Any) -> Any:
        found = answer(agent, request(f"guest-ssh-{command}", {"username": "x", **more}))
        return found.get("return"), found.get("error")

    try:
        before = content
        _, error = ask("add-authorized-keys", keys=keys, reset=reset)
        if error:
            assert "invalid OpenSSH public key" in error["desc"]
            assert accounts.keys.content == before
            return
        found, _ = ask("get-authorized-keys")
        wanted = {line for key in keys if (line := key.encode().strip().decode())}
        assert wanted <= set(found["keys"])
        if not reset and content:
            assert (accounts.keys.content or b"").startswith(content.removesuffix(b"\n"))
        assert ask("remove-authorized-keys", keys=keys) == ({}, None)
        found, _ = ask("get-authorized-keys")
        assert not wanted & set(found["keys"])
    finally:
        agent.close()


# What is no file.


def test_pipes_and_endless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "os-release")
    assert read_file(str(tmp_path / "os-release")) == b""
    assert LinuxIdentity(str(tmp_path), str(tmp_path)).os_info().name is None
    assert LinuxLogins(str(tmp_path / "os-release")).current() == []
    LinuxClock((os.devnull,), str(tmp_path), str(tmp_path / "os-release")).hardware().close()
    with pytest.raises(OSError, match="File too large"):
        read_file("/dev/zero")
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        LinuxLogins(str(tmp_path)).current()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/os-release").write_text("NAME=small\n")
    (tmp_path / "os-release").unlink()
    (tmp_path / "os-release").write_text("NAME=large\n" * 100_000)
    found = LinuxIdentity(str(tmp_path), str(tmp_path / "lib")).os_info()
    assert found.name == "small"
    os.mkfifo(tmp_path / "localtime")
    monkeypatch.setattr(timezone, "_LOCAL", str(tmp_path / "localtime"))
    monkeypatch.delenv("TZ", raising=False)
    assert encode(timezone.LinuxTimezone().now()) == {"zone": "UTC", "offset": 0}


def test_many_mount_points_are_looked_up_at_once(make: AgentFactory) -> None:
    """Not each mount in the list: hours for what takes moments."""
    agent = make(FakeSystem(*(f"/m{n}" for n in range(20_000))))
    # So that nothing is opened: none of them is mounted.
    wanted = [f"/other{n}" for n in range(20_000)]
    reply = answer(agent, request("guest-fsfreeze-freeze-list", {"mountpoints": wanted}))
    assert reply == {"return": 0}
    assert json.dumps(reply)
