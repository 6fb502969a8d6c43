"""Agents that are killed, or end, with hooks that have to be told of a thaw: each is told once."""

import os
import signal
import time
from pathlib import Path
from random import Random

import pytest

from tests.agent.conftest import Starter
from tests.agent.frozenfiles import FileFreezer, guardian_of
from tests.agent.harness import RunningAgent, until
from tests.agent.hookfolder import HookFolder, runs
from tests.agent.test_hook import ended

FREEZE = ("a freeze", "b freeze", "c freeze")
THAW = ("c thaw", "b thaw", "a thaw")
RUNS_OF_FREEZE = [(name, "freeze", True) for name in "abc"]
RUNS_OF_THAW = [(name, "thaw", True) for name in "cba"]


@pytest.fixture
def hooks(start: Starter, tmp_path: Path) -> HookFolder:
    (tmp_path / "disks").mkdir()
    made = HookFolder(start, FileFreezer(tmp_path / "disks"))
    for name in ("a", "b", "c"):
        made.write(name)
    return made


def kill(agent: RunningAgent) -> None:
    agent.end(signal.SIGKILL)


def thawed(agent: RunningAgent) -> bool:
    """Whether it has answered to a thaw.

    What the one before it had just started may hold that one's socket for a moment.
    """
    try:
        return agent.call("guest-fsfreeze-thaw") in {0, 2}
    except ConnectionError:
        return False


def begin(agent: RunningAgent, name: str = "qga-fsfreeze-freeze") -> None:
    agent.connect().send(b'{"execute": "%b"}\n' % name.encode())


def nothing_is_left(hooks: HookFolder, agent: RunningAgent) -> None:
    """Nothing is frozen, and a freeze goes as it should."""
    assert not list(agent.statedir.glob("*.hooked*"))
    assert not hooks.freezer.frozen()
    count = len(hooks.events())
    assert agent.call("guest-fsfreeze-freeze") == 2
    assert agent.call("guest-fsfreeze-thaw") == 2
    assert len(hooks.events()) == count + 6
    assert agent.end() == 0


def test_killed_while_hooks_are_told_of_the_freeze(hooks: HookFolder) -> None:
    """The one that was running is ended before it is told of the thaw."""
    hooks.write("b", f'[ "$1" = thaw ] || {{ echo $$ > $0.pid; {hooks.go()}; echo late; }}')
    agent = hooks.start()
    begin(agent)
    pid = hooks.pid("b")
    # That it is known to the next agent is written just after its start.
    marker = agent.statedir / "qga.state.hooked"
    until(lambda: f"process {pid} " in marker.read_text(), "it to be noted")
    kill(agent)
    assert not ended(pid)
    second = hooks.start()
    hooks.wait("a freeze", "b freeze", "b thaw", "a thaw")
    assert ended(pid)
    until(lambda: not list(second.statedir.glob("*.hooked*")), "all to have been told")
    report = second.call("qga-fsfreeze-report")
    assert (report["end"], report["reason"]) == (
        "agent", "the agent ended before anything was frozen"
    )  # fmt: skip
    assert runs(report) == [("b", "thaw", True), ("a", "thaw", True)]
    hooks.release()
    nothing_is_left(hooks, second)
    assert "since an earlier agent has not" in second.errors()


def test_killed_while_frozen_and_none_comes(hooks: HookFolder) -> None:
    agent = hooks.start(timeout=2)
    made = agent.call("qga-fsfreeze-freeze", token="t")
    assert runs(made) == RUNS_OF_FREEZE
    kill(agent)
    hooks.wait(*FREEZE, *THAW)
    assert not hooks.freezer.frozen()
    until(lambda: not list(agent.statedir.glob("*.hooked*")), "the guardian to have told them")
    second = hooks.start()
    report = second.call("qga-fsfreeze-report")
    assert (report["end"], runs(report)) == ("lease", RUNS_OF_FREEZE + RUNS_OF_THAW)
    nothing_is_left(hooks, second)


def test_killed_while_frozen_and_another_thaws(hooks: HookFolder) -> None:
    kill_after = hooks.start()
    kill_after.call("qga-fsfreeze-freeze", token="t")
    kill(kill_after)
    second = hooks.start()
    assert second.call("guest-fsfreeze-status") == "frozen"
    assert hooks.events() == [*FREEZE]
    thawed = second.call("qga-fsfreeze-thaw", token="t")
    assert runs(thawed) == RUNS_OF_FREEZE + RUNS_OF_THAW
    assert thawed["held"] is True
    assert hooks.events() == [*FREEZE, *THAW]
    nothing_is_left(hooks, second)


