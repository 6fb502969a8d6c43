"""What new users do: words of other tools, options in the wrong place, odd surroundings."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qga.cli import output
from qga.cli.quantities import Seconds
from qga.testing import FakeAgent

from .command import Run

PROGRAM = [sys.executable, "-m", "qga.cli"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["inf", "web1"], "there is no command 'inf'; do you mean info?"),
        (["run", "web1", "ls"], "there is no command 'run'; do you mean exec?"),
        (["list"], "there is no command 'list'; do you mean targets?"),
        (["qqq"], "there is no command 'qqq'; see"),
        (["web1", "info"], "the command comes first, then the target: qga info web1"),
        (["-o", "json", "info", "web1"], "options come behind it, as in `qga info -o ...`"),
        (["--timeout", "3", "ping"], "options come behind it, as in `qga info --timeout ...`"),
        (["find", "web1:/", "-bogus"], "there is no option '-bogus': `qga exec TARGET -- find`"),
        (["find", "web1:/", "-nmae", "x"], "'-nmae': do you mean -name"),
        (["find", "web1:/", "-links", "2"], "there is no option '-links'"),
        (["ping", "--timeout", "soon"], "'soon' is no number of seconds, as 30, or a time as 5m"),
        (["ping", "--timeout", "-1"], "'-1' is no number of seconds"),
        (["ping", "--timeout", "0"], "'0' is too short: give more than 0 seconds"),
        (["top", "-d", "0.01"], "'0.01' is too short: give 0.1 seconds or more"),
        (["ping", "--forks", "0"], "'0' is no number from 1 on"),
        (["head", "-n", "two", "web1:/x"], "'two' is no number from 0 on"),
    ],
)
def test_wrong_words(qga_command: Run, words: list[str], told: str) -> None:
    done = qga_command(*words)
    assert (done.code, done.out) == (2, b"")
    assert told in done.err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("1.5", 1.5),
        (".5s", 0.5),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("inf", math.inf),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert Seconds().convert(text, None, None) == seconds


def test_no_guests(qga_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QGA_FIND", "files")
    done = qga_command("targets")
    assert (done.code, done.out) == (0, b"")
    assert "no target was found here: no name in " in done.err
    assert "socket" not in done.err
    assert qga_command("targets", "-l", "web*").err == "qga: no target is named like web*\n"
    done = qga_command("targets", "-o", "json")
    assert (done.json, done.err) == ([], "")
    done = qga_command("ping", "--all")
    assert (done.code, "no guest was found: `qga targets`" in done.err) == (2, True)


def test_a_freeze_is_why_commands_are_refused(qga_command: Run, tmp_path: Path) -> None:
    agent = FakeAgent()
    agent.state = "frozen"
    (tmp_path / "file").write_bytes(b"content")
    with agent.serve() as target:
        for words in (
            ["exec", target, "--", "true"],
            ["cat", f"{target}:/etc/hostname"],
            ["cp", str(tmp_path / "file"), f"{target}:/tmp/file"],
            ["load", target],
        ):
            done = qga_command(*words)
            assert done.code in (1, 125)
            assert done.err.endswith("the guest's file systems are frozen; `qga thaw` ends that\n")
        agent.state = "thawed"
        agent.blocked.add("guest-get-load")
        agent.blocked.add("guest-file-open")
        assert "block-rpcs" in qga_command("load", target).err


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_stream_that_is_closed(closed: int) -> None:
    """Its number is not given to the channel, which would get what is printed."""
    with FakeAgent().serve() as target:
        for words in (["ping", target], ["info", target], ["cat", f"{target}:/etc/hostname"]):
            done = subprocess.run(
                ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *PROGRAM, *words],
                capture_output=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, b"")
            assert bool(done.stdout) is (closed != 1)


def test_a_terminal_without_unicode() -> None:
    with FakeAgent().serve() as target:
        done = subprocess.run(
            [*PROGRAM, "info", target],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )
    assert b" s +- " in done.stdout


def test_a_table_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    table = output.Table(
        ["mounted on", "size", "use"],
        [["/srv/somewhere/far/below", "50.2 MiB", "25%"]],
        right=frozenset({"size"}),
        bars=frozenset({"use"}),
    )

    def shown(width: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        output.Look().show(output.Shown(None, table))
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    assert shown(80)[2] == "/srv/somewhere/far/below  50.2 MiB  ━━╸───────  25%"
    # Text is folded, a bar is left out; a number is never cut.
    assert shown(42)[2:] == ["/srv/somewhere/  50.2 MiB  ━━╸───────  25%", "far/below"]
    assert shown(30)[2:] == ["/srv/somewhere/  50.2 MiB  25%", "far/below"]
    # Or the terminal breaks lines that are as in a pipe.
    assert shown(20) == [
        "mounted on                    size  use",
        "/srv/somewhere/far/below  50.2 MiB  25%",
    ]
