"""Programs in the guest, through both agents on this machine."""

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

import qga
from qga.client.flows import process, wrapper
from qga.client.process import ProgramOutput
from tests.support.need import need_program, need_root
from tests.support.stock import BLOCKED_BUT_EXEC, RunningAgent, either

from .spools import Spools

PIPE = subprocess.PIPE


@pytest.fixture
def client(exec_agent: RunningAgent, spools: Spools) -> Iterator[qga.Client]:
    with qga.connect(exec_agent.target, timeout=60) as client:
        yield client


def test_what_comes_of_a_program(client: qga.Client) -> None:
    done = client.run("cat; echo err >&2; exit 3", shell=True, input="ä")
    assert (done.returncode, done.text, done.error_text) == (3, "ä", "err\n")
    assert isinstance(done, subprocess.CompletedProcess)
    assert client.run("kill -9 $$", shell=True).returncode == -9
    assert client.run("exit 137", shell=True).returncode == 137
    assert client.run(["cat"]).stdout == b""
    assert client.run("true").returncode == 0
    together = client.run("echo a; echo b >&2; echo c", shell=True, stderr=subprocess.STDOUT)
    assert (together.stdout, together.stderr) == (b"a\nb\nc\n", b"")
    silent = client.run("echo a; echo b >&2", shell=True, stdout=subprocess.DEVNULL, stderr=None)
    assert (silent.stdout, silent.stderr) == (b"", b"")


def test_arguments_are_bytes(client: qga.Client) -> None:
    words = [bytes(range(1, 256)), b"", b"--", "ä \n'\"$x".encode(), b"\\", b"-n\n", b"x" * 100_000]
    done = client.run([b"printf", b"%s\\0", *words])
    assert done.stdout.split(b"\0")[:-1] == words


def test_where_and_with_what(client: qga.Client, exec_agent: RunningAgent) -> None:
    odd = exec_agent.directory / "a dir\n'"
    odd.mkdir()
    assert client.run(["pwd"], cwd=odd).text == f"{odd}\n"
    plain = client.run(["env"], stderr=subprocess.DEVNULL).text.splitlines()
    changed = client.run(["env"], env={"NEW": "1 '2\"", "PATH": None}).text.splitlines()
    path = next(line for line in plain if line.startswith("PATH="))
    assert {*changed} ^ {*plain} == {"NEW=1 '2\"", path}
    assert not any(line.startswith("qga_") for line in plain)
    # Nothing of what carries it is passed on, and it can be interrupted.
    seen = client.run("ls /proc/self/fd; grep SigIgn /proc/self/status; umask", shell=True)
    *descriptors, _, ignored, umask = seen.text.split()
    assert descriptors == ["0", "1", "2", "3"]
    assert int(ignored, 16) & 0x7FFFFFFF == 0
    assert umask == "0022"
    with pytest.raises(ValueError, match="variable"):
        client.run(["env"], env={"no name": "x"})


@pytest.mark.parametrize(
    ("program", "number"),
    [
        ("no-such-program", errno.ENOENT),
        ("/no/such/program", errno.ENOENT),
        ("", errno.ENOENT),
        ("/etc/passwd", errno.EACCES),
        ("/", errno.EACCES),
    ],
)
def test_what_cannot_be_started(client: qga.Client, program: str, number: int) -> None:
    with pytest.raises(qga.GuestOSError, match=f"'{program}'") as raised:
        client.popen([program, "x"])
    assert raised.value.errno == number
    assert client.run(["echo", "next"]).text == "next\n"


def test_a_line_is_no_program(client: qga.Client) -> None:
    with pytest.raises(qga.GuestOSError, match=r"'echo hello'.*No such file.*; .*shell=True"):
        client.run("echo hello")
    with pytest.raises(qga.GuestOSError) as raised:
        client.run(["echo hello"])
    assert raised.value.hint == ""


def test_what_the_kernel_cannot_start(client: qga.Client, exec_agent: RunningAgent) -> None:
    script = exec_agent.directory / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(qga.GuestOSError) as raised:
        client.run([script])
    assert raised.value.errno == errno.ENOENT
    with pytest.raises(qga.GuestOSError, match="the directory '/nowhere'") as raised:
        client.run(["true"], cwd="/nowhere")
    assert raised.value.errno == errno.ENOENT
    with pytest.raises(qga.GuestOSError) as raised:
        client.run(["true"], cwd="/etc/passwd")
    assert raised.value.errno == errno.ENOTDIR


