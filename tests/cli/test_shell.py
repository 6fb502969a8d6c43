"""`qga shell`, and `qga exec` in a terminal, on a screen."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.spools import Spools
from tests.support.need import need_program
from tests.support.stock import RunningAgent

from .command import Run
from .screen import PATIENCE, Screen, screen

# What does not differ from agent to agent, and takes its time.
OURS = pytest.mark.parametrize("exec_agent", ["ours"], indirect=True)


@pytest.fixture
def before(exec_agent: RunningAgent, tmp_path: Path) -> Iterator[Screen]:
    """A screen in whose shell the agent is the target of `qga`."""
    with screen(tmp_path / "user", QGA_TARGET=exec_agent.target) as found:
        yield found


def enter(before: Screen, command: str = "qga shell 'PS1=\"guest> \" exec sh -i'") -> None:
    """Open a shell of the guest, whose prompt is `guest>`."""
    before.type(f"stty -g >modes; {command}")
    before.prompts("guest>")


def left(before: Screen, code: int) -> None:
    """The exit code is shown, and the terminal is as it was."""
    before.prompts("local>")
    before.type("echo code=$?; stty -g | cmp - modes && echo restored")
    before.says(f"code={code}")
    before.says("restored")


def test_programs_that_fill_the_screen(before: Screen, exec_agent: RunningAgent) -> None:
    need_program("vi", "apt-get install vim-tiny")
    need_program("top", "apt-get install procps")
    enter(before)
    before.type("stty size; printf '\\033[31m%s\\033[0m %s\\n' red $LANG")
    before.says("24 80")
    assert "\x1b[31mred" in before.sees("C.UTF-8", "-e")
    text = exec_agent.directory / "text"
    before.type(f"vi {text}")
    before.sees("\n~\n~\n")
    before.keys("i")
    before.tmux("send-keys", "-l", "Grüße")
    before.sees("Grüße")
    before.resize(10, 60)
    before.sees("Grüße\n" + "~\n" * 8)
    before.keys("Escape")
    time.sleep(1)  # what follows at once would be taken for a special key's
    before.type(":wq")
    before.prompts("guest>")
    assert text.read_text() == "Grüße\n"
    before.type("stty size")
    before.says("10 60")
    before.type("top")
    before.sees("load average")
    before.keys("q")
    before.prompts("guest>")
    before.type("exit 5")
    left(before, 5)


def test_keys_go_to_the_guest(before: Screen) -> None:
    enter(before)
    before.type("trap 'echo interrupted' INT; echo begun; sleep 1000")
    before.says("begun")
    until = time.monotonic() + PATIENCE
    while not before.shown().rstrip().endswith("guest>"):
        assert time.monotonic() < until
        before.keys("C-c")  # before the program has begun it is the shell's
        time.sleep(0.5)
    before.sees("^Cinterrupted")
    before.type("~?")
    before.sees("After Enter:")
    before.prompts("guest>")
    before.type("cat")
    before.type("typed")
    before.sees("typed\ntyped")
    before.keys("C-d")
    before.keys("C-d")
    left(before, 0)


@OURS
def test_it_can_be_left(before: Screen) -> None:
    enter(before)
    before.type("printf '\\033[?1049h'; sleep 1000")
    time.sleep(0.5)
    before.keys("Enter")
    before.keys("~", ".")
    left(before, 129)


@OURS
def test_an_agent_that_hangs_or_goes(before: Screen, exec_agent: RunningAgent) -> None:
    enter(before)
    with exec_agent.stopped():
        before.keys("Enter")
        before.keys("~", ".")
        before.sees("qga: the agent does not answer; the guest hangs up within a minute")
    left(before, 129)
    before.type("clear")
    enter(before)
    exec_agent.process.kill()
    before.sees("qga: ")
    left(before, 125)


@OURS
def test_it_is_ended(before: Screen, tmp_path: Path) -> None:
    home = tmp_path / "user"
    text = "echo $$ >pid; exec qga exec -t -- sh -c 'PS1=\"guest> \" exec sh -i'\n"
    (home / "script").write_text(text)
    enter(before, "sh script")
    pid = int((home / "pid").read_text())
    os.kill(pid, signal.SIGTERM)
    left(before, 143)


@OURS
def test_exec_takes_a_terminal_where_it_is_at_one(before: Screen) -> None:
    for words, line, code in (
        ("", "/dev/pts", 0),
        ("-T", "not a tty", 1),
        ("-it", "/dev/pts", 0),
    ):
        before.type(f"clear; qga exec {words} -- tty; echo code$?{words}")
        assert line in before.sees(f"\ncode{code}{words}")
    before.type("clear; qga exec -- tty | cat; echo piped=$?")
    assert "not a tty" in before.sees("\npiped=0")
    before.type("clear; qga exec --timeout 2 -- sh -c 'echo begun; sleep 1000'; echo code=$?")
    before.sees("code=124")
    assert "begun" in before.sees("qga: ended after 2 s, the --timeout")


@OURS
def test_ctrl_c_without_a_terminal_in_the_guest(before: Screen) -> None:
    before.type("qga exec -T -- sh -c \"trap 'echo trapped; exit 7' INT; echo begun; sleep 1000\"")
    before.says("begun")
    before.keys("C-c")
    before.prompts("local>")
    assert "trapped" in before.shown()
    before.type("echo code=$?")
    before.says("code=7")


@OURS
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--escape", "ab"], "--escape takes one character"),
        (["-o", "json"], "for people"),
        (["-u", "-x"], "no name of a user"),
    ],
)
def test_wrong_usage(
    qga_command: Run, exec_agent: RunningAgent, words: list[str], why: str
) -> None:
    done = qga_command("shell", *words, exec_agent.target)
    assert (done.code, done.out) == (2, b"")
    assert why in done.err


@OURS
def test_a_guest_without(
    qga_command: Run, exec_agent: RunningAgent, monkeypatch: pytest.MonkeyPatch, spools: Spools
) -> None:
    monkeypatch.setattr("qga.client.flows.shell.FIND", ":")
    done = qga_command("shell", exec_agent.target)
    assert done.code == 125
    assert "python3" in done.err


@OURS
def test_a_command_is_a_text_for_the_shell(
    qga_command: Run, exec_agent: RunningAgent, spools: Spools
) -> None:
    for words in (["cd /tmp;", "pwd; exit 3"], ["--", "cd /tmp; pwd; exit 3"]):
        done = qga_command("shell", exec_agent.target, *words, lines=None)
        assert (done.code, done.out) == (3, b"/tmp\r\n")
