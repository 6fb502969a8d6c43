"""Freezing and thawing, on file systems that freeze on paper."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.agent import record
from qga.agent.app import Agent
from qga.agent.system.fake import FakeFreezer, FakeSystem
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call, own_descriptors, refusal, until

BROKEN, DENIED = errno.EIO, errno.EACCES
MOUNTS = ("/", "/home", "/data")


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem(*MOUNTS)


@pytest.fixture
def agent(make: AgentFactory, system: FakeSystem) -> Agent:
    """An agent with three file systems."""
    return make(system)


def marker(agent: Agent) -> Path:
    return Path(agent.config.statedir) / "qga.state.isfrozen"


def frozen(system: FakeSystem) -> list[str]:
    return [path for path, depth in system.freezer.frozen.items() if depth]


def status(agent: Agent) -> str:
    return str(call(agent, "guest-fsfreeze-status"))


def all_children() -> set[int]:
    """The child processes of this one, ended ones too."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return {int(number) for number in text.split()}


@pytest.fixture(autouse=True)
def _others() -> Iterator[None]:
    """Children that this process has for reasons of its own."""
    others.update(all_children())
    yield
    others.clear()


others: set[int] = set()


def children() -> set[int]:
    """The child processes that the test has started."""
    return all_children() - others


def living(pids: set[int]) -> list[int]:
    """Those of them that have not ended."""
    return [pid for pid in pids if os.waitpid(pid, os.WNOHANG) == (0, 0)]


def assert_no_guardian(agent: Agent) -> None:
    def none() -> bool:
        agent.freeze.on_child_ended()
        return children() == set()

    until(none, "the guardian to end")


def assert_thawed(agent: Agent, system: FakeSystem) -> None:
    assert status(agent) == "thawed"
    assert frozen(system) == []
    assert not marker(agent).exists()
    assert_no_guardian(agent)
    assert call(agent, "guest-file-open", path="/")


# Freezing.


def test_freeze_and_thaw(agent: Agent, system: FakeSystem) -> None:
    assert status(agent) == "thawed"
    before = own_descriptors()
    assert call(agent, "guest-fsfreeze-freeze") == 3
    assert status(agent) == "frozen"
    assert system.freezer.order == ["/data", "/home", "/"]
    assert call(agent, "guest-fsfreeze-thaw") == 3
    assert_thawed(agent, system)
    assert own_descriptors() == before + 1  # of the file that was opened


def test_the_marker_tells_which_freeze_and_which_file_systems(
    agent: Agent, system: FakeSystem
) -> None:
    tokens = set()
    for _ in range(2):
        call(agent, "guest-fsfreeze-freeze")
        assert marker(agent).stat().st_mode & 0o777 == 0o600
        token, lease, *paths = marker(agent).read_text(encoding="utf-8").splitlines()
        deadline, boot = lease.split()
        assert boot == Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        assert paths == list(reversed(MOUNTS))
        assert int(deadline) > record.now()
        tokens.add(token)
        call(agent, "guest-fsfreeze-thaw")
        assert not marker(agent).exists()
    assert len(tokens) == 2


