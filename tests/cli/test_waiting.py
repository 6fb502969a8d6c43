"""`qga wait`: for what is not there yet, in order; and what is missing in the end."""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.testing import FakeAgent
from tests.support.stock import BLOCKED_BUT_EXEC, RunningAgent

from .command import Run
from .typist import at_terminal

PATIENCE = 60.0


@pytest.fixture
def target(fake_agent: FakeAgent) -> Iterator[str]:
    with fake_agent.serve() as target:
        yield target


def test_an_agent_that_starts_late(qga_command: Run) -> None:
    with tempfile.TemporaryDirectory(prefix="qga-") as name:
        path = Path(name) / "s"
        options = ["-m", "unix-listen", "-p", path, "-t", name, "-b", ",".join(BLOCKED_BUT_EXEC)]
        command = [sys.executable, "-m", "qga.agent", *map(str, options)]
        agents: list[subprocess.Popen[bytes]] = []
        timer = threading.Timer(1, lambda: agents.append(subprocess.Popen(command)))
        timer.start()
        try:
            done = qga_command("wait", f"unix:{path}", "--for", "ready", "--timeout", "100")
        finally:
            timer.join()
            for agent in agents:
                agent.kill()
                agent.wait()
    assert (done.code, done.text.startswith("ready: the agent answers")) == (0, True)


def test_one_after_the_other(qga_command: Run, exec_agent: RunningAgent) -> None:
    there = exec_agent.directory / "there"
    timer = threading.Timer(0.5, there.touch)
    timer.start()
    done = qga_command(
        "wait", exec_agent.target, "--for", f"file={there}", "-o", "json",
        "--for", f"command=sh -c 'test -e {there}; echo $? \"two  blanks\"'",
        "--for", "ready", "--timeout", "100",
    )  # fmt: skip
    timer.join()
    assert done.code == 0, done.err
    file, command, ready = done.json
    assert (file["for"], file["result"]) == (f"file={there}", str(there))
    assert command["result"] == "0 two  blanks\n"
    assert ready["result"] == "ready"
    assert 0 <= file["seconds"] <= command["seconds"] <= ready["seconds"]


def test_what_is_missing_is_told(qga_command: Run, exec_agent: RunningAgent) -> None:
    words = ["--for", "ready", "--for", "file=/nonexistent/x", "--for", "command=true"]
    done = qga_command("wait", exec_agent.target, *words, "--timeout", "2")
    assert (done.code, done.out) == (3, b"")
    assert "waited for file=/nonexistent/x: there is no /nonexistent/x after" in done.err
    assert done.err.endswith(
        "it is not there; not looked at yet: command=true; --timeout SECONDS waits longer\n"
    )
    done = qga_command(
        "wait", exec_agent.target, "--for", "command=sh -c 'echo no >&2; exit 4'", "--timeout", "2"
    )
    assert done.code == 3
    assert "sh did not succeed after" in done.err
    assert "exit code 4: no" in done.err


def test_addresses_and_the_end(qga_command: Run, fake_agent: FakeAgent, target: str) -> None:
    assert qga_command("wait", target, "--for", "ip").text == "ip: 192.0.2.10\n"
    assert qga_command("wait", target, "--for", "ip=6").text == "ip: 2001:db8::10\n"
    fake_agent.kill()
    done = qga_command("wait", target, "--for", "down", "--timeout", "60")
    assert done.text == "down: the machine is off\n"
    done = qga_command("wait", target, "--for", "ip=4", "--timeout", "0.3")
    assert done.code == 3
    assert "waited for ip=4: no primary address after" in done.err


def test_cloud_init(qga_command: Run, fake_agent: FakeAgent, target: str) -> None:
    fake_agent.files.mkdir("/run/cloud-init")
    words = ["wait", target, "--for", "cloud-init", "--timeout", "1"]
    done = qga_command(*words)
    assert (done.code, "it has not begun" in done.err) == (3, True)
    fake_agent.files["/run/cloud-init/disabled"] = b""
    assert qga_command(*words).text == "cloud-init: disabled in this guest\n"
    found = {"datasource": "DataSourceNoCloud", "errors": ["('x', \x1b[31m)"]}
    fake_agent.files["/run/cloud-init/result.json"] = json.dumps({"v1": found}).encode()
    done = qga_command(*words, lines=0)
    assert (done.code, done.text) == (1, "cloud-init: done, with errors\n  ('x', \\x1b[31m)\n")
    (shown,) = qga_command(*words, "-o", "json", lines=0).json
    assert shown["result"] == {"status": "done", **found}
    found["errors"] = []
    fake_agent.files["/run/cloud-init/result.json"] = json.dumps({"v1": found}).encode()
    assert qga_command(*words).text == "cloud-init: done\n"


def test_how_it_goes_is_seen_on_a_terminal(fake_agent: FakeAgent, target: str) -> None:
    code, shown = at_terminal("wait", target, "--for", "file=/run/later", "--timeout", "2")
    assert code == 3
    assert "file=/run/later: " in shown
    interrupted = [("file=/run/later: ", "\x03")]
    assert at_terminal("wait", target, "--for", "file=/run/later", answers=interrupted)[0] == 130
    fake_agent.files["/run/later"] = b""
    code, shown = at_terminal("wait", target, "--for", "file=/run/later", "--for", "ip")
    assert (code, "file: /run/later" in shown, "ip: 192.0.2.10" in shown) == (0, True, True)


def test_several_guests(
    qga_command: Run, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tmp_path / "names.toml"
    monkeypatch.setenv("QGA_TARGETS", str(names))
    names.write_text(f'[targets]\nweb = "{target}"\ngone = "unix:{tmp_path}/none"\n')
    done = qga_command("wait", "--all", "--for", "ip", "--timeout", "1", lines=2)
    assert (done.code, done.text) == (1, "web: ip: 192.0.2.10\n")
    assert "qga: gone: waited for ip: " in done.err


@pytest.mark.parametrize(
    "condition", ["", "rdy", "ready=1", "ip=5", "file=", "file", "command=", "command='", "down=x"]
)
def test_there_is_no_such_condition(qga_command: Run, condition: str) -> None:
    done = qga_command("wait", "unix:/s", "--for", condition)
    assert (done.code, "--for" in done.err) == (2, True)
