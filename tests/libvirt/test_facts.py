"""What virsh asks the agent about its guest."""

import json
import re
import struct
import time
from typing import Any

import pytest

from tests.libvirt.domain import Domain
from tests.libvirt.pair import Pair

# What two guests may differ in: how far their root disks have filled.
USED = r"(?<=used-bytes)\s+: \d+"
FACTS = {
    "--os": ("guest-get-osinfo", "os.pretty-name      : Test Guest 1"),
    "--timezone": ("guest-get-timezone", "timezone.offset     : 5400"),
    "--hostname": ("guest-get-host-name", "hostname            : testguest"),
    "--filesystem": ("guest-get-fsinfo", "fs.1.mountpoint     : /mnt/data"),
    "--disk": ("guest-get-disks", "disk.1.name         : /dev/vdb"),
    "--interface": ("guest-network-get-interfaces", "if.1.addr.0.addr    : 10.0.2.15"),
}
# A record of /var/run/utmp: type, process, line, id, user, host, exit, session, time, address
UTMP = struct.Struct("h2xi32s4s32s256shhiii16s20x")
USER_PROCESS = 7
LOGGED_IN = (1_700_000_000, 250_000)


def test_a_command_of_ones_own(pair: Pair) -> None:
    answer = pair.succeeds("qemu-agent-command", '{"execute": "guest-ping"}')
    assert (answer.out, answer.asked) == ('{"return":{}}', ("guest-ping",))
    pretty = pair.succeeds("qemu-agent-command", "--pretty", '{"execute": "guest-get-host-name"}')
    assert '"host-name": "testguest"' in pretty.out
    refused = pair.virsh("qemu-agent-command", '{"execute": "guest-nothing"}')
    assert refused.code == 1
    assert "The command guest-nothing has not been found" in refused.err


def test_a_program(pair: Pair) -> None:
    """As tools do that have nothing but libvirt."""

    def ask(domain: Domain, name: str, **arguments: object) -> Any:
        request = json.dumps({"execute": name, "arguments": arguments})
        answer = domain.virsh("qemu-agent-command", request)
        assert answer.code == 0, answer
        return json.loads(answer.out)["return"]

    def status(domain: Domain) -> Any:
        program = {"path": "/bin/cat", "input-data": "aGVsbG8=", "capture-output": True}
        pid = ask(domain, "guest-exec", **program)["pid"]
        while not (found := ask(domain, "guest-exec-status", pid=pid))["exited"]:
            time.sleep(0.05)
        return found

    stock, ours = (status(domain) for domain in pair)
    assert ours == stock
    assert (ours["exitcode"], ours["out-data"]) == (0, "aGVsbG8=")


@pytest.mark.parametrize("part", FACTS)
def test_guestinfo(pair: Pair, part: str) -> None:
    command, line = FACTS[part]
    answer = pair.succeeds("guestinfo", part, differs=USED)
    assert answer.asked == (command,)
    assert line in answer.out.splitlines()


def test_guestinfo_users(pair: Pair) -> None:
    nobody = pair.succeeds("guestinfo", "--user")
    assert (nobody.out, nobody.asked) == ("user.count          : 0", ("guest-get-users",))
    record = UTMP.pack(
        USER_PROCESS, 77, b"tty1", b"1", b"alice", b"", 0, 0, 0, *LOGGED_IN, bytes(16)
    )
    for domain in pair:
        assert domain.sh("cat > /run/utmp", record).code == 0
    found = pair.succeeds("guestinfo", "--user")
    assert re.sub(" +: ", "=", found.out).splitlines() == [
        "user.count=1",
        "user.0.name=alice",
        "user.0.login-time=1700000000250",
    ]
    pair.sh("rm /run/utmp")


def test_guestinfo_of_all_parts(pair: Pair) -> None:
    # Each by name: a newer virsh knows of more.
    answer = pair.succeeds("guestinfo", "--user", *FACTS, differs=USED)
    assert answer.asked == ("guest-get-users", *(command for command, _ in FACTS.values()))
    lines = answer.out.splitlines()
    assert all(line in lines for _, line in FACTS.values())


def test_domfsinfo(pair: Pair) -> None:
    answer = pair.succeeds("domfsinfo")
    assert answer.asked == ("guest-get-fsinfo",)
    # The last column is libvirt's own: it has found the disk by its PCI address.
    assert [line.split() for line in answer.out.splitlines()[2:]] == [
        ["/", "vda", "ext4", "vda"],
        ["/mnt/data", "vdb", "ext4", "vdb"],
    ]


def test_domhostname(pair: Pair) -> None:
    answer = pair.succeeds("domhostname", "--source", "agent")
    assert (answer.out, answer.asked) == ("testguest", ("guest-get-host-name",))


def test_domifaddr(pair: Pair) -> None:
    answer = pair.succeeds("domifaddr", "--source", "agent", "--full")
    assert answer.asked == ("guest-network-get-interfaces",)
    assert [line.split() for line in answer.out.splitlines()[2:]] == [
        ["lo", "00:00:00:00:00:00", "ipv4", "127.0.0.1/8"],
        ["lo", "00:00:00:00:00:00", "ipv6", "::1/128"],
        ["eth0", "52:54:00:12:34:56", "ipv4", "10.0.2.15/24"],
        ["eth0", "52:54:00:12:34:56", "ipv6", "fe80::5054:ff:fe12:3456/64"],
    ]
    one = pair.succeeds("domifaddr", "--source", "agent", "--interface", "eth0")
    assert "10.0.2.15/24" in one.out
    assert "127.0.0.1" not in one.out
