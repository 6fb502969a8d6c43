"""The safety net of a freeze: a process that thaws at the deadline, whatever becomes of others."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.agent import guardian
from qga.agent.app import Agent
from qga.agent.guardian import NOT_NEEDED, THAWED, Guardian
from qga.agent.system.fake import FakePower
from qga.agent.system.mounts import Mount
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import RunningAgent, call, until

LONG = 3600.0


class FileFreezer:
    """File systems that are files, frozen while they hold text: what one process does shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("a", "b"):
            (folder / name).touch()

    def mounts(self) -> list[Mount]:
        return [Mount(str(self.folder / name), (8, 1), "ext4", name) for name in ("a", "b")]

    def open(self, mount: Mount) -> int:
        return os.open(mount.path, os.O_RDWR | os.O_CLOEXEC)

    def freeze(self, fd: int) -> bool:
        os.pwrite(fd, b"frozen", 0)
        return True

    def thaw(self, fd: int) -> bool:
        if (self.folder / "broken").exists():
            raise OSError(errno.EIO, "Input/output error")
        was = os.fstat(fd).st_size > 0
        os.ftruncate(fd, 0)
        return was

    def frozen(self) -> list[str]:
        return [name for name in ("a", "b") if (self.folder / name).read_bytes()]


class FileSystem:
    """A platform with such file systems."""

    def __init__(self, folder: Path) -> None:
        self.freezer = FileFreezer(folder)
        self.power = FakePower(["/bin/true"])


@pytest.fixture
def freezer(tmp_path: Path) -> FileFreezer:
    (tmp_path / "disks").mkdir()
    return FileFreezer(tmp_path / "disks")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    (tmp_path / "marker").write_bytes(b"token\n/a\n/b\n")
    return tmp_path / "marker"


class Watch:
    """A guardian over the two file systems, frozen."""

    def __init__(self, freezer: FileFreezer, marker: Path, seconds: float) -> None:
        self.fds = [freezer.open(mount) for mount in freezer.mounts()]
        for fd in self.fds:
            freezer.freeze(fd)
        self.guardian = Guardian(freezer, self.fds, str(marker), b"token", seconds)

    def code(self) -> int | None:
        """Its exit code when it has ended by itself."""
        until(lambda: gone(self.guardian.pid), "the guardian to end")
        return self.guardian.ended()

    def close(self) -> None:
        self.guardian.dismiss()
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def watches() -> Iterator[list[Watch]]:
    started: list[Watch] = []
    yield started
    for watch in started:
        watch.close()


