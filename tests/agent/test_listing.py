"""The interfaces from what is known and fresh counters: always the text that the long way gives."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.agent.system.linux import netlink, reading
from qga.agent.system.linux.listing import Listing
from qga.agent.system.linux.network import LinuxNetwork
from qga.protocol.codec import LATEST, encode
from qga.protocol.network import InterfaceStatistics, IpAddress, IpAddressType, NetworkInterface
from qga.wire import text

HEAD = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo \
colls carrier compressed
"""


class Machine:
    """A made-up network: what the kernel has, and whether it has told of a change."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self.links: dict[bytes, int] = {b"lo": 5, b"eth0": 70}
        self.addressed = {"lo", "eth0"}
        self.labels = ["eth0:%b"]
        self.told = True
        self.refusal: OSError | None = None
        self.asked = 0
        (proc / "net").mkdir()
        (proc / "net/if_inet6").write_text("one\n")
        self.count()

    def count(self, line: bytes = b"%6s: %7d 1 2 3 0 0 0 0 4 %d 6 7 0 0 0 0\n") -> None:
        """Let the kernel show the counters as they are."""
        lines = (line % (name, count, count * 9) for name, count in self.links.items())
        (self.proc / "net/dev").write_bytes(HEAD.encode() + b"".join(lines))

    def interfaces(self) -> list[NetworkInterface]:
        """The long way."""
        self.asked += 1
        addresses = [IpAddress(ip_address="::1", ip_address_type=IpAddressType.IPV6, prefix=64)]
        found = []
        # Links whose names are one when decoded are one.
        for name, count in {reading.text(name): n for name, n in self.links.items()}.items():
            found.append(
                NetworkInterface(
                    name=name,
                    hardware_address="02:00:00:00:00:01",
                    ip_addresses=addresses if name in self.addressed else None,
                    statistics=statistics(count) if name in self.addressed else None,
                )
            )
        found += [NetworkInterface(name=name, ip_addresses=addresses) for name in self.labels]
        return found

    def any(self) -> bool:
        """In place of `netlink.Changes.any`."""
        if self.refusal is not None:
            raise self.refusal
        told, self.told = self.told, False
        return told

    def close(self) -> None:
        """In place of `netlink.Changes.close`."""
        self.told = True


def statistics(count: int) -> InterfaceStatistics:
    return InterfaceStatistics(
        rx_bytes=count, rx_packets=1, rx_errs=2, rx_dropped=3,
        tx_bytes=4, tx_packets=count * 9, tx_errs=6, tx_dropped=7,
    )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(netlink, "Changes", lambda _: made)
    return made


def long_way(machine: Machine, since: tuple[int, ...] = LATEST) -> bytes:
    found = b"".join(text.encode(encode(machine.interfaces(), since)))
    machine.asked -= 1
    return found


def listing_of(machine: Machine) -> Listing:
    return Listing(machine.interfaces, str(machine.proc))


def test_the_text_is_kept_and_the_counters_are_fresh(machine: Machine) -> None:
    listed = listing_of(machine)
    for count in (0, 1, 1 << 60):
        machine.links[b"eth0"] = count
        machine.count()
        assert listed.text(LATEST) == long_way(machine)
    assert machine.asked == 1


def test_what_the_kernel_tells_is_found_out_anew(machine: Machine) -> None:
    listed = listing_of(machine)
    listed.text(LATEST)
    machine.labels = ["lo:2"]
    machine.told = True
    assert listed.text(LATEST) == long_way(machine)
    assert listed.text(LATEST) == long_way(machine)
    assert machine.asked == 2


def test_an_address_that_is_tried_out_is_seen_before_the_kernel_tells(machine: Machine) -> None:
    listed = listing_of(machine)
    listed.text(LATEST)
    (machine.proc / "net/if_inet6").write_text("one\ntwo\n")
    machine.addressed = {"lo"}
    assert listed.text(LATEST) == long_way(machine)
    assert listed.text(LATEST) == long_way(machine)
    assert machine.asked == 2


def test_links_that_are_in_another_order_where_the_counters_are(machine: Machine) -> None:
    listed = listing_of(machine)
    machine.links = {b"eth0": 70, b"lo": 5}
    machine.count()
    machine.links = {b"lo": 5, b"eth0": 70}
    assert listed.text(LATEST) == long_way(machine)
    machine.links[b"lo"] = 6
    machine.count()  # now in the same order: names are not where they were
    assert listed.text(LATEST) == long_way(machine)
    assert machine.asked == 2


def test_without_any_address_there_are_no_counters(machine: Machine) -> None:
    machine.addressed, machine.labels = set(), []
    listed = listing_of(machine)
    assert listed.text(LATEST) == long_way(machine) == listed.text(LATEST)
    assert machine.asked == 1


@pytest.mark.parametrize(
    ("links", "line"),
    [
        ({b"lo": 5, b"n\xffx": 1, b"n\xfex": 1}, b"%6s: %7d 1 2 3 0 0 0 0 4 %d 6 7 0 0 0 0\n"),
        ({b"lo": 5, b"eth0": 123456789}, b"%6s:%7d 1 2 3 0 0 0 0 4 %d 6 7 0 0 0 0\n"),
        ({b"lo": 5, b"eth0": 1}, b"%6s: %d 1 2 3 0 0 0 0 4 %d 6 7 0 0 0 0 8\n"),
        ({b"lo": 5, b"eth0": 1}, b"%6s  %d 1 2 3 0 0 0 0 4 %d 6 7 0 0 0 0\n"),
        ({b"lo": 5, b"eth0": 1}, b""),
    ],
    ids=["names", "old kernel", "wider", "no colon", "nothing"],
)
def test_counters_that_cannot_be_told_apart_are_got_the_long_way(
    machine: Machine, links: dict[bytes, int], line: bytes
) -> None:
    machine.links = links
    machine.addressed.add("n\ufffdx")
    (machine.proc / "net/dev").write_bytes(HEAD.encode())
    if line:
        machine.count(line)
    listed = listing_of(machine)
    for asked in (2, 3):
        assert listed.text(LATEST) == long_way(machine)
        assert machine.asked == asked


def test_names_that_are_not_utf8(machine: Machine) -> None:
    machine.links[b"n\xffx"] = 8
    machine.addressed.add("n\ufffdx")
    machine.count()
    listed = listing_of(machine)
    assert listed.text(LATEST) == long_way(machine) == listed.text(LATEST)
    assert machine.asked == 1


def test_a_link_that_comes_meanwhile(machine: Machine) -> None:
    """The kernel will have told of it at the next question."""
    listed = listing_of(machine)
    machine.links[b"new"] = 3
    machine.count()
    del machine.links[b"new"]
    assert listed.text(LATEST) == long_way(machine)
    machine.links[b"new"], machine.told = 3, True
    assert listed.text(LATEST) == long_way(machine)
    assert machine.asked == 2


def test_a_kernel_that_tells_nothing_by_itself(machine: Machine) -> None:
    machine.refusal = OSError(errno.EPERM, "no")
    listed = listing_of(machine)
    assert listed.text(LATEST) == long_way(machine)
    machine.refusal = None
    assert listed.text(LATEST) == long_way(machine) == listed.text(LATEST)
    assert machine.asked == 2


@pytest.mark.parametrize("name", ["dev", "if_inet6"])
def test_files_that_are_not_there(machine: Machine, name: str) -> None:
    (machine.proc / "net" / name).unlink()
    listed = listing_of(machine)
    assert listed.text(LATEST) == long_way(machine) == listed.text(LATEST)
    assert machine.asked == (1 if name == "if_inet6" else 4)


def test_a_failure_is_forgotten(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = listing_of(machine)
    failing = iter([OSError(errno.ENOMEM, "once"), OSError(errno.ENOMEM, "twice")])
    find_out = machine.interfaces

    def interfaces() -> list[NetworkInterface]:
        for error in failing:
            raise error
        return find_out()

    monkeypatch.setattr(listed, "_interfaces", interfaces)
    with pytest.raises(OSError, match="twice"):
        listed.text(LATEST)
    assert listed.text(LATEST) == long_way(machine) == listed.text(LATEST)
    assert machine.asked == 1


def test_agents_before_2_11_told_no_counters(machine: Machine) -> None:
    old = listing_of(machine).text((2, 10))
    assert old == long_way(machine, (2, 10))
    assert b"statistics" not in old


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """What each read brought, in bytes: as the kernel does, a page of whole lines at most."""
    found: list[int] = []

    def pread(fd: int, size: int, offset: int, read: object = os.pread) -> bytes:
        assert callable(read)
        data: bytes = read(fd, min(size, 4096), offset)
        data = data[: data.rfind(b"\n") + 1]
        found.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", pread)
    return iter([found])


@pytest.mark.parametrize("number", [10, 100, 1000])
def test_the_cost_of_many_interfaces_is_what_is_read_of_them(
    machine: Machine, reads: Iterator[list[int]], number: int
) -> None:
    (found,) = reads
    machine.links = {b"veth%d" % index: index for index in range(number)}
    machine.addressed = {f"veth{index}" for index in range(number)}
    machine.count()
    listed = listing_of(machine)
    assert listed.text(LATEST) == long_way(machine)
    found.clear()
    assert listed.text(LATEST) == long_way(machine)
    assert machine.asked == 1
    size = sum((machine.proc / "net" / name).stat().st_size for name in ("dev", "if_inet6"))
    assert sum(found) == size
    assert len(found) <= size // 3072 + 2


def test_a_file_that_is_a_page_long_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for size in (0, 1, 3071, 3072, 4096, 4097, 1 << 16, (1 << 16) + 1):
        path.write_bytes(b"x" * size)
        kept = reading.KernelFile(str(path), short_lines=True)
        assert kept.read() == kept.read() == b"x" * size


def test_on_this_machine_both_ways_know_the_same() -> None:
    network = LinuxNetwork()
    names = [interface.name for interface in network.interfaces()]
    for _ in range(2):
        found = text.scan(network.interfaces_text(LATEST).decode(), 0)[0]
        assert [interface["name"] for interface in found] == names
