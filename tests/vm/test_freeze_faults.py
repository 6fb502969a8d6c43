"""What may go wrong while a guest is frozen: it is thawed at the end of its lease all the same."""

import json
import subprocess
import sys
import time
from typing import Any

import qga
from tests.vm.observe import (
    MARKER,
    Delay,
    Process,
    agents,
    blocked_writers,
    connect,
    refused,
    wait_until,
)
from tests.vm.qemu import Guest

LEASE_MS = 4000
LEASE = {"deadline-ms": LEASE_MS, "token": "of the test"}

# A host that freezes, says so, and then only waits.
HOST = """
import socket, sys
host = socket.socket(socket.AF_UNIX)
host.connect(sys.argv[1])
host.sendall(sys.argv[2].encode())
print(host.makefile().readline(), end="", flush=True)
sys.stdin.read()
"""


def freeze(client: qga.Client, **more: Any) -> Any:
    made = client.call("qga-fsfreeze-freeze", {**LEASE, **more})
    assert (made["state"], made["count"]) == ("frozen", 2)
    return made


def guardian_of(guest: Guest) -> int:
    (guardian,) = {*agents(guest)} - {guest.agent_pid()}
    return guardian


def test_the_clock_is_set_during_the_lease(guest: Guest) -> None:
    with connect(guest) as client:
        for step in (-86_400 * 365, 86_400 * 365):
            made = freeze(client)
            guest.sh(f"date -s @$(( $(date +%s) + {step} ))")
            with blocked_writers(guest):
                delay = Delay(guest)
                left = client.call("qga-fsfreeze-report")["deadline-ms"]
                assert 0 < left < made["deadline-ms"]
            wait_until(lambda: client.fsfreeze_status() == "thawed", "the end of the lease")
            report = client.call("qga-fsfreeze-report")
            assert (report["end"], report["held"]) == ("lease", False)
            delay.after(report, LEASE_MS)
            guest.sh("rm -f /root/written /mnt/data/written")


def test_an_agent_that_is_stopped(guest: Guest) -> None:
    with connect(guest) as client:
        freeze(client)
        guest.signal_agent(19)
        with blocked_writers(guest):
            delay = Delay(guest)
        guest.signal_agent(18)
        report = client.call("qga-fsfreeze-report")
        assert report["end"] == "lease"
        delay.after(report, LEASE_MS)
        error = refused(client, "qga-fsfreeze-renew", **LEASE)
        assert error.desc.startswith("the freeze of token 'of the test' has ended: the lease ended")


def test_a_host_that_is_killed(guest: Guest) -> None:
    """Nobody is connected to the port, until long after the lease."""
    request = json.dumps({"execute": "qga-fsfreeze-freeze", "arguments": LEASE})
    command = [sys.executable, "-c", HOST, str(guest.agent_socket), request]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as host:
        assert host.stdout is not None
        made = json.loads(host.stdout.readline())["return"]
        assert (made["state"], made["count"]) == ("frozen", 2)
        host.kill()
    with blocked_writers(guest):
        delay = Delay(guest)
    with connect(guest) as client:
        report = client.call("qga-fsfreeze-report")
        assert (report["state"], report["token"]) == ("thawed", "of the test")
        assert (report["held"], report["end"]) == (False, "lease")
        assert client.fsfreeze_status() == "thawed"
        delay.after(report, LEASE_MS)


def test_a_busy_guest_without_memory(guest: Guest) -> None:
    """All that can be killed for memory is, while programs of precedence use the processor."""
    with connect(guest) as client:
        freeze(client)
        guardian = Process(guest, guardian_of(guest))
        locked = guardian.numbers("status")
        assert locked["VmLck"] >= locked["VmRSS"] - 256
        assert guardian.file("oom_score_adj") == "-1000\n"
        guest.sh(
            "for i in 1 2 3; do nice -n -15 sh -c 'while :; do :; done' & done > /dev/null 2>&1"
        )
        # As much as there is, and more; who asks for it is killed.
        assert guest.sh("python3 -c 'x = bytearray(1 << 30)'").code != 0
        with blocked_writers(guest):
            delay = Delay(guest)
        report = client.call("qga-fsfreeze-report")
        delay.after(report, LEASE_MS)
        guest.sh("kill -9 $(pidof sh)")
        wait_until(lambda: client.fsfreeze_status() == "thawed", "the end of the lease")
        assert client.call("qga-fsfreeze-report")["end"] == "lease"


def test_full_disks(guest: Guest) -> None:
    guest.sh(
        "dd if=/dev/zero of=/mnt/data/full bs=1M 2> /dev/null; dd if=/dev/zero of=/run/full bs=1M"
    )
    with connect(guest) as client:
        # Without a mark for the next agent there is no freeze.
        error = refused(client, "guest-fsfreeze-freeze")
        assert error.desc == "failed to prepare for freezing: No space left on device"
        assert client.fsfreeze_status() == "thawed"
        guest.sh("rm /run/full")
        freeze(client)
        thawed = client.call("qga-fsfreeze-thaw", {"token": LEASE["token"]})
        assert thawed["held"] is True
        guest.sh("rm /mnt/data/full")
    wait_until(lambda: agents(guest) == [guest.agent_pid()], "no guardian")
    assert guest.sh(f"test -e {MARKER} || test -e {MARKER}.new").code == 1


def touched(process: Process) -> tuple[int, int, int]:
    """How many bytes it has had read and written, and how many files are mapped."""
    numbers = process.numbers("io")
    return numbers["read_bytes"], numbers["write_bytes"], process.file("maps").count("/")


def test_nothing_is_touched_while_everything_is_frozen(guest: Guest) -> None:
    """The root, with /usr and /var, and /tmp on the other disk."""
    guest.sh("mkdir -p /mnt/data/tmp; mount --bind /mnt/data/tmp /tmp")
    guest.restart_agent("-v", "-l", "/var/log/qga.log")
    with connect(guest) as client:
        freeze(client, **{"deadline-ms": 600_000})
        agent, guardian = (Process(guest, pid) for pid in (guest.agent_pid(), guardian_of(guest)))
        log = guest.read("/var/log/qga.log")
        of_agent, of_guardian = touched(agent), touched(guardian)
        for lease in range(300_000, 600_000, 3000):
            client.call("qga-fsfreeze-renew", {**LEASE, "deadline-ms": lease})
            client.call("qga-fsfreeze-report")
        assert touched(agent) == of_agent
        # The guardian needs no disk even if nothing of it is kept in memory that need not be.
        guest.sh("echo 3 > /proc/sys/vm/drop_caches")
        client.call("qga-fsfreeze-renew", {**LEASE, "deadline-ms": 600_000})
        time.sleep(2)  # it looks at its marker
        assert touched(guardian) == of_guardian
        assert guest.read("/var/log/qga.log") == log
        assert client.call("qga-fsfreeze-thaw", {})["held"] is True
    assert guest.read("/var/log/qga.log").count(b"debug: qga-fsfreeze-renew\n") == 101
