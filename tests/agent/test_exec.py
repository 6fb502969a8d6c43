"""guest-exec and guest-exec-status: what a program gets, and what is said of its end."""

import base64
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import Peer, RunningAgent, call, refusal, until
from tests.agent.programs import begin, is_gone, output, refusal_of, result, run, start_runner
from tests.agent.test_imports import UNWANTED, loaded
from tests.support.stock import BLOCKED_BUT_EXEC

OUT_AND_ERR = "echo out; echo err >&2"

# Writes what each of its descriptors is to the file that it is given.
DESCRIPTORS = """
import json, os, sys
found = {}
for name in os.listdir("/proc/self/fd"):
    try:
        found[name] = os.readlink("/proc/self/fd/" + name).partition(":")[0]
    except FileNotFoundError:
        pass  # that of the listing
json.dump(found, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """An agent that may run programs; one for all tests that leave it as it was."""
    agent = RunningAgent(tmp_path_factory.mktemp("exec"), blocked=",".join(BLOCKED_BUT_EXEC))
    yield agent
    agent.close()


@pytest.fixture
def peer(running: RunningAgent) -> Iterator[Peer]:
    with running.connect() as peer:
        yield peer


# Its end.


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", {"exitcode": 0}),
        ("exit 1", {"exitcode": 1}),
        ("exit 255", {"exitcode": 255}),
        ("exit 300", {"exitcode": 44}),
        ("kill -9 $$", {"signal": 9}),
        ("kill -15 $$", {"signal": 15}),
        ("ulimit -c 0; kill -11 $$", {"signal": 11}),
        ("sleep 0.1; exit 3", {"exitcode": 3}),
    ],
)
def test_how_it_ended(peer: Peer, script: str, status: dict[str, int]) -> None:
    assert run(peer, "sh", "-c", script) == {"exited": True} | status


def test_while_it_runs_nothing_else_is_said(peer: Peer) -> None:
    pid = begin(peer, "sh", "-c", "echo begun; read line; exit 7", capture_output=True)
    # It has no input but the end of it; so it is another that has to be waited for.
    other = begin(peer, "sleep", "60")
    assert peer.call("guest-exec-status", pid=other) == {"exited": False}
    assert result(peer, pid)["exitcode"] == 7
    os.kill(other, signal.SIGTERM)
    assert result(peer, other) == {"exited": True, "signal": signal.SIGTERM}


def test_the_end_is_told_once_and_to_anybody(running: RunningAgent, peer: Peer) -> None:
    pid = begin(peer, "true")
    peer.close()
    until(lambda: is_gone(pid), "the agent to reap its child")
    with running.connect() as other:
        assert other.call("guest-exec-status", pid=pid) == {"exited": True, "exitcode": 0}
        error = other.ask("guest-exec-status", pid=pid)["error"]
        assert error == {"class": "GenericError", "desc": f"PID {pid} does not exist"}


@pytest.mark.parametrize("pid", [0, 1, -1, 1 << 40])
def test_a_number_that_is_no_programs(make: AgentFactory, pid: int) -> None:
    assert refusal(make(), "guest-exec-status", pid=pid) == f"PID {pid} does not exist"


# What it writes.


@pytest.mark.parametrize(
    ("capture", "out", "err"),
    [
        ({}, None, None),
        ({"capture_output": False}, None, None),
        ({"capture_output": True}, "out\n", "err\n"),
        ({"capture_output": "none"}, None, None),
        ({"capture_output": "stdout"}, "out\n", None),
        ({"capture_output": "stderr"}, None, "err\n"),
        ({"capture_output": "separated"}, "out\n", "err\n"),
        ({"capture_output": "merged"}, "out\nerr\n", None),
    ],
)
@pytest.mark.parametrize("given", [{}, {"input_data": ""}, {"input_data": "eA=="}])
def test_what_is_kept(
    peer: Peer, capture: dict[str, Any], out: str | None, err: str | None, given: dict[str, Any]
) -> None:
    status = run(peer, "sh", "-c", OUT_AND_ERR, **capture, **given)
    expected: dict[str, Any] = {"exited": True, "exitcode": 0}
    if out is not None:
        expected |= {"out-data": out.encode(), "out-truncated": False}
    if err is not None:
        expected |= {"err-data": err.encode(), "err-truncated": False}
    assert status == expected


def test_what_is_not_written_is_not_mentioned(peer: Peer) -> None:
    for capture in (True, "stdout", "stderr", "separated", "merged"):
        assert run(peer, "true", capture_output=capture) == {"exited": True, "exitcode": 0}


@pytest.mark.parametrize(
    ("compat", "modes", "desc"),
    [
        ("7.2", False, "Invalid parameter type for 'capture-output', expected: boolean"),
        ("8.1", True, "Parameter 'capture-output' does not accept value 'all'"),
    ],
)
def test_modes_came_with_8_1(start: Starter, compat: str, modes: bool, desc: str) -> None:
    with start_runner(start, "--compat", compat).connect() as peer:
        assert run(peer, "echo", capture_output=True)["out-data"] == b"\n"
        assert refusal_of(peer, path="true", capture_output="all") == desc
        if modes:
            assert run(peer, "echo", capture_output="merged")["out-data"] == b"\n"
        else:
            assert refusal_of(peer, path="true", capture_output="merged") == desc


# What it reads.


def test_without_input_it_reads_nothing(peer: Peer) -> None:
    assert output(peer, "readlink", "/proc/self/fd/0") == "/dev/null\n"
    assert output(peer, "cat") == ""


@pytest.mark.parametrize("data", [b"", b"x", b"one\ntwo\n", bytes(range(256)) * 300])
def test_it_reads_what_it_is_given(peer: Peer, data: bytes) -> None:
    given = base64.b64encode(data).decode()
    status = run(peer, "cat", capture_output=True, input_data=given)
    assert status.get("out-data", b"") == data


def test_input_comes_by_a_pipe(peer: Peer) -> None:
    for given in ("", "eA=="):
        assert output(peer, "readlink", "/proc/self/fd/0", input_data=given).startswith("pipe:")


def test_input_that_is_no_base64_starts_nothing(peer: Peer) -> None:
    desc = refusal_of(peer, path="true", input_data="!")
    assert desc == "Base64 data contains invalid characters"


# What it is.


def test_it_has_its_arguments_as_they_are(peer: Peer) -> None:
    words = ["", "a b", "$HOME", "'\"\\", "\u00fc\u20ac\U0001f600", "-n", "a\nb"]
    assert output(peer, "printf", "<%s>", *words) == "".join(f"<{word}>" for word in words)


def test_its_first_argument_is_the_path(peer: Peer) -> None:
    assert output(peer, "sh", "-c", "tr '\\0' '\\n' </proc/$$/cmdline | head -1") == "sh\n"


@pytest.mark.parametrize("capture", [True, "stdout", "stderr", "separated", "merged", "none"])
@pytest.mark.parametrize("given", [{}, {"input_data": "eA=="}])
def test_it_has_three_descriptors(
    start: Starter, capture: bool | str, given: dict[str, Any]
) -> None:
    # As careless programs start others: with a descriptor that they have forgotten.
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    running = start_runner(start, pass_fds=[writer])
    report = running.folder / "report"
    null = "/dev/null"
    out = "pipe" if capture in (True, "stdout", "separated", "merged") else null
    err = "pipe" if capture in (True, "stderr", "separated", "merged") else null
    expected = {"0": "pipe" if given else null, "1": out, "2": err}
    with running.connect() as peer:
        # Something to inherit, were it inheritable.
        peer.call("guest-file-open", path="/dev/zero")
        other = begin(peer, "sleep", "60", capture_output=True, input_data="eA==")
        for _ in range(2):
            program = [sys.executable, "-S", "-c", DESCRIPTORS, str(report)]
            assert run(peer, *program, capture_output=capture, **given)["exitcode"] == 0
            assert json.loads(report.read_bytes()) == expected
        os.kill(other, signal.SIGKILL)
    os.close(reader)
    os.close(writer)


def test_signals_are_as_for_a_new_program(start: Starter) -> None:
    changes = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])"
    with start_runner(start, changes=changes).connect() as peer:
        lines = output(peer, "cat", "/proc/self/status").splitlines()
        fields = dict(line.split(":\t", 1) for line in lines)
        assert int(fields["SigBlk"], 16) == 0
        # Of the C library's own two, 32 and 33, there is no saying.
        assert int(fields["SigIgn"], 16) & ((1 << 31) - 1) == 0
        # What ends most pipelines.
        script = "yes | head -1; cat /dev/zero | head -c 1 >/dev/null"
        assert output(peer, "sh", "-c", script) == "y\n"


def test_it_belongs_to_the_agents_session_and_place(running: RunningAgent, peer: Peer) -> None:
    stat = output(peer, "cat", "/proc/self/stat").rpartition(")")[2].split()
    pid = running.process.pid
    assert [int(field) for field in stat[1:4]] == [pid, os.getpgid(pid), os.getsid(pid)]
    assert output(peer, "pwd") == f"{running.folder}\n"


# Its environment.


def test_its_environment_is_the_agents(start: Starter) -> None:
    with start_runner(start, env={"QGA_TEST": "of the agent"}).connect() as peer:
        assert "QGA_TEST=of the agent" in output(peer, "env").splitlines()


def test_what_systemd_tells_the_agent_is_not_for_programs(start: Starter) -> None:
    told = {
        "NOTIFY_SOCKET": "@qga-absent",
        "WATCHDOG_USEC": "9000000",
        "WATCHDOG_PID": "1",
        "LISTEN_PID": "1",
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "qga.socket",
    }
    with start_runner(start, env=told).connect() as peer:
        names = {line.partition("=")[0] for line in output(peer, "env").splitlines()}
    assert "PATH" in names
    assert not names & set(told)


@pytest.mark.parametrize(
    ("env", "seen"),
    [
        ([], ""),
        (["A=1"], "A=1\n"),
        (["B=2", "A=x=y", "E="], "B=2\nA=x=y\nE=\n"),
        (["A=1", "A=2"], "A=1\nA=2\n"),
        (["A=\u00fc"], "A=\u00fc\n"),
        # What no program can find.
        (["A", "", "=x", "B=1"], "B=1\n"),
    ],
)
def test_an_environment_replaces_the_agents(peer: Peer, env: list[str], seen: str) -> None:
    assert output(peer, "env", env=env) == seen


# Where it is.


@pytest.fixture(scope="module")
def places(running: RunningAgent) -> Path:
    """Directories with programs of the name `prog`, in the agent's working directory."""

    def put(name: str, text: str, mode: int = 0o755) -> None:
        path = running.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="ascii")
        path.chmod(mode)

    put("good/prog", "#!/bin/sh\necho good $0\n")
    put("other/prog", "#!/bin/sh\necho other $0\n")
    put("plain/prog", "echo plain $0 $*\n")
    put("closed/prog", "#!/bin/sh\necho closed\n", 0o644)
    put("broken/prog", "#!/no/such/interpreter\n")
    put("file", "")
    (running.folder / "folder" / "prog").mkdir(parents=True)
    return running.folder


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("{0}/good:{0}/other", "good {0}/good/prog"),
        ("{0}/other:{0}/good", "other {0}/other/prog"),
        ("{0}/absent:{0}/good", "good {0}/good/prog"),
        ("{0}/closed:{0}/good", "good {0}/good/prog"),
        ("{0}/folder:{0}/good", "good {0}/good/prog"),
        ("{0}/file:{0}/good", "good {0}/good/prog"),
        ("{0}/broken:{0}/good", "good {0}/good/prog"),
        ("{0}/plain:{0}/good", "plain {0}/plain/prog a b"),
        ("good", "good good/prog"),
    ],
)
def test_it_is_looked_for_on_the_given_path(peer: Peer, places: Path, path: str, seen: str) -> None:
    env = ["PATH=" + path.format(places), "PATH=/bin"]
    assert output(peer, "prog", "a", "b", env=env) == seen.format(places) + "\n"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("{0}/absent", "No such file or directory"),
        ("{0}/broken", "No such file or directory"),
        ("{0}/closed:{0}/absent", "Permission denied"),
        ("{0}/absent:{0}/folder", "Permission denied"),
        ("", "No such file or directory"),
    ],
)
def test_it_is_not_on_the_given_path(peer: Peer, places: Path, path: str, reason: str) -> None:
    desc = refusal_of(peer, path="prog", env=["PATH=" + path.format(places)])
    assert desc == f"Failed to execute child process \u201cprog\u201d ({reason})"


