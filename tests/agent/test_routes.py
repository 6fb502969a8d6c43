"""Routes, from made-up tables of the kernel and from this machine's own."""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.network import LinuxNetwork
from qga.agent.system.linux.routes import Routes
from qga.protocol.codec import encode, reader
from qga.protocol.network import NetworkRoute
from qga.wire import text
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call, refusal

ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t{default}\t{gateway}\t0003\t0\t7\t-1\t00000000\t1400\t5\t6
*\t{net}\t00000000\t0201\t0\t0\t100\t{mask}\t0\t0\t0
"""
ROUTE6 = """\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
00000000000000000000000000000000 00000100 00000002 0000000a 00000001     eth0
00000000000000000000000000000000 00 20010db8000000000000000000000000 20 \
fe800000000000000000000000000001 ffffffff 00000001 00000000 80200001       lo
"""
ROUTES = [
    {
        "iface": "eth0",
        "destination": "0.0.0.0",
        "gateway": "192.0.2.254",
        "mask": "0.0.0.0",
        "metric": 0xFFFFFFFF,
        "flags": 3,
        "refcnt": 0,
        "use": 7,
        "mtu": 1400,
        "window": 5,
        "irtt": 6,
        "version": 4,
    },
    {
        "iface": "*",
        "destination": "10.32.0.0",
        "gateway": "0.0.0.0",
        "mask": "255.224.0.0",
        "metric": 100,
        "flags": 0x201,
        "refcnt": 0,
        "use": 0,
        "mtu": 0,
        "window": 0,
        "irtt": 0,
        "version": 4,
    },
]
ROUTES6 = [
    {
        "iface": "eth0",
        "destination": "fd00::",
        "desprefixlen": "64",
        "source": "::",
        "srcprefixlen": "0",
        "nexthop": "::",
        "metric": 256,
        "flags": 1,
        "refcnt": 2,
        "use": 10,
        "version": 6,
    },
    {
        "iface": "lo",
        "destination": "::",
        "desprefixlen": "0",
        "source": "2001:db8::",
        "srcprefixlen": "32",
        "nexthop": "fe80::1",
        "metric": 0xFFFFFFFF,
        "flags": 0x80200001,
        "refcnt": 1,
        "use": 0,
        "version": 6,
    },
]


def write_routes(proc: Path, byteorder: str) -> None:
    def number(text: str) -> str:
        value = int.from_bytes(socket.inet_aton(text), "little" if byteorder == "little" else "big")
        return f"{value:08X}"

    (proc / "net").mkdir()
    (proc / "net/route").write_text(
        ROUTE.format(
            default=number("0.0.0.0"),
            gateway=number("192.0.2.254"),
            net=number("10.32.0.0"),
            mask=number("255.224.0.0"),
        )
    )
    (proc / "net/ipv6_route").write_text(ROUTE6)


def listed(network: LinuxNetwork) -> list[dict[str, Any]]:
    """The routes as a reply has them; their text is that which their declaration comes to."""
    written = network.routes_text()
    found: list[dict[str, Any]] = json.loads(written)
    routes = reader(list[NetworkRoute])(found)
    assert [written] == text.encode(encode(routes))
    return found


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, byteorder: str) -> None:
    monkeypatch.setattr("sys.byteorder", byteorder)
    write_routes(tmp_path, byteorder)
    assert listed(LinuxNetwork(str(tmp_path))) == ROUTES + ROUTES6


def test_a_kernel_without_one_version_of_ip_has_the_routes_of_the_other(
    tmp_path: Path, make: AgentFactory
) -> None:
    write_routes(tmp_path, "little")
    (tmp_path / "net/ipv6_route").rename(tmp_path / "later")

    def agent() -> Agent:
        return make(FakeSystem(network=LinuxNetwork(str(tmp_path))))

    assert call(agent(), "guest-network-get-route") == ROUTES
    (tmp_path / "net/route").unlink()
    assert call(agent(), "guest-network-get-route") == []
    (tmp_path / "later").rename(tmp_path / "net/ipv6_route")
    assert call(agent(), "guest-network-get-route") == ROUTES6
    (tmp_path / "net/route").mkdir()
    assert refusal(agent(), "guest-network-get-route") == (
        f'open("{tmp_path}/net/route"): Is a directory'
    )


def test_the_text_of_routes_is_that_of_the_kernel_s_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_routes(tmp_path, "little")
    network = LinuxNetwork(str(tmp_path))
    asked = []

    def understood(self: Routes, told: list[bytes], understood: Any = Routes._understood) -> Any:
        asked.append(told)
        return understood(self, told)

    monkeypatch.setattr(Routes, "_understood", understood)
    for name in ("route", "ipv6_route", "nothing"):
        path = tmp_path / "net" / name
        if path.exists():  # in place, as the kernel's files stay the same ones
            path.write_text(path.read_text().replace("eth0", "eth1"))
        expected = listed(LinuxNetwork(str(tmp_path)))
        asked.clear()
        assert listed(network) == listed(network) == expected
        assert len(asked) == (name != "nothing")


def test_tens_of_thousands_of_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read once, in pieces as large as the kernel gives, and nothing of them is kept."""
    (tmp_path / "net").mkdir()
    head, default, _ = ROUTE.format(default="0" * 8, gateway="0" * 8, net="", mask="").splitlines()
    lines = [default.replace("0" * 8, f"{n:08X}", 1).ljust(127) for n in range(10_000)]
    (tmp_path / "net/route").write_text("\n".join([head.ljust(127), *lines, ""]))
    lines = [ROUTE6.splitlines()[0].replace("0" * 16, f"{n:016x}", 1) for n in range(10_000)]
    (tmp_path / "net/ipv6_route").write_text("\n".join([*lines, ""]))
    reads = []

    def pread(fd: int, size: int, offset: int, read: Any = os.pread) -> Any:
        data = read(fd, min(size, 4096), offset)
        data = data[: data.rfind(b"\n") + 1]
        reads.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", pread)
    network = LinuxNetwork(str(tmp_path))
    found = listed(network)
    assert [route["destination"] for route in found[:10_000:255]] == [
        socket.inet_ntoa(n.to_bytes(4, sys.byteorder)) for n in range(0, 10_000, 255)
    ]
    assert len(found) == 20_000
    size = sum(path.stat().st_size for path in (tmp_path / "net").iterdir())
    assert sum(reads) == size
    assert len(reads) <= size // 3072 + 2
    assert network._routes._told == []


def test_the_routes_of_this_machine() -> None:
    assert all(route["version"] in (4, 6) for route in listed(LinuxNetwork()))
