"""The fsfreeze hook, around freezes of file systems that are files."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.conftest import Starter
from tests.agent.frozenfiles import FileFreezer, on_files
from tests.agent.harness import RunningAgent, children, until
from tests.agent.logdaemon import LogDaemon, directed
from tests.support.stock import BLOCKED

# Notes with which argument it was called, and what is frozen then.
NOTE = 'echo "$1 $(cat {disks}/a {disks}/b | wc -c)" >> {events}\n'
FAILED = "child process has failed to execute fsfreeze hook: "


class Hooked:
    """Agents with a hook, the hook, and what it has noted."""

    def __init__(self, start: Starter, freezer: FileFreezer) -> None:
        self._start = start
        self.freezer = freezer
        self.path = start.folder / "hook"
        self.events_path = start.folder / "events"
        self.syslog = LogDaemon(start.folder / "syslog")
        self.write()

    def write(self, body: str = "", before: str = "") -> None:
        """Have the hook do *before*, note its call, and do *body*."""
        note = NOTE.format(disks=self.freezer.folder, events=self.events_path)
        self.path.write_text(f"#!/bin/sh\n{before}\n{note}{body}\n", encoding="utf-8")
        self.path.chmod(0o755)

    def start(self, *, timeout: float = 60, hook: str | None = None) -> RunningAgent:
        options = [f"-F{hook or self.path}", "--fsfreeze-timeout", str(timeout)]
        blocked = ",".join(name for name in BLOCKED if "fsfreeze" not in name)
        changes = f"{directed(self._start.folder)}\n{on_files(self.freezer)}"
        return self._start(*options, changes=changes, blocked=blocked)

    def events(self) -> list[str]:
        """Each call: its argument, and how many bytes of "frozen" were there."""
        try:
            return self.events_path.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return []

    def frozen(self) -> bool:
        return self.freezer.frozen() == ["a", "b"]


@pytest.fixture
def hooked(start: Starter, tmp_path: Path) -> Iterator[Hooked]:
    (tmp_path / "disks").mkdir()
    made = Hooked(start, FileFreezer(tmp_path / "disks"))
    yield made
    made.syslog.close()


def desc(reply: Any) -> str:
    return str(reply["error"]["desc"])


def test_it_is_run_before_the_freeze_and_after_the_thaw(hooked: Hooked) -> None:
    agent = hooked.start()
    assert agent.call("guest-fsfreeze-freeze") == 2
    assert agent.call("guest-fsfreeze-status") == "frozen"
    assert hooked.frozen()
    assert hooked.events() == ["freeze 0"]
    assert agent.call("guest-fsfreeze-thaw") == 2
    assert hooked.events() == ["freeze 0", "thaw 0"]
    assert agent.call("guest-fsfreeze-status") == "thawed"
    assert hooked.syslog.texts() == [
        "info: guest-fsfreeze called",
        "info: executing fsfreeze hook with arg 'freeze'",
        "info: guest-fsthaw called",
        "info: executing fsfreeze hook with arg 'thaw'",
    ]


def test_it_is_a_program_like_any_other(hooked: Hooked) -> None:
    """In a session of its own, with nothing to read, and the agent's environment."""
    hooked.write("read line; ps -o sid= -p $$ > $0.sid; echo $$ >> $0.sid; readlink /proc/$$/fd/* "
                 "> $0.fds; echo $HOME >> $0.fds")  # fmt: skip
    agent = hooked.start()
    agent.call("guest-fsfreeze-freeze")
    fds = Path(f"{hooked.path}.fds").read_text(encoding="utf-8").splitlines()
    assert fds[0] == os.devnull
    assert fds[-1] == os.environ["HOME"]
    assert not [name for name in fds if "socket" in name]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo no; echo way >&2; exit 3", "no\nway\n"),
        ("exit 3", "exit status 3"),
    ],
)
def test_it_may_refuse_a_freeze(hooked: Hooked, body: str, reason: str) -> None:
    hooked.write(body)
    agent = hooked.start()
    assert desc(agent.connect().ask("guest-fsfreeze-freeze")) == FAILED + reason
    assert agent.call("guest-fsfreeze-status") == "thawed"
    assert hooked.events() == ["freeze 0"]  # and is not told of a thaw
    assert not list(agent.statedir.glob("*.hooked"))
    hooked.write()
    assert agent.call("guest-fsfreeze-freeze") == 2