def test_an_empty_part_of_path_is_the_working_directory(peer: Peer, places: Path) -> None:
    (places / "here").write_text("echo here $0\n", encoding="ascii")
    (places / "here").chmod(0o755)
    for path in ("", ":/absent", "/absent:", "/absent::/bin"):
        assert output(peer, "here", env=[f"PATH={path}"]) == "here here\n"


@pytest.mark.parametrize("env", [{}, {"env": []}, {"env": ["A=1"]}])
def test_it_is_looked_for_on_the_agents_path(start: Starter, env: dict[str, Any]) -> None:
    (start.folder / "prog").write_text("#!/bin/sh\necho agent\n", encoding="ascii")
    (start.folder / "prog").chmod(0o755)
    path = f"{start.folder}:{os.environ['PATH']}"
    with start_runner(start, env={"PATH": path}).connect() as peer:
        assert output(peer, "prog", **env) == "agent\n"


def test_without_any_path_it_is_looked_for_in_bin(start: Starter) -> None:
    with start_runner(start, changes="import os; del os.environ['PATH']").connect() as peer:
        assert output(peer, "echo", "found", env=[]) == "found\n"


@pytest.mark.parametrize("path", ["good/prog", "./good/prog", "{0}/good/prog"])
def test_with_a_slash_it_is_not_looked_for(peer: Peer, places: Path, path: str) -> None:
    path = path.format(places)
    assert output(peer, path, env=["PATH=/absent"]) == f"good {path}\n"


