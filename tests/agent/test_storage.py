"""The commands about disks and file systems, on a made-up platform."""

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.agent.system.mounts import Filesystem
from qga.protocol.codec import reader
from qga.protocol.storage import DiskInfo, FilesystemInfo, Fstrim
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import answer, call, call_later, refusal, request, until


class FakeStorage:
    """Disks on paper; *trimming* is what becomes of the trimming of each file system, in turn."""

    def __init__(self, *trimming: Any) -> None:
        self.trimming = list(trimming)
        self.unreadable = False

    def disks(self) -> list[DiskInfo]:
        return [
            DiskInfo(name="/dev/sda", partition=False, dependencies=[]),
            DiskInfo(name="/dev/sda1", partition=True, dependencies=["/dev/sda"]),
        ]

    def filesystems(self) -> list[Filesystem]:
        if self.unreadable:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return [
            Filesystem(FilesystemInfo(name="sda1", mountpoint=path, type="ext4", disk=[]))
            for path in ("/", "/data")
        ]

    def trim(self, fd: int, minimum: int) -> tuple[int, int]:
        result = self.trimming.pop(0)
        if isinstance(result, OSError):
            raise result
        if isinstance(result, int):
            os.kill(os.getpid(), result)
        return int(result), minimum


def platform(*trimming: Any, paths: tuple[str, ...] = ("/", "/data")) -> FakeSystem:
    return FakeSystem(*paths, storage=FakeStorage(*trimming))


@pytest.fixture
def agent(make: AgentFactory) -> Agent:
    return make(platform())


def test_the_last_comes_first(agent: Agent) -> None:
    assert [disk["name"] for disk in call(agent, "guest-get-disks")] == ["/dev/sda1", "/dev/sda"]
    infos = call(agent, "guest-get-fsinfo")
    assert infos == [
        {"name": "sda1", "mountpoint": path, "type": "ext4", "disk": []} for path in ("/data", "/")
    ]


@pytest.mark.parametrize(("compat", "sizes"), [("2.12", 0), ("9.0", 2), ("10.2", 3)])
def test_sizes_as_far_as_that_version_told_them(
    make: AgentFactory, monkeypatch: pytest.MonkeyPatch, compat: str, sizes: int
) -> None:
    path = '/100 %d %%, "used-bytes": 0, "total-bytes-privileged": 0'
    info = FilesystemInfo(name="%s", mountpoint=path, type="ext4", disk=[])
    one = Filesystem(info)
    system = platform()
    monkeypatch.setattr(system.storage, "filesystems", lambda: [one])
    agent = make(system, compat=compat)
    expected = {"name": "%s", "mountpoint": path, "type": "ext4", "disk": []}
    names = ("used-bytes", "total-bytes", "total-bytes-privileged")
    for found in (None, (1, 2, 2**64 - 1), (4, 5, 6), None):
        one.sizes = found
        told = dict(zip(names[:sizes], found or (), strict=False))
        assert call(agent, "guest-get-fsinfo") == [expected | told]
    # The order of the members, too.
    one.sizes = (1, 2, 3)
    (entry,) = call(agent, "guest-get-fsinfo")
    assert list(entry) == ["name", "mountpoint", "type", *names[:sizes], "disk"]


def test_what_becomes_of_each_trimming(make: AgentFactory) -> None:
    failures = [OSError(n, os.strerror(n)) for n in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EIO)]
    paths = ("/a", "/b", "/c", "/d", "/e")
    system = platform("512", *failures, paths=paths)
    system.freezer.fail("open", "/b", errno.ESTALE)
    result = call_later(make(system), "guest-fstrim", minimum=4096)
    assert result == {
        "paths": [
            {"path": "/e", "trimmed": 512, "minimum": 4096},
            {"path": "/d", "error": "trim not supported"},
            {"path": "/c", "error": "trim not supported"},
            {"path": "/b", "error": "failed to open: Stale file handle"},
            {"path": "/a", "error": "failed to trim: Input/output error"},
        ]
    }


def test_a_mount_point_that_is_not_utf_8(make: AgentFactory) -> None:
    system = platform("1", paths=("/m\udcff",))
    (path,) = call_later(make(system), "guest-fstrim")["paths"]
    assert path["path"] == "/m\ufffd"


def test_nothing_to_trim(make: AgentFactory) -> None:
    assert call_later(make(platform(paths=())), "guest-fstrim") == {"paths": []}