def test_without_a_hook_that_runs_there_is_no_freeze(hooked: Hooked) -> None:
    hooked.path.chmod(0o644)
    agent = hooked.start()
    for reason, change in (
        ("Permission denied", hooked.path.unlink),
        ("No such file or directory", hooked.write),
    ):
        text = f"{FAILED}failed to exec '{hooked.path}': {reason}"
        assert desc(agent.connect().ask("guest-fsfreeze-freeze")) == text
        assert desc(agent.connect().ask("guest-fsfreeze-thaw")) == text
        change()
    assert hooked.events() == []
    assert not list(agent.statedir.glob("*.hooked"))
    assert agent.call("guest-fsfreeze-freeze") == 2


def test_it_cannot_prevent_a_thaw(hooked: Hooked) -> None:
    agent = hooked.start()
    agent.call("guest-fsfreeze-freeze")
    hooked.write("echo no; exit 1")
    assert desc(agent.connect().ask("guest-fsfreeze-thaw")) == f"{FAILED}no\n"
    assert agent.call("guest-fsfreeze-status") == "thawed"
    assert not hooked.freezer.frozen()
    hooked.write()
    assert agent.call("guest-fsfreeze-thaw") == 0


def test_it_is_told_of_a_thaw_when_nothing_was_frozen(hooked: Hooked) -> None:
    assert hooked.start().call("guest-fsfreeze-thaw") == 0
    assert hooked.events() == ["thaw 0"]


def test_it_is_told_when_the_freeze_fails_after_it(hooked: Hooked) -> None:
    agent = hooked.start()
    (hooked.freezer.folder / "b").unlink()
    reply = agent.connect().ask("guest-fsfreeze-freeze")
    assert "failed to open" in desc(reply)
    assert [event.split()[0] for event in hooked.events()] == ["freeze", "thaw"]
    assert agent.call("guest-fsfreeze-status") == "thawed"


def test_a_freeze_of_nothing_tells_it_at_the_thaw(hooked: Hooked) -> None:
    agent = hooked.start()
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=[]) == 0
    assert hooked.events() == ["freeze 0"]
    assert agent.call("guest-fsfreeze-status") == "thawed"
    assert agent.call("guest-fsfreeze-thaw") == 0
    assert hooked.events() == ["freeze 0", "thaw 0"]


def test_a_freeze_of_nothing_with_a_token_does_so_too(hooked: Hooked) -> None:
    agent = hooked.start()
    made = agent.call("qga-fsfreeze-freeze", mountpoints=["/absent*"], token="mine")
    assert (made["count"], hooked.events()) == (0, ["freeze 0"])
    assert agent.call("qga-fsfreeze-thaw", token="mine")["end"] == "nothing"
    assert hooked.events() == ["freeze 0", "thaw 0"]


def test_a_freeze_of_nothing_is_not_forgotten(hooked: Hooked) -> None:
    agent = hooked.start(timeout=1)
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=["/absent"]) == 0
    until(lambda: hooked.events() == ["freeze 0", "thaw 0"], "the hook to be told")
    assert agent.end() == 0
    assert "telling the fsfreeze hook of the thaw after 1 s" in agent.errors()


def test_a_freeze_after_one_of_nothing_has_a_time_of_its_own(hooked: Hooked) -> None:
    agent = hooked.start(timeout=2)
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=[]) == 0
    time.sleep(1)
    assert agent.call("guest-fsfreeze-freeze") == 2
    until(lambda: len(hooked.events()) == 3, "the hook to be told")
    # Not while file systems are frozen, as it would be if the first one still counted.
    assert hooked.events() == ["freeze 0", "freeze 0", "thaw 0"]


def test_what_it_starts_may_stay(hooked: Hooked) -> None:
    """Its output is not waited for."""
    hooked.write("sleep 60 & echo $! > $0.pid")
    agent = hooked.start()
    assert agent.call("guest-fsfreeze-freeze") == 2
    assert agent.call("guest-fsfreeze-thaw") == 2
    os.kill(int(Path(f"{hooked.path}.pid").read_text(encoding="ascii")), signal.SIGKILL)


