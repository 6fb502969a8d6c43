"""Freezing and thawing the disks of a real guest, the one under its root included."""

import json

import pytest

from tests.vm.observe import MARKER, Process, Raw, blocked_writers, connect, refused, wait_until
from tests.vm.qemu import AGENT, Guest

ALLOWED = {
    "guest-ping",
    "guest-info",
    "guest-sync",
    "guest-sync-delimited",
    "guest-fsfreeze-status",
    "guest-fsfreeze-thaw",
    "qga-fsfreeze-renew",
    "qga-fsfreeze-thaw",
    "qga-fsfreeze-report",
}


def test_writes_wait_for_the_thaw_and_a_guest_freezes_again(guest: Guest) -> None:
    with connect(guest) as client:
        for _ in range(2):
            guest.sh("rm -f /root/written /mnt/data/written")
            assert client.call("guest-fsfreeze-freeze") == 2
            with blocked_writers(guest) as writers:
                assert client.fsfreeze_status() == "frozen"
                assert guest.sh("test -e /root/written || test -e /mnt/data/written").code == 1
                assert all(writer.blocked for writer in writers)
                assert client.thaw() == 2
            assert client.fsfreeze_status() == "thawed"
        # Once more is no error, here as with qemu-ga.
        assert client.thaw() == 0


def test_what_is_allowed_while_frozen(guest: Guest) -> None:
    with connect(guest) as client:
        handle = client.call("guest-file-open", {"path": "/tmp/file", "mode": "w"})
        with client.frozen():
            client.sync()
            client.ping()
            commands = client.info().supported_commands
            assert {command.name for command in commands if command.enabled} == ALLOWED
            for command in commands:
                if command.name not in ALLOWED:
                    error = refused(client, command.name, handle=handle)
                    assert (error.error_class, error.desc) == (
                        "CommandNotFound",
                        f"Command {command.name} has been disabled: the command is not allowed",
                    )
            assert guest.sh(f"test -e {MARKER}").code == 0
        assert all(command.enabled for command in client.info().supported_commands)
        # What was open stays open.
        assert client.call("guest-file-write", {"handle": handle, "buf-b64": "eA=="})["count"] == 1
        client.call("guest-file-close", {"handle": handle})
    assert guest.sh(f"cat /tmp/file; test -e {MARKER}") == (1, "x", "")


def test_a_frozen_agent_touches_no_disk(guest: Guest) -> None:
    log = "/var/log/qga.log"
    agent = Process(guest, guest.restart_agent("-v", "-l", log))
    requests = [
        json.dumps({"execute": name}).encode() + b"\n"
        for name in ("guest-ping", "guest-info", "guest-fsfreeze-status", "guest-nothing")
    ] * 250
    with Raw(guest) as port:
        port.send(b'{"execute": "guest-fsfreeze-freeze"}\n')
        assert port.reply() == {"return": 2}
        known = guest.read(log)
        assert known.endswith(b": info: freezing file systems\n")
        with blocked_writers(guest):
            before, mapped = agent.numbers("io"), agent.file("maps")
            answered = 0
            for request in requests:
                port.send(request)
                answered += len(port.line()) + 1
            after = agent.numbers("io")
            # It has read the requests, written the replies, and nothing else: no log, no module.
            assert after["rchar"] - before["rchar"] == sum(map(len, requests))
            assert after["wchar"] - before["wchar"] == answered
            assert after["read_bytes"] == before["read_bytes"]
            assert after["write_bytes"] == before["write_bytes"]
            assert agent.file("maps").count(".so") == mapped.count(".so")
            assert guest.read(log) == known
            port.send(b'{"execute": "guest-fsfreeze-thaw"}\n')
            assert port.reply() == {"return": 2}
        port.send(b'{"execute": "guest-ping"}\n')
        port.reply()
    held = guest.read(log)[len(known) :].decode().splitlines()
    assert [line.partition(": ")[2] for line in held] == [
        *["debug: guest-ping", "debug: guest-info", "debug: guest-fsfreeze-status"] * 250,
        "debug: guest-fsfreeze-thaw",
        "info: thawed file systems",
        "debug: guest-ping",
    ]


def test_a_program_that_writes_all_the_time_is_stopped_and_goes_on(guest: Guest) -> None:
    once = "i=$((i+1)); echo $i > /mnt/data/n; sync /mnt/data/n; echo $i > /run/m; mv /run/m /run/n"
    guest.sh(f"(i=0; while :; do {once}; done) > /dev/null 2>&1 &")
    wait_until(lambda: guest.sh("cat /run/n").out > "", "the first number")
    with connect(guest) as client:
        with client.frozen():
            stopped = guest.read("/run/n")
            for _ in range(100):
                client.ping()
            frozen = [guest.read("/mnt/data/n"), guest.read("/run/n")]
            # At most the number that was on its way when the disk froze.
            assert int(frozen[1]) - int(stopped) <= 1
            for _ in range(100):
                client.ping()
            assert [guest.read("/mnt/data/n"), guest.read("/run/n")] == frozen
        wait_until(lambda: int(guest.read("/run/n")) > int(frozen[1]) + 1, "the next number")


@pytest.mark.parametrize("statedir", ["/var/lib", "/mnt/data"])
def test_the_state_directory_may_be_on_a_frozen_disk(guest: Guest, statedir: str) -> None:
    guest.kill_agent()
    guest.sh("mkdir -p /var/lib")
    guest.start_agent([*AGENT, "-t", statedir])
    with connect(guest) as client:
        client.write_file("/tmp/file", b"x")
        for _ in range(2):
            with client.frozen() as freeze:
                assert freeze.frozen == 2
                assert guest.sh(f"test -e {statedir}/qga.state.isfrozen").code == 0
                client.ping()
            assert guest.sh(f"test -e {statedir}/qga.state.isfrozen").code == 1
        client.write_file("/tmp/file", b"y")
