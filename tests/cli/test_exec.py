"""`qga exec` with real agents, in this process and as one of its own."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import click
import pytest

from qga.cli import executing, forwarding
from qga.cli.options import behind_dashes
from qga.cli.running import execute
from tests.client.spools import Spools
from tests.support.stock import BLOCKED_BUT_EXEC, RunningAgent, either

from .command import Run

PATIENCE = 60.0
TEXT = "echo out; echo err >&2; "
# What does not differ from agent to agent, and takes its time.
OURS = pytest.mark.parametrize("exec_agent", ["ours"], indirect=True)


@pytest.fixture(autouse=True)
def nothing_left(spools: Spools) -> None:
    """Of programs that are run in this process nothing stays in the guest."""


def test_outputs_and_exit_codes(
    qga_command: Run, exec_agent: RunningAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = qga_command("exec", exec_agent.target, "--", "sh", "-c", f"{TEXT}exit 3", lines=None)
    assert (done.code, done.out, done.err) == (3, b"out\n", "err\n")
    monkeypatch.setenv("QGA_TARGET", exec_agent.target)
    monkeypatch.setenv("HERE", "1 2")
    words = ["-w", "/usr", "-e", "A=x=y", "-e", "HERE", "-e", "ABSENT"]
    done = qga_command("exec", *words, "sh", "-c", 'pwd; echo $A "$HERE"')
    assert (done.code, done.text) == (0, "/usr\nx=y 1 2\n")
    assert qga_command("exec", "sh", "-c", "kill -9 $$", lines=0).code == 137
    for words, code, why in (
        (["no-such-program"], 127, "'no-such-program'"),
        (["echo hello"], 127, "a text for a shell takes: sh -c"),
        (["/etc/passwd"], 126, "Permission denied"),
        (["-w", "/nowhere", "--", "true"], 125, "'/nowhere'"),
        (["-u", "nosuchuser", "true"], 125, "no user 'nosuchuser'"),
    ):
        done = qga_command("exec", *words)
        assert (done.code, done.out) == (code, b"")
        assert why in done.err
    assert qga_command("exec", "unix:/no/such/socket", "true").code == 125


def test_for_programs(qga_command: Run, exec_agent: RunningAgent) -> None:
    command = ["exec", exec_agent.target, "-o", "json", "--"]
    found = qga_command(*command, "sh", "-c", "printf '\\377x'; echo é >&2; exit 5", lines=0).json
    assert found.pop("seconds") > 0
    assert found == {
        "exit_code": 5, "signal": None, "timed_out": False,
        "stdout": "\ufffdx", "stdout_b64": "/3g=", "stderr": "é\n", "stderr_b64": None,
    }  # fmt: skip
    found = qga_command(*command, "sh", "-c", "kill $$", lines=0).json
    assert (found["exit_code"], found["signal"]) == (143, 15)


@OURS
def test_its_time(qga_command: Run, exec_agent: RunningAgent) -> None:
    text = "trap 'echo ended; exit 3' TERM; echo begun; while :; do sleep 0.05; done"
    command = ["exec", "--timeout", "2", exec_agent.target, "--", "sh", "-c", text]
    done = qga_command(*command, lines=None)
    assert (done.code, done.out) == (124, b"begun\nended\n")
    assert done.err.endswith("qga: ended after 2 s, the --timeout\n")
    found = qga_command("exec", "-o", "json", *command[1:], lines=None).json
    assert (found["exit_code"], found["timed_out"]) == (124, True)


@contextmanager
def process(agent: RunningAgent, *words: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`qga exec` as a process."""
    command = [sys.executable, "-m", "qga.cli", "exec", agent.target, *words]
    running: subprocess.Popen[bytes]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_input(exec_agent: RunningAgent, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "data").write_bytes(data)
    with process(exec_agent, "cat", stdin=subprocess.PIPE) as running:
        assert running.communicate(data, PATIENCE) == (data, b"")
    with (tmp_path / "data").open("rb") as file, process(exec_agent, "cat", stdin=file) as running:
        assert running.communicate(timeout=PATIENCE) == (data, b"")
    # A pipe that stays open keeps no program from ending; nor does one that it does not read.
    for words in (["true"], ["sh", "-c", "exec <&-; sleep 1"]):
        with process(exec_agent, *words, stdin=subprocess.PIPE) as running:
            assert running.stdin
            with suppress(BrokenPipeError):
                running.stdin.write(data)
            assert running.wait(PATIENCE) == 0
            with suppress(BrokenPipeError):
                running.stdin.close()
    with process(exec_agent, "-n", "cat", stdin=subprocess.PIPE) as running:
        assert running.wait(PATIENCE) == 0


