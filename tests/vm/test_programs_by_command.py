"""`qga exec` and `qga shell` with real guests, by our agent and by QEMU's."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.screen import screen
from tests.vm.conftest import GuestFactory
from tests.vm.observe import PATIENCE, wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest
from tests.vm.test_process import wait_nothing_left

BOTH = pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
PIPE = subprocess.PIPE


def qga(guest: Guest, *words: str) -> subprocess.Popen[bytes]:
    """The command as a process."""
    command = [sys.executable, "-m", "qga.cli", *words]
    target = {"QGA_TARGET": f"unix:{guest.agent_socket}"}
    return subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ | target)


@BOTH
def test_programs(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    data = os.urandom(1 << 20)
    with qga(guest, "exec", "--", "sh", "-c", "tee /tmp/copy | md5sum; echo $A >&2; exit 3") as run:
        out, err = run.communicate(data, PATIENCE)
    assert (run.returncode, err) == (3, b"\n")
    assert out.split()[0].decode() == hashlib.md5(data).hexdigest()
    with qga(
        guest, "exec", "-u", "alice", "-e", "A=1 2", "sh", "-c", "id -un; echo $A $HOME"
    ) as run:
        out, _ = run.communicate(timeout=PATIENCE)
    assert out == b"alice\n1 2 /home/alice\n"
    with qga(guest, "exec", "sh", "-c", "echo begun; sleep 600") as run:
        assert run.stdout
        assert run.stdout.readline() == b"begun\n"
        run.send_signal(signal.SIGINT)
        assert run.wait(PATIENCE) == 130
    with qga(guest, "exec", "yes") as run:
        assert run.stdout
        assert run.stdout.read(4) == b"y\ny\n"
        run.stdout.close()
        assert run.wait(PATIENCE) == 141
    with qga(guest, "exec", "--timeout", "3", "sleep", "600") as run:
        assert run.wait(PATIENCE) == 124
    wait_nothing_left(guest)


@BOTH
def test_a_shell_on_a_screen(
    guest_factory: GuestFactory, argv: tuple[str, ...], tmp_path: Path
) -> None:
    guest = guest_factory(argv)
    with screen(tmp_path / "user", QGA_TARGET=f"unix:{guest.agent_socket}") as before:
        before.type("stty -g >modes; qga shell")
        before.sees("#")
        before.type("PS1='guest''> '")
        before.prompts("guest>")
        before.type("vi /tmp/text")
        before.sees("\n~\n~\n")
        before.resize(12, 60)
        before.sees("~\n" * 10)
        before.keys("i")
        before.tmux("send-keys", "-l", "Grüße")
        before.sees("Grüße")
        before.keys("Escape")
        time.sleep(1)  # what follows at once would be taken for a special key's
        before.type(":wq")
        before.prompts("guest>")
        assert guest.read("/tmp/text").decode() == "Grüße\n"
        before.type("top")
        before.sees("Mem:")
        before.keys("q")
        before.prompts("guest>")
        before.type("clear; stty size; sleep 600")
        before.says("12 60")
        wait_until(lambda: guest.sh("pidof sleep").code == 0, "the program's beginning")
        before.keys("C-c")
        before.prompts("guest>")
        before.type("exit 7")
        before.prompts("local>")
        before.type("echo code=$?; stty -g | cmp - modes && echo restored")
        before.says("code=7")
        before.says("restored")
    wait_nothing_left(guest)
