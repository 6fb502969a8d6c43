"""Interfaces, from made-up answers of the kernel and from this machine's own."""

import errno
import socket
import struct
from typing import Any

import pytest

from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux import netlink
from qga.agent.system.linux.network import LinuxNetwork
from qga.protocol.codec import encode
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call, refusal

IPV4, IPV6 = socket.AF_INET, socket.AF_INET6
TRUNCATED = int(socket.MSG_TRUNC)
INTERRUPTED = 0x10


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def message(kind: int, body: bytes, flags: int = 2) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 2) + body


def link(
    index: int,
    name: bytes,
    address: bytes = b"",
    counters: "tuple[int, ...] | None" = (0,) * 24,
    flags: int = 2,
) -> bytes:
    body = struct.pack("=BxHiII", 0, 1, index, 0x1003, 0) + attribute(3, name + b"\0")
    body += attribute(13, b"\0\0\0\0") + attribute(0x8000 | 26, attribute(2, bytes(40)))
    if address:
        body += attribute(1, address)
    if counters is not None:
        body += attribute(23, struct.pack(f"={len(counters)}Q", *counters))
    return message(16, body + attribute(7, bytes(96)), flags)


def address(
    index: int, family: int, text: str, prefix: int, *, peer: str = "", label: bytes = b""
) -> bytes:
    own = socket.inet_pton(family, text)
    body = struct.pack("=BBBBI", family, prefix, 128, 0, index)
    body += attribute(1, socket.inet_pton(family, peer) if peer else own)
    if peer or family == IPV4:
        body += attribute(2, own)
    if label:
        body += attribute(3, label + b"\0")
    return message(20, body + attribute(6, bytes(16)))


DONE = message(3, bytes(4))


def error(number: int) -> bytes:
    return message(2, struct.pack("=i", -number) + bytes(16))


class Kernel:
    """Answers dumps with the datagrams it was given: of links, and of addresses."""

    def __init__(self) -> None:
        self.links: list[bytes] = [DONE]
        self.addresses: list[bytes] = [DONE]
        self.sockets = 0
        self.change: Any = lambda: None
        self.sender = 0
        self.truncated = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)

    def socket(self, *_: int) -> "Stream":
        self.sockets += 1
        return Stream(self)