def test_a_script_without_an_interpreter_is_the_shells(peer: Peer, places: Path) -> None:
    assert output(peer, "plain/prog", "a") == "plain plain/prog a\n"
    places.joinpath("file").chmod(0o755)
    assert run(peer, f"{places}/file") == {"exited": True, "exitcode": 0}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nope", "No such file or directory"),
        ("", "No such file or directory"),
        ("/no/such", "No such file or directory"),
        ("/", "Permission denied"),
        ("/etc/passwd", "Permission denied"),
        ("/etc/passwd/x", "Not a directory"),
        ("/" + "x" * 300, "File name too long"),
        ("no\u201cpe\n", "No such file or directory"),
        ("a\0b", "Invalid argument"),
    ],
)
def test_what_cannot_be_started(peer: Peer, path: str, reason: str) -> None:
    error = peer.ask("guest-exec", path=path)["error"]
    desc = f"Failed to execute child process \u201c{path}\u201d ({reason})"
    assert error == {"class": "GenericError", "desc": desc}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"arg": ["a\0b"]}, "Invalid argument"),
        ({"env": ["A=a\0b"]}, "Invalid argument"),
        ({"arg": ["x" * 200_000]}, "Argument list too long"),
    ],
)
def test_words_that_no_program_can_get(peer: Peer, arguments: dict[str, Any], reason: str) -> None:
    desc = f"Failed to execute child process \u201ctrue\u201d ({reason})"
    assert refusal_of(peer, path="true", **arguments) == desc


