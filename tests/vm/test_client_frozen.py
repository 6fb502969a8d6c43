"""`frozen()` on the disks of a real guest, with both agents: somebody always thaws."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.client import freezer
from tests.vm.conftest import GuestFactory
from tests.vm.observe import PATIENCE, Writer, blocked_writers, connect, wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

BOTH = pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])


@BOTH
def test_whether_it_held(guest_factory: GuestFactory, argv: Sequence[str]) -> None:
    guest = guest_factory(argv)
    with connect(guest) as client:
        with client.frozen() as freeze:
            assert (freeze.frozen, freeze.watched) == (2, True)
        assert (freeze.thawed, freeze.held) == (2, True), freeze.report

        # Of one disk.
        with client.frozen(["/mnt/data", "/nowhere"]) as freeze:
            writer = Writer(guest, "/mnt/data")
            wait_until(lambda: writer.blocked, "the disk is frozen")
            assert guest.sh("echo x > /root/x").code == 0
        writer.finish()
        assert (freeze.frozen, freeze.thawed, freeze.held) == (1, 1, True)

        # By somebody else, past the agent.
        with client.frozen() as freeze:
            assert guest.control.execute("guest-fsfreeze-thaw") == 2
        assert (freeze.thawed, freeze.held) == (0, False)
        assert "only 0 were still frozen" in freeze.report

        # By somebody else, through the agent.
        with client.frozen() as freeze:
            client.thaw()
        assert (freeze.thawed, freeze.held) == (0, False)
        assert "somebody else thawed" in freeze.report

        # The deadline, while the block is at something else.
        with client.frozen(deadline=1) as freeze:
            Writer(guest, "/mnt/data").finish()
            Writer(guest, "/root").finish()
            wait_until(lambda: freeze.thawed is not None, "the deadline")
        assert (freeze.expired, freeze.thawed, freeze.held) == (True, 2, False)
        assert client.fsfreeze_status() == "thawed"

        with client.frozen(["/nowhere"]) as freeze:
            pass
        assert (freeze.frozen, freeze.held) == (0, False)


def start(guest: Guest, kind: str) -> "subprocess.Popen[str]":
    program = Path(freezer.__file__)
    process = subprocess.Popen(
        [sys.executable, str(program), kind, f"unix:{guest.agent_socket}"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "frozen True\n"
    return process


@BOTH
def test_who_froze_is_gone(guest_factory: GuestFactory, argv: Sequence[str]) -> None:
    guest = guest_factory(argv)
    for kind, number in (("sync", signal.SIGKILL), ("async", signal.SIGTERM)):
        with start(guest, kind) as process, blocked_writers(guest):
            process.send_signal(number)
            assert process.wait(PATIENCE) in (-signal.SIGKILL, 128 + signal.SIGTERM)
    with connect(guest) as client:
        assert client.fsfreeze_status() == "thawed"
        client.write_file("/mnt/data/file", b"data")
