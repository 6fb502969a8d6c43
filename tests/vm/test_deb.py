"""The package, installed in a Debian guest: the unit, the port that comes and goes, the ways out.

Most tests share one guest in which it is installed; each leaves the agent running.
"""

import base64
import hashlib
import re
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import qga
from qga.protocol import UPSTREAM_VERSION
from tests.vm.conftest import GuestFactory
from tests.vm.debian import STOCK_PACKAGE
from tests.vm.installing import (
    INSTALLING,
    PACKAGE,
    UNIT,
    build,
    install,
    install_stock,
    shown,
    succeeded,
)
from tests.vm.machine import SYSTEMD
from tests.vm.observe import PATIENCE, blocked_writers, connect, wait_until
from tests.vm.qemu import Guest

pytestmark = pytest.mark.timeout(900)  # the first one may have to make the guest
ROOT = Path(__file__).parents[2]
OURS = ("/usr/lib/qga-agent", "/usr/sbin/qga-agent", "/usr/sbin/qemu-ga")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def guest(package: Path) -> Iterator[Guest]:
    with ExitStack() as guests:
        made = GuestFactory(guests)(None, SYSTEMD)
        install(made, package)
        yield made


def main_pid(guest: Guest) -> int:
    return int(shown(guest, "MainPID"))


def status_text(guest: Guest) -> str:
    return shown(guest, "StatusText")


def freeze_and_thaw(guest: Guest, client: qga.Client) -> None:
    assert client.call("guest-fsfreeze-freeze") == 2
    with blocked_writers(guest):
        assert client.call("guest-fsfreeze-thaw") == 2


def test_it_is_installed_and_runs(guest: Guest) -> None:
    with connect(guest) as client:
        assert client.info().version == UPSTREAM_VERSION
    assert shown(guest, "ActiveState") == "active"
    assert status_text(guest) == "serving /dev/virtio-ports/org.qemu.guest_agent.0"
    assert succeeded(guest.sh("systemctl is-system-running")) == "running\n"
    assert succeeded(guest.sh("dpkg --verify qga-agent; dpkg --audit")) == ""
    assert succeeded(guest.sh("qemu-ga --version")).startswith("QEMU Guest Agent ")
    # Compiled: each module, for this Python.
    sources = set(succeeded(guest.sh(f"cd {OURS[0]}; find . -name '*.py'")).split())
    compiled = set(succeeded(guest.sh(f"cd {OURS[0]}; find . -name '*.cpython-311.pyc'")).split())
    assert {
        name.replace("/__pycache__", "").replace(".cpython-311.pyc", ".py") for name in compiled
    } == sources


def test_systemctl_restart(guest: Guest) -> None:
    before = main_pid(guest)
    succeeded(guest.sh(f"systemctl restart {UNIT}"))
    guest.wait_agent()
    assert main_pid(guest) != before


def test_a_hundred_connections_of_the_host(guest: Guest) -> None:
    before = main_pid(guest)
    for _ in range(100):
        with connect(guest) as client:
            client.ping()
    assert main_pid(guest) == before


def test_the_port_goes_and_comes(guest: Guest) -> None:
    before = main_pid(guest)
    guest.unplug_agent_port()
    wait_until(lambda: status_text(guest).startswith("waiting for /dev/virtio-ports"), "it waits")
    guest.plug_agent_port()
    guest.wait_agent()
    # At once, and again: no state of the unit is in the way.
    for _ in range(5):
        guest.unplug_agent_port()
        guest.plug_agent_port()
    guest.wait_agent()
    assert main_pid(guest) == before


def test_without_a_port_it_does_not_run_until_there_is_one(guest: Guest) -> None:
    succeeded(guest.sh(f"systemctl stop {UNIT}"))
    guest.unplug_agent_port()
    assert shown(guest, "ActiveState") == "inactive"
    guest.plug_agent_port()
    guest.wait_agent()  # udev has started it


