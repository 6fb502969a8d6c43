"""The agent as a program: what it prints, its exit codes, running in the background."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qga._version import VERSION
from qga.protocol import COMMANDS, UPSTREAM_VERSION
from tests.agent.conftest import Starter
from tests.agent.harness import PATIENCE, Peer, until
from tests.support.stock import BLOCKED, listens

HINT = "Unknown option, try 'qga-agent --help' for more information.\n"


class Finished:
    """What a run of the agent has left."""

    def __init__(self, run: "subprocess.CompletedProcess[str]") -> None:
        self.code, self.out, self.err = run.returncode, run.stdout, run.stderr


def run(folder: Path, *options: str, conf: str | None = None) -> Finished:
    """Run the agent to its end, without the configuration of this machine."""
    environment = {**os.environ, "QGA_CONF": conf or str(folder / "absent.conf")}
    command = [sys.executable, "-I", "-m", "qga.agent", *options]
    return Finished(
        subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )
    )  # fmt: skip


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(tmp_path: Path, option: str) -> None:
    result = run(tmp_path, option)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Usage: qga-agent ")
    assert "{" not in result.out
    assert max(map(len, result.out.splitlines())) <= 100


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(tmp_path: Path, option: str) -> None:
    result = run(tmp_path, option)
    expected = f"QEMU Guest Agent {UPSTREAM_VERSION} (qga {VERSION})\n"
    assert (result.code, result.out, result.err) == (0, expected, "")


@pytest.mark.parametrize("options", [["-b", "help"], ["-b?"], ["-a", "help"], ["--allow-rpcs=?"]])
def test_the_list_of_commands(tmp_path: Path, options: list[str]) -> None:
    result = run(tmp_path, *options)
    assert (result.code, result.err) == (0, "")
    # Without those that Linux does not have.
    assert result.out.split() == [command.NAME for command in COMMANDS if not command.PLATFORM]


def test_the_first_option_that_ends_the_program_counts(tmp_path: Path) -> None:
    (tmp_path / "bad.conf").write_text("nonsense", encoding="utf-8")
    assert run(tmp_path, "-h", "-x", "-V").out.startswith("Usage: qga-agent ")
    assert run(tmp_path, "-V", "-h", conf="bad.conf").out.startswith("QEMU Guest Agent ")
    assert run(tmp_path, "-D", "-b", "?", "-x").out.startswith("guest-sync-delimited\n")
    assert run(tmp_path, "-x", "-h").code == 1


@pytest.mark.parametrize("option", ["--help", "--version", "-b?", "-D"])
def test_a_reader_that_goes_away(option: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "qga.agent", "-c", os.devnull, option],
            stdout=writing, stderr=subprocess.PIPE, check=False, timeout=PATIENCE,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_dump_leaves_the_pid_file_of_a_running_daemon(tmp_path: Path) -> None:
    """Which upstream's removes."""
    (tmp_path / "pid").write_text("1\n", encoding="ascii")
    assert run(tmp_path, "-D", "-d", "-f", "pid").code == 0
    assert (tmp_path / "pid").exists()


def test_paths_of_the_command_line_need_not_be_text(tmp_path: Path) -> None:
    command: list[str | bytes] = [sys.executable, "-I", "-m", "qga.agent", "-D", "-p", b"caf\xe9"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert b"\npath=caf\xe9\n" in result.stdout


def test_an_old_name_in_the_configuration_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "old.conf").write_text("[general]\nblacklist=guest-ping\n", encoding="utf-8")
    result = run(tmp_path, "-D", conf="old.conf")
    assert "\nblock-rpcs=guest-ping\n" in result.out
    assert result.err.startswith("qga-agent: old.conf, line 2: blacklist, the old name")


def test_the_dump_touches_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, "-D", "-d", "-t", "absent", "-l", "log", "-f", "pid", "-b", "a,b")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("[general]\ndaemon=true\nmethod=virtio-serial\n")
    assert "\nblock-rpcs=b,a\n" in result.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [["-x"], ["--nonsense"], ["-m"], ["--verbose=1"], ["--ver"]])
