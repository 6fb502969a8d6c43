"""`qga top` at work: as text and as lines for programs here, live on a terminal in tmux."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.protocol import GetFsinfo, GetTime, Info
from qga.protocol.fsfreeze import FsfreezeState
from qga.testing import FakeAgent
from tests.support.stock import RunningAgent

from .command import Run
from .screen import Screen, screen

FAST = ("-d", "0.1")


@pytest.fixture
def agents(
    qga_command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[FakeAgent, FakeAgent]]:
    """The agents of web1 and web2; that of db is not there."""
    names = tmp_path / "names.toml"
    monkeypatch.setenv("QGA_TARGETS", str(names))
    agents = FakeAgent(), FakeAgent(version="7.2")
    with agents[0].serve() as first, agents[1].serve() as second:
        names.write_text(
            f'[targets]\nweb1 = "{first}"\nweb2 = "{second}"\ndb = "unix:{tmp_path}/none"\n'
        )
        yield agents


def test_as_text(qga_command: Run, agents: tuple[FakeAgent, FakeAgent]) -> None:
    agents[1].files["/proc/loadavg"] = b"2.00 1.00 0.00 1/2 3\n"
    done = qga_command("top", "-l", "web*", "-n", "2", *FAST)
    assert (done.code, done.err) == (0, "")
    first, blank, second = (part.splitlines() for part in done.text.partition("\n\n"))
    assert not "".join(blank)
    for sample in (first, second):
        assert time.strptime(sample[0], "%H:%M:%S")
        assert [line.split() for line in sample[1:]] == [
            ["guest", "state", "cpu", "load", "mem", "fs", "rx/s", "tx/s", "rd/s", "wr/s"],
            # What these agents count never changes, so there is no rate of processors.
            ["web1", "ready", "-", "0.10", "25%", "16%", "-", "-", "0", "0"],
            ["web2", "ready", "-", "2.00", "25%", "16%", "-", "-", "0", "0"],
        ]
    sorted_by_load = qga_command("top", "-l", "web*", "-n", "1", *FAST, "--sort", "load").text
    assert sorted_by_load.index("web2") < sorted_by_load.index("web1")
    # Once each time, although there were several looks.
    assert len(agents[0].asked(GetFsinfo)) == len(agents[0].asked(Info)) == 2


def test_who_is_not_there_is_told(qga_command: Run, agents: tuple[FakeAgent, FakeAgent]) -> None:
    agents[1].state = FsfreezeState.FROZEN
    done = qga_command("top", "--all", "-n", "1", *FAST)
    assert done.code == 1
    assert [line.split()[:2] for line in done.text.splitlines()[2:]] == [
        ["db", "no-channel"],
        ["web1", "ready"],
        ["web2", "frozen"],
    ]
    assert done.err.startswith("qga: db: cannot open db")


def test_for_programs(qga_command: Run, agents: tuple[FakeAgent, FakeAgent]) -> None:
    done = qga_command("top", "--all", "-n", "2", *FAST, "-o", "jsonl")
    found = [json.loads(line) for line in done.text.splitlines()]
    assert [one["guest"] for one in found] == ["db", "web1", "web2"] * 2
    assert found[0]["state"] == "no-channel"
    assert found[4]["seconds"] > 0
    assert found[4]["read"] == 0.0
    # One document, so it ends by itself.
    assert len(qga_command("top", "--all", *FAST, "-o", "json").json) == 3
    agents[0].blocked = {"guest-info"}
    one = qga_command("top", "web1", *FAST, "-o", "yaml")
    assert one.code == 1
    assert "state: blocked" in one.text


def test_one_that_hangs_delays_no_other(
    qga_command: Run, agents: tuple[FakeAgent, FakeAgent]
) -> None:
    with agents[1].stopped():
        done = qga_command("top", "-l", "web*", "-n", "3", *FAST, "-o", "jsonl", "--timeout", "1.5")
    found = [json.loads(line) for line in done.text.splitlines()]
    assert [one["state"] for one in found if one["guest"] == "web1"] == ["ready"] * 3
    last = found[-1]
    assert (last["guest"], last["state"]) in {("web2", "busy"), ("web2", "no-agent")}
    assert found[1]["state"] == "waiting"


def test_wrong_usage(qga_command: Run) -> None:
    for words in (["-n", "0"], ["-d", "0"], ["--sort", "size"], ["unix:/s", "--all"]):
        assert qga_command("top", *words).code == 2


def test_between_looks_the_channel_is_left_to_others(
    qga_command: Run, agents: tuple[FakeAgent, FakeAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    agent = agents[0]
    plug = agent._plug

    def counted(listener: Any) -> Any:
        opened.append(1)
        return plug(listener)

    monkeypatch.setattr(agent, "_plug", counted)
    qga_command("top", "web1", "-n", "3", *FAST, "-o", "jsonl")
    assert len(opened) == 4
    assert not agent.asked(GetTime)


# On a terminal.


@pytest.fixture
def terminal(tmp_path: Path, agent: RunningAgent) -> Iterator[Screen]:
    """A terminal whose qga knows this agent as web1; db is not there."""
    names = tmp_path / "names.toml"
    names.write_text(f'[targets]\nweb1 = "{agent.target}"\ndb = "unix:{tmp_path}/none"\n')
    with screen(tmp_path / "home", QGA_TARGETS=str(names)) as found:
        yield found


def row(shown: str, name: str) -> list[str]:
    return next((line.split() for line in shown.splitlines() if line.startswith(f"{name} ")), [])


def until(found: Screen, condition: Any) -> str:
    """Wait until *condition* is true of what is shown."""
    deadline = time.monotonic() + 120
    while not condition(shown := found.shown()):
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    return shown


def test_live(terminal: Screen, agent: RunningAgent) -> None:
    terminal.type("qga top --all -d 0.5; echo code $?")
    # The second look tells rates.
    shown = until(terminal, lambda text: "%" in "".join(row(text, "web1")[2:3]))
    assert "2 guests: " in shown
    assert row(shown, "web1")[1] == "ready"
    assert row(shown, "db")[1] == "no-channel"
    assert shown.index("\ndb ") < shown.index("\nweb1 ")
    assert "db: cannot open db" in shown
    assert "\x1b[32mready" in terminal.shown("-e")

    terminal.keys("c")
    shown = until(terminal, lambda text: "by cpu" in text)
    assert shown.index("\nweb1 ") < shown.index("\ndb ")
    terminal.keys("c")
    terminal.sees("by cpu, reversed")

    terminal.keys("Space")
    terminal.sees("paused")
    terminal.keys("Space")
    terminal.sees("every 0.5 s")

    # With room for bars.
    terminal.resize(30, 120)
    until(terminal, lambda text: "━" in text and len(text.splitlines()) == 30)
    terminal.resize(10, 60)
    until(terminal, lambda text: "━" not in text and row(text, "web1"))

    # An agent that hangs shows it, and the others go on.
    with agent.stopped():
        until(terminal, lambda text: row(text, "web1")[1:2] == ["waiting"])
        until(terminal, lambda text: row(text, "web1")[1:2] in (["busy"], ["no-agent"]))
    until(terminal, lambda text: row(text, "web1")[1:2] == ["ready"])

    terminal.keys("q")
    shown = terminal.sees("code 0")
    assert "qga top 1" not in shown  # the screen is as it was
    terminal.type("stty -a | grep -o ' icanon'")
    terminal.says(" icanon")


def test_it_gives_the_terminal_back(terminal: Screen) -> None:
    terminal.type("set -m; qga top --all; echo code $?")
    terminal.sees("by name")
    terminal.keys("C-z")
    terminal.sees("here>")
    terminal.type("stty -a | grep -o ' icanon'; fg")
    terminal.sees("by name")
    terminal.keys("C-c")
    terminal.sees("here>")
    terminal.type("clear; qga top --all -n 1 -d 0.1; echo code $?")
    terminal.sees("code 0")
    terminal.type("clear; stty -a | grep -o ' icanon'")
    terminal.says(" icanon")


def test_a_signal_ends_it(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "qga.cli", "top", f"unix:{tmp_path}/none"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        while b"no-channel" not in shown:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGTERM)
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:  # how a terminal tells that its other side is gone
            pass
    os.close(ours)
    assert process.returncode == 128 + signal.SIGTERM
    assert shown.rindex(b"\x1b[?1049l") > shown.rindex(b"\x1b[?1049h")
