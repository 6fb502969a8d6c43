"""`qga info`, `os`, `ip` and all that tell what a guest is: against agents, real and pretended."""

import os
import platform
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.protocol import COMMANDS, OWN, UPSTREAM_VERSION
from qga.protocol.accounts import User
from qga.protocol.cpu import LogicalProcessor
from qga.protocol.fsfreeze import FsfreezeState
from qga.protocol.network import InterfaceStatistics, NetworkInterface, NetworkRoute
from qga.testing import FakeAgent
from tests.support.stock import BLOCKED, RunningAgent

from .command import Run

FACTS = ("info", "os", "ip", "net", "fs", "disks", "users", "cpus", "memory", "load", "version")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, qga_command: Run) -> Iterator[FakeAgent]:
    """The agent that commands without a target mean."""
    agent = FakeAgent()
    with agent.serve() as target:
        monkeypatch.setenv("QGA_TARGET", target)
        yield agent


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# On this machine, by both agents.


def test_what_this_machine_is(qga_command: Run, agent: RunningAgent) -> None:
    def found(*words: str) -> Any:
        return qga_command(words[0], agent.target, *words[1:], "-o", "json").json

    info = found("info")
    assert info["hostname"] == socket.gethostname()
    assert info["os"] == found("os")
    assert info["os"]["kernel"] == platform.release()
    assert info["agent"]["state"] == "thawed"
    assert info["agent"]["program"] in {"qga-agent", "qemu-ga"}
    assert info["agent"]["version"] == found("version")["agent"]
    # Our own commands another agent lacks.
    there = {*info["agent"]["allowed"], *info["agent"]["disabled"]}
    assert set(BLOCKED) & there <= set(info["agent"]["disabled"])
    assert {name for name in BLOCKED if not name.startswith(OWN)} <= there
    assert "guest-ping" in info["agent"]["allowed"]
    assert abs(info["clock"]["offset"]) <= info["clock"]["uncertainty"]
    assert 0 < info["uptime"] <= float(Path("/proc/uptime").read_text().split()[0])
    assert {one["name"] for one in found("net")} >= {name for _, name in socket.if_nameindex()}
    online = found("cpus")
    assert sum(one["online"] for one in online) == os.cpu_count() == info["cpus"]
    assert all(0 <= one["percent"] <= 100 for one in online)
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert found("memory")["total"] == info["memory"]["total"] == total
    assert found("load").keys() == {"load1m", "load5m", "load15m"}
    for one in found("fs"):
        assert one["total"] == one["used"] + one["free"]
    names = {one["name"] for one in found("commands")}
    assert names == {*info["agent"]["allowed"], *info["agent"]["disabled"]}
    try:
        address = found("ip")["address"]
    except ValueError:  # this machine has no network
        assert info["address"] is None
    else:
        assert info["address"] == address


@pytest.mark.parametrize("verb", FACTS)
def test_for_people(qga_command: Run, agent: RunningAgent, verb: str) -> None:
    done = qga_command(verb, agent.target)
    assert done.out
    assert "\x1b" not in done.text
    both = qga_command(verb, agent.target, agent.target)
    assert verb == "users" or both.text.splitlines()[0].split()[0] == "guest"
    assert both.text.count(agent.target) >= (0 if verb == "users" else 2)


# What exactly is shown, of a guest that is known.


def test_info(qga_command: Run, fake: FakeAgent) -> None:
    fake.blocked = {"guest-exec", "guest-get-users", "guest-get-load"}
    fake.files["/proc/self/cmdline"] = b"/usr/sbin/qemu-ga\0-m\0virtio-serial\0"
    lines = qga_command("info").text.splitlines()
    shown = dict(line.split(maxsplit=1) for line in lines if not line.startswith(("host", "file")))
    assert [line.split(maxsplit=2)[2] for line in lines if line.startswith("file system")] == [
        "/ 16% of 19.0 GiB",
        "/srv 3% of 38.0 GiB",
    ]
    assert lines[0].split() == ["host", "name", "fake"]
    assert shown["up"] == "1:10 h"
    assert shown["memory"] == "25% of 2.0 GiB"
    assert shown["agent"] == f"qemu-ga {UPSTREAM_VERSION}"
    assert shown["blocked"] == "guest-exec, guest-get-load, guest-get-users"
    assert shown["address"] == "192.0.2.10"
    assert "users" not in shown
    assert "load" not in shown  # there is no /proc/loadavg either
    assert len(fake.requests) < 30


