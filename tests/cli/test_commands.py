"""`qga` as its users meet it, against real agents."""

import json
import os
import pty
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

import qga
from tests.support.stock import BLOCKED, BLOCKED_BUT_EXEC, RunningAgent, running

from .command import Run


def test_ping(qga_command: Run, agent: RunningAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    done = qga_command("ping", agent.target)
    assert (done.code, done.err) == (0, "")
    assert done.text.startswith(f"{agent.target} answers in ")
    found = qga_command("ping", "-o", "json", agent.target).json
    assert found.keys() == {"target", "milliseconds"}
    monkeypatch.setenv("QGA_TARGET", agent.target)
    assert qga_command("ping").code == 0


def test_status_thaw_shutdown(qga_command: Run, agent: RunningAgent) -> None:
    assert qga_command("status", agent.target).text == "thawed\n"
    assert qga_command("status", agent.target, "-o", "json").json == {"status": "thawed"}
    for verb in ("thaw", "shutdown"):
        done = qga_command(verb, agent.target)
        assert done.code == 1
        assert "has been disabled" in done.err
        assert "forbids it, or a freeze does" in done.err


def test_freeze_that_is_refused_does_not_run_the_command(
    qga_command: Run, agent: RunningAgent
) -> None:
    done = qga_command("freeze", agent.target, "--", "echo", "ran")
    assert done.code == 125
    assert done.out == b""
    assert "guest-fsfreeze-freeze has been disabled" in done.err


def test_call(qga_command: Run, agent: RunningAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    target = agent.target
    path = str(agent.directory / "file")
    handle = qga_command("call", target, "guest-file-open", f"path={path}", "mode=w+").text.strip()
    write = ["call", target, "guest-file-write", f"handle={handle}"]
    assert qga_command(*write, "buf-b64=hellö").text.split()[:4] == [
        "member",
        "value",
        "count",
        "6",
    ]
    source = agent.directory / "source"
    source.write_bytes(b"\xff\x00" * 3000)
    assert qga_command(*write, f"data=@{source}", "-o", "json").json["count"] == 6000
    assert qga_command(*write, "buf-b64=@@at", "count=2", "-o", "json").json["count"] == 2
    encoded = b64encode(b"raw").decode()
    assert qga_command(*write, f'buf-b64:="{encoded}"', "-o", "json").json["count"] == 3
    seek = ["call", target, "guest-file-seek", f"handle={handle}"]
    assert qga_command(*seek, "offset=0", "whence=0", "-o", "json").json["position"] == 0
    assert qga_command(*seek, "offset=-5", "whence=end", "-o", "json").json["position"] == 6006
    assert qga_command(*seek, "offset=0", "whence=set").code == 0
    read = ["call", target, "guest-file-read", f"handle={handle}"]
    assert "hellö" in qga_command(*read, "count=6").text
    assert qga_command(*read, "count=0x2", "-o", "json").json == {
        "count": 2,
        "buf-b64": b64encode(b"\xff\x00").decode(),
        "eof": False,
    }
    assert "\\xff" in qga_command(*read).text
    monkeypatch.setenv("QGA_TARGET", target)
    assert qga_command("call", "guest-file-close", f"handle={handle}").text == "ok\n"
    assert qga_command("call", "guest-ping", "-o", "json").json == {}
    assert qga_command("call", "guest-sync", "id=7").text == "7\n"
    assert qga_command("call", "guest-sync-delimited", "id:=8").text == "8\n"
    done = qga_command("call", "guest-file-close", f"handle={handle}")
    assert (done.code, done.err) == (1, f"qga: handle '{handle}' has not been found\n")
    done = qga_command("call", "guest-invented", "x=1")
    assert done.code == 1
    assert "guest-invented has not been found" in done.err
    assert "`qga commands` lists what it has" in done.err


@pytest.mark.parametrize("mode", ["true", "stdout"])
def test_call_starts_a_program(qga_command: Run, mode: str) -> None:
    with running([sys.executable, "-m", "qga.agent"], BLOCKED_BUT_EXEC) as agent:

        def call(*words: str) -> Any:
            return qga_command("call", "-o", "json", agent.target, *words).json

        words = ("path=/bin/sh", 'arg=["-c", "echo $A; cat"]', 'env:=["A=x"]', "input-data=y")
        pid = call("guest-exec", *words, f"capture-output={mode}")["pid"]
        deadline = time.monotonic() + 30
        while not (status := call("guest-exec-status", f"pid={pid}"))["exited"]:
            assert time.monotonic() < deadline
        assert (status["exitcode"], status["out-data"]) == (0, b64encode(b"x\ny").decode())


def test_cat(qga_command: Run, agent: RunningAgent) -> None:
    path = agent.directory / "file"
    path.write_bytes(content := os.urandom(3 << 20))
    assert qga_command("cat", f"{agent.target}:{path}").out == content
    path.write_bytes(b"some")
    found = qga_command("cat", f"{agent.target}:{path}", "-o", "json").json
    assert found == {"path": str(path), "count": 4, "buf-b64": b64encode(b"some").decode()}
    done = qga_command("cat", f"{agent.target}:/nonexistent/file")
    assert done.code == 1
    assert done.err.endswith("No such file or directory\n")


def test_cp(
    qga_command: Run,
    agent: RunningAgent,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, back = tmp_path / "here", tmp_path / "back"
    guest = f"{agent.target}:{agent.directory}"
    here.write_bytes(content := os.urandom(3 << 20))
    assert qga_command("cp", str(here), f"{guest}/there").out == b""
    assert (agent.directory / "there").read_bytes() == content
    assert qga_command("cp", str(here), f"{guest}/").code == 0
    assert (agent.directory / "here").read_bytes() == content
    assert qga_command("cp", f"{guest}/there", str(back)).code == 0
    assert back.read_bytes() == content
    assert qga_command("cp", f"{guest}/there", str(tmp_path)).code == 0
    assert (tmp_path / "there").read_bytes() == content
    assert qga_command("cp", f"{guest}/there", "-").out == content
    found = qga_command("cp", "-o", "json", str(here), f"{guest}/there").json
    assert found.keys() == {"source", "destination", "count", "files", "verified", "seconds"}
    assert found["count"] == len(content)
    monkeypatch.setenv("QGA_TARGET", agent.target)
    assert qga_command("cp", f":{agent.directory}/there", "/dev/null").code == 0


def test_what_was_copied_is_compared(
    qga_command: Run, exec_agent: RunningAgent, tmp_path: Path
) -> None:
    here, back = tmp_path / "here", tmp_path / "back"
    guest = f"{exec_agent.target}:{exec_agent.directory}/there"
    here.write_bytes(content := os.urandom(17 << 20))  # enough for the quicker program
    for words in ((str(here), guest), (guest, str(back))):
        found = qga_command("cp", "-o", "json", *words).json
        assert (found["count"], found["verified"]) == (len(content), True)
    assert back.read_bytes() == content
    assert qga_command("cp", "-o", "json", guest, "/dev/null").json["verified"] is False


def test_cp_to_and_from_what_is_no_file(
    qga_command: Run, exec_agent: RunningAgent, tmp_path: Path
) -> None:
    here, pipe, back = tmp_path / "here", exec_agent.directory / "pipe", tmp_path / "back"
    here.write_bytes(b"some\n")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # there before the agent opens it
    try:
        found = qga_command("cp", "-o", "json", str(here), f"{exec_agent.target}:{pipe}").json
        assert (found["count"], found["verified"]) == (5, False)
        assert os.read(reader, 100) == b"some\n"
    finally:
        os.close(reader)
    os.mkfifo(tmp_path / "mine")
    with subprocess.Popen(["sh", "-c", f"echo mine >{tmp_path}/mine"]):
        target = f"{exec_agent.target}:{exec_agent.directory}/copy"
        assert qga_command("cp", f"{tmp_path}/mine", target).code == 0
    assert qga_command("cp", target, str(back)).code == 0
    assert back.read_bytes() == b"mine\n"


def test_a_failed_copy_keeps_what_was_there(
    qga_command: Run, agent: RunningAgent, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    precious.chmod(0o640)
    assert qga_command("cp", f"{agent.target}:/nonexistent/file", str(precious)).code == 1
    assert precious.read_text() == "precious"
    done = qga_command("cp", f"{agent.target}:/etc/passwd", f"{tmp_path}/none/x")
    assert (done.code, done.err) == (4, f"qga: {tmp_path}/none: No such file or directory\n")
    link = tmp_path / "link"
    link.symlink_to(precious)
    (agent.directory / "file").write_text("new")
    assert qga_command("cp", f"{agent.target}:{agent.directory}/file", str(link)).code == 0
    assert link.is_symlink()
    assert precious.read_text() == "new"
    assert precious.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "precious"]


def test_cp_from_standard_input_and_an_early_end_of_standard_output(agent: RunningAgent) -> None:
    program = [sys.executable, "-m", "qga.cli"]
    path = f"{agent.target}:{agent.directory}/file"
    data = os.urandom(3 << 20)
    subprocess.run([*program, "cp", "-", path], input=data, check=True)
    assert (agent.directory / "file").read_bytes() == data
    for words in (["cat", path], ["commands", agent.target]):
        with subprocess.Popen(
            [*program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 1


def test_no_answer_in_time(qga_command: Run, agent: RunningAgent) -> None:
    with agent.stopped():
        done = qga_command("ping", "--timeout", "0.2", agent.target)
    assert done.code == 3
    assert (
        "does not answer: no answer within 0.2 s; the channel is taken: another client" in done.err
    )


def test_the_list_of_dangerous_commands_is_complete(agent: RunningAgent) -> None:
    harmless = {"exec-status", "get-", "info", "ping", "sync", "file-", "fsfreeze-status"}
    harmless |= {"network-get-", "ssh-get-", "qga-fsfreeze-report"}
    with qga.connect(agent.target) as client:
        for command in client.info().supported_commands:
            name = command.name.removeprefix("guest-")
            if not name.startswith(tuple(harmless)):
                assert command.name in BLOCKED
                assert not command.enabled


def test_output_through_a_pipe_is_json_that_others_read(agent: RunningAgent) -> None:
    command = [sys.executable, "-m", "qga.cli", "version", "-o", "json", agent.target]
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout)["agent"]


def test_on_a_terminal_a_copy_shows_its_progress(agent: RunningAgent, tmp_path: Path) -> None:
    (agent.directory / "file").write_bytes(bytes(3 << 20))
    remote = f"{agent.target}:{agent.directory}/file"
    for words in ([remote, str(tmp_path / "here")], [str(tmp_path / "here"), remote]):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "qga.cli", "cp", *words]
        with subprocess.Popen(command, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            try:
                while data := os.read(ours, 4096):
                    shown += data
            except OSError:  # how a terminal tells that its other side is gone
                pass
        os.close(ours)
        assert process.returncode == 0
        assert b"3.0/3.0 MiB" in shown
        assert b"3.0 MiB in " in shown
