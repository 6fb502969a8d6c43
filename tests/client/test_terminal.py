"""The terminal of a user joined with one of the guest: programs on a terminal of the test."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from qga.client.terminal import Escape
from tests.support.stock import RunningAgent

PATIENCE = 60.0

# When a client leaves, qemu-ga listens on a unix socket only after a moment.
USER = """
import sys
import qga
with qga.connect(sys.argv[1], wait=60) as client, client.shell(sys.argv[2:]) as shell:
    print("joined", flush=True)
    code = shell.interact()
    print("left", code, shell.returncode, flush=True)
"""


class User:
    """A user before a terminal."""

    def __init__(self, pid: int, master: int) -> None:
        self.pid = pid
        self._master = master
        self._seen = b""

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def sees(self, text: bytes) -> bytes:
        """What is shown up to and with *text*."""
        until = time.monotonic() + PATIENCE
        while text not in self._seen:
            ready, _, _ = select.select([self._master], [], [], until - time.monotonic())
            assert ready, f"{text!r} is not shown, but {self._seen!r}"
            try:
                self._seen += os.read(self._master, 4096)
            except OSError as error:  # the program has ended
                error.add_note(f"{text!r} is not shown, but {self._seen!r}")
                raise
        found, _, self._seen = self._seen.partition(text)
        return found + text

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def ends(self) -> None:
        """Wait until the user's program has closed what it had, and has ended."""
        until = time.monotonic() + PATIENCE
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            assert time.monotonic() < until
            time.sleep(0.02)

    def modes(self) -> list[object]:
        return termios.tcgetattr(self._master)


@contextmanager
def user(agent: RunningAgent, *command: str) -> Iterator[User]:
    """A user who joins with *command* in a terminal of the guest; the end's status is awaited."""
    pid, master = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-c", USER, agent.target, *command])
    try:
        found = User(pid, master)
        found.resize(31, 97)
        yield found
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


def test_a_terminal_joined(exec_agent: RunningAgent) -> None:
    with user(exec_agent, "sh", "-i") as someone:
        before = someone.modes()
        someone.sees(b"joined\r\n")
        someone.type(b"PS1='<$'' >'\r")
        someone.sees(b"<$ >")
        assert someone.modes() != before
        someone.type(b"stty size\r")
        someone.sees(b"\r\n31 97\r\n<$ >")
        text = "trap 'stty size' WINCH; echo rea''dy; while :; do sleep 0.05; done"
        someone.type(f'sh -c "{text}"\r'.encode())
        someone.sees(b"ready\r\n")
        someone.resize(40, 120)
        someone.sees(b"40 120\r\n")
        someone.type(b"\x03")
        someone.sees(b"<$ >")
        someone.type("echo ~Ä~. | tr a b\r~~echo; exit 5\r".encode())
        someone.sees("\r\n~Ä~.\r\n".encode())
        someone.sees(b"~echo")
        someone.sees(b"left 5 5\r\n")
        assert someone.modes() == before


def test_ways_to_leave(exec_agent: RunningAgent) -> None:
    with user(exec_agent, "cat") as someone:
        before = someone.modes()
        someone.type(b"one\r")
        someone.sees(b"joined\r\n")
        someone.sees(b"one\r\n")
        someone.type(b"~.")
        someone.sees(b"left None None\r\n")
        assert someone.modes() == before
        someone.ends()
    with user(exec_agent, "cat") as someone:
        before = someone.modes()
        someone.sees(b"joined\r\n")
        someone.type(b"one\r")
        someone.sees(b"one\r\none\r\n")
        assert someone.modes() != before
        os.kill(someone.pid, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while someone.modes() != before:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_input_from_elsewhere(exec_agent: RunningAgent) -> None:
    for data, command, shown, code in (
        (b"stty size; exit 4\n", ["sh"], b"24 80\r\n", 4),
        (b"one\ntwo", ["sh", "-c", "cat; echo end"], b"one\r\ntwoone\r\ntwoend\r\n", 0),
        (b"", ["cat"], b"", 0),
    ):
        done = subprocess.run(
            [sys.executable, "-c", USER, exec_agent.target, *command],
            input=data, stdout=subprocess.PIPE, timeout=PATIENCE, check=True,
        )  # fmt: skip
        assert done.stdout.endswith(shown + b"left %d %d\n" % (code, code)), done.stdout


@pytest.mark.parametrize(
    ("typed", "passed", "left"),
    [
        ([b"~."], b"", True),
        ([b"a~.", b"\r", b"~", b"."], b"a~.\r", True),
        ([b"~~."], b"~.", False),
        ([b"~x~."], b"~x~.", False),
        ([b"a\n~", b"~\n~.", b"b"], b"a\n~\n", True),
        ([b"~\r~."], b"~\r", True),
        ([b"ab\x03~."], b"ab\x03", True),
        ([b"~?~."], b"", True),
    ],
)
def test_the_escape(typed: list[bytes], passed: bytes, left: bool) -> None:
    escape = Escape("~")
    found = b""
    for piece in typed:
        found += escape.pass_on(piece)
        if escape.leave:
            break
    assert (found, escape.leave) == (passed, left)
    assert Escape(None).pass_on(b"\n~.") == b"\n~."
