"""What the guest is, told by our agent and by QEMU's, side by side in the same guest."""

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

import qga
from tests.vm.observe import connect
from tests.vm.qemu import AGENT, Guest

# All kinds of links, most of them down, so that nobody sends what would count.
LINKS = """
set -e
for module in sit ipip ip6_tunnel veth; do modprobe $module; done
modprobe dummy numdummies=200
ip tunnel add sit1 mode sit local 192.0.2.1 remote 192.0.2.2
ip tunnel add ipip1 mode ipip local 192.0.2.1 remote 192.0.2.3
ip addr add 10.9.0.1 peer 10.9.0.2 dev ipip1
ip addr add fd00:9::1/64 dev sit1
ip link add veth1 type veth
ip addr add 10.8.0.1/24 dev veth1
ip addr add 10.8.0.2/24 dev veth1 label veth1:a
ip addr add 10.0.2.77/32 dev eth0 label eth0:1
ip -6 addr add 2001:db8::5/64 dev eth0
for number in $(seq 30); do
    ip addr add 10.1.$number.1/24 dev dummy$number
    ip addr add fd00:$number::1/64 dev dummy$number
done
"""
COUNTED = "ping -c 3 127.0.0.1 > /dev/null; arping -c 3 -I eth0 10.0.2.99 > /dev/null"


def both(guest: Guest, client: qga.Client, name: str) -> Any:
    """What both agents return, which is the same."""
    stock, ours = guest.control.execute(name), client.call(name)
    assert ours == stock
    return ours


def settled(look: Callable[[], Any]) -> Any:
    """What is the same twice in a row."""
    before = look()
    while (now := look()) != before:
        before = now
    return now


def test_hundreds_of_interfaces_of_all_kinds(guest: Guest) -> None:
    with connect(guest) as client:
        both(guest, client, "guest-network-get-interfaces")
        assert guest.sh(LINKS).err == ""
        guest.sh(COUNTED)
        settled(lambda: guest.read("/proc/net/dev"))
        listed = both(guest, client, "guest-network-get-interfaces")
        found = {interface["name"]: interface for interface in listed}
        assert len(found) == len(listed) > 210
        assert found["sit1"]["hardware-address"] == "c0:00:02:01:00:00"
        assert found["ip6tnl0"]["hardware-address"] == "00:00:00:00:00:00"
        assert found["eth0:1"]["hardware-address"] == found["eth0"]["hardware-address"]
        assert found["eth0"]["statistics"]["tx-packets"] >= 3
        assert found["lo"]["statistics"]["rx-packets"] >= 6
        assert [a["ip-address"] for a in found["dummy30"]["ip-addresses"]] == [
            "10.1.30.1",
            "fd00:30::1",
        ]
        # What it says of eth0 is what is so.
        (mac,) = guest.sh("cat /sys/class/net/eth0/address").out.split()
        assert found["eth0"]["hardware-address"] == mac
        guest.sh("ip link set dummy30 name renamed; ip link del dummy29; ip addr flush dev dummy28")
        listed = both(guest, client, "guest-network-get-interfaces")
        found = {interface["name"]: interface for interface in listed}
        assert "renamed" in found
        assert not {"dummy29", "dummy30"} & set(found)
        assert "ip-addresses" not in found["dummy28"]


ROUTES = """
set -e
ip link set lo up
ip route add 10.77.0.0/16 via 10.0.2.3 metric 4294967295
ip route add 192.0.2.7 dev eth0
ip -6 addr add fd00:1::1/64 dev eth0
ip -6 route add fd00:2::/48 via fd00:1::9 metric 300
"""


def test_routes(guest: Guest) -> None:
    assert guest.sh(ROUTES).err == ""
    with connect(guest) as client:
        # IPv6 configures itself meanwhile: as many as the kernel has, at one and the same time.
        routes, count = settled(
            lambda: (
                client.call("guest-network-get-route"),
                int(guest.sh("cat /proc/net/route /proc/net/ipv6_route | wc -l").out),
            )
        )
    assert len(routes) == count - 1
    four = {
        (route["destination"], route["mask"]): route for route in routes if route["version"] == 4
    }
    six = {
        (route["destination"], route["desprefixlen"], route["iface"]): route
        for route in routes
        if route["version"] == 6
    }
    default = four["0.0.0.0", "0.0.0.0"]
    assert (default["iface"], default["gateway"], default["flags"]) == ("eth0", "10.0.2.2", 3)
    assert four["10.0.2.0", "255.255.255.0"]["gateway"] == "0.0.0.0"
    assert four["10.77.0.0", "255.255.0.0"]["metric"] == 4294967295
    assert four["192.0.2.7", "255.255.255.255"]["flags"] == 5
    assert six["fd00:2::", "48", "eth0"]["nexthop"] == "fd00:1::9"
    assert six["fd00:2::", "48", "eth0"]["metric"] == 300
    # Flags with the highest bit set, and no route to what is not there.
    assert six["::1", "128", "lo"]["flags"] == 0x80200001
    assert six["::", "0", "lo"]["metric"] == 4294967295
    # Those that other programs see.
    shown = guest.sh("ip route; ip -6 route").out
    for text in ("10.77.0.0/16 via 10.0.2.3", "fd00:2::/48 via fd00:1::9"):
        assert text in shown


