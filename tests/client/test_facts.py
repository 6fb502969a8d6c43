"""Facts: the rule for addresses, what is asked where an agent does not know or refuses, clocks."""

import asyncio
import base64
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

import qga
from qga.client import facts as chosen
from qga.client.facts import Address, FileSystem, Interface, preferred
from qga.client.flows import clock, facts
from qga.protocol import GetTime, SetTime
from tests.support.stock import BLOCKED, BLOCKED_BUT_EXEC, RunningAgent, running, running_stock

from .driven import Driven
from .peer import Peer, Peers


def interface(name: str, *addresses: str) -> Interface:
    return Interface(
        name, None, tuple(Address(ip_address(one), 24, name, None) for one in addresses)
    )


def order(*interfaces: Interface, family: int | None = None, **defaults: int) -> list[str]:
    """The addresses in order; *defaults* are metrics of IPv4's default routes by interface."""
    routes = {(4, name): metric for name, metric in defaults.items()}
    return [str(one) for one in preferred(interfaces, family=family, defaults=routes)]


def test_which_address_is_the_primary_one() -> None:
    lo = interface("lo", "127.0.0.1", "::1")
    eth0 = interface("eth0", "fe80::1", "2001:4860::1", "10.0.0.5", "10.0.0.6", "127.0.0.2")
    eth1 = interface("eth1", "169.254.3.4", "8.8.4.4", "224.0.0.1", "0.0.0.0")
    assert order(lo, eth0, eth1) == [
        "8.8.4.4", "10.0.0.5", "10.0.0.6", "2001:4860::1", "169.254.3.4", "fe80::1",
    ]  # fmt: skip
    # The default route says more than that an address is public.
    assert order(lo, eth0, eth1, eth0=100)[:3] == ["10.0.0.5", "10.0.0.6", "8.8.4.4"]
    assert order(lo, eth0, eth1, eth0=100, eth1=50)[0] == "8.8.4.4"
    assert order(lo, eth0, eth1, family=6) == ["2001:4860::1", "fe80::1"]
    # A label is no interface of its own.
    assert order(eth1, interface("eth0:1", "10.0.0.9"), eth0=1)[0] == "10.0.0.9"
    assert order(lo) == []


def test_virtual_interfaces_by_their_names() -> None:
    virtual = (
        "lo docker0 docker_gwbridge br-5f0c1d2e3a4b veth12ab veth1@if2 cni0 cni-podman0 podman1 "
        "flannel.1 flannel-v6.1 cali12345678901 tunl0 vxlan.calico cilium_host kube-ipvs0 weave "
        "virbr0 virbr0-nic vnet3 tap0 tun0 wg0 wg-home tailscale0 zt5u4 dummy0 lxdbr0 lxcbr0 "
        "lxc1a2b incusbr0 ovs-system br-int ovn-k8s-mp0 nodelocaldns sit0 ip6tnl0 gre0"
    )
    real = "eth0 eth0:1 eth0.10 ens3 enp1s0f0 br0 br-ex br-lan bond0 team0 wlan0 eno1 lan0 Ethernet"
    assert {name for name in virtual.split() if not interface(name).virtual} == set()
    assert {name for name in real.split() if interface(name).virtual} == set()


def test_virtual_ones_come_last_if_they_are_wanted() -> None:
    docker, eth0 = interface("docker0", "172.17.0.1"), interface("eth0", "fe80::1")
    found = preferred([docker, eth0], virtual=True)
    assert [str(one) for one in found] == ["fe80::1", "172.17.0.1"]


FOUR = (
    "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
    "eth1 00000000 0102000A 0003 0 0 200 00000000 0 0 0\n"
    "eth0 00000000 0102000A 0003 0 0 100 00000000 0 0 0\n"
    "eth2 00000000 00000000 0201 0 0 0 00000000 0 0 0\n"
    "eth0 0002000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
)
ZERO = "0" * 32
SIX = (
    f"{ZERO} 00 {ZERO} 00 {'fe80' + '0' * 28} 00000400 00000001 00000000 00450003 eth0\n"
    f"{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200 lo\n"
    f"{'fd00' + '0' * 28} 40 {ZERO} 00 {ZERO} 00000100 00000001 00000000 00000001 eth0\n"
)


def test_default_routes_of_agents_that_know_no_routes(peers: Peers) -> None:
    def read(peer: Peer, path: str, text: str) -> None:
        assert peer.expect("guest-file-open")["path"] == path
        peer.answer(1000)
        peer.expect("guest-file-read")
        data = base64.b64encode(text.encode()).decode()
        peer.answer({"count": len(text), "buf-b64": data, "eof": True})
        peer.expect("guest-file-close")
        peer.answer({})

    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-network-get-route")
        peer.refuse(**{"class": "CommandNotFound", "desc": "The command x has not been found"})
        read(peer, "/proc/net/route", FOUR)
        read(peer, "/proc/net/ipv6_route", SIX)

    assert peers(script).perform(facts._default_routes()) == {
        (4, "eth1"): 200, (4, "eth0"): 100, (6, "eth0"): 1024,
    }  # fmt: skip


