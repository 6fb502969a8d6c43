"""guest-suspend-disk, -ram and -hybrid, with other programs in place of those that suspend."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.power import LinuxPower
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import own_descriptors, request
from tests.agent.pending import desc, finish

UNSUPPORTED = "the requested suspend mode is not supported by the guest"
FAILED = "child process has failed to suspend: "
COMMANDS = {mode: f"guest-suspend-{mode}" for mode in ("disk", "ram", "hybrid")}


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def noting(path: Path, name: str, code: int) -> list[str]:
    return shell(f"echo {name} >> {path}; echo {name} failed; exit {code}")


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def agent(make: AgentFactory, system: FakeSystem) -> Agent:
    return make(system)


@pytest.mark.parametrize("mode", COMMANDS)
def test_no_way(agent: Agent, system: FakeSystem, mode: str) -> None:
    assert desc(finish(agent, COMMANDS[mode])) == UNSUPPORTED
    assert system.power.modes == [mode]


# The exit codes of what is asked and what acts, of two ways; which programs run; the error.
ONE, TWO = "ask-1 act-1", "ask-2 act-2"


@pytest.mark.parametrize(
    "scenario",
    [
        ((0, 0, 0, 0), ONE, None),
        ((1, 0, 0, 0), f"ask-1 {TWO}", None),
        ((1, 0, 1, 0), "ask-1 ask-2", UNSUPPORTED),
        ((0, 5, 0, 0), f"{ONE} {TWO}", None),
        ((0, 5, 0, 6), f"{ONE} {TWO}", f"{FAILED}act-2 failed\n"),
        # Upstream forgets this one.
        ((0, 5, 1, 0), f"{ONE} ask-2", f"{FAILED}act-1 failed\n"),
    ],
)
def test_the_ways_in_order(
    agent: Agent,
    system: FakeSystem,
    tmp_path: Path,
    scenario: tuple[tuple[int, int, int, int], str, str | None],
) -> None:
    codes, run, error = scenario
    notes = tmp_path / "notes"
    names = "ask-1", "act-1", "ask-2", "act-2"
    programs = [noting(notes, name, code) for name, code in zip(names, codes, strict=True)]
    system.power.ways = [(programs[0], (0,), programs[1]), (programs[2], (0,), programs[3])]
    before = own_descriptors()
    reply = finish(agent, "guest-suspend-ram")
    assert notes.read_text().split() == run.split()
    assert reply is None if error is None else desc(reply) == error
    assert own_descriptors() == before


def test_programs_that_are_not_there(agent: Agent, system: FakeSystem, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    absent = ["/absent/program"]
    system.power.ways = [(absent, (0,), shell("exit 0"))]
    assert desc(finish(agent, "guest-suspend-ram")) == UNSUPPORTED
    system.power.ways = [(shell("exit 3"), (1, 2, 3), absent)]
    text = "failed to exec '/absent/program': No such file or directory"
    assert desc(finish(agent, "guest-suspend-ram")) == FAILED + text
    # One that is killed says nothing.
    system.power.ways = [(shell("kill -9 $$"), (0,), noting(notes, "no", 0))]
    assert desc(finish(agent, "guest-suspend-ram")) == UNSUPPORTED
    assert not notes.exists()


def test_by_the_kernel(agent: Agent, system: FakeSystem, tmp_path: Path) -> None:
    slept = tmp_path / "slept"
    system.power.sleep = slept.touch
    before = own_descriptors()
    assert finish(agent, "guest-suspend-disk") is None
    # The process that asked the kernel was another one, and has ended.
    assert slept.exists()

    def fail() -> None:
        raise OSError(16, "Device or resource busy")

    system.power.sleep = fail
    assert desc(finish(agent, "guest-suspend-ram")) == FAILED + "Device or resource busy"

    def crash() -> None:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)

    system.power.sleep = crash
    text = "the agent's process for this has ended by signal 15, before it was done"
    assert desc(finish(agent, "guest-suspend-ram")) == text
    assert own_descriptors() == before


def test_the_programs_of_linux(tmp_path: Path) -> None:
    state = tmp_path / "state"
    power = LinuxPower(str(state))

    def programs(mode: str) -> list[Any]:
        return [(" ".join(ask), " ".join(act)) for ask, _, act in power.suspend_commands(mode)]

    assert programs("disk") == [
        ("systemctl status systemd-hibernate", "systemctl hibernate"),
        ("pm-is-supported --hibernate", "pm-hibernate"),
    ]
    assert programs("ram") == [
        ("systemctl status systemd-suspend", "systemctl suspend"),
        ("pm-is-supported --suspend", "pm-suspend"),
    ]
    assert programs("hybrid") == [
        ("systemctl status systemd-hybrid-sleep", "systemctl hybrid-sleep"),
        ("pm-is-supported --suspend-hybrid", "pm-suspend-hybrid"),
    ]
    modes = "disk", "ram", "hybrid"
    assert [mode for mode in modes if power.can_suspend(mode)] == []
    for text, able in (
        ("freeze mem disk\n", ["disk", "ram"]),
        ("freeze mem\n", ["ram"]),
        ("freeze disks\n", []),
        ("", []),
    ):
        state.write_text(text)
        assert [mode for mode in modes if power.can_suspend(mode)] == able
    for mode, word in (("ram", "mem"), ("disk", "disk")):
        state.write_text("")
        power.suspend(mode)
        assert state.read_text() == word


# No program is run, and the kernel is not asked.
_SLOW_SLEEP = """
import time
from qga.agent.system.linux.power import LinuxPower
LinuxPower.suspend_commands = lambda self, mode: []
LinuxPower.can_suspend = lambda self, mode: True
LinuxPower.suspend = lambda self, mode: time.sleep(1)
"""


def test_others_are_served_until_the_guest_sleeps(start: Starter) -> None:
    running = start(changes=_SLOW_SLEEP, blocked="guest-fsfreeze-freeze")
    with running.connect() as waiting, running.connect() as other:
        waiting.send(request("guest-suspend-ram"), request("guest-sync", {"id": 1}))
        assert other.call("guest-ping") == {}
        # There is no reply to the first when it is over.
        assert waiting.reply() == {"return": 1}
    assert running.end() == 0
