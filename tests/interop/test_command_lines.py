"""qga-agent takes every command line and configuration file of qemu-ga, with the same result."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from qga.protocol import COMMANDS
from qga.protocol.model import version
from tests.interop.agents import OURS
from tests.interop.commandlines import LINES, Answer, Line, comparable
from tests.support.need import missing
from tests.vm.cache import Unavailable
from tests.vm.debs import stock_agent


@pytest.fixture(scope="module")
def stock() -> tuple[str]:
    """The command of QEMU's own agent."""
    try:
        return (str(stock_agent()),)
    except Unavailable as error:
        missing(error.what, error.remedy)


def run(command: Sequence[str], line: Line, folder: Path) -> "subprocess.CompletedProcess[bytes]":
    folder.mkdir(exist_ok=True)
    conf = folder / "agent.conf"
    if line.conf is not None:
        conf.write_bytes(line.conf)
    return subprocess.run(
        # An agent that runs after all would have nowhere to listen: there is no such port here.
        [*command, "-t", ".", *line.options],
        cwd=folder,
        env={**os.environ, "QGA_CONF": conf.name},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


def title(line: Line) -> str:
    return f"{b' '.join(os.fsencode(o) for o in line.options)!r} {line.conf!r}"


def test_every_command_line_means_the_same(stock: tuple[str], tmp_path: Path) -> None:
    unlike = []
    for number, line in enumerate(LINES):
        answers: list[Answer] = []
        for command in (stock, OURS):
            folder = tmp_path / f"{number}-{len(answers)}"
            ended = run(command, line, folder)
            answers.append(comparable(ended.returncode, ended.stdout, ended.stderr))
            left = {path.name for path in folder.iterdir()} - {"agent.conf", "qga.state"}
            assert left == set(), title(line)
        if (answers[0] == answers[1]) is bool(line.differs):
            reason = line.differs or "unexpected"
            unlike.append(f"{title(line)} ({reason}):\n  {answers[0]}\n  {answers[1]}")
    assert not unlike, "\n".join(unlike)


def test_the_lists_of_commands_agree(stock: tuple[str], tmp_path: Path) -> None:
    theirs = run(stock, Line(["-b", "help"]), tmp_path).stdout.decode().split()
    ours = run(OURS, Line(["-b", "help"]), tmp_path).stdout.decode().split()
    of_then = {c.NAME for c in COMMANDS if version(c.SINCE) <= (7, 2)}
    elsewhere = {c.NAME for c in COMMANDS if c.PLATFORM}
    assert [name for name in theirs if name not in elsewhere] == [
        name for name in ours if name in of_then
    ]


def test_both_say_what_they_are(stock: tuple[str], tmp_path: Path) -> None:
    for command in (stock, OURS):
        assert run(command, Line(["-V"]), tmp_path).stdout.startswith(b"QEMU Guest Agent ")
        answer = run(command, Line(["--help"]), tmp_path)
        assert (answer.returncode, answer.stderr) == (0, b"")
        assert answer.stdout.startswith(b"Usage: ")


def test_each_option_of_the_others_help_is_in_ours(stock: tuple[str], tmp_path: Path) -> None:
    def options(command: Sequence[str]) -> set[str]:
        words = run(command, Line(["--help"]), tmp_path).stdout.decode().split()
        return {word.strip(",").partition("[")[0] for word in words if word.startswith("--")}

    assert options(stock) <= options(OURS)