def test_killed_with_its_guardian(hooks: HookFolder) -> None:
    agent = hooks.start()
    agent.call("qga-fsfreeze-freeze")
    guardian = guardian_of(agent)
    os.kill(agent.process.pid, signal.SIGSTOP)
    os.kill(guardian, signal.SIGKILL)
    kill(agent)
    second = hooks.start()
    assert second.call("guest-fsfreeze-thaw") == 2
    assert hooks.events() == [*FREEZE, *THAW]
    nothing_is_left(hooks, second)


def test_killed_before_all_is_frozen(hooks: HookFolder) -> None:
    """The guardian thaws at once, and tells them."""
    hanging = hooks.freezer.hang("b")
    agent = hooks.start()
    begin(agent)
    until(lambda: len(hooks.events()) == 3 and guardian_of(agent), "the freeze to begin")
    marker = agent.statedir / "qga.state.isfrozen"
    until(marker.exists, "the freeze to begin")
    kill(agent)
    hanging.unlink()
    hooks.wait(*FREEZE, *THAW)
    until(lambda: not list(agent.statedir.glob("*.hooked*")), "the guardian to have told them")
    nothing_is_left(hooks, hooks.start())


def test_killed_while_hooks_are_told_of_the_thaw(hooks: HookFolder) -> None:
    """The next agent tells the others."""
    hooks.write("b", f'[ "$1" = freeze ] || {{ {hooks.go()}; }}')
    agent = hooks.start()
    agent.call("guest-fsfreeze-freeze")
    begin(agent, "guest-fsfreeze-thaw")
    until(lambda: len(hooks.events()) == 5, "the second to be told")
    marker = agent.statedir / "qga.state.hooked"
    until(lambda: b"/b\n" not in marker.read_bytes(), "it to be noted")
    kill(agent)
    assert not hooks.freezer.frozen()
    second = hooks.start()
    hooks.wait(*FREEZE, *THAW)
    hooks.release()
    until(lambda: not list(second.statedir.glob("*.hooked*")), "all to have been told")
    report = second.call("qga-fsfreeze-report")
    # Of those that the first agent had told of the thaw nobody knows.
    assert runs(report) == [*RUNS_OF_FREEZE, ("a", "thaw", True)]
    nothing_is_left(hooks, second)


def test_one_that_comes_while_the_guardian_tells_them(hooks: HookFolder) -> None:
    """Leaves that to it, and freezes when it is done."""
    hooks.write("b", f'[ "$1" = freeze ] || {{ {hooks.go()}; }}')
    agent = hooks.start(timeout=2)
    agent.call("guest-fsfreeze-freeze")
    kill(agent)
    hooks.wait(*FREEZE, *THAW[:2])
    second = hooks.start()
    assert second.call("guest-fsfreeze-status") == "thawed"
    refused = second.connect().ask("guest-fsfreeze-freeze")["error"]["desc"]
    assert refused == "another freeze or thaw is under way: the fsfreeze hook is running"
    assert second.call("guest-fsfreeze-thaw") == 0
    assert hooks.events() == [*FREEZE, *THAW[:2]]
    hooks.release()
    until(lambda: not list(second.statedir.glob("*.hooked*")), "all to have been told")
    assert hooks.events() == [*FREEZE, *THAW]
    until(lambda: len(second.call("qga-fsfreeze-report")["hooks"]) == 6, "the report of that")
    until(lambda: "error" not in second.connect().ask("guest-fsfreeze-freeze"), "a freeze")
    assert second.call("guest-fsfreeze-thaw") == 2


def test_killed_at_any_moment(hooks: HookFolder) -> None:
    """Whoever was told of a freeze is told of a thaw after it."""
    seed = time.time_ns()
    print("seed:", seed)
    random = Random(seed)
    for _ in range(12):
        agent = hooks.start()
        both = [b'{"execute": "guest-fsfreeze-%b"}\n' % name for name in (b"freeze", b"thaw")]
        agent.connect().send(*both)
        time.sleep(random.random() * 0.2)
        kill(agent)
        second = hooks.start()
        until(lambda: thawed(second), "a thaw")  # noqa: B023
        until(lambda: not list(second.statedir.glob("*.hooked*")), "all to have been told")  # noqa: B023
        kill(second)
        assert not hooks.freezer.frozen()
        events = hooks.events()
        hooks.forget()
        for name in "abc":
            told = [event.split()[1] for event in events if event.startswith(name)]
            # It may have been ended before it could note anything; and killed between the start of
            # a hook and the note of that, an agent has it told twice.
            assert told in ([], ["thaw"], *([["freeze", *["thaw"] * n] for n in (1, 2)])), events