def test_what_the_kernel_cannot_start_in_a_guest_that_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has ended before its starter is first heard."""
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    late = tmp_path / "setsid"
    late.write_text('#!/bin/sh\nsleep 0.5\nexec /usr/bin/setsid "$@"\n')
    late.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def pauses(*_: float) -> Iterator[float]:
        return chain(repeat(0.0, 9), repeat(3.0))

    monkeypatch.setattr(process, "pauses", pauses)
    with either("ours", BLOCKED_BUT_EXEC) as agent, qga.connect(agent.target) as client:
        with pytest.raises(qga.GuestOSError) as raised:
            client.run([script])
        assert raised.value.errno == errno.ENOENT


def test_a_keeper_that_starts_late_hears_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spools: Spools
) -> None:
    late = tmp_path / "setsid"
    late.write_text('#!/bin/sh\nsleep 0.5\nexec /usr/bin/setsid "$@"\n')
    late.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with either("ours", BLOCKED_BUT_EXEC) as agent, qga.connect(agent.target) as client:
        done = client.run(["true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert done.returncode == 0
        spools.wait_gone()  # long before it would be given up
        assert client.run(["cat"], input=b"short").stdout == b"short"


def test_programs_are_looked_up_in_order(client: qga.Client, exec_agent: RunningAgent) -> None:
    folder = exec_agent.directory
    for name, code in (("one", 1), ("two", 2)):
        (folder / name).mkdir()
        (folder / name / "program").write_text(f"#!/bin/sh\nexit {code}\n")
    (folder / "two/program").chmod(0o755)
    env = {"PATH": f"{folder}/none:{folder}/one:{folder}/two:/usr/bin:/bin"}
    assert client.run(["program"], env=env).returncode == 2  # the first may not be executed
    (folder / "one/program").chmod(0o755)
    assert client.run(["program"], env=env).returncode == 1
    assert client.run(["true"], env={"PATH": f"/usr/bin:/bin:{folder}"}).returncode == 0


def test_another_user(client: qga.Client) -> None:
    need_root("to run programs as others")
    text = "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; kill -9 $$"
    done = client.run(text, shell=True, user="nobody")
    expected = "".join(
        subprocess.run(["id", option, "nobody"], capture_output=True, text=True, check=True).stdout
        for option in ("-u", "-g", "-G")
    )
    assert done.text == expected + "/nonexistent nobody nobody\n"
    assert done.returncode == -9
    with pytest.raises(qga.GuestOSError) as raised:
        client.run(["no-such-program"], user="nobody")
    assert raised.value.errno == errno.ENOENT
    with pytest.raises(qga.GuestOSError, match="no user 'no-such-user'"):
        client.run(["true"], user="no-such-user")
    with pytest.raises(ValueError, match="user"):
        client.run(["true"], user="a;b")


def test_check(client: qga.Client) -> None:
    with pytest.raises(qga.ProgramFailed, match=r"status 4.*so bad") as raised:
        client.run("echo out; echo so bad >&2; exit 4", shell=True, check=True)
    error = raised.value
    assert isinstance(error, subprocess.CalledProcessError)
    assert (error.returncode, error.stdout, error.stderr) == (4, b"out\n", b"so bad\n")


def test_more_than_the_agent_keeps(client: qga.Client) -> None:
    size = (17 << 20) + 5
    text = f"head -c {size} /dev/zero; head -c 3000 /dev/zero >&2; cat"
    data = os.urandom((3 << 20) + 1)
    done = client.run(text, shell=True, input=data)
    assert len(done.stdout) == size + len(data)
    assert done.stdout.endswith(data)
    assert not any(done.stdout[:size])
    assert done.stderr == bytes(3000)


def test_bash_in_place_of_sh(client: qga.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    need_program("bash", "apt-get install bash")
    monkeypatch.setattr(process, "SHELL", "/bin/bash")
    for name in ("STARTER", "KEEPER", "PROGRAM"):
        text = getattr(wrapper, name).replace("/bin/sh", "/bin/bash")
        monkeypatch.setattr(wrapper, name, text)
    data = os.urandom(9 << 20)
    done = client.run("cat; echo err >&2; kill -9 $$", shell=True, input=data)
    assert (done.stdout, done.stderr, done.returncode) == (data, b"err\n", -9)
    with pytest.raises(qga.GuestOSError):
        client.run(["no-such-program"])
    with client.popen(["sleep", "600"]) as program:
        program.terminate()
        assert program.wait() == -signal.SIGTERM
    with pytest.raises(qga.ProgramTimeout):
        client.run("sleep 600 & sleep 600", shell=True, timeout=1)


def test_out_of_time(client: qga.Client, exec_agent: RunningAgent) -> None:
    pids = exec_agent.directory / "pids"
    text = f"sleep 600 & echo $! >{pids}; sleep 600 & echo $! >>{pids}; echo some; wait"
    with pytest.raises(qga.ProgramTimeout) as raised:
        client.run(text, shell=True, timeout=2)
    assert isinstance(raised.value, subprocess.TimeoutExpired)
    assert raised.value.stdout == b"some\n"
    # What it had started is gone too.
    for pid in pids.read_text().split():
        _wait_ended(int(pid))


def test_out_of_time_with_an_agent_that_does_not_answer(
    client: qga.Client, exec_agent: RunningAgent
) -> None:
    client.ping()
    with exec_agent.stopped(), pytest.raises(qga.ProgramTimeout):
        client.run(["echo"], timeout=0.3)
    # What began after all is ended by the next call.
    assert client.run(["echo", "next"]).text == "next\n"


def test_output_while_it_runs(client: qga.Client) -> None:
    text = "echo ready; while read -r line; do echo got $line; done; echo end >&2"
    with client.popen(["/bin/sh", "-c", text], stdin=PIPE) as program:
        assert program.stdin
        assert program.stdout
        assert program.stderr
        assert program.stdout.readline() == b"ready\n"
        assert program.poll() is None
        for number in range(10):
            assert program.stdin.write(b"%d\n" % number) == 2
            assert program.stdout.readline() == b"got %d\n" % number
        program.stdin.close()
        assert program.stderr.read() == b"end\n"
        assert program.stdout.read(10) == b""
        assert program.wait() == 0
    assert repr(program).endswith("returncode=0>")


def test_streams_are_python_files(client: qga.Client) -> None:
    with client.popen("seq 100000; exit 1", shell=True) as program:
        assert program.stdout
        lines = [*io.TextIOWrapper(io.BufferedReader(program.stdout), encoding="ascii")]
    assert lines == [f"{number}\n" for number in range(1, 100001)]
    assert program.returncode == 1
    with client.popen(["sort", "-n"], stdin=PIPE) as program:
        assert program.stdin
        assert program.stdout
        with io.TextIOWrapper(io.BufferedWriter(program.stdin)) as stdin:
            stdin.write("2\n1\n")
        assert [*program.stdout] == [b"1\n", b"2\n"]
    with pytest.raises(ValueError, match="closed file"):
        program.stdin.write(b"x")
    assert program.returncode == 0


def test_much_in_both_directions(client: qga.Client) -> None:
    size = 24 << 20
    block = os.urandom(1 << 20)
    sent, received = hashlib.sha256(), hashlib.sha256()
    with client.popen(["cat"], stdin=PIPE) as program:
        stdin, stdout = program.stdin, program.stdout
        assert stdin
        assert stdout

        def send() -> None:
            for number in range(0, size, len(block)):
                data = block[number % 1000 :] + block[: number % 1000]
                sent.update(data)
                stdin.write(data)
            stdin.close()

        with _thread(send):
            count = 0
            while piece := stdout.read(300_000):
                received.update(piece)
                count += len(piece)
    assert count == size
    assert received.digest() == sent.digest()


def test_a_slow_reader_holds_the_program_up(client: qga.Client, spools: Spools) -> None:
    with client.popen(["head", "-c", str(100 << 20), "/dev/zero"]) as program:
        assert program.stdout
        assert program.stdout.read(1) == b"\0"
        directory = Path("/dev/shm", f"qga-{spools.names[-1]}", "s")
        last, size = -1, 0
        while size != last or not size:
            time.sleep(0.5)
            last, size = size, sum(file.stat().st_size for file in directory.glob("o.[0-9]*"))
        assert size <= 3 * (4 << 20)
        assert program.poll() is None
        # As with a pipe: who reads no more ends who writes.
    assert program.returncode == -signal.SIGPIPE


def test_signals(client: qga.Client) -> None:
    text = "trap 'echo usr1; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    with client.popen(text, shell=True) as program:
        assert program.stdout
        assert program.stdout.readline() == b"ready\n"
        with pytest.raises(qga.ProgramTimeout):
            program.wait(0.2)
        with pytest.raises(ValueError, match="999"):
            program.send_signal(999)
        program.send_signal(signal.SIGUSR1, group=False)
        assert program.stdout.read() == b"usr1\n"
        assert program.wait(60) == 5
        program.kill()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with client.popen(["sleep", "600"]) as program:
            program.send_signal(number)
            assert program.wait() == -number


def test_children_that_hold_the_output(client: qga.Client) -> None:
    with client.popen("sleep 600 & echo $!; exit 2", shell=True) as program:
        assert program.stdout
        pid = int(program.stdout.readline())
        assert program.wait() == 2
        with pytest.raises(qga.ProgramTimeout):
            program.communicate(timeout=0.3)
        os.kill(pid, signal.SIGTERM)
        assert program.communicate() == (b"", b"")


def test_a_program_that_takes_no_input(client: qga.Client) -> None:
    assert client.run(["true"], input=bytes(10 << 20)).returncode == 0
    with client.popen("exec <&-; echo closed; sleep 600", shell=True, stdin=PIPE) as program:
        assert program.stdin
        assert program.stdout
        assert program.stdout.readline() == b"closed\n"
        with pytest.raises(qga.StdinClosed) as raised:
            program.stdin.write(bytes(100 << 20))
        assert isinstance(raised.value, BrokenPipeError)
        program.kill()


def test_output_that_nobody_reads(client: qga.Client, spools: Spools) -> None:
    program = client.popen("echo out; echo err >&2; exit 3", shell=True)
    assert program.stdout
    assert program.stdout.read() == b"out\n"
    assert program.wait() == 3
    spools.wait_gone()
    assert program.stderr
    assert program.stderr.read() == b"err\n"


def test_communicate_goes_on(client: qga.Client) -> None:
    data = os.urandom(12 << 20)
    with client.popen("sleep 1; cat", shell=True, stdin=PIPE) as program:
        with pytest.raises(qga.ProgramTimeout):
            program.communicate(data, timeout=0.2)
        assert program.communicate() == (data, b"")


def test_an_exception_in_the_block(client: qga.Client) -> None:
    with pytest.raises(ZeroDivisionError), client.popen(["sleep", "600"]) as program:
        raise ZeroDivisionError
    assert program.returncode == -signal.SIGKILL


def test_an_agent_that_stops_for_a_while(client: qga.Client, exec_agent: RunningAgent) -> None:
    with client.popen(["seq", "1000000"]) as program:
        assert program.stdout
        digest = hashlib.sha256(program.stdout.read(100_000))
        client.timeout = 0.2
        with exec_agent.stopped():
            for _ in range(2):
                digest.update(_until_timeout(program.stdout))
        client.timeout = 60
        while piece := program.stdout.read(100_000):
            digest.update(piece)
        assert program.wait() == 0
    everything = "".join(f"{number}\n" for number in range(1, 1000001)).encode()
    assert digest.digest() == hashlib.sha256(everything).digest()


def _until_timeout(stream: ProgramOutput) -> bytes:
    """What comes until the agent does not answer any more."""
    data = b""
    while True:
        try:
            piece = stream.read(100_000)
        except qga.AgentTimeout:
            return data
        assert piece, "the agent went on"
        data += piece


CLIENT = """
import sys, qga
with qga.connect(sys.argv[1]) as client:
    program = client.popen("echo $$; yes", shell=True, lease=1)
    print(int(program.stdout.readline()), flush=True)
    program.wait()