def gone(pid: int) -> bool:
    """Whether a child has ended; it stays to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_thaws_at_the_deadline(freezer: FileFreezer, marker: Path, watches: list[Watch]) -> None:
    watches.append(Watch(freezer, marker, 0.2))
    assert freezer.frozen() == ["a", "b"]
    assert watches[0].code() == THAWED
    assert freezer.frozen() == []
    assert not marker.exists()


def test_what_it_cannot_thaw_it_tries_again(
    freezer: FileFreezer, marker: Path, watches: list[Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardian, "_RETRY", 0.1)
    broken = freezer.folder / "broken"
    broken.touch()
    watches.append(Watch(freezer, marker, 0.1))
    until(lambda: watches[0].guardian.left() < -0.3, "some attempts")
    assert watches[0].guardian.ended() is None
    assert freezer.frozen() == ["a", "b"]
    broken.unlink()
    assert watches[0].code() == THAWED
    assert freezer.frozen() == []
    assert not marker.exists()


@pytest.mark.parametrize("text", [b"", b"other\n/a\n/b\n"])
def test_it_leaves_when_the_freeze_is_not_its_own_any_more(
    freezer: FileFreezer, marker: Path, watches: list[Watch], text: bytes
) -> None:
    watches.append(Watch(freezer, marker, LONG))
    marker.write_bytes(text)
    assert watches[0].code() == NOT_NEEDED
    assert freezer.frozen() == ["a", "b"]


def test_a_marker_that_somebody_removed_without_a_thaw_leaves_nothing_frozen(
    freezer: FileFreezer, marker: Path, watches: list[Watch]
) -> None:
    watches.append(Watch(freezer, marker, LONG))
    marker.unlink()
    assert watches[0].code() == NOT_NEEDED
    assert freezer.frozen() == []


def test_it_stays_when_the_marker_cannot_be_read_for_now(
    freezer: FileFreezer, marker: Path, watches: list[Watch]
) -> None:
    """As when the system has no descriptors left: only a marker that is gone means a thaw."""
    marker.unlink()
    marker.mkdir()
    watches.append(Watch(freezer, marker, 1.5))
    watches[0].code()
    assert freezer.frozen() == []


def test_it_leaves_at_once_when_it_is_dismissed(freezer: FileFreezer, marker: Path) -> None:
    watch = Watch(freezer, marker, LONG)
    assert watch.guardian.ended() is None
    watch.close()
    assert not exists(watch.guardian.pid)
    assert freezer.frozen() == ["a", "b"]
    watch.guardian.dismiss()  # once more does no harm
    assert watch.guardian.ended() is None


def test_signals_that_end_the_agent_do_not_end_it(
    freezer: FileFreezer, marker: Path, watches: list[Watch]
) -> None:
    watches.append(Watch(freezer, marker, 0.5))
    pid = watches[0].guardian.pid
    until(lambda: os.getsid(pid) == pid, "the guardian to have a session of its own")
    ignored = sum(1 << number - 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
    until(lambda: ignored_signals(pid) & ignored == ignored, "the guardian to ignore signals")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    assert watches[0].code() == THAWED


def ignored_signals(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("SigIgn:"))
    return int(line.split()[1], 16)


# With the agent.


@pytest.fixture
def agent(make: AgentFactory, freezer: FileFreezer) -> Agent:
    """An agent with two file systems that are files."""
    return make(FileSystem(freezer.folder))


def test_a_thaw_dismisses_the_guardian(agent: Agent, freezer: FileFreezer) -> None:
    assert call(agent, "guest-fsfreeze-freeze") == 2
    guardian = agent.freeze._guardian
    assert guardian is not None
    assert exists(guardian.pid)
    assert call(agent, "guest-fsfreeze-thaw") == 2
    assert not exists(guardian.pid)  # not even as a zombie


def end_of_guardian(agent: Agent) -> None:
    guardian = agent.freeze._guardian
    assert guardian is not None
    until(lambda: gone(guardian.pid), "the guardian to end")
    agent.freeze.on_child_ended()
    assert not exists(guardian.pid)


def test_the_agent_sees_that_the_guardian_has_thawed(
    make: AgentFactory, freezer: FileFreezer, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = make(FileSystem(freezer.folder), fsfreeze_timeout=0.2)
    assert call(agent, "guest-fsfreeze-freeze") == 2
    end_of_guardian(agent)
    assert freezer.frozen() == []
    assert call(agent, "guest-fsfreeze-status") == "thawed"
    assert "thawed after 0.2 s, because nobody else did" in capfd.readouterr().err
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert call(agent, "guest-fsfreeze-thaw") == 2


def test_another_childs_end_is_none_of_the_freezes(agent: Agent) -> None:
    call(agent, "guest-fsfreeze-freeze")
    agent.freeze.on_child_ended()
    assert call(agent, "guest-fsfreeze-status") == "frozen"
    assert call(agent, "guest-fsfreeze-thaw") == 2
    agent.freeze.on_child_ended()


# With an agent in a process of its own, which finds this module's platform in place of Linux.

_ON_FILES = """
import sys
sys.path[:0] = {path!r}
import qga.agent.system.linux as linux
from pathlib import Path
def system():
    from tests.agent.test_guardian import FileSystem
    return FileSystem(Path({folder!r}))