# The rest of the agent.


def test_frozen_nothing_is_started(make: AgentFactory) -> None:
    agent = make()
    call(agent, "guest-fsfreeze-freeze")
    try:
        for name, arguments in (
            ("guest-exec", {"path": "true"}),
            ("guest-exec-status", {"pid": 1}),
        ):
            assert refusal(agent, name, **arguments).startswith(f"Command {name} has been disabled")
    finally:
        call(agent, "guest-fsfreeze-thaw")


def test_the_log_has_no_contents(start: Starter) -> None:
    log = start.folder / "log"
    running = start_runner(start, "-v", "-l", str(log))
    secrets = ("argument-secret", "environment-secret", "input-secret", "output-secret")
    with running.connect() as peer:
        status = run(
            peer,
            "sh",
            "-c",
            "echo $NAME; cat; printf '%s-%s' output secret",
            "argument-secret",
            env=["NAME=environment-secret"],
            input_data=base64.b64encode(b"input-secret").decode(),
            capture_output=True,
        )
        assert b"output-secret" in status["out-data"]
        refusal_of(peer, path="true", arg=["argument-secret" + "x" * 200_000])
    running.end()
    text = log.read_text(encoding="utf-8")
    assert "guest-exec, path: 'sh', pid: " in text
    for secret in secrets:
        assert secret not in text
        assert base64.b64encode(secret.encode()).decode() not in text


def test_it_loads_little() -> None:
    assert loaded("qga.agent.commands.exec", "qga.agent.processes") & UNWANTED == set()
