"""A frozen guest is never forgotten: whatever becomes of the agent and of the host."""

import signal

import pytest

from tests.vm.observe import (
    DISKS,
    MARKER,
    Writer,
    agents,
    blocked_writers,
    connect,
    refused,
    wait_until,
)
from tests.vm.qemu import AGENT, Guest


def freeze(guest: Guest) -> None:
    with connect(guest) as client:
        assert client.call("guest-fsfreeze-freeze") == 2


def kill_all(guest: Guest) -> None:
    """The agent, and the guardian, which would have held what the next agent cannot reach."""
    guest.sh(f"kill -9 {' '.join(map(str, agents(guest)))}")
    guest.wait_agent_exit()


def assert_normal(guest: Guest) -> None:
    """Nothing is left of the freeze: no marker, no guardian; and all commands are allowed."""
    with connect(guest) as client:
        wait_until(lambda: client.fsfreeze_status() == "thawed", "the agent notices")
        assert all(command.enabled for command in client.info().supported_commands)
        client.write_file("/mnt/data/file", b"data")
        assert client.read_file("/mnt/data/file") == b"data"
    assert guest.sh(f"test -e {MARKER}").code == 1
    wait_until(lambda: agents(guest) == [guest.agent_pid()], "no guardian")


def test_killed_and_thawed_at_the_deadline(guest: Guest) -> None:
    guest.restart_agent("--fsfreeze-timeout", "5")
    freeze(guest)
    guest.kill_agent()
    with blocked_writers(guest):
        assert len(agents(guest)) == 1
    wait_until(lambda: agents(guest) == [], "the guardian has ended")
    assert guest.sh(f"test -e {MARKER}").code == 1


def test_killed_and_started_and_thawed_by_the_host(guest: Guest) -> None:
    freeze(guest)
    guest.kill_agent()
    with blocked_writers(guest):
        guest.start_agent()
        with connect(guest) as client:
            assert client.fsfreeze_status() == "frozen"
            assert "has been disabled" in refused(client, "guest-file-open", path="/x").desc
            assert "has been disabled" in refused(client, "guest-fsfreeze-freeze").desc
            assert client.thaw() == 2
    assert_normal(guest)


def test_killed_and_started_and_thawed_at_the_deadline(guest: Guest) -> None:
    guest.restart_agent("--fsfreeze-timeout", "5")
    freeze(guest)
    guest.kill_agent()
    with blocked_writers(guest):
        guest.start_agent([*AGENT, "--fsfreeze-timeout", "300"])
        with connect(guest) as client:
            assert client.fsfreeze_status() == "frozen"
    assert_normal(guest)


def test_killed_with_its_guardian_and_started(guest: Guest) -> None:
    freeze(guest)
    kill_all(guest)
    with blocked_writers(guest):
        guest.start_agent([*AGENT, "--fsfreeze-timeout", "1"])
    assert_normal(guest)


def test_a_guardian_that_was_killed_is_replaced(guest: Guest) -> None:
    guest.restart_agent("--fsfreeze-timeout", "6")
    freeze(guest)
    (guardian,) = {*agents(guest)} - {guest.agent_pid()}
    with blocked_writers(guest):
        guest.sh(f"kill -9 {guardian}")
        wait_until(lambda: len(agents(guest)) == 2, "another one")
    assert_normal(guest)


def test_a_marker_that_was_deleted_does_not_leave_the_guest_frozen(guest: Guest) -> None:
    freeze(guest)
    with blocked_writers(guest):
        guest.sh(f"rm {MARKER}")
    assert_normal(guest)


def test_not_thawed_by_the_host(guest: Guest) -> None:
    guest.restart_agent("--fsfreeze-timeout", "4")
    for _ in range(2):
        guest.sh("rm -f /root/written /mnt/data/written")
        freeze(guest)
        with blocked_writers(guest):
            pass
        assert_normal(guest)
    assert guest.agent_output().count("the lease ended after 4.0 s, and nobody had thawed") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_while_frozen(guest: Guest, number: signal.Signals) -> None:
    freeze(guest)
    with blocked_writers(guest):
        assert guest.kill_agent(number) == 0
    assert agents(guest) == []
    assert guest.sh(f"test -e {MARKER}").code == 1
    guest.start_agent()
    assert_normal(guest)


def test_stopped_after_the_thaw(guest: Guest) -> None:
    freeze(guest)
    with connect(guest) as client:
        assert client.thaw() == 2
    assert guest.kill_agent(signal.SIGTERM) == 0


def test_started_frozen_it_opens_its_files_after_the_thaw(guest: Guest) -> None:
    files = "/var/log/qga.log", "/root/qga.pid"
    freeze(guest)
    guest.kill_agent()
    guest.start_agent([*AGENT, "-v", "-l", files[0], "-d", "-f", files[1]], port=None)
    assert guest.wait_agent_exit() == 0
    assert guest.sh("ls " + " ".join(files)).out == ""
    with connect(guest) as client:
        client.ping()
        assert client.thaw() == 2
    wait_until(lambda: len(agents(guest)) == 1, "no guardian")
    (pid,) = agents(guest)
    assert guest.read(files[1]) == b"%d\n" % pid
    log = guest.read(files[0]).decode()
    assert "debug: guest-ping\n" in log
    assert log.endswith("info: thawed file systems\n")


# Two ways in which what an agent has frozen is out of the next one's reach, and their ends.
@pytest.mark.parametrize(
    ("obstacle", "reason", "remedy"),
    [
        ("umount -l /mnt/data", "no longer mounted", "mount /dev/vdb /mnt/data"),
        (
            "mount -t tmpfs cover /mnt/data",
            "another file system is mounted there",
            "umount /mnt/data",
        ),
    ],
)
def test_what_was_frozen_is_out_of_reach(
    guest: Guest, obstacle: str, reason: str, remedy: str
) -> None:
    freeze(guest)
    kill_all(guest)
    writer = Writer(guest, "/mnt/data")
    wait_until(lambda: writer.blocked, "the disk is frozen")
    assert guest.sh(obstacle).code == 0
    guest.start_agent()
    with connect(guest) as client:
        assert client.fsfreeze_status() == "frozen"
        for _ in range(2):
            error = refused(client, "guest-fsfreeze-thaw")
            assert error.desc == f"failed to thaw /mnt/data: {reason}"
            assert client.fsfreeze_status() == "error"
            assert "has been disabled" in refused(client, "guest-file-open", path="/x").desc
        assert guest.sh(f"test -e {MARKER}").code == 0
        assert writer.blocked
        # The root was thawed by the first attempt.
        assert guest.sh("echo x > /root/x; cat /root/x").out == "x\n"
        assert guest.sh(remedy).code == 0
        assert client.thaw() == 1
    writer.finish()
    assert_normal(guest)


def test_covered_while_the_agent_lives(guest: Guest) -> None:
    with connect(guest) as client:
        with client.frozen() as freeze:
            writer = Writer(guest, "/mnt/data")
            wait_until(lambda: writer.blocked, "the disk is frozen")
            guest.sh("mount -t tmpfs cover /mnt/data")
        assert freeze.thawed == 2
    guest.sh("umount /mnt/data")
    writer.finish()


def test_the_guardian_needs_nothing_of_the_disks(guest: Guest) -> None:
    guest.restart_agent("--fsfreeze-timeout", "3")
    freeze(guest)
    guest.kill_agent()
    # Not one page of Python is left in memory that can be thrown out.
    guest.sh("echo 3 > /proc/sys/vm/drop_caches")
    for directory in DISKS:
        Writer(guest, directory).finish()