def test_output_comes_as_it_is_written(exec_agent: RunningAgent) -> None:
    with process(exec_agent, "sh", "-c", "echo begun; read line; echo $line", stdin=-1) as running:
        assert running.stdout
        assert running.stdin
        assert running.stdout.readline() == b"begun\n"
        running.stdin.write(b"end\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"end\n"
        assert running.wait(PATIENCE) == 0


@OURS
def test_what_it_leaves_behind_is_not_waited_for(
    qga_command: Run, exec_agent: RunningAgent
) -> None:
    done = qga_command("exec", exec_agent.target, "--", "sh", "-c", "sleep 30 & echo hi; exit 4",
                       lines=0)  # fmt: skip
    assert (done.code, done.out) == (4, b"hi\n")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)],
)
def test_signals_reach_what_runs(exec_agent: RunningAgent, number: int, code: int) -> None:
    with process(exec_agent, "sh", "-c", "ulimit -c 0; echo $$; sleep 1000") as running:
        assert running.stdout
        pid = int(running.stdout.readline())
        running.send_signal(number)
        assert running.wait(PATIENCE) == code
        assert not Path(f"/proc/{pid}").exists()


def test_a_reader_that_has_enough(exec_agent: RunningAgent) -> None:
    with process(exec_agent, "sh", "-c", "while echo line; do sleep 0.1; done") as running:
        assert running.stdout
        assert running.stdout.readline() == b"line\n"
        running.stdout.close()
        assert running.wait(PATIENCE) == 141
        assert running.stderr
        assert running.stderr.read() == b""


@OURS
def test_an_agent_that_hangs_can_be_left(exec_agent: RunningAgent) -> None:
    with process(exec_agent, "sh", "-c", "echo begun; sleep 1000") as running:
        assert running.stdout
        assert running.stdout.readline() == b"begun\n"
        with exec_agent.stopped():
            until = time.monotonic() + PATIENCE
            while running.poll() is None:
                assert time.monotonic() < until
                running.send_signal(signal.SIGINT)
                time.sleep(0.5)
        assert running.returncode == 130


def test_who_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "_GRACE", 0.1)
    with forwarding.Signals() as signals, signals.waiting() as waiting:
        os.kill(os.getpid(), signal.SIGTERM)
        assert [*waiting()] == [signal.SIGTERM]
        assert signals.received
        time.sleep(0.2)
        assert [*waiting()] == [signal.SIGKILL]
        assert [*waiting()] == []
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with forwarding.Signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# Many guests.


def names(agent: RunningAgent, folder: Path) -> dict[str, str]:
    """What makes web1 and web2 names of an agent, and db that of one that is not there."""
    found = {"web1": agent.target, "web2": agent.target, "db": f"unix:{folder}/none"}
    lines = [f'{name} = "{target}"\n' for name, target in found.items()]
    (folder / "names.toml").write_text("[targets]\n" + "".join(lines))
    return {"QGA_TARGETS": f"{folder}/names.toml"}


def test_many(
    qga_command: Run, exec_agent: RunningAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in names(exec_agent, tmp_path).items():
        monkeypatch.setenv(variable, value)
    one_by_one = ["--forks", "1"]
    done = qga_command("exec", *one_by_one, "-l", "web*", "--", "sh", "-c", "echo a; echo b >&2;"
                       "printf c")  # fmt: skip
    assert done.code == 0
    assert done.text.splitlines() == ["web1: a", "web1: c", "web2: a", "web2: c"]
    assert done.err.splitlines() == ["web1: b", "web2: b", "qga: 2 guests: 2 done"]
    done = qga_command("exec", *one_by_one, "web1", "db", "--", "sh", "-c", "exit 3", lines=3)
    assert done.code == 1
    first, second, summary = done.err.splitlines()
    assert first == "qga: web1: exit code 3"
    assert second.startswith("qga: db: cannot open db")
    assert summary == "qga: 2 guests: 0 done, 2 failed (web1, db)"
    found = qga_command("exec", *one_by_one, "--all", "-o", "json", "--", "echo", "x", lines=2).json
    by_name = {record["guest"]: record for record in found}
    assert by_name["web2"]["result"]["stdout"] == "x\n"
    assert (by_name["web2"]["code"], by_name["db"]["code"]) == (0, 125)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"input\n")))
    done = qga_command("exec", *one_by_one, "-i", "-l", "web1,web2", "cat")
    assert done.text.splitlines() == ["web1: input", "web2: input"]