def test_the_watchdog(guest: Guest) -> None:
    drop_in = f"/run/systemd/system/{UNIT}.service.d"
    succeeded(
        guest.sh(
            f"mkdir -p {drop_in}; printf '[Service]\\nWatchdogSec=2\\n' > {drop_in}/short.conf;"
            f"systemctl daemon-reload; systemctl restart {UNIT}"
        )
    )
    guest.wait_agent()
    # It says that it lives; also while frozen.
    before = main_pid(guest)
    time.sleep(3)
    assert main_pid(guest) == before
    # Stopped, it is killed, and another one takes over.
    guest.sh(f"kill -STOP {before}")
    wait_until(lambda: main_pid(guest) not in {0, before}, "another agent")
    guest.wait_agent()
    assert "watchdog" in succeeded(guest.sh(f"journalctl -qb -u {UNIT}")).lower()
    # While file systems are frozen, it has time for what systemd would not wait for.
    frozen = main_pid(guest)
    with connect(guest) as client, client.frozen():
        guest.sh(f"kill -STOP {frozen}; sleep 6; kill -CONT {frozen}")
    assert main_pid(guest) == frozen
    succeeded(guest.sh(f"rm -r {drop_in}; systemctl daemon-reload; systemctl restart {UNIT}"))
    guest.wait_agent()


def test_a_freeze_of_everything(guest: Guest) -> None:
    with connect(guest) as client:
        freeze_and_thaw(guest, client)


def test_killed_while_frozen(guest: Guest) -> None:
    """The unit's next agent takes over, and the guardian is not killed with the first."""
    with connect(guest) as client:
        client.call("guest-fsfreeze-freeze")
    before = main_pid(guest)
    guest.sh(f"kill -KILL {before}")
    wait_until(lambda: main_pid(guest) not in {0, before}, "another agent")
    with connect(guest) as client:
        assert client.fsfreeze_status() == "frozen"
        assert client.call("guest-fsfreeze-thaw") == 2


def test_restarted_and_stopped_while_frozen(guest: Guest) -> None:
    """A restart goes on with the freeze and its lease; after a stop, nobody comes to."""
    with connect(guest) as client:
        made = client.call("qga-fsfreeze-freeze", {"deadline-ms": 300_000, "token": "mine"})
    before = main_pid(guest)
    succeeded(guest.sh(f"systemctl restart {UNIT}"))
    guest.wait_agent()
    assert main_pid(guest) not in {0, before}
    with connect(guest) as client:
        found = client.call("qga-fsfreeze-report")
        assert (found["state"], found["mounts"]) == ("frozen", made["mounts"])
        assert found["deadline-ms"] <= made["deadline-ms"]
        client.call("qga-fsfreeze-renew", {"token": "mine", "deadline-ms": 300_000})
        assert client.call("qga-fsfreeze-thaw", {"token": "mine"})["held"] is True
        client.call("guest-fsfreeze-freeze")
    with blocked_writers(guest):
        succeeded(guest.sh(f"systemctl stop {UNIT}"))
    succeeded(guest.sh(f"systemctl start {UNIT}"))
    guest.wait_agent()
    with connect(guest) as client:
        assert client.call("qga-fsfreeze-report")["end"] == "agent"


# What the agent writes and starts is as without a unit: no sandbox is in between.


@pytest.mark.parametrize(
    "path", ["/etc/of-the-host", "/home/alice/x", "/root/x", "/tmp/x", "/var/tmp/x", "/usr/x",
             "/boot/x", "/run/x", "/dev/shm/x", "/opt/x"]
)  # fmt: skip
def test_files_are_written_where_everybody_sees_them(guest: Guest, path: str) -> None:
    with connect(guest) as client:
        client.write_file(path, b"of the host")
    assert guest.read(path) == b"of the host"
    assert (
        succeeded(guest.sh(f"stat -c '%U %a' {path}; rm {path}")) == "root 666\n"
    )  # as with qemu-ga


def run(client: qga.Client, *argv: str) -> str:
    """What a program prints that the agent has started."""
    arguments = {"path": argv[0], "arg": list(argv[1:]), "capture-output": True}
    pid = client.call("guest-exec", arguments)["pid"]
    while not (status := client.call("guest-exec-status", {"pid": pid}))["exited"]:
        time.sleep(0.05)
    assert status["exitcode"] == 0, (argv, status)
    return base64.b64decode(status.get("out-data", "")).decode()