def test_a_frozen_guest(qga_command: Run, fake: FakeAgent) -> None:
    fake.state = FsfreezeState.FROZEN
    done = qga_command("info")
    assert done.code == 0
    assert "frozen        file systems are frozen: `qga thaw` ends that\n" in done.text
    assert "blocked" not in done.text
    found = qga_command("info", "-o", "json").json
    assert (found["agent"]["state"], found["hostname"], found["filesystems"]) == (
        "frozen",
        None,
        None,
    )


def test_who_may_tell_nothing(qga_command: Run, fake: FakeAgent) -> None:
    fake.blocked = {command.NAME for command in COMMANDS} - {"guest-sync", "guest-sync-delimited"}
    for verb in FACTS:
        done = qga_command(verb)
        assert done.code == 1, verb
        assert "forbids it" in done.err


def test_os_and_load_of_agents_that_do_not_tell(qga_command: Run, fake: FakeAgent) -> None:
    fake.unknown = {"guest-get-osinfo", "guest-get-load", "guest-get-cpustats"}
    fake.files["/proc/sys/kernel/osrelease"] = b"5.10\n"
    fake.files["/proc/sys/kernel/version"] = b"#1\n"
    fake.files["/proc/sys/kernel/arch"] = b"x86_64\n"
    fake.files["/proc/loadavg"] = b"1.50 1.25 1.00 1/100 4242\n"
    fake.files["/proc/stat"] = b"cpu 9 9 9 9\ncpu0 30 10 10 50 0 0 0 0 0 0\nintr 1\n"
    assert "kernel          5.10\n" in qga_command("os").text
    assert qga_command("load").text == "1 min  5 min  15 min\n 1.50   1.25    1.00\n"
    first, second = qga_command("cpus", "-o", "json").json
    assert (first["percent"], first["times"]["user"], second["times"]) == (50.0, 300, None)
    assert table(qga_command("cpus").text)[1:] == [
        ["0", "yes", "50%", "30.0%", "10.0%", "0.0%", "0.0%"],
        ["1", "yes"],
    ]


def test_ip(qga_command: Run, fake: FakeAgent) -> None:
    assert qga_command("ip").text == "192.0.2.10\n"
    assert qga_command("ip", "-6").text == "2001:db8::10\n"
    assert qga_command("ip", "-4", "-o", "json").json == {
        "address": "192.0.2.10",
        "prefix": 24,
        "family": 4,
        "interface": "eth0",
        "mac": "52:54:00:12:34:56",
    }
    every = table(qga_command("ip", "-a").text)
    assert [row[0] for row in every] == [
        "address", "192.0.2.10", "2001:db8::10", "fe80::5054:ff:fe12:3456",
    ]  # fmt: skip
    assert qga_command("ip", "-4", "-6").code == 2
    fake.guest.interfaces = fake.guest.interfaces[:1]  # lo
    done = qga_command("ip", "-4")
    assert (done.code, done.out) == (1, b"")
    assert done.err == (
        "qga: the guest has no IPv4 address by which it could be reached; "
        "`qga net` shows all that it has\n"
    )


def test_net(qga_command: Run, fake: FakeAgent) -> None:
    counts = InterfaceStatistics(
        rx_bytes=2048, rx_packets=20, rx_errs=1, rx_dropped=2,
        tx_bytes=1 << 20, tx_packets=30, tx_errs=3, tx_dropped=4,
    )  # fmt: skip
    eth0 = fake.guest.interfaces[1]
    fake.guest.interfaces = [
        NetworkInterface(name="none"),
        NetworkInterface(
            name="eth0", hardware_address=eth0.hardware_address, ip_addresses=eth0.ip_addresses,
            statistics=counts,
        ),
    ]  # fmt: skip
    assert table(qga_command("net").text) == [
        ["interface", "mac", "address", "received", "sent"],
        ["none"],
        ["eth0", "52:54:00:12:34:56", "192.0.2.10/24", "2.0", "KiB", "1.0", "MiB"],
        ["2001:db8::10/64"],
        ["fe80::5054:ff:fe12:3456/64"],
    ]
    wide = table(qga_command("net", "-o", "wide").text)
    assert wide[2][-6:] == ["20", "30", "1", "3", "2", "4"]
    found = qga_command("net", "-o", "json").json
    assert found[0]["rx_packets"] is None
    assert found[1]["addresses"][0] == {"address": "192.0.2.10", "prefix": 24}
    assert (found[1]["virtual"], found[1]["tx_errs"]) == (False, 3)