def test_a_bad_option(tmp_path: Path, options: list[str]) -> None:
    result = run(tmp_path, *options)
    assert (result.code, result.out) == (1, HINT)
    assert result.err.startswith("qga-agent: ")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-c", "absent"], "there is no configuration file absent"),
        (["-m", "telepathy"], "unknown method 'telepathy'"),
        (["-m", "unix-listen"], "must specify a path for this channel"),
        (["-m", "vsock-listen", "-p", "3:abc"], "Failed to parse port 'abc'"),
        (["-t", "absent"], "state directory absent does not exist"),
        (["-t", "file"], "state directory file does not exist"),
        (["-l", "absent/log"], "absent/log: No such file or directory"),
        (["--compat", "x"], "compat is a version"),
        (["--fsfreeze-timeout", "0"], "fsfreeze-timeout is a number of seconds"),
        (["--fsfreeze-timeout=soon"], "fsfreeze-timeout is a number of seconds"),
        (["-p", "absent"], "cannot open absent: No such file or directory"),
        (["-c", "bad.conf"], "bad.conf, line 2: verbose is true or false, not 'maybe'"),
        (["-d", "-f", "pid", "-p", "absent"], "/absent: No such file or directory"),
        (["-d", "-f", "absent/pid"], "/absent/pid: No such file or directory"),
    ],
)
def test_an_agent_that_cannot_run_says_why(tmp_path: Path, options: list[str], text: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "bad.conf").write_text("[general]\nverbose=maybe\n", encoding="utf-8")
    result = run(tmp_path, "-t", ".", *options)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("qga-agent: ")
    assert result.err.count("\n") == 1
    assert text in result.err
    assert not (tmp_path / "pid").exists()


def test_why_it_cannot_run_is_in_its_log_too(tmp_path: Path) -> None:
    result = run(tmp_path, "-t", ".", "-l", "log", "-p", "absent")
    assert result.code == 1
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert log.endswith(": error: cannot open absent: No such file or directory\n")


def test_which_configuration_file_is_read(tmp_path: Path) -> None:
    for name in ("named", "environment"):
        (tmp_path / name).write_text(f"[general]\npath=/{name}\n", encoding="utf-8")
    assert "\npath=/environment\n" in run(tmp_path, "-D", conf="environment").out
    assert "\npath=/named\n" in run(tmp_path, "-D", "-c", "named", conf="environment").out
    assert "\npath=/p\n" in run(tmp_path, "-D", "-p", "/p", conf="environment").out
    # One that the environment names need not be there.
    assert run(tmp_path, "-D", conf="absent").code == 0