def test_what_this_machine_is(agent: RunningAgent) -> None:
    with qga.connect(agent.target) as client:
        assert client.hostname() == socket.gethostname()
        system = client.os()
        assert (system.kernel, system.machine) == (platform.release(), platform.machine())
        assert isinstance(client.users(), list)
        assert client.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert 0 < client.uptime() <= float(Path("/proc/uptime").read_text().split()[0])
        names = {name for _, name in socket.if_nameindex()}
        assert {one.name.partition(":")[0] for one in client.interfaces()} == names
        assert all(not one.ip.is_loopback for one in client.addresses(virtual=True))
        with pytest.raises(ValueError, match="not 5"):
            client.address(5)
        first = client.address(4)
        assert [first] == client.addresses(4)[:1] or first is None
        for one in client.filesystems():
            assert one.total is not None
            assert one.percent is not None
            assert 0 <= one.percent <= 100
        offset = client.time_offset()
        assert abs(offset.seconds) <= offset.uncertainty
        assert offset.uncertainty <= offset.round_trip / 2 + 1e-5

    async def work() -> None:
        async with await qga.aconnect(agent.target) as client:
            assert await client.hostname() == socket.gethostname()
            assert await client.os() == system
            assert await client.address(4) == first
            offset = await client.time_offset(samples=1)
            assert abs(offset.seconds) <= offset.uncertainty

    asyncio.run(work())


OLD = ("guest-get-osinfo", "guest-get-host-name", "guest-network-get-route")


@pytest.fixture(params=["ours", pytest.param("stock", marks=pytest.mark.interop)])
def old_agent(request: pytest.FixtureRequest) -> Iterator[RunningAgent]:
    """An agent that knows no more than one of 2015 does; stock and 10.x refuse in the same way."""
    blocked = [*BLOCKED_BUT_EXEC, *OLD]
    if request.param == "stock":
        with running_stock(blocked) as agent:
            yield agent
    else:
        with running([sys.executable, "-m", "qga.agent"], blocked) as agent:
            yield agent


def test_what_old_agents_do_not_know(old_agent: RunningAgent) -> None:
    with qga.connect(old_agent.target) as client:
        assert client.hostname() == socket.gethostname()
        system = client.os()
        told = platform.freedesktop_os_release()
        assert (system.pretty_name, system.id) == (told.get("PRETTY_NAME"), told.get("ID"))
        assert (system.kernel, system.machine) == (platform.release(), platform.machine())
        assert system.kernel_version == platform.version()
        client.addresses()
        here = str(old_agent.directory)
        ((place, (total, used)),) = client.perform(facts._df([here])).items()
        size = os.statvfs(here)
        assert place == here
        assert 0 < used <= total <= size.f_blocks * size.f_frsize
        assert client.perform(facts._df(["/nonexistent"])) == {}


def test_without_file_commands_programs_tell() -> None:
    blocked = [*BLOCKED_BUT_EXEC, *OLD, "guest-file-open"]
    with (
        running([sys.executable, "-m", "qga.agent"], blocked) as agent,
        qga.connect(agent.target) as client,
    ):
        assert client.hostname() == socket.gethostname()
        assert client.os().machine == platform.machine()
        assert client.uptime() > 0


def test_an_agent_that_may_do_nothing_says_what_it_may_not() -> None:
    blocked = [*BLOCKED, *OLD, "guest-file-open", "guest-network-get-interfaces"]
    with (
        running([sys.executable, "-m", "qga.agent"], blocked) as agent,
        qga.connect(agent.target) as client,
    ):
        with pytest.raises(qga.CommandDisabled, match=r"guest-get-osinfo .*allow-rpcs"):
            client.os()
        with pytest.raises(qga.CommandDisabled, match="guest-get-host-name"):
            client.hostname()
        with pytest.raises(qga.CommandDisabled, match="guest-file-open"):
            client.uptime()
        with pytest.raises(qga.CommandDisabled, match="guest-network-get-interfaces"):
            client.address()