# One that takes its time.

HANG = 'if [ "$1" = freeze ]; then sleep 600 & sleep 600; fi'


def hangs(hooked: Hooked, agent: RunningAgent) -> int:
    """Wait until the hook hangs; its process."""
    until(hooked.events, "the hook to be called")
    (hook,) = children(agent.process.pid)
    until(lambda: len(children(hook)) == 2, "what it starts")
    return hook


def ended(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_others_are_served_while_it_runs(hooked: Hooked) -> None:
    hooked.write(before="until test -e $0.go; do sleep 0.1; done")
    agent = hooked.start()
    client = agent.connect()
    client.send(b'{"execute": "guest-fsfreeze-freeze"}\n')
    until(lambda: children(agent.process.pid), "the hook to be called")
    assert agent.call("guest-ping") == {}
    assert agent.call("guest-fsfreeze-status") == "thawed"
    for name in ("guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list"):
        assert desc(agent.connect().ask(name)) == (
            "another freeze or thaw is under way: the fsfreeze hook is running"
        )
    Path(f"{hooked.path}.go").touch()
    assert client.reply() == {"return": 2}
    assert hooked.frozen()


def test_it_does_not_run_longer_than_a_freeze_may_last(hooked: Hooked) -> None:
    hooked.write(HANG)
    agent = hooked.start(timeout=3)
    client = agent.connect()
    client.send(b'{"execute": "guest-fsfreeze-freeze"}\n')
    hook = hangs(hooked, agent)
    started = children(hook)
    assert desc(client.reply()) == f"{FAILED}it has not finished after 3 s"
    until(lambda: all(ended(pid) for pid in started), "what it has started to end")
    # It was stopped in the middle.
    assert hooked.events() == ["freeze 0", "thaw 0"]
    assert agent.call("guest-fsfreeze-status") == "thawed"


def test_a_thaw_ends_a_freeze_that_hangs_in_it(hooked: Hooked) -> None:
    hooked.write(HANG)
    agent = hooked.start()
    client = agent.connect()
    client.send(b'{"execute": "guest-fsfreeze-freeze"}\n')
    hangs(hooked, agent)
    assert agent.call("guest-fsfreeze-thaw") == 0
    assert desc(client.reply()) == f"{FAILED}the guest is to be thawed"
    assert hooked.events() == ["freeze 0", "thaw 0"]
    assert not hooked.freezer.frozen()


def test_a_thaw_that_takes_longer_than_that_tells_it_once(hooked: Hooked) -> None:
    hooked.write(HANG)
    agent = hooked.start()
    client, other = agent.connect(), agent.connect()
    client.send(b'{"execute": "guest-fsfreeze-freeze"}\n')
    hangs(hooked, agent)
    go_on = hooked.freezer.hold_up_thaws()
    other.send(b'{"execute": "guest-fsfreeze-thaw"}\n')
    assert desc(client.reply()) == f"{FAILED}the guest is to be thawed"
    assert hooked.events() == ["freeze 0", "thaw 0"]
    assert len(children(agent.process.pid)) == 1  # which thaws
    go_on.unlink()
    assert other.reply() == {"return": 0}
    assert hooked.events() == ["freeze 0", "thaw 0"]


def test_one_run_will_do_for_two_thaws(hooked: Hooked) -> None:
    agent = hooked.start()
    agent.call("guest-fsfreeze-freeze")
    hooked.write("until test -e $0.go; do sleep 0.1; done; echo no; exit 1")
    first, second = agent.connect(), agent.connect()
    first.send(b'{"execute": "guest-fsfreeze-thaw"}\n')
    until(lambda: len(hooked.events()) == 2, "the hook to be called")
    second.send(b'{"execute": "guest-fsfreeze-thaw"}\n')
    assert "under way" in desc(agent.connect().ask("guest-fsfreeze-freeze"))
    until(lambda: len(children(agent.process.pid)) == 1, "the second to wait for the hook alone")
    Path(f"{hooked.path}.go").touch()
    for client in (first, second):
        assert desc(client.reply()) == f"{FAILED}no\n"
    assert hooked.events() == ["freeze 0", "thaw 0"]


# Whoever ends the freeze.


def test_it_is_told_when_the_guardian_thaws(hooked: Hooked) -> None:
    agent = hooked.start(timeout=1)
    agent.call("guest-fsfreeze-freeze")
    until(lambda: hooked.events() == ["freeze 0", "thaw 0"], "the hook to be told")
    assert agent.call("guest-fsfreeze-status") == "thawed"
    assert agent.call("guest-fsfreeze-freeze") == 2


def test_its_failure_after_the_guardians_thaw_is_in_the_log(hooked: Hooked) -> None:
    agent = hooked.start(timeout=1)
    hooked.write('[ "$1" = freeze ] || { echo no; exit 1; }')
    agent.call("guest-fsfreeze-freeze")
    until(lambda: hooked.events() == ["freeze 0", "thaw 0"], "the hook to be told")
    assert agent.end() == 0
    assert f"after the thaw: {FAILED}no" in agent.errors()


def test_it_is_told_when_the_agent_was_killed(hooked: Hooked) -> None:
    agent = hooked.start(timeout=2)
    agent.call("guest-fsfreeze-freeze")
    agent.end(signal.SIGKILL)
    until(lambda: hooked.events() == ["freeze 0", "thaw 0"], "the hook to be told")
    assert not hooked.freezer.frozen()
    *_, gone, told = hooked.syslog.texts()
    assert gone.startswith("error: the agent has gone; thawed, because nobody else did: the lease ")
    assert told == "info: executing fsfreeze hook with arg 'thaw'"


def test_it_is_told_when_the_next_agent_thaws(hooked: Hooked) -> None:
    first = hooked.start()
    first.call("guest-fsfreeze-freeze")
    first.end(signal.SIGKILL)
    assert hooked.start().call("guest-fsfreeze-thaw") == 2
    assert hooked.events() == ["freeze 0", "thaw 0"]


def test_it_is_told_by_the_next_agent_of_a_freeze_that_was_none(hooked: Hooked) -> None:
    first = hooked.start()
    assert first.call("guest-fsfreeze-freeze-list", mountpoints=[]) == 0
    first.end(signal.SIGKILL)
    second = hooked.start()
    until(lambda: hooked.events() == ["freeze 0", "thaw 0"], "the hook to be told")
    assert second.end() == 0
    assert "since an earlier agent has not" in second.errors()
    third = hooked.start()
    assert third.call("guest-ping") == {}
    assert third.end() == 0
    assert third.errors() == ""
    assert hooked.events() == ["freeze 0", "thaw 0"]


def test_it_is_told_before_the_agent_ends(hooked: Hooked) -> None:
    hooked.write("sleep 0.5; echo done >> $0.done")
    agent = hooked.start()
    agent.call("guest-fsfreeze-freeze")
    assert agent.end(signal.SIGTERM) == 0
    assert hooked.events() == ["freeze 0", "thaw 0"]
    assert Path(f"{hooked.path}.done").read_text(encoding="ascii") == "done\ndone\n"


def test_an_agent_that_ends_ends_a_freeze_that_hangs_in_it(hooked: Hooked) -> None:
    hooked.write(HANG)
    agent = hooked.start()
    agent.connect().send(b'{"execute": "guest-fsfreeze-freeze"}\n')
    hangs(hooked, agent)
    assert agent.end(signal.SIGTERM) == 0
    assert hooked.events() == ["freeze 0", "thaw 0"]
    assert not hooked.freezer.frozen()


def test_an_agent_that_ends_tells_it_of_a_freeze_of_nothing(hooked: Hooked) -> None:
    agent = hooked.start()
    agent.call("guest-fsfreeze-freeze-list", mountpoints=[])
    assert agent.end(signal.SIGTERM) == 0
    assert hooked.events() == ["freeze 0", "thaw 0"]


def test_an_agent_ends_although_it_hangs(hooked: Hooked) -> None:
    agent = hooked.start(timeout=2)
    agent.call("guest-fsfreeze-freeze")
    hooked.write("sleep 600")
    assert agent.end(signal.SIGTERM) == 0
    assert "after the thaw: " in agent.errors()