def test_a_configured_agent_runs(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(
        f"[general]\nmethod=unix-listen\npath={tmp_path}/socket\nstatedir={tmp_path}\n"
        "block-rpcs=guest-shutdown,guest-fsfreeze-freeze,guest-info\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-I", "-m", "qga.agent", "-c", str(tmp_path / "conf")]
    with subprocess.Popen(command) as process:
        try:
            assert listens(tmp_path / "socket", process)
            with Peer(tmp_path / "socket") as peer:
                assert peer.call("guest-ping") == {}
                assert "disabled" in peer.ask("guest-info")["error"]["desc"]
        finally:
            process.terminate()
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_with_success(start: Starter, number: int) -> None:
    running = start("-v", "-l", str(start.folder / "log"))
    assert running.call("guest-ping") == {}
    assert running.end(number) == 0
    assert running.errors() == ""
    log = start.folder / "log"
    assert "guest-ping" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_log_may_be_rotated(start: Starter) -> None:
    log, old = start.folder / "log", start.folder / "old"
    running = start("-v", "-l", str(log))
    running.call("guest-ping")
    before = running.descriptors()
    log.rename(old)
    running.process.send_signal(signal.SIGHUP)
    until(log.exists, "the new file")
    running.call("guest-sync", id=1)
    # Clients' connections end in the agent's own time.
    until(lambda: running.descriptors() <= before, "the old file to be closed")
    assert running.end() == 0
    assert "guest-ping" in old.read_text(encoding="utf-8")
    assert "guest-sync" in log.read_text(encoding="utf-8")
    assert "guest-sync" not in old.read_text(encoding="utf-8")


def test_without_a_log_file_a_hang_up_is_the_end(start: Starter) -> None:
    running = start()
    assert running.end(signal.SIGHUP) == 0
    assert not running.path.exists()


# In the background.


def ended(pid: int) -> bool:
    """Whether a process that is none of ours has ended; its new parent may be slow to notice."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


class Daemon:
    """The options of an agent in the background, and its process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Relative paths, which it has to remember when it leaves the folder.
        self.options = [
            "-d", "-f", "pid", "-m", "unix-listen", "-p", "socket", "-t", ".", "-l", "log",
            "-b", ",".join(BLOCKED),
        ]  # fmt: skip

    def pid(self) -> int:
        return int((self.folder / "pid").read_text(encoding="ascii"))

    def alive(self) -> bool:
        try:
            os.kill(self.pid(), 0)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return True

    def end(self) -> None:
        if (self.folder / "pid").exists():
            pid = self.pid()
            os.kill(pid, signal.SIGTERM)
            until(lambda: ended(pid), "the daemon to end")


def test_a_daemon_runs_when_its_starter_has_ended(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    try:
        result = run(tmp_path, *daemon.options)
        assert (result.code, result.out, result.err) == (0, "", "")
        # No need to wait for it: it was ready before.
        with Peer(tmp_path / "socket") as peer:
            assert peer.call("guest-ping") == {}
            assert peer.call("guest-file-open", path=str(tmp_path)) == 1000
        process = Path(f"/proc/{daemon.pid()}")
        assert (process / "cwd").readlink() == Path("/")
        for fd in range(3):
            assert (process / "fd" / str(fd)).readlink() == Path(os.devnull)
        assert os.getsid(daemon.pid()) == daemon.pid()
        assert "\nUmask:\t0077\n" in (process / "status").read_text(encoding="ascii")
        assert (tmp_path / "pid").stat().st_mode & 0o777 == 0o600
    finally:
        daemon.end()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "qga.state"]
    assert (tmp_path / "qga.state").read_text(encoding="utf-8") == "[global]\nfd_counter=1001\n"


def test_a_second_daemon_leaves_the_first_alone(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    try:
        assert run(tmp_path, *daemon.options).code == 0
        first = daemon.pid()
        second = run(tmp_path, *daemon.options)
        assert (second.code, second.out) == (1, "")
        assert second.err == (
            f"qga-agent: {tmp_path}/pid: cannot lock pid file: Resource temporarily unavailable\n"
        )
        assert daemon.pid() == first
        with Peer(tmp_path / "socket") as peer:
            assert peer.call("guest-ping") == {}
    finally:
        daemon.end()


def test_a_pid_file_that_was_left_behind_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("99999999 and more\n", encoding="ascii")
    daemon = Daemon(tmp_path)
    try:
        assert run(tmp_path, *daemon.options).code == 0
        assert daemon.alive()
    finally:
        daemon.end()


def test_a_daemon_that_starts_frozen_writes_its_pid_after_the_thaw(tmp_path: Path) -> None:
    """The marker names a file system that is not there, so that nothing of this machine's is."""
    (tmp_path / "qga.state.isfrozen").write_text("token\n/absent\n", encoding="ascii")
    daemon = Daemon(tmp_path)
    result = run(tmp_path, *daemon.options, "--fsfreeze-timeout", "0.5")
    try:
        assert (result.code, result.err) == (0, "")
        # Its guardian's deadline ends the freeze, and the daemon hears of it.
        until((tmp_path / "pid").exists, "the pid file")
        with Peer(tmp_path / "socket") as peer:
            assert peer.call("guest-fsfreeze-status") == "thawed"
        log = (tmp_path / "log").read_text(encoding="utf-8")
        assert "started in a frozen guest" in log
        assert "because nobody else did" in log
    finally:
        until(daemon.alive, "the daemon to write its number")
        daemon.end()
