"""What both agents say of the same network, zone and system, each made for the test.

The network is in a namespace: that takes root, or a user namespace.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.interop.changing import CHANGES
from tests.support.need import missing
from tests.vm.cache import Unavailable
from tests.vm.debs import packages

# Where `ip` is busybox's. Most stays down, so that nobody sends what would count.
NETWORK = """
ip link set lo up
ping -c 3 127.0.0.1
brctl addbr br0
ip link add v0 type veth
ip link set v0 address 02:00:00:00:00:0a
tunctl -t tap1
tunctl -t tap0
for name in v0 veth0; do
    echo 1 > /proc/sys/net/ipv6/conf/$name/disable_ipv6
    ip link set $name up
done
ip addr add 10.1.0.1/24 dev v0
ip addr add 10.1.0.2/24 dev v0 label v0:1
ip addr add 10.1.0.3/32 dev v0 label v0:2
ip addr add 10.1.0.4/9 dev v0 label v0:1
ip addr add 10.1.0.5/32 dev veth0 label veth0:only
ip addr add 10.2.0.1 peer 10.2.0.9 dev tap1
ip addr add 10.3.0.1/0 dev tap0
ip addr add fd00::1/64 dev br0
ip addr add 2001:db8::ffff:1/127 dev br0
ip addr add fe80::2/10 dev br0
ip addr add ::ffff:192.0.2.1/128 dev tap0
arping -c 3 -I v0 10.1.0.99 || true
"""
MANY = """
ip link set lo up
for number in $(seq 100); do
    ip link add many$number type veth
    ip addr add 10.0.$number.1/24 dev many$number
    ip addr add 10.0.$number.2/24 dev many$number label many$number:x
    ip addr add fd00:$number::1/64 dev veth$((number - 1))
done
"""


@pytest.fixture
def busybox() -> str:
    try:
        return str(packages().root / "usr/bin/busybox")
    except Unavailable as error:
        missing(error.what, error.remedy)


def answers(*names: str, inside: Sequence[str] = (), **variables: str) -> list[tuple[Any, Any]]:
    """What QEMU's agent returns to each command, and what ours."""
    run = subprocess.run(
        [*inside, sys.executable, "-m", "tests.interop.both", *names],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()[-len(names) :]
    return [(stock, ours) for stock, ours in map(json.loads, lines)]


def in_a_network(busybox: str, script: str) -> Sequence[str]:
    """The beginning of a command that is run in a network made by *script*."""
    namespace = ["unshare", "--net"]
    if os.geteuid() != 0:
        namespace += ["--user", "--map-root-user"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        missing("network namespaces", "run as root, or allow user namespaces")
    # Busybox's shell runs its own programs by name.
    return [*namespace, busybox, "sh", "-e", "-c", f'{script}\nexec "$@"', "sh"]


def test_interfaces_of_all_kinds(busybox: str) -> None:
    inside = in_a_network(busybox, NETWORK)
    ((stock, ours),) = answers("guest-network-get-interfaces", inside=inside)
    assert ours == stock
    found = {interface["name"]: interface for interface in ours}
    assert set(found) == {
        "lo", "br0", "v0", "veth0", "tap0", "tap1", "v0:1", "v0:2", "veth0:only",
    }  # fmt: skip
    assert found["lo"]["statistics"]["rx-packets"] >= 6
    assert found["v0"]["statistics"]["tx-packets"] >= 3
    assert found["v0:1"]["hardware-address"] == "02:00:00:00:00:0a"
    assert "statistics" not in found["veth0"]
    assert [len(found[name]["ip-addresses"]) for name in ("v0:1", "br0", "tap0")] == [2, 3, 2]


def test_hundreds_of_interfaces(busybox: str) -> None:
    inside = in_a_network(busybox, MANY)
    ((stock, ours),) = answers("guest-network-get-interfaces", inside=inside)
    assert ours == stock
    assert len(ours) == 301


def test_a_network_that_changes(busybox: str) -> None:
    command = [sys.executable, "-m", "tests.interop.changing", busybox]
    run = subprocess.run(
        [*in_a_network(busybox, ""), *command], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) == len(CHANGES)


def test_a_network_without_anything(busybox: str) -> None:
    inside = in_a_network(busybox, "")
    ((stock, ours),) = answers("guest-network-get-interfaces", inside=inside)
    assert ours == stock == [{"name": "lo", "hardware-address": "00:00:00:00:00:00"}]


@pytest.mark.parametrize("zone", ["", "EST5", "<+05>-5", "Nowhere/City", "Foo", "/absent"])
def test_zones(zone: str) -> None:
    ((stock, ours),) = answers("guest-get-timezone", TZ=zone)
    assert ours == stock


@pytest.mark.parametrize("zone", ["CET-1CEST", ":CET-1CEST"])
def test_zones_that_qemu_ga_does_not_know(zone: str) -> None:
    """But the C library does, and so all other programs of the guest."""
    ((stock, ours),) = answers("guest-get-timezone", TZ=zone)
    assert stock == {"zone": "UTC", "offset": 0}
    assert ours["zone"] in ("CET", "CEST")


@pytest.mark.parametrize(
    "text",
    [
        'NAME="a b"\nID=x\nVERSION=\nVERSION_ID="1.2"\nVARIANT_ID=v;w\nPRETTY_NAME=a b\n',
        'NAME="\\"a\\" \\$b \\\\c"\n# text\n\n ID = spaced \nVERSION_ID=1\nVERSION_ID=2\n',
        "",
    ],
)
def test_files_that_describe_the_system(tmp_path: Path, text: str) -> None:
    (tmp_path / "os-release").write_text(text)
    ((stock, ours),) = answers("guest-get-osinfo", QGA_OS_RELEASE=str(tmp_path / "os-release"))
    assert ours == stock


def test_files_that_qemu_ga_misunderstands(tmp_path: Path) -> None:
    """Single quotes; and a line that is no assignment takes the others with it."""
    path = tmp_path / "os-release"
    variables = {"QGA_OS_RELEASE": str(path)}
    path.write_text("NAME='a b'\nID=\"abc\n")
    ((stock, ours),) = answers("guest-get-osinfo", **variables)
    assert (stock["name"], stock["id"]) == ("'a", "abcc")
    assert (ours["name"], ours["id"]) == ("a b", "abc")
    for odd in ("no assignment\n", "NAME=\xff\n"):
        path.write_bytes(("ID=x\n" + odd).encode("latin-1"))
        ((stock, ours),) = answers("guest-get-osinfo", **variables)
        assert "id" not in stock
        assert ours["id"] == "x"


def test_the_rest_of_the_machine() -> None:
    names = ("guest-get-host-name", "guest-get-osinfo", "guest-get-timezone", "guest-get-users")
    for stock, ours in answers(*names):
        assert ours == stock
