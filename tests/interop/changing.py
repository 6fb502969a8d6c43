"""Changes the network that it is in, and asks for the interfaces after each change.

Run by `test_facts` (``python -m tests.interop.changing BUSYBOX``) in a namespace made for
it. Both agents run all the time, so that ours answers from what it knows wherever it can; what it
says is compared with qemu-ga's answer, and with what is found out the long way.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from qga.agent.system.linux.network import LinuxNetwork
from qga.protocol.codec import encode
from tests.interop.agents import OURS, SideAgent
from tests.interop.case import call
from tests.interop.conversation import PATIENCE
from tests.vm.debs import stock_agent

CHANGES = {
    "a link is up": "ip link set lo up",
    "links come": "ip link add v0 type veth",
    "with peers": "ip link set v0 up; ip link set veth0 up",
    "an address of IPv4": "ip addr add 10.1.0.1/24 dev v0",
    # The percent sign means nothing here, but would in a template.
    "one with a label": "ip addr add 10.1.0.2/24 dev v0 label v0:%b",
    "one of IPv6": "ip addr add fd00::1/64 dev v0",
    "two in an order": "ip addr add fd00::2/64 dev lo; ip addr add fd00::3/64 dev lo",
    "which changes": "ip addr del fd00::2/64 dev lo; ip addr add fd00::2/64 dev lo",
    "one with another end": "ip addr add 10.2.0.1 peer 10.2.0.9 dev veth0",
    "another prefix": "ip addr del 10.1.0.1/24 dev v0; ip addr add 10.1.0.1/16 dev v0",
    "another MAC address": "ip link set v0 address 02:00:00:00:00:0a",
    "a link is down": "ip link set v0 down",
    "a link has another name": "ip link set v0 name w0",
    "the others change theirs": """
        ip link set veth0 down; ip link set veth0 name v9
        ip link set w0 name veth0; ip link set v9 name w0""",
    "packets": "ping -c 3 127.0.0.1",
    "an address goes": "ip addr del 10.1.0.1/16 dev veth0",
    "IPv6 goes": "echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6",
    "all addresses of a link go": "ip addr flush dev w0",
    "links go": "ip link del veth0",
    "nothing": "true",
}
# More than there is room for.
STORM = """
for number in $(seq 100); do ip addr add 10.9.0.$number/32 dev lo; done
ip addr add 10.10.0.1/32 dev lo
"""


class Network:
    def __init__(self, busybox: str, stock: SideAgent, ours: SideAgent) -> None:
        self._busybox = busybox
        self._stock = stock
        self._ours = ours

    def change(self, script: str) -> None:
        """Run *script*, where `ip` is busybox's."""
        command = [self._busybox, "sh", "-e", "-c", script]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def check(self, what: str) -> None:
        """Our first answer has to be right; what the kernel does meanwhile, makes it no answer."""
        deadline = time.monotonic() + PATIENCE
        while True:
            before = the_long_way()
            ours = interfaces(self._ours)
            stock = interfaces(self._stock)
            after = the_long_way()
            if without_counters(before) == without_counters(after):
                break
            assert time.monotonic() < deadline, f"{what}: the network never rests"
        assert without_counters(ours) == without_counters(stock), what
        assert without_counters(ours) == without_counters(before), what
        for first, own, second, last in zip(
            *map(counters, (before, ours, stock, after)), strict=True
        ):
            assert first <= own <= second <= last, what


def the_long_way() -> Any:
    """As one finds it out who knows nothing yet."""
    return encode(LinuxNetwork().interfaces())


def interfaces(agent: SideAgent) -> Any:
    (reply,) = agent.replies(call("interfaces", "guest-network-get-interfaces"))
    return json.loads(reply)["return"]


def without_counters(found: Any) -> Any:
    return [
        {**interface, "statistics": sorted(interface.get("statistics", ()))} for interface in found
    ]


def counters(found: Any) -> list[int]:
    return [
        number
        for interface in found
        for _, number in sorted(interface.get("statistics", {}).items())
    ]


@contextmanager
def both() -> Iterator[tuple[SideAgent, SideAgent]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qga-")))
        commands = {"stock": [str(stock_agent())], "ours": OURS}
        for name in commands:
            (folder / name).mkdir()
        stock, ours = (
            stack.enter_context(SideAgent(command, folder / name))
            for name, command in commands.items()
        )
        yield stock, ours


def sockets(pid: int) -> list[tuple[int, int, int]]:
    """Of each rtnetlink socket of a process: its groups, bytes that wait, and messages lost."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if found := re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink())):
            inodes.add(found[1])
            flags = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().split()[3]
            assert int(flags, 8) & os.O_CLOEXEC
    lines = [line.split() for line in Path("/proc/net/netlink").read_text().splitlines()[1:]]
    return sorted(
        (int(line[3], 16), int(line[4]), int(line[8])) for line in lines if line[9] in inodes
    )


def switches(pid: int) -> list[str]:
    """How often a process has gone to sleep, or has been sent to; it is asleep now."""
    found = [""]
    before: list[str] = []
    while found != before:
        time.sleep(0.05)
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        found, before = [line for line in status if "ctxt_switches" in line], found
    return found


def main() -> None:
    with both() as (stock, ours):
        network = Network(sys.argv[1], stock, ours)
        assert sockets(ours.pid) == []
        network.check("at first")
        descriptors = len([*Path(f"/proc/{ours.pid}/fd").iterdir()])
        assert sockets(ours.pid) == [(0, 0, 0), (0x111, 0, 0)]
        for what, script in CHANGES.items():
            network.change(script)
            network.check(what)

        before = switches(ours.pid)
        network.change(STORM)
        assert switches(ours.pid) == before, "the agent was woken"
        _, (_, waiting, lost) = sockets(ours.pid)
        assert lost > 0
        assert waiting < 32 << 10
        network.check("more than there is room for")
        assert sockets(ours.pid) == [(0, 0, 0), (0x111, 0, 0)]
        assert len([*Path(f"/proc/{ours.pid}/fd").iterdir()]) == descriptors
    print(len(CHANGES))


if __name__ == "__main__":
    main()