def test_the_marker_is_there_before_anything_is_frozen(
    agent: Agent, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def freeze(self: FakeFreezer, fd: int) -> None:
        raise OSError(errno.EIO if marker(agent).exists() else errno.EACCES, "")

    monkeypatch.setattr(FakeFreezer, "freeze", freeze)
    assert refusal(agent, "guest-fsfreeze-freeze") == "failed to freeze /data: Input/output error"


def test_file_systems_that_cannot_freeze_are_skipped_and_not_counted(
    agent: Agent, system: FakeSystem
) -> None:
    system.freezer.unsupported = {"/home"}
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert frozen(system) == ["/", "/data"]
    assert call(agent, "guest-fsfreeze-thaw") == 2
    assert_thawed(agent, system)


def test_a_freeze_of_nothing_leaves_the_guest_thawed(agent: Agent, system: FakeSystem) -> None:
    system.freezer.unsupported = set(MOUNTS)
    assert call(agent, "guest-fsfreeze-freeze") == 0
    assert_thawed(agent, system)
    system.freezer.table = []
    assert call(agent, "guest-fsfreeze-freeze") == 0
    assert_thawed(agent, system)


@pytest.mark.parametrize("path", MOUNTS)
def test_a_freeze_is_of_all_or_of_none(agent: Agent, system: FakeSystem, path: str) -> None:
    system.freezer.fail("freeze", path, BROKEN)
    before = own_descriptors()
    desc = refusal(agent, "guest-fsfreeze-freeze")
    assert desc == f"failed to freeze {path}: Input/output error"
    assert own_descriptors() == before
    assert_thawed(agent, system)
    assert call(agent, "guest-fsfreeze-freeze") == 3


@pytest.mark.parametrize("path", MOUNTS)
def test_what_cannot_be_opened_is_not_frozen_without(
    agent: Agent, system: FakeSystem, path: str
) -> None:
    system.freezer.fail("open", path, DENIED)
    before = own_descriptors()
    desc = refusal(agent, "guest-fsfreeze-freeze")
    assert desc == f"failed to open {path}: Permission denied"
    assert system.freezer.order == []
    assert own_descriptors() == before
    assert_thawed(agent, system)


def test_without_a_marker_there_is_no_freeze(agent: Agent, system: FakeSystem) -> None:
    marker(agent).mkdir()
    before = own_descriptors()
    desc = refusal(agent, "guest-fsfreeze-freeze")
    assert desc == "failed to prepare for freezing: Is a directory"
    assert own_descriptors() == before
    marker(agent).rmdir()
    assert system.freezer.order == []
    assert_thawed(agent, system)


def test_frozen_file_systems_are_not_frozen_again(agent: Agent, system: FakeSystem) -> None:
    call(agent, "guest-fsfreeze-freeze")
    for name in ("guest-fsfreeze-freeze", "guest-file-open"):
        desc = refusal(agent, name)
        assert desc == f"Command {name} has been disabled: the command is not allowed"
    assert set(system.freezer.frozen.values()) == {1}
    assert call(agent, "guest-fsfreeze-thaw") == 3


@pytest.mark.parametrize(
    ("paths", "order"),
    [
        (["/data"], ["/data"]),
        (["/", "/data"], ["/data", "/"]),
        (["/data", "/data", "/absent", "/data/", "data", "", "/dat"], ["/data"]),
        (["/absent"], []),
        ([], []),
        (None, ["/data", "/home", "/"]),
    ],
)
def test_a_freeze_of_some(
    agent: Agent, system: FakeSystem, paths: list[str] | None, order: list[str]
) -> None:
    arguments = {} if paths is None else {"mountpoints": paths}
    assert call(agent, "guest-fsfreeze-freeze-list", **arguments) == len(order)
    assert system.freezer.order == order
    assert status(agent) == ("frozen" if order else "thawed")
    if order:
        assert marker(agent).read_text(encoding="utf-8").splitlines()[2:] == order
    assert call(agent, "guest-fsfreeze-thaw") == len(order)
    assert_thawed(agent, system)


# Thawing.


def test_a_thaw_undoes_what_others_have_frozen(agent: Agent, system: FakeSystem) -> None:
    system.freezer.frozen = {"/data": 3}
    assert call(agent, "guest-fsfreeze-thaw") == 1
    assert_thawed(agent, system)
    assert call(agent, "guest-fsfreeze-thaw") == 0


def test_a_failed_thaw_names_each_mount_point_and_may_be_repeated(
    agent: Agent, system: FakeSystem
) -> None:
    call(agent, "guest-fsfreeze-freeze")
    system.freezer.fail("thaw", "/", BROKEN, BROKEN)
    system.freezer.fail("thaw", "/data", DENIED)
    assert refusal(agent, "guest-fsfreeze-thaw") == (
        "failed to thaw /: Input/output error; /data: Permission denied"
    )
    assert status(agent) == "error"
    assert frozen(system) == ["/", "/data"]
    assert "disabled" in refusal(agent, "guest-file-open", path="/")
    assert refusal(agent, "guest-fsfreeze-thaw") == "failed to thaw /: Input/output error"
    assert status(agent) == "error"
    assert marker(agent).exists()
    assert len(children()) == 1  # the guardian still watches
    assert call(agent, "guest-fsfreeze-thaw") == 1
    assert_thawed(agent, system)


def test_file_systems_mounted_since_the_freeze_are_thawed_too(
    agent: Agent, system: FakeSystem
) -> None:
    table = system.freezer.table
    system.freezer.table = table[:1]
    assert call(agent, "guest-fsfreeze-freeze") == 1
    system.freezer.table = table
    system.freezer.frozen = {"/": 1, "/data": 1}
    assert call(agent, "guest-fsfreeze-thaw") == 2
    assert_thawed(agent, system)


def test_what_is_no_longer_mounted_is_thawed_by_its_descriptor(
    agent: Agent, system: FakeSystem
) -> None:
    call(agent, "guest-fsfreeze-freeze")
    system.freezer.table = []
    assert call(agent, "guest-fsfreeze-thaw") == 3
    assert_thawed(agent, system)


def test_an_agent_that_ends_thaws(make: AgentFactory, system: FakeSystem) -> None:
    agent = make(system)
    call(agent, "guest-fsfreeze-freeze")
    make.made.remove(agent)
    agent.close()
    assert frozen(system) == []
    assert not marker(agent).exists()
    until(lambda: not living(children()), "the guardian to end")


# The log.


def test_the_log_is_held_while_frozen(
    make: AgentFactory, system: FakeSystem, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = make(system, verbose=True)
    capfd.readouterr()
    call(agent, "guest-fsfreeze-freeze")
    capfd.readouterr()
    for _ in range(2000):
        call(agent, "guest-ping")
    agent.log.error("something")
    assert capfd.readouterr() == ("", "")
    call(agent, "guest-fsfreeze-thaw")
    logged = capfd.readouterr().err
    assert logged.count("guest-ping") in range(900, 1001)  # its memory has an end
    assert "thawed file systems" in logged


def test_the_log_of_a_failed_thaw_comes_after_the_thaw(
    make: AgentFactory, system: FakeSystem, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = make(system)
    call(agent, "guest-fsfreeze-freeze")
    system.freezer.fail("thaw", "/", BROKEN)
    refusal(agent, "guest-fsfreeze-thaw")
    assert capfd.readouterr().err == ""
    call(agent, "guest-fsfreeze-thaw")
    assert "failed to thaw /: Input/output error" in capfd.readouterr().err


# Starting frozen.


def test_an_agent_takes_over_the_freeze_of_one_that_was_killed(
    make: AgentFactory, system: FakeSystem, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = make(system)
    marker(agent).write_text("token\n/data\n/\n", encoding="utf-8")
    system.freezer.frozen = {"/": 1, "/data": 1}
    assert agent.freeze.resume()
    assert capfd.readouterr().err == ""  # which may be a file on a frozen file system
    assert status(agent) == "frozen"
    assert "disabled" in refusal(agent, "guest-file-open", path="/")
    assert len(children()) == 1
    assert call(agent, "guest-fsfreeze-thaw") == 2
    assert "started in a frozen guest" in capfd.readouterr().err
    assert_thawed(agent, system)


def test_an_empty_marker_of_another_agent_may_mean_any_mount(
    make: AgentFactory, system: FakeSystem
) -> None:
    agent = make(system)
    marker(agent).touch()
    system.freezer.frozen = {"/home": 1}
    assert agent.freeze.resume()
    assert status(agent) == "frozen"
    assert call(agent, "guest-fsfreeze-thaw") == 1
    assert_thawed(agent, system)


def test_only_what_the_marker_names_is_taken_over(make: AgentFactory, system: FakeSystem) -> None:
    agent = make(system)
    marker(agent).write_text("token\n/\n", encoding="utf-8")
    before = own_descriptors()
    assert agent.freeze.resume()
    assert own_descriptors() == before + 2  # of the root, and the guardian's


def test_a_marker_that_cannot_be_read_may_be_one(
    make: AgentFactory, system: FakeSystem, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = make(system)
    marker(agent).symlink_to(marker(agent).name)
    system.freezer.frozen = {"/home": 1}
    assert agent.freeze.resume()
    assert status(agent) == "frozen"
    assert call(agent, "guest-fsfreeze-thaw") == 1
    assert "taken for frozen: cannot read" in capfd.readouterr().err
    assert_thawed(agent, system)


def test_without_a_marker_an_agent_starts_thawed(agent: Agent) -> None:
    assert not agent.freeze.resume()
    assert status(agent) == "thawed"
    assert children() == set()


def test_a_frozen_file_system_that_is_gone_makes_the_thaw_fail(
    make: AgentFactory, system: FakeSystem
) -> None:
    agent = make(system)
    marker(agent).write_text("token\n/data\n/gone\n", encoding="utf-8")
    system.freezer.fail("open", "/data", DENIED, DENIED)
    assert agent.freeze.resume()
    assert refusal(agent, "guest-fsfreeze-thaw") == (
        "failed to thaw /data: Permission denied; /gone: no longer mounted"
    )
    assert status(agent) == "error"


def test_files_are_opened_and_written_after_the_thaw_only(
    make: AgentFactory, system: FakeSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    path = str(tmp_path / "socket")
    agent = make(system, logfile=str(log), method="unix-listen", path=path)
    marker(agent).write_text("token\n/\n", encoding="utf-8")
    agent.open()
    assert not log.exists()
    assert [file.name for file in marker(agent).parent.iterdir()] == [marker(agent).name]
    call(agent, "guest-fsfreeze-thaw")
    assert "the guest is frozen" not in log.read_text(encoding="utf-8")  # said on stderr before
    assert {file.name for file in marker(agent).parent.iterdir()} == {
        "qga.state", "qga.state.freeze"
    }  # fmt: skip
    agent.log.error("something")
    assert "something" in log.read_text(encoding="utf-8")