def test_routes_of_a_kernel_without_ipv6(guest: Guest) -> None:
    guest.sh("mkdir /run/net; cp /proc/net/route /run/net/")
    guest.kill_agent()
    # In a mount namespace of its own, /proc/net is a directory with the routes of IPv4 alone.
    guest.start_agent(
        [
            *("unshare", "-m", "sh", "-c"),
            'mount --bind /run/net /proc/$$/net && exec "$@"',
            "sh",
            *AGENT,
        ]
    )
    with connect(guest) as client:
        routes = client.call("guest-network-get-route")
    assert {route["version"] for route in routes} == {4}


def record(user: bytes, line: bytes, seconds: int, microseconds: int, kind: int = 7) -> bytes:
    return struct.pack(
        "=hxxi32s4s32s256shhiii16s20x",
        kind, 4711, line, line[-4:], user, b"", 0, 0, 1, seconds, microseconds, bytes(16),
    )  # fmt: skip


def test_users(guest: Guest) -> None:
    with connect(guest) as client:
        assert both(guest, client, "guest-get-users") == []
        guest.sh("ln -s /run /var/run")
        guest.write(
            "/var/run/utmp",
            record(b"reboot", b"~", 1_700_000_000, 0, kind=2)
            + record(b"bob", b"tty1", 1_700_000_300, 250_000)
            + record(b"alice", b"pts/0", 1_700_000_200, 1)
            + record(b"bob", b"pts/1", 1_700_000_100, 999_999)
            + record(b"gone", b"pts/2", 1_700_000_100, 0, kind=8)
            + record(32 * b"x", b"pts/3", 0, 0),
        )
        users = both(guest, client, "guest-get-users")
        assert [user["user"] for user in users] == ["bob", "alice", 32 * "x"]
        assert users[0]["login-time"] == 1_700_000_100.999999


def test_host_name_system_and_zone(guest: Guest) -> None:
    with connect(guest) as client:
        assert both(guest, client, "guest-get-host-name") == {"host-name": "testguest"}
        guest.sh("hostname other.example.org")
        assert both(guest, client, "guest-get-host-name") == {"host-name": "other.example.org"}
        info = both(guest, client, "guest-get-osinfo")
        assert (info["id"], info["variant"]) == ("testguest", "QEMU")
        assert info["kernel-release"] == guest.sh("uname -r").out.strip()
        guest.sh("mv /etc/os-release /usr/lib/os-release")
        assert both(guest, client, "guest-get-osinfo") == info
        guest.write("/etc/os-release", b'NAME="New one"\nID=new\n')
        info = both(guest, client, "guest-get-osinfo")
        assert (info["name"], info["id"], "variant" in info) == ("New one", "new", False)
        # Local time changes while the agent runs.
        assert both(guest, client, "guest-get-timezone") == {"zone": "UTC", "offset": 0}
        for name, offset in (("XYZ", 7200), ("ABC", -34200)):
            guest.write("/etc/zone", zone_file(name, offset))
            guest.sh("mv /etc/zone /etc/localtime")
            found = client.call("guest-get-timezone")
            assert found == {"zone": name, "offset": offset}
        guest.sh("rm /etc/localtime")
        assert client.call("guest-get-timezone") == {"zone": "UTC", "offset": 0}


def zone_file(name: str, offset: int) -> bytes:
    """A time zone without summer time."""
    one = struct.pack(">ibB", offset, 0, 0) + name.encode() + b"\0"
    table = b"TZif2" + bytes(15) + struct.pack(">6i", 0, 0, 0, 0, 1, len(name) + 1) + one
    hours, seconds = divmod(abs(offset), 3600)
    sign = "-" if offset > 0 else ""
    return table + table + f"\n{name}{sign}{hours}:{seconds // 60:02}\n".encode()


def test_processors_and_load(guest: Guest) -> None:
    with connect(guest) as client:
        stock = guest.control.execute("guest-get-cpustats")
        (ours,) = client.call("guest-get-cpustats")
        (later,) = guest.control.execute("guest-get-cpustats")
        assert set(ours) == set(later)
        times = set(ours) - {"type", "cpu"}
        assert (ours["type"], ours["cpu"]) == ("linux", 0)
        # Between what the other one says before and after.
        assert all(stock[0][name] <= ours[name] <= later[name] for name in times - {"iowait"})
        load = client.call("guest-get-load")
        assert set(load) == {"load1m", "load5m", "load15m"}
        shown = json.loads(f"[{','.join(guest.sh('cat /proc/loadavg').out.split()[:3])}]")
        assert list(load.values()) == pytest.approx(shown, abs=1)
