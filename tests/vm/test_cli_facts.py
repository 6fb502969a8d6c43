"""`qga` tells what a real guest is, and what it is busy with; with both agents."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest

from tests.cli.command import Done, Run, qga_command
from tests.vm.conftest import GuestFactory
from tests.vm.observe import wait_until
from tests.vm.qemu import AGENT, Guest
from tests.vm.test_client_facts import BOTH

__all__ = ["qga_command"]

Asking: TypeAlias = Callable[[Sequence[str]], tuple[Guest, Callable[..., Done]]]

WORK = """
until [ -e /run/enough ]; do :; done &
until [ -e /run/enough ]; do dd if=/dev/zero of=/mnt/data/work bs=1M count=8 conv=fsync; done &
"""


@pytest.fixture
def qga(qga_command: Run, monkeypatch: pytest.MonkeyPatch, guest_factory: GuestFactory) -> Asking:
    """Start a guest with an agent; what is called `qga` then is for it."""

    def asking(argv: Sequence[str]) -> tuple[Guest, Callable[..., Done]]:
        guest = guest_factory(argv)
        monkeypatch.setenv("QGA_TARGET", f"unix:{guest.agent_socket}")
        return guest, qga_command

    return asking


def program(*words: str) -> list[str]:
    return [sys.executable, "-m", "qga.cli", *words]


@BOTH
def test_what_a_guest_is(qga: Asking, argv: Sequence[str]) -> None:
    guest, command = qga(argv)

    def text(*words: str) -> str:
        done = command(*words)
        assert (done.code, done.err) == (0, "")
        return done.text

    def found(*words: str) -> Any:
        return json.loads(text(*words, "-o", "json"))

    info = found("info")
    assert info["hostname"] == "testguest"
    assert info["os"]["kernel"] == guest.sh("uname -r").out.strip()
    assert info["agent"]["program"] == ("qga-agent" if argv is AGENT else "qemu-ga")
    assert info["agent"]["state"] == "thawed"
    assert info["address"] == text("ip").strip() == "10.0.2.15"
    assert info["cpus"] == 1
    shown = text("info")
    for line in ("host name     testguest", "address       10.0.2.15", "processors    1"):
        assert f"{line}\n" in shown
    assert "blocked" not in shown

    disks = {one["name"]: one for one in found("disks")}
    assert (disks["/dev/vdb"]["bus"], disks["/dev/vdb"]["partition"]) == ("virtio", False)
    assert disks["/dev/vdb"]["pci"].startswith("0000:00:")
    before = disks["/dev/vdb"]["written"]
    guest.sh("dd if=/dev/zero of=/mnt/data/file bs=1M count=4 conv=fsync")
    disks = {one["name"]: one for one in found("disks")}
    assert disks["/dev/vdb"]["written"] - before >= 4 << 20
    data = {one["mountpoint"]: one for one in found("fs")}["/mnt/data"]
    assert (data["device"], data["disks"]) == ("vdb", ["/dev/vdb"])
    assert data["used"] > 4 << 20
    assert data["percent"] == round(100 * data["used"] / data["total"], 1)

    eth0 = {one["name"]: one for one in found("net")}["eth0"]
    assert {"address": "10.0.2.15", "prefix": 24} in eth0["addresses"]
    assert eth0["mac"] == guest.read("/sys/class/net/eth0/address").decode().strip()
    if argv is AGENT:
        routes = text("net", "--routes")
        assert ["0.0.0.0/0", "10.0.2.2", "eth0"] in [
            line.split()[:3] for line in routes.split("\n")
        ]
    assert found("users") == []
    (cpu,) = found("cpus")
    assert (cpu["cpu"], cpu["online"]) == (0, True)
    memory = found("memory")
    kib = int(guest.read("/proc/meminfo").split()[1])
    assert memory["total"] == kib << 10
    assert sum(one["online"] for one in memory["blocks"]) * memory["block_size"] >= kib << 10
    load = found("load")
    told = float(guest.read("/proc/loadavg").split()[2])
    assert load["load15m"] == pytest.approx(told, abs=0.5)


@BOTH
def test_what_a_guest_is_busy_with(qga: Asking, argv: Sequence[str]) -> None:
    guest, command = qga(argv)
    guest.sh(f"({WORK}) >/dev/null 2>&1 </dev/null &")
    words = program("top", "-d", "0.5", "-o", "jsonl")
    with subprocess.Popen(words, stdout=subprocess.PIPE) as top:
        assert top.stdout is not None
        lines = iter(top.stdout)

        def busy() -> bool:
            found = json.loads(next(lines))
            if found["state"] != "ready" or found["cpu"] is None:
                return False
            assert found["filesystems"]
            return bool(found["cpu"] > 50 and found["written"] > 1 << 20)

        def in_state(*states: str) -> Callable[[], bool]:
            return lambda: json.loads(next(lines))["state"] in states

        wait_until(busy, "a guest that is busy")
        guest.sh("touch /run/enough")
        # Between two looks there is room for other clients.
        assert command("call", "guest-fsfreeze-freeze").code == 0
        wait_until(in_state("frozen"), "a frozen guest")
        assert command("thaw").code == 0
        wait_until(in_state("ready"), "a thawed guest")
        if argv is AGENT:
            guest.kill_agent()
            wait_until(in_state("no-agent", "busy"), "a guest without an agent")
        top.terminate()
