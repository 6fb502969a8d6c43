"""What the library finds out about a real guest, and how it waits for one; with both agents."""

import asyncio
import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

import qga
from qga.client.flows import facts
from qga.client.flows.steps import Flow
from tests.vm.conftest import GuestFactory
from tests.vm.observe import PATIENCE, connect
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest
from tests.vm.test_clock import set_system_clock, shows, system_clock

BOTH = pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])

# As containers, tunnels and clusters leave them; and a bridge that is none of them.
LINKS = """
set -e
modprobe veth
modprobe dummy numdummies=5
name() { ip link set dummy$1 name $2; ip addr add $3 dev $2; ip link set $2 up; }
name 0 docker0 172.17.0.1/16
name 1 br-0123456789ab 172.18.0.1/16
name 2 cali0f1e2d3c4b5 100.64.0.1/32
name 3 wg0 10.99.0.1/24
name 4 br-ex 203.0.113.7/24
ip link add veth1 type veth
ip addr add 172.19.0.1/24 dev veth1
ip link set veth1 up
ip -6 addr add fd00:5::5/64 dev eth0
"""


@BOTH
def test_facts(guest_factory: GuestFactory, argv: Sequence[str]) -> None:
    guest = guest_factory(argv)
    made = guest.sh(LINKS)
    assert made.code == 0, made.err
    with connect(guest) as client:
        found = {interface.name: interface for interface in client.interfaces()}
        virtual = {"lo", "docker0", "br-0123456789ab", "cali0f1e2d3c4b5", "wg0", "veth1"}
        assert virtual <= {name for name, interface in found.items() if interface.virtual}
        assert not found["eth0"].virtual
        # Where the default route is.
        primary = client.address()
        assert primary is not None
        assert (str(primary), primary.prefix, primary.interface) == ("10.0.2.15", 24, "eth0")
        assert primary.mac == guest.read("/sys/class/net/eth0/address").decode().strip()
        four = [str(address) for address in client.addresses(4)]
        assert four == ["10.0.2.15", "203.0.113.7"]
        six = [address for address in client.addresses(6) if address.interface == "eth0"]
        # QEMU may have told it of more.
        assert "fd00:5::5" in map(str, six)
        assert [address.ip.is_link_local for address in six] == [False] * (len(six) - 1) + [True]
        every = {str(address) for address in client.addresses(4, virtual=True)}
        assert {"172.17.0.1", "172.19.0.1", "10.99.0.1"} <= every
        assert "127.0.0.1" not in every

        data = {one.mountpoint: one for one in client.filesystems()}["/mnt/data"]
        assert (data.type, data.device) == ("ext4", "vdb")
        assert data.total is not None
        assert data.used is not None
        assert data.free is not None
        assert data.percent is not None
        assert 30 << 20 < data.total < 64 << 20
        guest.sh("dd if=/dev/zero of=/mnt/data/file bs=1M count=20; sync")
        more = {one.mountpoint: one for one in client.filesystems()}["/mnt/data"]
        assert more.percent is not None
        assert more.used is not None
        assert (20 << 20) <= more.used - data.used < (22 << 20)
        assert more.percent > data.percent + 20
        # As the guest's own program says it.
        assert client.perform(facts._df(["/mnt/data"])) == {"/mnt/data": (more.total, more.used)}

        system = client.os()
        assert (system.id, system.kernel) == ("testguest", guest.sh("uname -r").out.strip())
        assert client.hostname() == "testguest"
        assert client.users() == []
        before = client.uptime()
        seconds = float(guest.read("/proc/uptime").split()[0])
        assert before <= seconds <= client.uptime()

        # Its clock.
        past = datetime(2024, 2, 29, tzinfo=UTC).timestamp()
        set_system_clock(guest, int(past))
        offset = client.time_offset()
        assert -PATIENCE < offset.seconds - (past - datetime.now(UTC).timestamp()) < PATIENCE
        done = client.sync_time()
        assert done.before.seconds < -3600
        assert abs(done.after.seconds) < PATIENCE
        assert done.warning == ""
        assert shows(system_clock(guest), int(datetime.now(UTC).timestamp()))


def test_a_guest_that_cannot_set_its_hardware_clock(guest_factory: GuestFactory) -> None:
    guest = guest_factory(STOCK_AGENT)
    guest.sh("rm /sbin/hwclock")
    set_system_clock(guest, 1_600_000_000)
    with connect(guest) as client, pytest.raises(qga.CommandError):
        # The one of Debian 12 refuses before it sets anything.
        client.sync_time()


@BOTH
def test_waiting(guest_factory: GuestFactory, argv: Sequence[str]) -> None:
    guest = guest_factory(None)
    with connect(guest) as client:
        # QEMU takes nothing while no agent has the port open.
        found = client.state(timeout=0.5)
        assert (found.word, found.sentence.count("nobody takes what is sent")) == ("no-agent", 1)
        with pytest.raises(qga.WaitTimeout, match=r"not ready after 0\.5 s: no-agent: "):
            client.wait_ready(0.5)
        with connect(guest) as other:
            assert other.state(timeout=0.5).word == "busy"
        guest.start_agent(argv, port=None)
        assert client.wait_ready(PATIENCE).word == "ready"

        # Stopped, it has the port open, and answers when it goes on.
        guest.signal_agent(signal.SIGSTOP)
        found = client.state(timeout=2)
        assert (found.word, found.sentence.count("the request was taken")) == ("busy", 1)
        guest.signal_agent(signal.SIGCONT)
        assert client.wait_ready(PATIENCE).ready

        # Started again in the meantime.
        guest.kill_agent()
        timer = threading.Timer(0.5, guest.start_agent, (argv,), {"port": None})
        timer.start()
        assert client.wait_ready(PATIENCE).ready
        timer.join()

        assert client.wait_for(command=["test", "-e", "/proc/1"], timeout=PATIENCE).code == 0
        timer = threading.Timer(0.5, guest.sh, ("touch /tmp/there",))
        timer.start()
        assert client.wait_for(file="/tmp/there", timeout=PATIENCE)
        timer.join()
        with pytest.raises(qga.WaitTimeout, match="sh did not succeed after"):
            client.wait_for(command=["sh", "-c", "echo too bad; exit 3"], timeout=0.5)
        guest.sh("ip addr flush dev eth0")
        with pytest.raises(qga.WaitTimeout, match="no primary address after"):
            client.wait_for(address=4, timeout=0.5)
        guest.sh("ip addr add 10.0.2.15/24 dev eth0")
        assert str(client.wait_for(address=4, timeout=PATIENCE)) == "10.0.2.15"

        with client.frozen():
            assert client.state().word == "frozen"

        if argv is AGENT:
            return  # once is enough
        before = client.boot_id()
        client.shutdown("reboot")
        guest.qmp.wait_event("RESET")
        guest.wait_booted()
        guest.start_agent(argv, port=None)
        asyncio.run(rebooted(guest, client, before))


async def rebooted(guest: Guest, blocking: qga.Client, before: str) -> None:
    """Wait until another boot of the guest answers."""
    blocking.close()  # the port has room for one
    client = await qga.aconnect(f"unix:{guest.agent_socket}", wait=PATIENCE)

    def another_boot() -> Flow[bool]:
        return (yield from facts.boot_id()) != before

    async with client:
        assert await client.wait_for(condition=another_boot, timeout=PATIENCE) is True
        assert (await client.state(needs=["guest-exec"])).ready
        assert await client.hostname() == "testguest"
        assert abs((await client.time_offset(samples=2)).seconds) < 3600
