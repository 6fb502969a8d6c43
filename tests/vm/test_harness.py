"""The harness itself, with the stock agent in the place of ours."""

import signal

import pytest

from tests.vm.conftest import GuestFactory
from tests.vm.control import Control
from tests.vm.debs import stock_agent
from tests.vm.installing import install_stock, shown
from tests.vm.machine import Machine
from tests.vm.qemu import AGENT_PORT, SERIAL_PORT, STOCK_AGENT, Guest


@pytest.fixture
def guest(guest_factory: GuestFactory) -> Guest:
    return guest_factory(STOCK_AGENT)


def test_the_agent_under_test_answers(guest: Guest) -> None:
    with Control(guest.agent_socket) as agent:
        assert agent.execute("guest-ping") == {}


def test_sockets_are_private(guest: Guest) -> None:
    assert guest.directory.stat().st_mode & 0o777 == 0o700
    for path in guest.directory.glob("*.sock"):
        assert path.stat().st_mode & 0o077 == 0


def test_sh_gives_code_and_both_outputs(guest: Guest) -> None:
    assert guest.sh("cat; echo wrong >&2; exit 3", b"in\n") == (3, "in\n", "wrong\n")
    assert guest.sh("kill -9 $$").code == -9


def test_files_keep_their_bytes(guest: Guest) -> None:
    data = bytes(range(256))
    guest.write("/tmp/file", data)
    assert guest.read("/tmp/file") == data


def test_root_and_data_are_disks_that_freeze(guest: Guest) -> None:
    mounts = guest.read("/proc/mounts").decode()
    assert "/dev/vda / ext4 rw" in mounts
    assert "/dev/vdb /mnt/data ext4 rw" in mounts
    write_root = "(echo x > /root/x) > /dev/null 2>&1 &"
    with Control(guest.agent_socket) as agent:
        assert agent.execute("guest-fsfreeze-freeze") == 2
        # The way in still works, and what is in memory can still be written.
        assert guest.sh("ls /etc/fstab && echo x > /run/x && cat /run/x").code == 0
        assert guest.sh(f"{write_root} sleep 0.3; test -e /root/x").code == 1
        assert agent.execute("guest-fsfreeze-thaw") == 2
    assert guest.sh("sleep 0.2; cat /root/x").out == "x\n"


def test_nothing_is_left_for_the_next_guest(guest_factory: GuestFactory) -> None:
    first = guest_factory(None)
    assert first.sh("echo x > /root/x; echo x > /mnt/data/x; sync").code == 0
    second = guest_factory(None)
    assert second.sh("ls /root /mnt/data").out.split() == ["/mnt/data:", "lost+found", "/root:"]


def test_the_agent_is_killed_and_started(guest: Guest) -> None:
    first = guest.agent_pid()
    assert guest.read(f"/proc/{first}/cmdline").split(b"\0")[0] == STOCK_AGENT[0].encode()
    assert guest.kill_agent(signal.SIGTERM) == 0
    guest.start_agent(
        ["/bin/sh", "-c", "echo $GREETING; kill -9 $$"], {"GREETING": "hi"}, port=None
    )
    assert guest.wait_agent_exit() == -9
    assert guest.agent_output() == "hi\n"
    assert guest.start_agent(STOCK_AGENT) != first


def test_the_serial_port_is_connected(guest_factory: GuestFactory) -> None:
    guest = guest_factory(None)
    serial = ["-m", "isa-serial", "-p", SERIAL_PORT, "-t", "/tmp"]
    guest.start_agent([STOCK_AGENT[0], *serial], port=SERIAL_PORT)


def test_vsock_within_the_guest(guest: Guest) -> None:
    program = "import socket as s; a = s.socket(s.AF_VSOCK); a.bind((1, 5)); print(a.getsockname())"
    assert guest.sh(f"modprobe vsock_loopback; python3 -c '{program}'").out == "(1, 5)\n"


def test_passwords_can_be_set(guest: Guest) -> None:
    code, _, err = guest.sh("chpasswd; grep alice /etc/shadow", b"alice:secret\n")
    assert (code, err) == (0, "")


def test_the_port_is_unplugged_and_plugged(guest: Guest) -> None:
    guest.unplug_agent_port()
    assert guest.sh(f"/sbin/virtio-ports; test -e {AGENT_PORT}").code == 1
    guest.kill_agent()
    guest.plug_agent_port()
    guest.start_agent(STOCK_AGENT)


def test_monitor(guest: Guest) -> None:
    assert guest.qmp.execute("query-status")["status"] == "running"
    guest.qmp.execute("stop")
    guest.qmp.wait_event("STOP")


@pytest.mark.parametrize("program", ["/sbin/poweroff", "/sbin/shutdown -h -P +0 now"])
def test_power_off(guest: Guest, program: str) -> None:
    guest.control.start(["/bin/sh", "-c", program])
    assert guest.qmp.wait_event("SHUTDOWN")["data"]["reason"] == "guest-shutdown"
    assert f"SHUTDOWN: {program}" in guest.console()


@pytest.mark.parametrize("program", ["/sbin/halt", "/sbin/shutdown -h -H +0 now"])
def test_halt(guest: Guest, program: str) -> None:
    guest.control.start(["/bin/sh", "-c", program])
    guest.wait_console("reboot: System halted")
    assert guest.qmp.execute("query-status")["running"]


def test_reboot(guest: Guest) -> None:
    guest.control.start(["/bin/sh", "-c", "/sbin/shutdown -h -r +0 now"])
    guest.qmp.wait_event("RESET")
    guest.wait_booted()
    assert guest.sh("test -e /run/shutdown.args").code == 1
    guest.start_agent(STOCK_AGENT)


def test_a_machine_with_more(guest_factory: GuestFactory) -> None:
    guest = guest_factory(STOCK_AGENT, Machine(memory=320, cpus=2))
    assert guest.sh("nproc").out == "2\n"


def test_a_guest_with_systemd(systemd_guest: Guest) -> None:
    guest = systemd_guest
    assert guest.sh("systemctl is-system-running").out == "running\n"
    assert guest.sh("findmnt -no SOURCE /; findmnt -no SOURCE /mnt/data").out.split() == [
        "/dev/vda",
        "/dev/vdb",
    ]
    assert guest.sh("stat -c '%U:%G %a' /usr/bin/su /etc/shadow /home/alice /").out.split("\n") == [
        "root:root 4755",
        "root:shadow 640",
        "alice:alice 700",
        "root:root 755",
        "",
    ]
    assert "10.0.2.15/24" in guest.sh("ip -4 addr show dev eth0").out
    install_stock(guest)
    assert shown(guest, "ExecStart").startswith("{ path=/usr/sbin/qemu-ga ")


def test_stock_agent_of_the_host() -> None:
    assert stock_agent().is_file()