class Stream:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._waiting: list[bytes] = []
        self.closed = False

    def setsockopt(self, *_: int) -> None:
        pass

    def bind(self, _: tuple[int, int]) -> None:
        raise OSError(errno.EPERM, "this kernel tells nothing by itself")

    def send(self, data: bytes) -> None:
        assert not self.closed
        assert not self._waiting, "a dump began before the last one was over"
        length, kind, flags = struct.unpack_from("=IHH", data)
        assert (length, flags) == (len(data), 0x301)
        self._waiting += {18: self._kernel.links, 22: self._kernel.addresses}[kind]

    def recvmsg(self, size: int) -> tuple[bytes, list[Any], int, tuple[int, int]]:
        data = self._waiting.pop(0)
        self._kernel.change()
        truncated = TRUNCATED if len(data) > size else self._kernel.truncated
        return data[:size], [], truncated, (self._kernel.sender, 0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(netlink, "socket", made)
    return made


def listed(network: LinuxNetwork) -> list[dict[str, Any]]:
    """The interfaces as a reply has them, without counters that are all 0."""
    found: list[dict[str, Any]] = encode(network.interfaces())
    for interface in found:
        if not any(interface.get("statistics", {"": 1}).values()):
            del interface["statistics"]
    return found


def ip(text: str, prefix: int) -> dict[str, Any]:
    kind = "ipv6" if ":" in text else "ipv4"
    return {"ip-address": text, "ip-address-type": kind, "prefix": prefix}


def test_interfaces_in_the_kernels_order_with_what_belongs_to_them(kernel: Kernel) -> None:
    counters = tuple(range(101, 125))
    kernel.links = [
        link(1, b"lo", bytes(6)) + link(7, b"eth0", bytes.fromhex("52540012ABFF"), counters),
        link(3, b"tun0"),
        link(4, b"sit0", bytes((10, 0, 0, 1))) + link(5, b"ib0", bytes(range(1, 21))) + DONE,
    ]
    kernel.addresses = [
        address(1, IPV4, "127.0.0.1", 8, label=b"lo"),
        address(7, IPV4, "192.0.2.1", 24, label=b"eth0")
        + address(3, IPV4, "10.0.0.1", 32, peer="10.0.0.9", label=b"tun0"),
        address(7, IPV6, "fe80::1", 64) + address(3, IPV6, "fd00::1", 128, peer="fd00::9"),
        DONE,
    ]
    assert listed(LinuxNetwork()) == [
        {
            "name": "lo",
            "hardware-address": "00:00:00:00:00:00",
            "ip-addresses": [ip("127.0.0.1", 8)],
        },
        {
            "name": "eth0",
            "hardware-address": "52:54:00:12:ab:ff",
            "ip-addresses": [ip("192.0.2.1", 24), ip("fe80::1", 64)],
            "statistics": {
                "rx-packets": 101,
                "tx-packets": 102,
                "rx-bytes": 103,
                "tx-bytes": 104,
                "rx-errs": 105,
                "tx-errs": 106,
                "rx-dropped": 107 + 116,
                "tx-dropped": 108,
            },
        },
        {
            "name": "tun0",
            "hardware-address": "00:00:00:00:00:00",
            "ip-addresses": [ip("10.0.0.1", 32), ip("fd00::1", 128)],
        },
        # Of an odd length: cut, or filled up.
        {"name": "sit0", "hardware-address": "0a:00:00:01:00:00"},
        {"name": "ib0", "hardware-address": "01:02:03:04:05:06"},
    ]


def test_a_label_is_an_interface_of_its_own(kernel: Kernel) -> None:
    kernel.links = [link(2, b"eth0", b"ABCDEF") + link(3, b"eth1", b"abcdef") + DONE]
    kernel.addresses = [
        address(2, IPV4, "10.0.0.1", 8, label=b"eth0:1")
        + address(2, IPV4, "10.0.0.2", 8, label=b"other")
        + address(2, IPV4, "10.0.0.3", 8, label=b"eth1")
        + address(2, IPV4, "10.0.0.4", 8, label=b"eth0:1")
        + DONE
    ]
    assert listed(LinuxNetwork()) == [
        {"name": "eth0", "hardware-address": "41:42:43:44:45:46"},
        {
            "name": "eth1",
            "hardware-address": "61:62:63:64:65:66",
            "ip-addresses": [ip("10.0.0.3", 8)],
        },
        {
            "name": "eth0:1",
            "hardware-address": "41:42:43:44:45:46",
            "ip-addresses": [ip("10.0.0.1", 8), ip("10.0.0.4", 8)],
        },
        {"name": "other", "ip-addresses": [ip("10.0.0.2", 8)]},
    ]


def test_what_a_reply_has_no_room_for_is_left_out(kernel: Kernel) -> None:
    kernel.links = [link(2, b"n\xffx", counters=None) + DONE]
    phonet = message(20, struct.pack("=BBBBI", 35, 0, 0, 0, 2) + attribute(2, b"\x6c"))
    nowhere = message(20, struct.pack("=BBBBI", IPV4, 0, 0, 0, 2) + attribute(3, b"nx\0"))
    newer = address(9, IPV4, "10.0.0.9", 8)
    kernel.addresses = [phonet + nowhere + newer + address(2, IPV6, "::2", 1) + DONE]
    assert listed(LinuxNetwork()) == [
        {
            "name": "n\ufffdx",
            "hardware-address": "00:00:00:00:00:00",
            "ip-addresses": [ip("::2", 1)],
        }
    ]


def test_what_changes_between_two_calls_is_seen(kernel: Kernel) -> None:
    network = LinuxNetwork()
    kernel.links = [link(2, b"eth0", b"ABCDEF", (1,) * 24) + DONE]
    kernel.addresses = [address(2, IPV4, "10.0.0.1", 8, label=b"eth0") + DONE]
    (first,) = network.interfaces()
    assert first.statistics is not None
    assert first.statistics.rx_dropped == 2
    kernel.links = [link(2, b"eth0", b"ABCDEF", (1 << 63,) * 24) + DONE]
    (second,) = network.interfaces()
    assert second.statistics is not None
    assert (second.statistics.rx_bytes, second.statistics.rx_dropped) == (1 << 63, 0)
    kernel.links = [link(2, b"eth9", b"abcdef") + link(3, b"eth0", b"ABCDEF") + DONE]
    kernel.addresses = [address(2, IPV4, "10.0.0.1", 16, label=b"eth9") + DONE]
    assert listed(network) == [
        {
            "name": "eth9",
            "hardware-address": "61:62:63:64:65:66",
            "ip-addresses": [ip("10.0.0.1", 16)],
        },
        {"name": "eth0", "hardware-address": "41:42:43:44:45:46"},
    ]
    # The whole time by one socket.
    assert kernel.sockets == 1


def test_an_answer_during_which_something_changed_is_asked_for_again(kernel: Kernel) -> None:
    kernel.links = [link(2, b"old", flags=2 | INTERRUPTED) + DONE]

    def changed() -> None:
        if kernel.sockets == 3:
            kernel.links = [link(2, b"new") + DONE]

    kernel.change = changed
    assert [found.name for found in LinuxNetwork().interfaces()] == ["new"]


def test_a_network_that_never_rests_is_told_all_the_same(kernel: Kernel) -> None:
    kernel.links = [link(2, b"busy", flags=2 | INTERRUPTED), DONE]
    assert [found.name for found in LinuxNetwork().interfaces()] == ["busy"]
    assert kernel.sockets == 20


def test_a_message_larger_than_the_room_for_it(kernel: Kernel) -> None:
    room = attribute(34, bytes(60000))
    kernel.links = [message(16, link(2, b"large")[16:] + 4 * room), DONE]
    assert [found.name for found in LinuxNetwork().interfaces()] == ["large"]
    kernel.truncated = TRUNCATED
    with pytest.raises(OSError, match="No buffer space"):
        LinuxNetwork().interfaces()


def test_only_the_kernel_is_believed(kernel: Kernel) -> None:
    kernel.links = [error(errno.EPERM), link(2, b"eth0") + DONE]
    senders = iter([4711])
    kernel.change = lambda: setattr(kernel, "sender", next(senders, 0))
    assert [found.name for found in LinuxNetwork().interfaces()] == ["eth0"]


def test_a_refusal_of_the_kernel_is_an_error(kernel: Kernel, make: AgentFactory) -> None:
    network = LinuxNetwork()
    agent = make(FakeSystem(network=network))
    kernel.links = [error(errno.EPERM)]
    text = refusal(agent, "guest-network-get-interfaces")
    assert text == "Operation not permitted"
    kernel.links = [message(3, struct.pack("=i", -errno.ENOMEM))]
    assert refusal(agent, "guest-network-get-interfaces") == "Cannot allocate memory"
    kernel.links = [link(2, b"eth0") + DONE]
    assert [found["name"] for found in call(agent, "guest-network-get-interfaces")] == ["eth0"]


def test_thousands_of_interfaces(kernel: Kernel) -> None:
    count = 5000
    kernel.links = [link(index, b"veth%d" % index) for index in range(1, count)] + [DONE]
    kernel.addresses = [
        address(index, IPV6, f"fd00::{index:x}", 64) for index in range(1, count)
    ] + [DONE]
    found = LinuxNetwork().interfaces()
    assert [interface.name for interface in found] == [f"veth{i}" for i in range(1, count)]
    assert all(interface.ip_addresses for interface in found)


def test_the_interfaces_of_this_machine() -> None:
    found = {interface.name: interface for interface in LinuxNetwork().interfaces()}
    assert set(found) >= {name for _, name in socket.if_nameindex()}
    assert found["lo"].hardware_address == "00:00:00:00:00:00"