def test_many_at_once_are_interrupted_together(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "qga.cli", "exec", "web1", "web2", "--"]
    command += ["sh", "-c", "echo begun; sleep 1000"]
    with (
        either("ours", BLOCKED_BUT_EXEC) as agent,
        subprocess.Popen(
            command, stdout=-1, stderr=-1, env=os.environ | names(agent, tmp_path)
        ) as running,
    ):
        assert running.stdout
        begun = {running.stdout.readline(), running.stdout.readline()}
        assert begun == {b"web1: begun\n", b"web2: begun\n"}
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    assert b"qga: web1: ended by signal 2\n" in told
    assert told.endswith(b"qga: 2 guests: 0 done, 2 failed (web1, web2)\n")


# Words.


@pytest.mark.parametrize(
    ("words", "target", "program"),
    [
        (["unix:/s", "-u", "root", "--", "ls", "-l"], ("unix:/s",), ("ls", "-l")),
        (["unix:/s", "-uroot", "ls", "-u", "x"], ("unix:/s",), ("ls", "-u", "x")),
        (["-it", "unix:/s", "-e", "A=1", "ls"], ("unix:/s",), ("ls",)),
        (["--all", "ls", "-l"], (), ("ls", "-l")),
        (["-l", "web*", "unix:/s", "x"], (), ("unix:/s", "x")),
        (["vm", "vm"], ("vm",), ("vm",)),
        (["a", "b", "--", "ls"], ("a", "b"), ("ls",)),
        (["--", "ls", "--", "x"], (), ("ls", "--", "x")),
        (["vm"], ("vm",), None),
    ],
)
def test_where_the_program_begins(
    words: list[str], target: tuple[str, ...], program: tuple[str, ...] | None,
    monkeypatch: pytest.MonkeyPatch, qga_command: Run,
) -> None:  # fmt: skip
    context = click.Context(execute)
    execute.parse_args(context, list(words))
    assert context.params["words"] == target
    assert behind_dashes(context) == program
    if "unix:/s" in words and target:
        monkeypatch.setenv("QGA_TARGET", "unix:/other")
        context = click.Context(execute)
        execute.parse_args(context, [word for word in words if word != "unix:/s"])
        assert context.params["words"] == ()
        assert behind_dashes(context) == program


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["unix:/s"], "which program?"),
        (["unix:/s", "--"], "which program?"),
        (["--nonsense", "unix:/s", "ls"], "--nonsense"),
        (["vm", "ls"], "'vm' is not the name of a target"),
        (["unix:/s", "ls", "--", "x"], "'ls' is not the name of a target"),
        (["-t", "-o", "json", "unix:/s", "ls"], "a terminal is for one guest"),
        (["--timeout", "0", "unix:/s", "ls"], "--timeout"),
    ],
)
def test_wrong_usage(qga_command: Run, words: list[str], why: str) -> None:
    done = qga_command("exec", *words)
    assert (done.code, done.out) == (2, b"")
    assert why in done.err


@pytest.mark.parametrize("words", [["-e", "no name=x"], ["-u", "-x"]])
def test_names_that_are_none(qga_command: Run, exec_agent: RunningAgent, words: list[str]) -> None:
    assert qga_command("exec", *words, exec_agent.target, "true").code == 2


def test_help_shows_examples(qga_command: Run) -> None:
    for verb in ("exec", "shell"):
        assert "Examples:" in qga_command(verb, "--help").text


@OURS
def test_one_that_ignores_that_its_time_is_over(
    qga_command: Run, exec_agent: RunningAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "_GRACE", 0.5)
    text = "trap '' TERM; echo $$; sleep 1000"
    done = qga_command("exec", "--timeout", "1", exec_agent.target, "--", "sh", "-c", text)
    assert done.code == 124
    pid = done.text.strip()
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_long_lines_of_many_are_broken(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = executing.Lines("web", 1, Lock())
    lines.add(b"x" * 70_000)
    lines.add(b"y\nz")
    lines.end()
    assert capfdbinary.readouterr().out == b"web: " + b"x" * 70_000 + b"\nweb: y\nweb: z\n"
