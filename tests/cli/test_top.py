"""`qga top` at work: as text and as lines for programs here, live on a terminal in tmux."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qga.cli.topwatch import WAITING, Watch
from qga.client import Deadline
from qga.protocol import GetFsinfo, GetTime, Info
from qga.protocol.fsfreeze import FsfreezeState
from qga.testing import FakeAgent
from tests.support.stock import RunningAgent

from .command import Run
from .screen import Screen, screen

FAST = ("-d", "0.1")
SILENT = {"busy", "no-agent"}


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
        assert sample[1].split() == [
            "guest", "state", "cpu", "load", "mem", "fs", "rx/s", "tx/s", "rd/s", "wr/s",
        ]  # fmt: skip
        assert [line.split()[0] for line in sample[2:]] == ["web1", "web2"]
    # The last answers are waited for. Rates take two of a guest, which a slow machine may not have.
    assert [line.split()[1:6] for line in second[2:]] == [
        ["ready", "-", "0.10", "25%", "16%"],
        ["ready", "-", "2.00", "25%", "16%"],
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
    assert found[4]["state"] == "ready"
    assert found[4]["memory"]["total"] == 2048000 << 10
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
    quick = [one["state"] for one in found if one["guest"] == "web1"]
    assert (len(quick), quick[-1]) == (3, "ready")
    assert {one["state"] for one in found if one["guest"] == "web2"} <= {WAITING, *SILENT}
    # The end waits for what has begun.
    assert found[-1]["state"] in SILENT


def test_an_answer_that_is_late_is_waited_for_beside_the_others() -> None:
    slow, quick = Slow(FakeAgent()), Slow(FakeAgent())

    async def work() -> None:
        changes = []
        watch = Watch([slow, quick], changed=lambda: changes.append(1))  # type: ignore[list-item]
        first, second = watch.seen
        slow.gate, quick.gate = asyncio.Event(), asyncio.Event()
        quick.gate.set()
        watch.begin()
        await reached(lambda: second.answers)
        assert (first.state, first.answers) == (WAITING, False)
        slow.gate.set()
        await watch.settle(None)
        assert first.answers
        assert len(changes) == 2
        # Again, and in the next round it has still not answered.
        slow.gate.clear()
        watch.begin()
        await reached(lambda: second.rates is not None)
        assert first.state == "ready"
        watch.begin()
        assert (first.state, first.vitals) == (WAITING, None)
        await watch.close()
        assert slow.opened == 2

    async def reached(condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)

    asyncio.run(work())


class Slow:
    """A target whose channel opens when its gate does."""

    def __init__(self, agent: FakeAgent) -> None:
        self.text, self.full = "slow", "unix:/slow"
        self.opened = 0
        self.gate = asyncio.Event()
        self._agent = agent

    async def aopen(self, deadline: Deadline) -> Any:
        self.opened += 1
        await self.gate.wait()
        return await self._agent.adial(deadline)


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
    # Four times, but for one that was not done when the next was due.
    assert 2 <= len(opened) <= 4
    assert not agent.asked(GetTime)


# On a terminal.


@contextmanager
def terminal(folder: Path, target: str = "") -> Iterator[Screen]:
    """A terminal whose qga knows *target* as web1; db is not there."""
    names = folder / "names.toml"
    web1 = f'web1 = "{target}"\n' if target else ""
    names.write_text(f'[targets]\n{web1}db = "unix:{folder}/none"\n')
    with screen(folder / "home", QGA_TARGETS=str(names)) as found:
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


def test_live(tmp_path: Path, agent: RunningAgent) -> None:
    with terminal(tmp_path, agent.target) as found:
        found.type("qga top --all -d 0.5 --timeout 2; echo code $?")

        def full(text: str) -> bool:
            # The second look tells rates.
            return "%" in "".join(row(text, "web1")[2:3]) and row(text, "db")[1:2] == ["no-channel"]

        shown = until(found, full)
        assert "2 guests: " in shown
        assert row(shown, "web1")[1] == "ready"
        assert shown.index("\ndb ") < shown.index("\nweb1 ")
        assert "db: cannot open db" in shown
        assert "\x1b[32mready" in found.shown("-e")

        found.keys("c")
        shown = until(found, lambda text: "by cpu" in text)
        assert shown.index("\nweb1 ") < shown.index("\ndb ")
        found.keys("c")
        found.sees("by cpu, reversed")

        found.keys("Space")
        found.sees("paused")
        found.keys("Space")
        found.sees("every 0.5 s")

        # With room for bars.
        found.resize(30, 120)
        until(found, lambda text: "━" in text and len(text.splitlines()) == 30)
        found.resize(10, 60)
        until(found, lambda text: "━" not in text and row(text, "web1"))

        # An agent that hangs shows it, and the others go on.
        with agent.stopped():
            until(found, lambda text: SILENT.intersection(row(text, "web1")[1:2]))
        until(found, lambda text: row(text, "web1")[1:2] == ["ready"])

        found.keys("q")
        shown = found.sees("code 0")
        assert not re.search(r"qga top \d", shown)  # the screen is as it was
        found.type("stty -a | grep -o ' icanon'")
        found.says(" icanon")


def test_it_gives_the_terminal_back(tmp_path: Path) -> None:
    with terminal(tmp_path) as found:
        found.type("set -m; qga top --all; echo code $?")
        found.sees("by name")
        found.keys("C-z")
        found.prompts("local>")
        found.type("stty -a | grep -o ' icanon'; fg")
        found.sees("by name")
        found.keys("C-c")
        found.prompts("local>")
        found.type("clear; qga top --all -n 1 -d 0.1; echo code $?")
        found.sees("code 0")
        found.type("clear; stty -a | grep -o ' icanon'")
        found.says(" icanon")


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