def test_a_mount_table_that_cannot_be_read(
    make: AgentFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = platform()
    system.storage.unreadable = True
    monkeypatch.setattr(system.freezer, "mounts", lambda: Path("/absent").read_bytes())
    agent = make(system)
    for command in ("guest-fstrim", "guest-get-fsinfo"):
        assert refusal(agent, command) == "No such file or directory"


def test_a_trimming_that_is_killed(make: AgentFactory) -> None:
    agent = make(platform("1", signal.SIGKILL))
    reply = call_later(agent, "guest-fstrim", whole=True)
    assert reply["error"]["desc"] == (
        "the agent's process for this has ended by signal 9, before it was done"
    )


def test_before_2_4_the_reply_said_nothing(make: AgentFactory) -> None:
    assert call_later(make(platform("1", "2"), compat="2.3"), "guest-fstrim") == {}
    # And our client takes that for what it is.
    assert reader(Fstrim.result())({}).paths == []


@pytest.mark.parametrize("minimum", ["1", 1.0, True, 1 << 63])
def test_what_is_no_minimum(agent: Agent, minimum: Any) -> None:
    assert refusal(agent, "guest-fstrim", minimum=minimum) == (
        "Invalid parameter type for 'minimum', expected: integer"
    )


def test_frozen(agent: Agent) -> None:
    call(agent, "guest-fsfreeze-freeze")
    for command in ("guest-fstrim", "guest-get-disks", "guest-get-fsinfo"):
        assert "disabled" in refusal(agent, command)
    call(agent, "guest-fsfreeze-thaw")
    assert "error" not in answer(agent, request("guest-get-disks"))


# The trimming waits for a file, in place of a disk.
_SLOW = """
import os, time
from qga.agent.system.linux.freezer import LinuxFreezer
from qga.agent.system.linux.storage import LinuxStorage
from qga.agent.system.mounts import Mount, Survey
def trim(self, fd, minimum):
    os.mkdir({path!r} + "-began")
    for _ in range(6000):  # not for ever, whatever becomes of the test
        if os.path.exists({path!r}):
            break
        time.sleep(0.01)
    os.mkdir({path!r} + "-ended")
    return len(os.listdir("/proc/self/fd")), minimum
LinuxStorage.trim = trim
LinuxFreezer.mounts = lambda self: [Mount("/proc", (0, 0), "btrfs", "proc")]
"""


def test_others_are_served_while_a_disk_is_trimmed(start: Starter) -> None:
    go = start.folder / "go"
    running = start(changes=_SLOW.format(path=str(go)), blocked="guest-exec")
    with running.connect() as waiting, running.connect() as other:
        waiting.send(request("guest-fstrim", {"minimum": 7}), request("guest-sync", {"id": 1}))
        for _ in range(3):
            assert other.call("guest-ping") == {}
        go.touch()
        (result,) = waiting.reply()["return"]["paths"]
        assert waiting.reply() == {"return": 1}
    # Nothing of the agent's was open in that process: its port could be opened by a new agent.
    # What was: three standard ones, the pipe to the agent, the file system and the listing.
    assert result == {"path": "/proc", "trimmed": 6, "minimum": 7}
    assert running.end(signal.SIGTERM) == 0


def test_nothing_is_frozen_while_a_disk_is_trimmed(start: Starter) -> None:
    go, told = start.folder / "go", start.folder / "told"
    hook = start.folder / "hook"
    hook.write_text(f"#!/bin/sh\necho $1 >> {told}\n", encoding="ascii")
    hook.chmod(0o700)
    # With nothing to freeze, so that it is harmless.
    changes = _SLOW.format(path=str(go)) + "LinuxFreezer.open = lambda *_: os.open('/', 0)\n"
    changes += "LinuxFreezer.survey = lambda self: Survey(self.mounts())\n"
    changes += "def freeze(*_):\n    raise OSError(95, 'no')\n"
    changes += "LinuxFreezer.freeze, LinuxFreezer.thaw = freeze, lambda *_: False\n"
    running = start(f"-F{hook}", changes=changes, blocked="guest-exec")
    with running.connect() as waiting, running.connect() as other:
        waiting.send(request("guest-fstrim"))
        until(Path(f"{go}-began").exists, "the trimming to begin")
        for name, arguments in (("", {}), ("-list", {"mountpoints": ["/"]})):
            reply = other.ask(f"guest-fsfreeze-freeze{name}", **arguments)
            desc = "guest-fstrim is still under way: freeze when it has ended"
            assert reply["error"]["desc"] == desc
        assert other.call("guest-fsfreeze-status") == "thawed"
        assert not told.exists()
        go.touch()
        waiting.reply()
        assert other.call("guest-fsfreeze-freeze") == 0
        assert told.read_text(encoding="ascii") == "freeze\n"
        other.call("guest-fsfreeze-thaw")


def test_an_agent_that_ends_during_a_trimming(start: Starter) -> None:
    """It does not wait for the trimming, which goes on to its end."""
    go = start.folder / "go"
    began, ended = start.folder / "go-began", start.folder / "go-ended"
    running = start(changes=_SLOW.format(path=str(go)), blocked="guest-exec")
    with running.connect() as waiting:
        waiting.send(request("guest-fstrim"))
        until(began.exists, "the trimming to begin")
        assert running.end(signal.SIGTERM) == 0
    assert not ended.exists()
    go.touch()
    until(ended.exists, "the trimming to end")


def test_a_client_that_left_during_a_trimming_is_forgotten(start: Starter) -> None:
    go = start.folder / "go"
    running = start(changes=_SLOW.format(path=str(go)), blocked="guest-exec")
    before = running.descriptors()
    with running.connect() as waiting:
        waiting.send(request("guest-fstrim"), *[request("guest-ping")] * 3)
    assert running.call("guest-ping") == {}
    go.touch()
    until(lambda: running.descriptors() <= before, "the agent to forget its client")
    assert running.call("guest-ping") == {}
