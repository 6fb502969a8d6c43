"""`frozen()` on the disks of a real guest, with both agents: somebody always thaws."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import qga
from qga.client import lease
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
        with client.frozen("/mnt/*", exclude=["type:xfs"]) as freeze:
            writer = Writer(guest, "/mnt/data")
            wait_until(lambda: writer.blocked, "the disk is frozen")
            assert guest.sh("echo x > /root/x").code == 0
        writer.finish()
        assert (freeze.frozen, freeze.thawed, freeze.held) == (1, 1, True)

        # By somebody else, past the agent.
        with client.frozen() as freeze:
            assert guest.control.execute("guest-fsfreeze-thaw") == 2
        assert not freeze.held
        if argv == AGENT:
            assert "somebody else had thawed " in freeze.report
        else:
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

        if argv == AGENT:
            with pytest.raises(qga.CommandError, match="/nowhere: nothing is mounted there"):
                client.frozen(["/", "/nowhere"]).__enter__()
        with client.frozen(["/nowhere*"]) as freeze:
            pass
        assert (freeze.frozen, freeze.held) == (0, False)


def start(guest: Guest, kind: str, *more: str) -> "subprocess.Popen[str]":
    program = Path(freezer.__file__)
    process = subprocess.Popen(
        [sys.executable, str(program), kind, f"unix:{guest.agent_socket}", *more],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    while (line := process.stdout.readline()) == "renewed\n":
        pass
    assert line == "frozen True\n"
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


@BOTH
def test_nobody_is_left_on_the_host(guest_factory: GuestFactory, argv: Sequence[str]) -> None:
    """Killed while it renews, and the process that watches before: the guest is on its own."""
    guest = guest_factory(argv)
    with start(guest, "sync", "8") as process, blocked_writers(guest) as writers:
        assert process.stdout is not None
        if argv == AGENT:
            for _ in range(2):
                assert process.stdout.readline() == "renewed\n"
        assert all(writer.blocked for writer in writers)
        (watching,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(watching), signal.SIGKILL)
        process.kill()
        process.wait(PATIENCE)
        if argv == STOCK_AGENT:
            with connect(guest) as client:
                assert client.fsfreeze_report().state == "frozen"
                assert client.thaw() == 2
    with connect(guest) as client:
        report = client.fsfreeze_report()
        assert report.state == "thawed"
        assert (report.end, report.held) == (("lease", False) if argv == AGENT else (None, None))
        client.write_file("/mnt/data/file", b"data")


def test_the_lease_outlasts_itself(guest_factory: GuestFactory) -> None:
    """Renewed over the port that the block uses too; and then shown, and ended by somebody else."""
    guest = guest_factory(AGENT)
    lost: list[str] = []
    with pytest.MonkeyPatch.context() as patch, connect(guest) as client:
        patch.setattr(lease, "LEASE", 8.0)
        patch.setattr(lease, "_SHOULD", 0.8)
        with client.frozen(deadline=300, on_lost=lost.append) as freeze:
            over = time.monotonic() + 10
            wait_until(lambda: time.monotonic() > over, "the end of a lease")
            assert client.fsfreeze_status() == "frozen"
            report = client.fsfreeze_report()
            assert (report.token, report.state, report.count) == (freeze.token, "frozen", 2)
            assert report.deadline_ms is not None
            assert report.deadline_ms <= 8000
        assert (freeze.held, freeze.thawed, freeze.lost) == (True, 2, ""), freeze.report
        assert freeze.seconds > 8
        assert freeze.details is not None
        outcomes = {mount.path: mount.outcome for mount in freeze.details.mounts}
        assert (outcomes["/"], outcomes["/mnt/data"]) == ("thawed", "thawed")

        with client.frozen(on_lost=lost.append) as freeze:
            wait_until(lambda: client.fsfreeze_report().token == freeze.token, "its token")
            client.thaw()
            wait_until(lambda: bool(lost), "the loss")
        assert not freeze.held
        assert lost[0].endswith("has ended: it was thawed")