linux.LinuxSystem = system
"""


def on_files(freezer: FileFreezer) -> str:
    return _ON_FILES.format(path=[p for p in sys.path if p], folder=str(freezer.folder))


def test_the_guest_is_thawed_after_its_agent_was_killed(
    start: Starter, freezer: FileFreezer
) -> None:
    running = start("--fsfreeze-timeout", "1", changes=on_files(freezer), blocked="")
    assert running.call("guest-fsfreeze-freeze") == 2
    assert freezer.frozen() == ["a", "b"]
    running.end(signal.SIGKILL)
    until(lambda: freezer.frozen() == [], "the guardian to thaw")
    until(lambda: not list(running.statedir.glob("*.isfrozen")), "the marker to go")


def test_an_agent_started_after_a_killed_one_thaws_for_it(
    start: Starter, freezer: FileFreezer
) -> None:
    changes = on_files(freezer)
    first = start("--fsfreeze-timeout", "30", changes=changes, blocked="")
    first.call("guest-fsfreeze-freeze")
    first.end(signal.SIGKILL)
    second = start(changes=changes, blocked="")
    assert second.call("guest-fsfreeze-status") == "frozen"
    assert second.call("guest-fsfreeze-thaw") == 2
    assert freezer.frozen() == []
    assert second.call("guest-fsfreeze-status") == "thawed"
    assert second.end() == 0


def test_a_running_agent_is_told_by_its_guardian(start: Starter, freezer: FileFreezer) -> None:
    running = start("--fsfreeze-timeout", "0.5", changes=on_files(freezer), blocked="")
    assert running.call("guest-fsfreeze-freeze") == 2
    until(lambda: running.call("guest-fsfreeze-status") == "thawed", "the thaw")
    assert freezer.frozen() == []
    assert running.call("guest-file-open", path="/") == 1000


@pytest.mark.parametrize("stderr", ["closed", "deaf"])
def test_the_guardian_needs_no_stderr(start: Starter, freezer: FileFreezer, stderr: str) -> None:
    reader, writer = os.pipe()
    running = start(
        "-v", "--fsfreeze-timeout", "0.5", changes=on_files(freezer), blocked="", stderr=writer
    )
    os.close(writer)
    if stderr == "closed":
        os.close(reader)
    try:
        running.call("guest-fsfreeze-freeze")
        until(lambda: running.call("guest-fsfreeze-status") == "thawed", "the thaw")
        assert running.end() == 0
    finally:
        if stderr != "closed":
            os.close(reader)


def test_sigterm_thaws_first(start: Starter, freezer: FileFreezer) -> None:
    running = start(changes=on_files(freezer), blocked="")
    assert running.call("guest-fsfreeze-freeze") == 2
    assert running.end(signal.SIGTERM) == 0
    assert freezer.frozen() == []
    assert not list(running.statedir.glob("*.isfrozen"))


def guardian_of(running: RunningAgent) -> int:
    parent = f"PPid:\t{running.process.pid}\n"
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if parent in status.read_text() and "zombie" not in status.read_text():
                return int(status.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return 0


def test_a_guardian_that_was_killed_is_replaced(start: Starter, freezer: FileFreezer) -> None:
    running = start("--fsfreeze-timeout", "3", changes=on_files(freezer), blocked="")
    running.call("guest-fsfreeze-freeze")
    first = guardian_of(running)
    os.kill(first, signal.SIGKILL)
    until(lambda: guardian_of(running) not in (0, first), "another one")
    assert running.call("guest-fsfreeze-status") == "frozen"
    assert freezer.frozen() == ["a", "b"]
    until(lambda: running.call("guest-fsfreeze-status") == "thawed", "the thaw")
    assert freezer.frozen() == []


def test_a_thaw_that_is_overdue_shows_in_the_status(start: Starter, freezer: FileFreezer) -> None:
    running = start("--fsfreeze-timeout", "0.2", changes=on_files(freezer), blocked="")
    running.call("guest-fsfreeze-freeze")
    (freezer.folder / "broken").touch()
    until(lambda: running.call("guest-fsfreeze-status") == "error", "the failure to show")
    with running.connect() as peer:
        assert "error" in peer.ask("guest-file-open", path="/")
    (freezer.folder / "broken").unlink()
    assert running.call("guest-fsfreeze-thaw") == 2
    assert running.call("guest-fsfreeze-status") == "thawed"