def test_the_lease_ends(hooks: HookFolder) -> None:
    hooks.write("c", '[ "$1" = freeze ] || { echo no; exit 1; }')
    agent = hooks.start("[hook:c]\nrequired=true\n")
    agent.call("qga-fsfreeze-freeze", **{"deadline-ms": 500, "token": "t"})
    hooks.wait(*FREEZE, *THAW)
    until(lambda: len(agent.call("qga-fsfreeze-report")["hooks"]) == 6, "all to have been told")
    report = agent.call("qga-fsfreeze-report")
    assert (report["end"], report["held"]) == ("lease", False)
    assert runs(report)[3:] == [("c", "thaw", False), *RUNS_OF_THAW[1:]]
    assert agent.call("qga-fsfreeze-thaw", token="t") == report
    hooks.write("c")
    nothing_is_left(hooks, agent)
    assert "after the thaw: child process has failed to execute fsfreeze hook c" in agent.errors()


def test_an_agent_that_ends(hooks: HookFolder) -> None:
    agent = hooks.start()
    agent.call("guest-fsfreeze-freeze")
    assert agent.end() == 0
    assert hooks.events() == [*FREEZE, *THAW]
    assert not hooks.freezer.frozen()
    # Stopped among the hooks of a freeze, it does the same.
    hooks.write("b", f'[ "$1" = thaw ] || {{ {hooks.go()}; }}')
    second = hooks.start()
    begin(second)
    until(lambda: len(hooks.events()) == 8, "the second hook to run")
    assert second.end() == 0
    assert hooks.events()[6:] == ["a freeze", "b freeze", "b thaw", "a thaw"]
    hooks.release()
    nothing_is_left(hooks, hooks.start())


def test_an_agent_that_ends_although_one_hangs(hooks: HookFolder) -> None:
    """Those that it has no time for, the next agent tells."""
    agent = hooks.start(timeout=2)
    agent.call("guest-fsfreeze-freeze")
    hooks.write("b", '[ "$1" = freeze ] || sleep 600')
    assert agent.end() == 0
    assert not hooks.freezer.frozen()
    assert hooks.events() == [*FREEZE, *THAW[:2]]
    hooks.write("b")
    second = hooks.start()
    hooks.wait(*FREEZE, *THAW)
    until(lambda: not list(second.statedir.glob("*.hooked*")), "all to have been told")
    nothing_is_left(hooks, second)


def test_a_freeze_of_nothing(hooks: HookFolder) -> None:
    """The host may want what they have done, until it thaws, or the time of a freeze is over."""
    agent = hooks.start(timeout=2)
    none = {"mountpoints": ["/absent*"]}
    made = agent.call("qga-fsfreeze-freeze", **none)
    assert (made["count"], runs(made)) == (0, RUNS_OF_FREEZE)
    assert runs(agent.call("qga-fsfreeze-thaw")) == RUNS_OF_FREEZE + RUNS_OF_THAW
    agent.call("qga-fsfreeze-freeze", **none)
    hooks.wait(*[*FREEZE, *THAW] * 2)


def test_a_freeze_after_one_of_nothing(hooks: HookFolder) -> None:
    """Each is told of the thaw once; also one that has gone since, if that could be."""
    agent = hooks.start()
    agent.call("guest-fsfreeze-freeze-list", mountpoints=[])
    (hooks.folder / "a").rename(hooks.folder / "d")
    assert agent.call("guest-fsfreeze-freeze") == 2
    assert agent.call("guest-fsfreeze-thaw") == 2
    expected = [*FREEZE, "b freeze", "c freeze", "d freeze", "d thaw", "c thaw", "b thaw"]
    assert hooks.events() == expected
    nothing_is_left(hooks, agent)


def test_what_an_older_agent_has_left(hooks: HookFolder) -> None:
    """A file without names means the program."""
    program = hooks.write("program", folder=hooks.folder.parent)
    (hooks.folder.parent / "state").mkdir()
    (hooks.folder.parent / "state/qga.state.hooked").touch()
    agent = hooks.start(hook=str(program))
    hooks.wait("program thaw")
    until(lambda: not list(agent.statedir.glob("*.hooked*")), "it to have been told")
    assert agent.end() == 0
    (agent.statedir / "qga.state.hooked").touch()
    second = hooks.start()
    until(lambda: not list(second.statedir.glob("*.hooked*")), "it to be removed")
    assert hooks.events() == ["program thaw"]