PROGRAMS = {
    "systemctl is-system-running": "running",
    # Nothing of what systemd has said to the agent is said to its programs.
    "env | grep -E 'NOTIFY|WATCHDOG|LISTEN' || true": "",
    # The namespaces of all, every capability, no filter, no limits.
    "cd /proc/self/ns; for n in *; do cmp <(readlink $n) <(readlink /proc/1/ns/$n); done": "",
    "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t\\n'": "NoNewPrivs:0Seccomp:0",
    "cmp <(grep CapBnd /proc/self/status) <(grep CapBnd /proc/1/status)": "",
    "cat /proc/self/oom_score_adj": "0",
    # A mount that everybody sees, a user who may become root, a set-id file, a module, the clock.
    "mount -t tmpfs x /srv && nsenter -t 1 -m mountpoint -q /srv && umount /srv": "",
    "su alice -c 'grep NoNewPrivs /proc/self/status' | tr -d '\\t'": "NoNewPrivs:0",
    "cp /usr/bin/su /tmp/su; chmod 4755 /tmp/su; stat -c %a /tmp/su; rm /tmp/su": "4755",
    "modprobe overlay && grep -o overlay /proc/filesystems": "overlay",
    "date -s @1700000000 > /dev/null; date +%Y; hwclock --hctosys": "2023",
    "echo alice:secret | chpasswd && getent shadow alice | cut -c 1-9": "alice:$y$",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_can_do_whatever_root_can(guest: Guest, program: str) -> None:
    with connect(guest) as client:
        assert run(client, "/bin/bash", "-c", program).rstrip("\n") == PROGRAMS[program]


def test_commands_reach_the_whole_system(guest: Guest) -> None:
    password = base64.b64encode(b"of the host").decode()
    with connect(guest) as client:
        client.call("guest-set-time", {"time": 1_600_000_000_000_000_000})
        assert succeeded(guest.sh("date -u +%F")) == "2020-09-13\n"
        client.call("guest-set-time")  # from the hardware clock, which it has set
        assert succeeded(guest.sh("date -u +%F")) == "2020-09-13\n"
        account = {"username": "alice", "password": password, "crypted": False}
        client.call("guest-set-user-password", account)
        assert ":$y$" in succeeded(guest.sh("getent shadow alice"))
        succeeded(guest.sh("hostname other"))
        assert client.call("guest-get-host-name") == {"host-name": "other"}
        succeeded(guest.sh("hostname testguest"))
        mounted = {mount["mountpoint"] for mount in client.call("guest-get-fsinfo")}
        assert {"/", "/mnt/data"} <= mounted


def test_the_journal_tells_what_the_host_has_had_done(guest: Guest) -> None:
    def told(*matches: str) -> str:
        fields = " ".join(matches)
        return guest.sh(f"journalctl -qb -o cat _SYSTEMD_UNIT={UNIT}.service {fields}").out

    with connect(guest) as client:
        run(client, "/bin/echo", "for the journal")
        freeze_and_thaw(guest, client)
    # From the time when everything was frozen, too.
    wait_until(lambda: told("QGA_COMMAND=guest-fsfreeze-thaw") != "", "the account of the thaw")
    assert told("QGA_EXEC='/bin/echo for the journal'") == (
        'guest-exec called: "/bin/echo for the journal"\n'
    )
    assert "guest-fsfreeze called\n" in told("QGA_COMMAND=guest-fsfreeze-freeze", "PRIORITY=6")


# The ways in and out.


def test_an_upgrade_restarts_it(guest: Guest) -> None:
    """Also when the host has it done by guest-exec: that is not cut off when the agent ends."""
    before = main_pid(guest)
    script = f"dpkg -i {PACKAGE} > /run/upgrade.log 2>&1; echo $? > /run/upgraded"
    with connect(guest) as client:
        client.call("guest-exec", {"path": "/bin/sh", "arg": ["-c", script]})
    ended = "an upgrade to its end"
    wait_until(lambda: guest.sh("cat /run/upgraded").out == "0\n", ended, INSTALLING)
    guest.wait_agent()
    assert main_pid(guest) not in {0, before}
    assert succeeded(guest.sh("dpkg --verify qga-agent; dpkg --audit")) == ""


def test_the_other_package_is_not_replaced_by_force(guest: Guest) -> None:
    refused = guest.sh(f"dpkg -i {STOCK_PACKAGE}", timeout=INSTALLING)
    assert refused.code != 0
    assert "conflicting packages" in refused.err
    guest.wait_agent()
    assert succeeded(guest.sh("readlink /usr/sbin/qemu-ga")) == "qga-agent\n"


def test_removed_and_purged_nothing_is_left(guest: Guest) -> None:
    succeeded(guest.sh("dpkg -r qga-agent", timeout=INSTALLING))
    assert guest.sh(f"ls -d {' '.join(OURS)}").out == ""
    assert guest.sh(f"systemctl is-active {UNIT}").out == "inactive\n"
    assert shown(guest, "LoadState") == "not-found"
    succeeded(guest.sh("dpkg -P qga-agent", timeout=INSTALLING))
    assert guest.sh("dpkg-query -W qga-agent").code != 0
    assert guest.sh(r"find / -xdev \( -name '*qga*' -o -path '/etc/qemu*' \) ! -path '/var/cache/*'"
                    " ! -path '/var/log/journal/*'").out == ""  # fmt: skip
    succeeded(guest.sh(f"dpkg -i {PACKAGE}", timeout=INSTALLING))
    guest.wait_agent()


def test_after_a_reboot(guest: Guest) -> None:
    succeeded(guest.sh("systemctl --no-block reboot"))
    guest.qmp.wait_event("RESET", 180)
    guest.wait_booted()
    guest.wait_agent()
    assert shown(guest, "NRestarts") == "0"
    assert succeeded(guest.sh("systemctl is-system-running --wait", timeout=180)) == "running\n"


def exposure(guest: Guest) -> str:
    """What systemd thinks of the unit: from 0 (safe) to 10."""
    said = succeeded(guest.sh(f"systemd-analyze security --no-pager {UNIT}", timeout=120))
    return said.partition("Overall exposure level")[2].split()[2]


def test_the_restricted_unit(guest: Guest) -> None:
    described = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert f"**{exposure(guest)}**, the same as qemu-ga's" in described
    drop_in = f"/etc/systemd/system/{UNIT}.service.d"
    succeeded(
        guest.sh(
            f"mkdir -p {drop_in}; cp /usr/share/qga-agent/restricted.conf {drop_in};"
            f"systemctl daemon-reload; systemctl restart {UNIT}"
        )
    )
    guest.wait_agent()
    assert f"its score is **{exposure(guest)}**" in described
    with connect(guest) as client:
        with pytest.raises(qga.CommandDisabled):
            client.read_file("/etc/hostname")
        freeze_and_thaw(guest, client)
        client.shutdown()
    assert guest.qmp.wait_event("SHUTDOWN", 180)["data"]["reason"] == "guest-shutdown"


# In guests of their own.


def cloud_init(package: Path) -> str:
    """What cloud-init would do by our snippet, as a script."""
    checksum = hashlib.sha256(package.read_bytes()).hexdigest()
    snippet = (ROOT / "packaging/cloud-init.yaml").read_text(encoding="utf-8")
    snippet = snippet.replace("PACKAGE_URL", f"file://{PACKAGE}").replace("SHA256", checksum)
    found = re.search(r'path: (\S+)\n +content: "(.+)"\nruncmd:\n  - \|\n(.+)', snippet, re.DOTALL)
    assert found is not None
    path, content, script = found.groups()
    return f"printf '{content}' > {path}\n{textwrap.dedent(script)}"


def test_in_place_of_the_other_package(guest_factory: GuestFactory, package: Path) -> None:
    """apt removes the other one; what that leaves behind (a mask, settings) is in nobody's way."""
    guest = guest_factory(None, SYSTEMD)
    install_stock(guest)
    guest.write(PACKAGE, package.read_bytes())
    refused = guest.sh(f"dpkg -i {PACKAGE}", timeout=INSTALLING)
    assert refused.code != 0
    assert "conflicting packages" in refused.err
    guest.wait_agent()
    succeeded(guest.sh(cloud_init(package), timeout=INSTALLING))
    guest.wait_agent()
    assert guest.sh("ls /run/qga-agent*").out == ""
    assert shown(guest, "ExecStart").startswith("{ path=/usr/sbin/qga-agent ")
    succeeded(guest.sh("dpkg -P qemu-guest-agent", timeout=INSTALLING))
    guest.wait_agent()
    assert shown(guest, "LoadState") == "loaded"


def test_shutdown(guest_factory: GuestFactory, package: Path) -> None:
    guest = guest_factory(None, SYSTEMD)
    # Installed without its port, it waits for it.
    guest.unplug_agent_port()
    guest.write(PACKAGE, package.read_bytes())
    succeeded(guest.sh(f"dpkg -i {PACKAGE}", timeout=INSTALLING))
    assert shown(guest, "ActiveState") == "inactive"
    guest.plug_agent_port()
    guest.wait_agent(timeout=PATIENCE)
    with connect(guest) as client:
        client.shutdown()
    assert guest.qmp.wait_event("SHUTDOWN", 180)["data"]["reason"] == "guest-shutdown"