def test_file_systems_of_agents_that_do_not_measure(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-get-fsinfo")
        whole = {"name": "vdb", "mountpoint": "/x", "type": "xfs", "disk": []}
        peer.answer([whole, whole | {"mountpoint": "/y", "used-bytes": 1, "total-bytes": 4}])
        peer.expect("guest-exec")
        peer.refuse(**{"class": "CommandNotFound", "desc": "Command guest-exec has been disabled"})

    unknown, known = peers(script).filesystems()
    assert (unknown.total, unknown.used, unknown.free, unknown.percent) == (None,) * 4
    assert (known.free, known.percent) == (3, 25.0)
    assert FileSystem("/z", "", "", 0, 0).percent == 100.0


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        (b"/dev/vda 1000 300 600 34% /", (900, 300)),
        # A device and a mount point with blanks in their names.
        (b"//host/a share 1 2 3 5000 1000 4000 20% /mnt/a 1 2 3 4% b", (5000, 1000)),
        (b"none 0 0 0 - /x", (0, 0)),
    ],
)
def test_what_df_says(line: bytes, numbers: tuple[int, int]) -> None:
    found = facts._DF_LINE.search(b"Filesystem 1024-blocks Used\n" + line)
    assert found
    assert (int(found[2]) + int(found[3]), int(found[2])) == numbers


def test_os_release_as_the_shell_reads_it() -> None:
    text = '# comment\nNAME=\'My OS\'\nVERSION="1 \\"one\\""\nID=my\nODD=\'open\n\nnothing\n'
    assert dict(facts._assignments(text)) == {
        "NAME": "My OS", "VERSION": '1 "one"', "ID": "my", "ODD": "'open",
    }  # fmt: skip


def test_users(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-get-users")
        peer.answer([{"user": "alice", "login-time": 1_700_000_000.5}])

    since = datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)
    assert peers(script).users() == [chosen.User("alice", since)]


# Clocks, made up.

MS = 1_000_000


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What this machine's clock says next, in ns."""
    times: list[int] = []
    monkeypatch.setattr(time, "time_ns", lambda: times.pop(0))
    return times


def test_each_answer_bounds_the_offset(now: list[int]) -> None:
    # The guest is 1000 ms ahead. The ways there and back are 9 and 1 ms, 1 and 9, 50 and 50.
    now += [0, 10 * MS, 20 * MS, 30 * MS, 40 * MS, 140 * MS]
    flow = Driven(clock.time_offset(samples=3))
    assert flow.begin() == GetTime()
    flow.send(1009 * MS)
    flow.send(1021 * MS)
    with pytest.raises(StopIteration) as stop:
        flow.send(1090 * MS)
    found = stop.value.value
    assert found.seconds == pytest.approx(1.0)
    assert found.uncertainty == pytest.approx(0.001, abs=2e-6)
    assert found.round_trip == pytest.approx(0.01)
    assert str(found) == "+1.000000 s ± 0.001001 s"


def test_a_clock_that_jumps_is_told_by_the_best_answer(now: list[int]) -> None:
    now += [0, 10 * MS, 20 * MS, 22 * MS]
    flow = Driven(clock.time_offset(samples=2))
    flow.begin()
    flow.send(5 * MS)
    with pytest.raises(StopIteration) as stop:
        flow.send(500 * MS)
    assert stop.value.value.seconds == pytest.approx(0.479)


def set_time(now: list[int], before: int, after: int, refused: qga.CommandError | None) -> Driven:
    """A guest that is *before* ms ahead, and *after* once it was told the time."""
    now += [0, 10 * MS, 20 * MS, 30 * MS, 40 * MS]
    flow = Driven(clock.sync_time())
    now[2:2] = [0, 10 * MS] * 4
    flow.begin()
    for _ in range(4):
        flow.send((5 + before) * MS)
    # Half a round trip later than now.
    assert flow.send((5 + before) * MS) == SetTime(time=25 * MS)
    now[:] = [0, 10 * MS] * 5
    if refused:
        assert flow.throw(refused) == GetTime()
    else:
        assert flow.send(None) == GetTime()
    for _ in range(4):
        flow.send((5 + after) * MS)
    return flow


def test_setting_the_clock(now: list[int]) -> None:
    flow = set_time(now, -90_000, 0, None)
    with pytest.raises(StopIteration) as stop:
        flow.send(5 * MS)
    done = stop.value.value
    assert (done.before.seconds, done.after.seconds, done.warning) == (-90.0, 0.0, "")


def test_a_clock_that_was_set_although_the_agent_complains(now: list[int]) -> None:
    refused = qga.CommandError("hwclock has failed to set hardware clock to system time")
    flow = set_time(now, 5_000, 0, refused)
    with pytest.raises(StopIteration) as stop:
        flow.send(5 * MS)
    assert stop.value.value.warning == refused.text


def test_a_clock_that_was_not_set(now: list[int]) -> None:
    flow = set_time(now, 5_000, 5_000, qga.CommandError("not supported"))
    with pytest.raises(qga.CommandError, match="not supported"):
        flow.send(5_005 * MS)
