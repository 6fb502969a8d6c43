"""The safety net of a freeze: a process that thaws at the deadline, whatever becomes of others."""

import errno
import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qga.agent import guardian, keeper, record
from qga.agent.app import Agent
from qga.agent.keeper import Task
from qga.agent.plan import Plan
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.frozenfiles import FileFreezer, FileSystem, guardian_of, on_files
from tests.agent.harness import PATIENCE, call, later, until

LONG = 3600.0


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    path = tmp_path / "marker"
    path.write_bytes(b"%b\n0\n/a\n/b\n" % identity_of(path))
    return path


def identity_of(marker: Path) -> bytes:
    """One that no other test's guardian has."""
    return hashlib.sha256(bytes(marker)).hexdigest()[:16].encode()


class Watch:
    """A guardian of the two file systems, without an agent; they are frozen in the end."""

    def __init__(
        self, freezer: FileFreezer, marker: Path, seconds: float, limit: float = LONG
    ) -> None:
        self.fds = [freezer.open(mount) for mount in freezer.mounts()]
        plan = Plan(freezer.mounts(), ["", ""], [])
        self.report = marker.with_name("report")
        identity = identity_of(marker)
        task = Task(
            freezer,
            self.fds,
            record.Record.of("of the test", plan, {}),
            record.State(record.now() + int(seconds * 1e9), [record.WAITING] * 2),
            limit=limit,
            identity=identity,
            marker=str(marker),
            keep_marker=False,
            report=str(self.report),
            orphaned=None,
        )
        self.connection, self.pid = guardian.start(task)
        self._received = b""
        self.connection.settimeout(PATIENCE)
        assert record.Record.parse(self.line()).token == "of the test"
        self.state = record.State.parse(self.line())

    def line(self) -> bytes:
        while b"\n" not in self._received:
            piece = self.connection.recv(1 << 16)
            if not piece:
                raise EOFError
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return line

    def until(self, phase: int) -> record.State:
        while self.state.phase != phase:
            self.state = record.State.parse(self.line())
        return self.state

    def tell(self, text: str) -> None:
        self.connection.send(text.encode() + b"\n")

    def go(self) -> None:
        self.tell("go")
        self.until(record.FROZEN)

    def end(self) -> None:
        """Wait until it has ended by itself."""
        until(lambda: gone(self.pid), "the guardian to end")

    def close(self) -> None:
        self.connection.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def watches() -> Iterator[list[Watch]]:
    started: list[Watch] = []
    yield started
    for watch in started:
        watch.close()


@pytest.fixture
def watch(freezer: FileFreezer, marker: Path, watches: list[Watch]) -> Callable[..., Watch]:
    """Makes such guardians."""

    def make(seconds: float = LONG, limit: float = LONG) -> Watch:
        watches.append(Watch(freezer, marker, seconds, limit))
        return watches[-1]

    return make


Watching = Callable[..., Watch]