def test_routes(qga_command: Run, fake: FakeAgent) -> None:
    fake.guest.routes.append(
        NetworkRoute(
            iface="eth0", destination="::", metric=1024, version=6, desprefixlen="0",
            nexthop="fe80::1",
        )
    )  # fmt: skip
    assert table(qga_command("net", "--routes").text) == [
        ["destination", "gateway", "interface", "metric"],
        ["0.0.0.0/0", "192.0.2.1", "eth0", "0"],
        ["192.0.2.0/24", "eth0", "0"],
        ["::/0", "fe80::1", "eth0", "1024"],
    ]
    fake.unknown = {"guest-network-get-route"}
    done = qga_command("net", "--routes")
    assert done.code == 1
    assert "too old: qemu-ga has it since 9.1" in done.err


def test_fs_and_disks(qga_command: Run, fake: FakeAgent) -> None:
    assert qga_command("fs").text == (
        "mounted on  type      size     used      free  use  device\n"
        "/           ext4  19.0 GiB  3.0 GiB  16.0 GiB  16%  vda1\n"
        "/srv        ext4  38.0 GiB  1.0 GiB  37.0 GiB   3%  vda2\n"
    )
    assert qga_command("fs", "-o", "json").json[0] == {
        "mountpoint": "/",
        "device": "vda1",
        "type": "ext4",
        "total": 19 << 30,
        "used": 3 << 30,
        "free": 16 << 30,
        "percent": 15.8,
        "disks": ["/dev/vda"],
    }
    rows = table(qga_command("disks").text)
    assert rows[1] == ["/dev/vda", "disk", "virtio", "40.0", "MiB", "4.0", "MiB"]
    assert rows[2] == ["/dev/vda1", "partition", "/dev/vda"]
    assert "0000:00:04.0" in qga_command("disks", "-o", "wide").text
    fake.blocked = {"guest-get-diskstats"}
    found = qga_command("disks", "-o", "json").json
    assert (found[0]["serial"], found[0]["read"]) == ("fake", None)


def test_users(qga_command: Run, fake: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    assert qga_command("users").text == "nobody is logged in\n"
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    fake.guest.users = [User(user="al\x1bice", login_time=since.timestamp())]
    assert qga_command("users").text.splitlines()[1] == "al\\x1bice  2026-01-02 03:04:05 UTC"
    assert qga_command("users", "-o", "json").json == [
        {"name": "al\x1bice", "since": "2026-01-02T03:04:05+00:00", "domain": None}
    ]
    monkeypatch.undo()
    time.tzset()


def test_cpus_and_memory(qga_command: Run, fake: FakeAgent) -> None:
    fake.guest.processors.append(LogicalProcessor(logical_id=2, online=False, can_offline=True))
    assert table(qga_command("cpus", "-o", "wide").text)[1:] == [
        ["0", "yes", "2%", "1.2%", "0.3%", "0.0%", "0.0%", "yes"],
        ["1", "yes", "2%", "1.2%", "0.3%", "0.0%", "0.0%", "no"],
        ["2", "no", "no"],
    ]
    fake.blocked = {"guest-get-vcpus"}
    assert len(qga_command("cpus", "-o", "json").json) == 2
    assert [" ".join(row) for row in table(qga_command("memory").text)] == [
        "total used available free cache use",
        "memory 2.0 GiB 500.0 MiB 1.5 GiB 500.0 MiB 1000.0 MiB 25%",
        "swap 1000.0 MiB 0 B 1000.0 MiB 1000.0 MiB 0%",
        "4 blocks of 128.0 MiB, 4 online",
    ]
    fake.blocked = {"guest-file-open", "guest-exec"}
    assert qga_command("memory").text == "4 blocks of 128.0 MiB, 4 online\n"
    assert qga_command("memory", "-o", "json").json["total"] is None
    fake.blocked |= {"guest-get-memory-blocks"}
    done = qga_command("memory")
    assert done.code == 1
    assert "guest-file-open" in done.err


def test_version_and_commands(qga_command: Run, fake: FakeAgent) -> None:
    fake.version = "5.2"
    fake.blocked = {"guest-exec-status"}  # by whose words it would be known
    assert qga_command("version").text == (
        f"agent 5.2\nqga {qga.__version__} (protocol of QEMU {UPSTREAM_VERSION})\n"
    )
    assert qga_command("version", "-o", "json").json == {
        "agent": "5.2",
        "program": None,
        "qga": qga.__version__,
        "protocol": UPSTREAM_VERSION,
    }
    fake.blocked = {"guest-exec"}
    rows = {row[0]: row[1:] for row in table(qga_command("commands", "-o", "wide").text)}
    assert rows["guest-exec"] == ["no", "always", "2.5"]
    assert rows["guest-shutdown"] == ["yes", "errors", "only", "0.15"]
    assert {"name": "guest-ping", "enabled": True, "success-response": True} in qga_command(
        "commands", "-o", "json"
    ).json