"""


def test_a_client_that_is_killed(exec_agent: RunningAgent) -> None:
    command = [sys.executable, "-c", CLIENT, exec_agent.target]
    with subprocess.Popen(command, stdout=PIPE) as other:
        try:
            assert other.stdout
            pid = int(other.stdout.readline())
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert b"yes" in words
            keepers = _keepers_of(pid)
            assert len(keepers) == 1
        finally:
            other.kill()
    _wait_ended(pid)
    for keeper, spool in keepers.items():
        _wait_ended(keeper)
        assert not spool.exists()


def _keepers_of(pid: int) -> dict[int, Path]:
    """The keepers of a program, each the leader of its session, and their spools."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        words = file.read_bytes().split(b"\0")
        if words[3:4] == [b"qga-keeper"] and words[5] == b"%d" % pid:
            keeper = int(file.parent.name)
            if os.getsid(keeper) == keeper:
                found[keeper] = Path(words[4].decode())
    return found


def _wait_ended(pid: int) -> None:
    """Wait until a process has ended, whoever is to be told."""
    deadline = time.monotonic() + 60
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, f"process {pid} goes on"
        time.sleep(0.02)


class _thread(threading.Thread):  # noqa: N801 - a context manager
    """A thread for a block: it has ended when the block is left."""

    def __init__(self, target: "object") -> None:
        super().__init__(target=target)  # type: ignore[arg-type]  # what a test gives

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.join(60)
        assert not self.is_alive()
