"""The quick way of `qga ping` and `qga --version`: it says what the ordinary one says."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qga.cli import app, quick
from qga.protocol.fsfreeze import FsfreezeState
from qga.testing import FakeAgent
from tests.support.stock import BLOCKED, RunningAgent, running

from .command import Run

SOURCES = Path(__file__).parents[2] / "src"

Compare = Callable[..., str]


@pytest.fixture
def compare(qga_command: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> Compare:
    """Run a command line both ways; return what both have said."""

    def command(*words: str) -> str:
        found = []
        for run in (quick.run, app.run):
            code = run(list(words))
            captured = capfdbinary.readouterr()
            # How long it took is the one thing that may differ.
            out = re.sub(rb"in [0-9.e-]+ ms", b"in N ms", captured.out)
            found.append((code, out.decode(), captured.err.decode()))
        assert found[0] == found[1]
        code, shown, told = found[0]
        assert code is not None
        assert (code == 0) is (told == "")
        return f"{code}: {shown}{told}"

    return command


def test_answers(compare: Compare, agent: RunningAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = f"0: {agent.target} answers in N ms\n"
    assert compare("ping", agent.target) == expected
    assert compare("ping", "--timeout", "20", agent.target) == expected
    monkeypatch.setenv("QGA_TARGET", agent.target)
    assert compare("ping") == expected
    assert compare("ping", "--timeout", "20") == expected
    assert compare("--version").startswith("0: qga ")


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("unix:/nonexistent/s", 3),
        ("unix:/", 3),
        ("unix:", 2),
        ("unix:/a\0b", 2),
        ("", 2),
        ("vm1", 2),
        ("/nonexistent/s", 3),
        ("./nonexistent", 3),
        ("nonexistent/s", 2),
        ("pigeon:vm1", 2),
        ("serial:/nonexistent", 3),
        ("serial:/dev/null", 3),
        ("tcp:127.0.0.1:1", 3),
        ("tcp:127.0.0.1", 2),
        ("vsock:1", 2),
        ("fd:4321", 3),
        ("fd:x", 2),
        ("pve:", 2),
    ],
)
def test_what_is_not_reached(compare: Compare, target: str, code: int) -> None:
    assert compare("ping", target).startswith(f"{code}: qga: ")


@pytest.mark.parametrize("variable", ["", "unix:/nonexistent/s", "nobody", "unix:"])
def test_the_variable(compare: Compare, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QGA_TARGET", variable)
    assert ": qga: " in compare("ping")


def test_names(compare: Compare, agent: RunningAgent, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "qga"
    folder.mkdir(parents=True)
    (folder / "targets.toml").write_text(
        f'[targets.vm]\ntarget = "{agent.target}"\ntimeout = 29\n[targets.other]\ntarget = "x:y"\n'
    )
    assert compare("ping", "vm") == "0: vm answers in N ms\n"
    assert "do you mean vm?" in compare("ping", "vn")
    assert "targets.other" in compare("ping", "other")
    (folder / "targets.toml").write_text("[targets\n")
    assert compare("ping", "vm").startswith("2: qga: ")


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(str(tmp_path / "s"))
        yield found


def test_silence(compare: Compare, listener: socket.socket) -> None:
    target = f"unix:{listener.getsockname()}"
    assert "nobody listens on it" in compare("ping", target)
    listener.listen()
    assert "no answer within 1 s" in compare("ping", "--timeout", "1", target)


def test_agents_in_trouble(compare: Compare, fake_agent: FakeAgent) -> None:
    with fake_agent.serve() as target:
        fake_agent.disturb("guest-ping", cut=0, times=2)
        assert "closed the channel" in compare("ping", target)
        fake_agent.disturb("guest-ping", delay=60, times=2)
        assert "guest-ping: no answer within 1 s" in compare("ping", "--timeout", "1", target)
        fake_agent.unknown.add("guest-ping")
        assert "`qga commands` lists" in compare("ping", target)
        fake_agent.unknown.clear()
        fake_agent.blocked.add("guest-ping")
        assert "1: qga: " in compare("ping", target)
        fake_agent.state = FsfreezeState.FROZEN
        assert compare("ping", target).startswith("0: ")


def test_a_refused_ping(compare: Compare) -> None:
    command = [sys.executable, "-m", "qga.agent"]
    with running(command, (*BLOCKED, "guest-ping")) as refusing:
        assert compare("ping", refusing.target).startswith("1: qga: ")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["info"],
        ["--help"],
        ["--version", "ping"],
        ["ping", "--help"],
        ["ping", "-o", "json", "unix:/s"],
        ["ping", "unix:/s", "-o", "json"],
        ["ping", "unix:/s", "unix:/s"],
        ["ping", "--timeout", "0", "unix:/s"],
        ["ping", "--timeout", "x", "unix:/s"],
        ["ping", "--timeout", "1.5", "unix:/s"],
        ["ping", "--timeout", "\u0661", "unix:/s"],
        ["ping", "--timeout=5", "unix:/s"],
        ["ping", "--timeout"],
        ["ping", "--", "unix:/s"],
    ],
)
def test_what_is_left_to_the_ordinary_way(words: list[str]) -> None:
    assert quick.run(words) is None


def test_a_pipe_that_nobody_reads(fake_agent: FakeAgent) -> None:
    with fake_agent.serve() as target:
        for way in ("from qga.cli import main as run", "from qga.cli.app import run"):
            program = f"import sys; {way}; sys.exit(run())"
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(
                [sys.executable, "-c", program, "ping", target],
                stdout=writer,
                stderr=subprocess.PIPE,
                check=False,
            )
            os.close(writer)
            assert (done.returncode, done.stderr) == (1, b"")


def loaded(*words: str) -> set[str]:
    """What is loaded to run `qga` with *words*, beyond what `os` is made of."""
    program = (
        "import os, sys; sys.path.insert(0, sys.argv.pop(1)); before = set(sys.modules)\n"
        "from qga.cli import main; main(); print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(SOURCES), *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_what_a_ping_loads(fake_agent: FakeAgent) -> None:
    """Each module takes its time, and that of typing would be a third of the whole."""
    with fake_agent.serve() as target:
        found = loaded("ping", target)
    own = {name for name in found if name.startswith("qga")}
    assert found - own <= {
        "__future__", "_collections", "_contextvars", "_json", "_socket", "binascii", "contextvars",
        "errno", "gc", "select",
    }  # fmt: skip
    # Nothing of topics, of the flows beyond their steps, or of other ways to agents.
    assert {name for name in own if not name.startswith("qga.wire")} <= {
        "qga", "qga.cli", "qga.cli.ending", "qga.cli.quick", "qga.client", "qga.client.channel",
        "qga.client.deadline", "qga.client.flows", "qga.client.flows.steps", "qga.client.operation",
        "qga.client.operations", "qga.client.results", "qga.client.schemes", "qga.client.streams",
        "qga.client.sync", "qga.client.target", "qga.client.transports", "qga.client.turns",
        "qga.errors", "qga.protocol", "qga.protocol.codec", "qga.protocol.model",
    }  # fmt: skip
    assert loaded("--version") <= {
        "__future__", "gc", "qga", "qga._version", "qga.cli", "qga.cli.ending", "qga.cli.quick",
        "qga.errors", "qga.protocol",
    }  # fmt: skip
