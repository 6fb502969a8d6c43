"""No agent that is started on this machine, by tests, benchmarks or the demo, may do it harm."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import qga
from benchmarks.contenders import Contender, Running
from qga.agent.programs import Programs
from qga.agent.system.linux.clock import LinuxClock
from qga.agent.system.linux.freezer import LinuxFreezer
from qga.agent.system.linux.storage import LinuxStorage
from qga.protocol import COMMANDS
from qga.testing import HARMLESS
from tests.agent.harness import RunningAgent
from tests.interop.agents import OURS, SideAgent
from tests.support.guard import Forbidden
from tests.support.stock import BLOCKED, BLOCKED_BUT_EXEC, running


def test_every_command_is_harmless_or_blocked() -> None:
    undecided = {command.NAME for command in COMMANDS} - set(HARMLESS) - set(BLOCKED)
    assert not undecided, "decide in tests/support/stock.py or qga/demo.py"
    assert not set(HARMLESS) & set(BLOCKED)


@contextmanager
def of_the_clients(folder: Path) -> Iterator[Path]:
    with running([*OURS]) as agent:
        yield agent.socket


@contextmanager
def of_the_agents(folder: Path) -> Iterator[Path]:
    agent = RunningAgent(folder)
    try:
        yield agent.path
    finally:
        agent.close()


@contextmanager
def of_the_comparison(folder: Path) -> Iterator[Path]:
    # It serves several clients, so that ours comes in beside its own.
    with SideAgent(OURS, folder):
        yield folder / "socket"


@contextmanager
def of_the_benchmarks(folder: Path) -> Iterator[Path]:
    command = (sys.executable, "-I", "-m", "qga.agent")
    with Running(Contender("qga", command), folder):
        yield folder / "socket"


@pytest.mark.parametrize("start", [of_the_clients, of_the_agents, of_the_comparison])
def test_agents_of_tests_refuse_the_rest(
    start: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    with start(tmp_path) as socket, qga.connect(f"unix:{socket}") as client:
        enabled = {c.name for c in client.info().supported_commands if c.enabled}
    assert enabled <= set(HARMLESS)


@contextmanager
def of_the_tests_of_exec(folder: Path) -> Iterator[Path]:
    agent = RunningAgent(folder, blocked=",".join(BLOCKED_BUT_EXEC))
    try:
        yield agent.path
    finally:
        agent.close()


@contextmanager
def of_the_comparison_of_exec(folder: Path) -> Iterator[Path]:
    with SideAgent(OURS, folder, BLOCKED_BUT_EXEC):
        yield folder / "socket"


@pytest.mark.parametrize(
    "start", [of_the_tests_of_exec, of_the_comparison_of_exec, of_the_benchmarks]
)
def test_agents_that_start_programs_do_nothing_else(
    start: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    """What they are asked to start are shells, cat, true, and the like."""
    with start(tmp_path) as socket, qga.connect(f"unix:{socket}") as client:
        enabled = {c.name for c in client.info().supported_commands if c.enabled}
    assert enabled <= {*HARMLESS, "guest-exec"}
    assert "guest-exec" in enabled


def test_what_would_harm_this_machine_is_stopped() -> None:
    """Also where a test has replaced the wrong thing; see `tests.support.guard`."""
    harmful: list[Callable[[], object]] = [
        lambda: LinuxFreezer().freeze(-1),
        lambda: LinuxFreezer().thaw(-1),
        lambda: LinuxStorage().trim(-1, 0),
        lambda: LinuxClock().set(-1),
        lambda: Programs().run(["/sbin/poweroff", "--help"], "shutdown"),
        lambda: Programs().run(["chpasswd", "--help"], "set user password"),
    ]
    for action in harmful:
        with pytest.raises(Forbidden):
            action()


def test_an_agent_with_changes_is_guarded(tmp_path: Path) -> None:
    """Its trimming is allowed, and the platform the real one but for what there is to trim."""
    changes = (
        "import os\n"
        "from qga.agent.system.linux.freezer import LinuxFreezer\n"
        "from qga.agent.system.mounts import Mount\n"
        "LinuxFreezer.mounts = lambda self: [Mount('/proc', (0, 0), 'btrfs', 'proc')]\n"
        "LinuxFreezer.open = lambda *_: os.open('/dev/null', os.O_RDONLY)\n"
    )
    agent = RunningAgent(tmp_path, blocked="guest-exec,guest-fsfreeze-freeze", changes=changes)
    try:
        with agent.connect() as peer:
            # The process that was to do it is no more; /dev/null would have refused.
            assert "has ended" in peer.ask("guest-fstrim")["error"]["desc"]
            assert peer.call("guest-ping") == {}
    finally:
        agent.close()
