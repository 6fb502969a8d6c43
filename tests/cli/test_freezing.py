"""`qga freeze`: the guest is thawed whatever becomes of the command, and of qga itself."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.pretended import Pretended, pretending

FROZEN_AND_THAWED = ["guest-fsfreeze-freeze", "guest-fsfreeze-status", "guest-fsfreeze-thaw"]


@pytest.fixture
def pretended() -> Iterator[Pretended]:
    with pretending() as agent:
        yield agent


def freeze(target: str, *words: str, options: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-m", "qga.cli", "freeze", target, *options, "--", *words]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["/nonexistent/command"], 127),
        (["/etc/passwd"], 126),
    ],
)
def test_the_exit_code_is_that_of_the_command(
    pretended: Pretended, words: list[str], code: int
) -> None:
    done = subprocess.run(
        freeze(pretended.target, *words), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert pretended.asked == FROZEN_AND_THAWED
    lines = done.stderr.splitlines()
    assert lines[0] == "qga: 2 file systems frozen"
    assert lines[-1].startswith("qga: 2 file systems thawed after 0.")


def test_standard_output_is_the_commands(pretended: Pretended) -> None:
    command = freeze(pretended.target, "echo", "-n", "hello", options=("-o", "json"))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "hello"
    summary = json.loads(done.stderr)
    assert summary.keys() == {"frozen", "thawed", "seconds", "exit_code"}
    assert (summary["frozen"], summary["thawed"], summary["exit_code"]) == (2, 2, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_qga_ends_the_command_and_thaws(
    pretended: Pretended, number: signal.Signals
) -> None:
    command = freeze(pretended.target, "sh", "-c", "echo started; exec sleep 60")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(20) == 128 + number
    assert pretended.asked == FROZEN_AND_THAWED


def test_an_interrupt_is_for_the_command_to_decide(pretended: Pretended) -> None:
    script = "trap 'echo no' INT; echo started; sleep 0.5; exit 3"
    command = freeze(pretended.target, "sh", "-c", script)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 3
    assert pretended.asked == FROZEN_AND_THAWED


def test_the_target_may_be_in_the_environment(
    pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QGA_TARGET", pretended.target)
    command = [sys.executable, "-m", "qga.cli", "freeze", "--", "echo", "-n", "x"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"x"


def test_thaw_and_shutdown(pretended: Pretended) -> None:
    for words, shown in (
        (["thaw"], b"2 file systems thawed\n"),
        (["thaw", "-o", "json"], b'{\n  "thawed": 2\n}\n'),
        (["shutdown", "--mode", "halt"], b"halt: the agent did not refuse; "),
    ):
        command = [sys.executable, "-m", "qga.cli", *words, pretended.target]
        done = subprocess.run(command, capture_output=True, check=True)
        assert done.stdout.startswith(shown)
