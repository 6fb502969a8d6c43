"""`qga tail -f` and `-F`, as processes that are interrupted."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import qga
from qga.testing import FakeAgent
from tests.support.stock import RunningAgent

PATIENCE = 60.0


class Tail:
    """A `qga tail` that runs: what it has printed can be waited for."""

    def __init__(self, *words: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qga.cli", "tail", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **variables},
        )
        self._changed = threading.Condition()
        self.out, self.err = b"", b""
        assert self.process.stdout
        assert self.process.stderr
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream.fileno()))
            for name, stream in (("out", self.process.stdout), ("err", self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, descriptor: int) -> None:
        while data := os.read(descriptor, 1 << 16):
            with self._changed:
                setattr(self, name, getattr(self, name) + data)
                self._changed.notify_all()

    def wait(self, out: bytes = b"", err: bytes = b"") -> None:
        """Wait until *out* is in the output, and *err* among the errors."""
        with self._changed:
            came = self._changed.wait_for(lambda: out in self.out and err in self.err, PATIENCE)
        assert came, (self.out, self.err)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


@contextmanager
def tail(*words: str, **variables: str) -> Iterator[Tail]:
    running = Tail(*words, **variables)
    try:
        yield running
    finally:
        running.close()


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_growth_truncation_rotation_and_the_end(exec_agent: RunningAgent) -> None:
    log = exec_agent.directory / os.fsdecode(b"watched\xff")
    log.write_bytes(b"one\ntwo\nthree\n")
    with tail("-n", "2", "-F", f"{exec_agent.target}:{log}") as running:
        running.wait(b"two\nthree\n")
        add(log, b"four\n")
        running.wait(b"four\n")
        log.write_bytes(b"5\n")
        running.wait(b"5\n", b"is shorter now")
        log.rename(f"{log}.1")
        running.wait(err=b"is not there now")
        log.write_bytes(b"six\n")
        running.wait(b"six\n", b"is there; from its beginning")
        assert running.interrupt() == 130
        assert running.out == b"two\nthree\nfour\n5\nsix\n"
        assert b"watched\\xff: is there" in running.err
        assert b"Traceback" not in running.err
    # What was open in the guest is closed.
    opened = [one.readlink() for one in Path(f"/proc/{exec_agent.process.pid}/fd").iterdir()]
    assert [path for path in opened if "watched" in str(path)] == []


def test_several_files_without_programs(agent: RunningAgent) -> None:
    one, other = agent.directory / "one", agent.directory / "other"
    one.write_bytes(b"1\n")
    words = ["-f", f"{agent.target}:{one}", f"{agent.target}:{other}"]
    with tail(*words) as running:
        running.wait(f"==> {one} <==\n1\n".encode(), b"other: failed to open")
        add(one, b"2\n")
        running.wait(f"==> {one} <==\n1\n2\n".encode())
        assert running.interrupt() == 130
    other.write_bytes(b"a\nb\n")
    with tail("-n", "+2", *words) as running:
        running.wait(f"==> {one} <==\n2\n".encode())
        running.wait(f"==> {other} <==\nb\n".encode())
        for number, path in enumerate((one, other, one)):
            add(path, b"more %d\n" % number)
            running.wait(b"more %d\n" % number)
        assert running.interrupt() == 130
        assert running.out.count(b"==> ") in {4, 5}


def test_several_guests(tmp_path: Path) -> None:
    first, second = FakeAgent(), FakeAgent()
    for agent in (first, second):
        agent.files["/log"] = b"old\n"
    names = tmp_path / "names.toml"
    with first.serve() as one, second.serve() as other:
        names.write_text(f'[targets]\nweb1 = "{one}"\nweb2 = "{other}"\n')
        variables = {"QGA_TARGETS": str(names), "XDG_CONFIG_HOME": str(tmp_path)}
        with tail("-f", "-n0", "--all", ":/log", **variables) as running:
            for target, name in ((one, "web1"), (other, "web2")):
                # Until it is at the end, what comes is old.
                while f"{name}:/log".encode() not in running.out:
                    with qga.connect(target) as client:
                        client.write_file("/log", b"new\n", append=True)
                    with running._changed:
                        running._changed.wait(0.2)
                running.wait(b"new\n")
            assert running.interrupt() == 130
        with tail("-f", "-o", "jsonl", "web1:/log", "web2:/none", **variables) as running:
            running.wait(b"}\n", b"web2:/none: failed to open file '/none'")
            found = json.loads(running.out)
            assert (found["target"], found["path"]) == ("web1", "/log")
            assert running.interrupt() == 130
        with tail("-f", "web1:/none", "web2:/none", **variables) as running:
            assert running.process.wait(PATIENCE) == 1
        with tail("-f", "web1:/none", **variables) as running:
            assert running.process.wait(PATIENCE) == 1
            running.wait(err=b"qga: /none: failed to open file")
    with tail("-f", f"unix:{tmp_path}/none:/log") as running:
        assert running.process.wait(PATIENCE) == 3
        running.wait(err=b"qga: cannot open unix:")


@pytest.mark.parametrize("exec_agent", ["ours"], indirect=True)
def test_interrupted_at_a_terminal(exec_agent: RunningAgent) -> None:
    log = exec_agent.directory / "log"
    log.write_bytes(b"one\n")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "qga.cli", "tail", "-f", f"{exec_agent.target}:{log}"]
    # A terminal of its own, so that Ctrl-C is a signal to it.
    program = f"import os, sys; os.login_tty({theirs}); os.execv(sys.argv[1], sys.argv[1:])"
    with subprocess.Popen([sys.executable, "-c", program, *command], pass_fds=[theirs]) as process:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 4096):
                shown += data
                if b"one\r\n" in shown and b"^C" not in shown:
                    os.write(ours, b"\x03")
        except OSError:  # how a terminal tells that its other side is gone
            pass
    os.close(ours)
    assert process.returncode == 130
    assert b"Traceback" not in shown


def test_the_end_of_its_reader(agent: RunningAgent) -> None:
    (agent.directory / "log").write_bytes(b"one\n")
    with subprocess.Popen(
        [sys.executable, "-m", "qga.cli", "tail", "-f", f"{agent.target}:{agent.directory}/log"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"one\n"
        process.stdout.close()
        assert process.wait(PATIENCE) == 1
        assert process.stderr.read() == b""


def test_an_end_by_a_signal(agent: RunningAgent) -> None:
    log = agent.directory / "watched"
    log.write_bytes(b"one\n")
    with tail("-f", f"{agent.target}:{log}") as running:
        running.wait(b"one\n")
        running.process.terminate()
        assert running.process.wait(PATIENCE) == 143
        assert running.err == b""
    opened = [one.readlink() for one in Path(f"/proc/{agent.process.pid}/fd").iterdir()]
    assert log not in opened