def gone(pid: int) -> bool:
    """Whether a child has ended; it stays to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_freezes_when_it_is_told_to(freezer: FileFreezer, watch: Watching) -> None:
    made = watch()
    assert made.state.phase == record.READY
    assert freezer.frozen() == []
    made.go()
    assert freezer.frozen() == ["a", "b"]
    made.tell("thaw")
    state = made.until(record.DONE)
    assert (state.cause, state.status) == (record.ASKED, [record.THAWED] * 2)
    assert freezer.frozen() == []
    made.end()


def test_it_thaws_at_the_deadline(freezer: FileFreezer, marker: Path, watch: Watching) -> None:
    made = watch(0.5)
    made.go()
    state = made.until(record.DONE)
    assert state.cause == record.LEASE
    assert state.deadline <= state.ended
    assert freezer.frozen() == []
    assert not marker.exists()
    report = record.read_report(str(made.report))
    assert (report.end, report.held, report.count) == ("lease", False, 2)


def test_a_lease_that_is_renewed_goes_on(freezer: FileFreezer, watch: Watching) -> None:
    made = watch(0.5)
    made.go()
    deadline = made.state.deadline
    made.tell(f"renew {deadline + 500_000_000}")
    state = made.until(record.DONE)
    assert (state.cause, state.renewals) == (record.LEASE, 1)
    assert state.ended >= deadline + 500_000_000


def test_a_lease_may_be_made_shorter(freezer: FileFreezer, watch: Watching) -> None:
    made = watch(LONG)
    made.go()
    made.tell(f"renew {record.now()}")
    assert made.until(record.DONE).cause == record.LEASE


def test_what_does_not_freeze_in_time_is_given_up(freezer: FileFreezer, watch: Watching) -> None:
    hanging = freezer.hang("b")
    made = watch(LONG, 0.2)
    made.tell("go")
    state = made.until(record.THAWING)
    assert (state.cause, state.culprit) == (record.TIMEOUT, 1)
    until(lambda: freezer.frozen() == [], "the other one to be thawed")
    hanging.unlink()
    # It comes out of its freeze, and is thawed at once.
    state = made.until(record.DONE)
    assert freezer.frozen() == []
    assert state.status == [record.THAWED, record.THAWED]


def test_the_lease_ends_while_one_hangs(freezer: FileFreezer, watch: Watching) -> None:
    hanging = freezer.hang("a")
    made = watch(0.3)
    made.tell("go")
    state = made.until(record.THAWING)
    assert (state.cause, state.culprit) == (record.LEASE, 0)
    hanging.unlink()
    assert made.until(record.DONE).status == [record.THAWED, record.WAITING]
    assert freezer.frozen() == []


def test_what_it_cannot_thaw_it_tries_again(
    freezer: FileFreezer, marker: Path, watch: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RETRY", 100_000_000)
    broken = freezer.folder / "broken"
    broken.touch()
    made = watch(0.3)
    made.go()
    state = made.until(record.THAWING)
    while state.status != [record.STUCK] * 2:
        state = record.State.parse(made.line())
    assert state.error == [errno.EIO] * 2
    assert freezer.frozen() == ["a", "b"]
    assert marker.exists()
    broken.unlink()
    assert made.until(record.DONE).status == [record.THAWED] * 2
    assert freezer.frozen() == []
    assert not marker.exists()


def test_who_is_gone_before_all_is_frozen_wants_no_freeze(
    freezer: FileFreezer, watch: Watching
) -> None:
    hanging = freezer.hang("b")
    made = watch()
    made.tell("go")
    until(lambda: freezer.frozen() == ["a"], "the first to be frozen")
    made.connection.close()
    until(lambda: freezer.frozen() == [], "the first to be thawed")
    hanging.unlink()
    made.end()
    assert freezer.frozen() == []
    assert record.read_report(str(made.report)).end == "agent"


def test_nothing_begins_if_the_agent_is_gone_before(freezer: FileFreezer, watch: Watching) -> None:
    made = watch()
    made.connection.close()
    made.end()
    assert freezer.frozen() == []


def test_the_next_agent_finds_it(freezer: FileFreezer, marker: Path, watch: Watching) -> None:
    made = watch()
    made.go()
    made.connection.close()
    connection = guardian.find(identity_of(marker))
    assert connection is not None
    told = guardian.hear_first(connection)
    assert told is not None
    about, state, _ = told
    assert (about.token, state.phase, state.deadline) == (
        "of the test", record.FROZEN, made.state.deadline
    )  # fmt: skip
    assert [mount.path for mount in about.mounts] == [m.path for m in freezer.mounts()]
    connection.send(b"thaw\n")
    made.end()
    assert freezer.frozen() == []
    connection.close()


def test_an_agent_that_leaves_is_waited_for(
    freezer: FileFreezer, marker: Path, watch: Watching
) -> None:
    made = watch()
    made.go()
    made.tell(f"leave {record.now() + 300_000_000}")
    made.connection.close()
    made.end()
    assert freezer.frozen() == []
    assert record.read_report(str(made.report)).end == "agent"


def test_an_agent_that_comes_after_another_keeps_the_freeze(
    freezer: FileFreezer, marker: Path, watch: Watching
) -> None:
    made = watch(1.5)
    made.go()
    made.tell(f"leave {record.now() + 500_000_000}")
    made.connection.close()
    connection = guardian.find(identity_of(marker))
    assert connection is not None
    assert guardian.hear_first(connection) is not None
    made.end()
    connection.close()
    assert record.read_report(str(made.report)).end == "lease"


def test_it_leaves_when_the_freeze_is_not_its_own_any_more(
    freezer: FileFreezer, marker: Path, watch: Watching
) -> None:
    made = watch()
    made.go()
    marker.write_bytes(b"other\n/a\n/b\n")
    made.end()
    assert freezer.frozen() == ["a", "b"]


def test_a_marker_that_somebody_removed_without_a_thaw_leaves_nothing_frozen(
    freezer: FileFreezer, marker: Path, watch: Watching
) -> None:
    made = watch()
    made.go()
    marker.unlink()
    assert made.until(record.DONE).cause == record.FOREIGN
    assert freezer.frozen() == []


def test_it_stays_when_the_marker_cannot_be_read_for_now(
    freezer: FileFreezer, marker: Path, watch: Watching
) -> None:
    """As when the system has no descriptors left: only a marker that is gone means a thaw."""
    made = watch(2.5)
    marker.unlink()
    marker.mkdir()
    made.go()
    assert made.until(record.DONE).cause == record.LEASE


def test_what_somebody_else_has_thawed_was_not_held(freezer: FileFreezer, watch: Watching) -> None:
    made = watch()
    made.go()
    (freezer.folder / "a").write_bytes(b"")
    made.tell("thaw")
    state = made.until(record.DONE)
    assert state.status == [record.LOST, record.THAWED]
    made.end()
    report = record.read_report(str(made.report))
    assert (report.held, report.end) == (False, "thawed")
    assert report.reason == f"somebody else had thawed {freezer.folder}/a before"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_signals_that_end_the_agent_do_not_end_it(
    freezer: FileFreezer, watch: Watching, number: int
) -> None:
    made = watch(1)
    made.go()
    assert os.getsid(made.pid) == made.pid
    assert ignored_signals(made.pid) & 1 << number - 1
    os.kill(made.pid, number)
    assert made.until(record.DONE).cause == record.LEASE


def test_told_to_end_it_thaws(freezer: FileFreezer, watch: Watching) -> None:
    """As every process is, when a guest shuts down."""
    made = watch()
    made.go()
    os.kill(made.pid, signal.SIGTERM)
    assert made.until(record.DONE).cause == record.STOPPED
    assert freezer.frozen() == []


def ignored_signals(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("SigIgn:"))
    return int(line.split()[1], 16)


# With the agent.


@pytest.fixture
def agent(make: AgentFactory, freezer: FileFreezer) -> Agent:
    """An agent with two file systems that are files."""
    return make(FileSystem(freezer.folder))


def guardian_in(agent: Agent) -> int:
    hold = agent.freeze.hold
    assert hold is not None
    assert hold.guardian is not None
    assert hold.guardian.pid is not None
    return hold.guardian.pid


def assert_ends(agent: Agent, pid: int) -> None:
    """Not even a zombie is left of it."""

    def has_ended() -> bool:
        agent.freeze.on_child_ended()
        return not exists(pid)

    until(has_ended, "the guardian to end")


def test_a_thaw_ends_the_guardian(agent: Agent, freezer: FileFreezer) -> None:
    assert call(agent, "guest-fsfreeze-freeze") == 2
    pid = guardian_in(agent)
    assert call(agent, "guest-fsfreeze-thaw") == 2
    assert_ends(agent, pid)


def test_the_agent_sees_that_the_guardian_has_thawed(
    make: AgentFactory, freezer: FileFreezer, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = make(FileSystem(freezer.folder), fsfreeze_timeout=0.5)
    assert call(agent, "guest-fsfreeze-freeze") == 2
    pid = guardian_in(agent)
    later(agent, lambda: call(agent, "guest-fsfreeze-status") == "thawed", "the thaw")
    assert_ends(agent, pid)
    assert freezer.frozen() == []
    said = capfd.readouterr().err
    assert "thawed, because nobody else did: the lease ended after 0." in said
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert call(agent, "guest-fsfreeze-thaw") == 2


def test_another_childs_end_is_none_of_the_freezes(agent: Agent) -> None:
    call(agent, "guest-fsfreeze-freeze")
    agent.freeze.on_child_ended()
    assert call(agent, "guest-fsfreeze-status") == "frozen"
    assert call(agent, "guest-fsfreeze-thaw") == 2
    agent.freeze.on_child_ended()


# With an agent in a process of its own.


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
    running = start("--fsfreeze-timeout", "1", changes=on_files(freezer), blocked="")
    (freezer.folder / "broken").touch()
    assert running.call("guest-fsfreeze-freeze") == 2
    until(lambda: running.call("guest-fsfreeze-status") == "error", "the failure to show")
    with running.connect() as peer:
        assert "error" in peer.ask("guest-file-open", path="/")
    (freezer.folder / "broken").unlink()
    assert running.call("guest-fsfreeze-thaw") == 2
    assert running.call("guest-fsfreeze-status") == "thawed"
