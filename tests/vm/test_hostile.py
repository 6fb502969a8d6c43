"""Hostile arguments, and a guest full of traps, for commands that no test may use on its own host.

Nothing is blocked here. After each the agent answers, and has no more descriptors than before.
"""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import qga
from tests.vm.machine import Machine
from tests.vm.observe import PATIENCE, Process, Raw, connect, wait_until
from tests.vm.qemu import Guest
from tests.vm.sides import Refusal, ask, ask_stock

HUGE = 2**63 - 1
MIB = 1 << 20
KEY = "ssh-ed25519 AAAA"
SSH = "/home/alice/.ssh"
KEYS = f"{SSH}/authorized_keys"


# What keeps something open from its first use on.
KEEPING = (
    "guest-get-fsinfo", "guest-network-get-interfaces", "guest-network-get-route",
    "guest-get-timezone", "guest-get-cpustats", "guest-get-diskstats", "guest-get-disks",
    "guest-get-vcpus",
)  # fmt: skip


class Attacked:
    """The agent in a guest, asked what should not be; and it has to be well afterwards."""

    def __init__(self, guest: Guest, client: qga.Client) -> None:
        self.guest = guest
        self.client = client
        self.process = Process(guest, guest.agent_pid())
        for name in KEEPING:
            client.call(name, {})
        self.before = self.process.descriptors

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        answer = ask(self.client, name, **arguments)
        assert ask(self.client, "guest-ping") == {}
        if isinstance(answer, Refusal):
            assert "internal error" not in answer.desc, answer.desc
        return answer

    def is_well(self) -> None:
        """To be asked in the end: it takes programs in the guest to see."""
        wait_until(lambda: self.process.descriptors == self.before, "descriptors are closed")
        assert self.process.memory < 400 << 10


@contextmanager
def attacked(guest: Guest) -> Iterator[Attacked]:
    with connect(guest) as client:
        yield Attacked(guest, client)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def refused(answer: Any) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.desc


def processors_and_memory(agent: Attacked) -> None:
    def online(*wanted: tuple[int, bool]) -> Any:
        vcpus = [{"logical-id": number, "online": on} for number, on in wanted]
        return agent("guest-set-vcpus", vcpus=vcpus)

    assert online((1, False), (1, False), (1, True), (1, True)) == 4
    assert "can't be offlined" in refused(online((0, False), (1, False)))
    assert online((1, False), (0, False)) == 1
    assert online((1, True)) == 1
    for number in (-1, 2**40, HUGE, -(2**63)):
        wanted = [{"logical-id": number, "online": False}]
        refused(ask_stock(agent.guest, "guest-set-vcpus", vcpus=wanted))
        assert "No such file or directory" in refused(online((number, False)))
    assert online(*[(1, True)] * 5000) == 5000
    for index in (2**40, HUGE, 2**64 - 1):
        (outcome,) = agent(
            "guest-set-memory-blocks", mem_blks=[{"phys-index": index, "online": False}]
        )
        assert outcome["response"] != "success"
    assert agent("guest-set-memory-blocks", mem_blks=[]) == []


def clocks(agent: Attacked) -> None:
    for time_ in (-1, -(2**63), HUGE, 3_155_760_000 * 10**9):
        assert refused(agent("guest-set-time", time=time_)) == "Invalid time"
    for time_ in (0, 1, 3_155_760_000 * 10**9 - 1, time.time_ns()):
        answer = agent("guest-set-time", time=time_)
        assert answer == {} or isinstance(answer, Refusal)
    assert agent("guest-set-time") == {}


def passwords(agent: Attacked) -> None:
    guest = agent.guest
    shadow = guest.read("/etc/shadow")

    def change(user: str, password: bytes, *, crypted: bool = False) -> Any:
        return agent(
            "guest-set-user-password",
            username=user, password=encoded(password), crypted=crypted,
        )  # fmt: skip

    for user in ("-e", "--help", "-R/tmp", "", " alice", "../root", "root\0", "root\r", "x" * MIB):
        refused(change(user, b"word"))
    assert "\nroot:" not in refused(change("y", b"x" * MIB))
    assert guest.read("/etc/shadow") == shadow
    for password in (b"\1\2\x1b[2J\x7f", b"\r", b"\xff\xfe", b"-e", b" ", b"a:b:c", b"x" * MIB):
        change("alice", password)
        lines = guest.read("/etc/shadow").split(b"\n")
        assert sorted(line.partition(b":")[0] for line in lines) == sorted(
            line.partition(b":")[0] for line in shadow.split(b"\n")
        )
        others = [line for line in lines if not line.startswith(b"alice:")]
        assert others == [line for line in shadow.split(b"\n") if not line.startswith(b"alice:")]


def keys(agent: Attacked) -> None:
    guest = agent.guest

    def add(*more: str, user: str = "alice", reset: bool = False) -> Any:
        return agent("guest-ssh-add-authorized-keys", username=user, keys=list(more), reset=reset)

    for user in ("../root", "root\0", "/root", "", "-r", "alice\n", "x" * MIB):
        assert "failed to lookup user" in refused(add(KEY, user=user))
    many = [f"{KEY}{n}" for n in range(10_000)]
    assert add(*many) == {}
    assert add(*many) == {}
    assert guest.read(KEYS).count(b"\n") == 10_000
    assert agent("guest-ssh-remove-authorized-keys", username="alice", keys=many) == {}
    assert add("k" * MIB, "a\rb", "c\r") == {}
    found = agent("guest-ssh-get-authorized-keys", username="alice")["keys"]
    assert found == ["c", "a\rb", "k" * MIB]
    guest.sh(f"rm -rf {SSH}")
    socket = f'python3 -c "import socket; socket.socket(socket.AF_UNIX).bind({SSH!r})"'
    for trap in (
        f"mkfifo {SSH}",
        socket,
        f"ln -s .ssh {SSH}",
        f"ln -s /root/none {SSH}",
        f"mkdir {SSH}; mkdir {KEYS}",
        f"mkdir {SSH}; ln -s authorized_keys {KEYS}",
        f"mkdir {SSH}; mkfifo {KEYS}",
    ):
        done = guest.sh(trap)
        assert done.code == 0, done.err
        refused(add(KEY))
        refused(agent("guest-ssh-get-authorized-keys", username="alice"))
        refused(agent("guest-ssh-remove-authorized-keys", username="alice", keys=[KEY]))
        guest.sh(f"rm -rf {SSH}")
    assert add(KEY) == {}
    immutable = (
        "import fcntl, sys; f = open(sys.argv[1]); "
        "fcntl.ioctl(f, 0x40086602, int(sys.argv[2]).to_bytes(8, 'little'))"
    )
    guest.control.run(["/usr/bin/python3", "-c", immutable, KEYS, "16"])
    assert "Operation not permitted" in refused(add("other"))
    assert guest.sh(f"ls -A {SSH}").out == "authorized_keys\n"  # and nothing half made
    assert guest.read(KEYS) == KEY.encode() + b"\n"
    guest.control.run(["/usr/bin/python3", "-c", immutable, KEYS, "0"])
    guest.sh(f"rm -rf {SSH}")


def programs(agent: Attacked) -> None:
    def start(path: str, **more: Any) -> Any:
        return agent("guest-exec", path=path, **more)

    for path in ("", "/", "/etc", "/etc/passwd", "/bin/sh/x", "../", "x" * MIB, "a\0b"):
        ours, stock = start(path), None
        if len(path) < MIB:
            stock = ask_stock(agent.guest, "guest-exec", path=path)
            assert isinstance(stock, Refusal) == isinstance(ours, Refusal), (path, stock, ours)
        refused(ours)
    assert "Argument list too long" in refused(start("/bin/true", arg=["x" * 200] * 20_000))
    assert "Argument list too long" in refused(start("/bin/true", env=["A=" + "x" * MIB]))
    for more in ({"arg": ["x"] * 100_000}, {"env": [f"A{n}=1" for n in range(50_000)]}):
        pid = start("/bin/true", **more)["pid"]
        status = ended(agent, pid)
        assert status["exitcode"] == 0
    for pid in (1, 0, -1, 2, agent.process.pid, HUGE, -(2**63)):
        assert refused(agent("guest-exec-status", pid=pid)) == f"PID {pid} does not exist"
    large = encoded(bytes(40 * MIB))
    some = encoded(bytes(MIB))
    pid = ask(agent.client, "guest-exec", path="/bin/true", input_data=some)["pid"]
    assert ended(agent, pid)["exitcode"] == 0
    pid = ask(agent.client, "guest-exec", path="/bin/sleep", arg=["1000"], input_data=large)["pid"]
    del large
    assert ask(agent.client, "guest-exec-status", pid=pid) == {"exited": False}
    agent.guest.sh(f"kill -9 {pid}")
    assert ended(agent, pid)["signal"] == 9


def ended(agent: Attacked, pid: int) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (status := ask(agent.client, "guest-exec-status", pid=pid))["exited"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return status


def freezing(agent: Attacked) -> None:
    def freeze(*paths: str) -> Any:
        return agent_("guest-fsfreeze-freeze-list", mountpoints=list(paths))

    def agent_(name: str, **arguments: Any) -> Any:
        return ask(agent.client, name, **arguments)

    for paths in (
        [f"/no/{n}" for n in range(10_000)],
        ["", ".", "mnt/data", "/mnt/data/", "//mnt/data", "/mnt/../mnt/data", "/mnt/data\0"],
        [],
    ):
        assert freeze(*paths) == 0
        assert agent_("guest-fsfreeze-status") == "thawed"
    assert freeze("/mnt/data", "/mnt/data", *["/mnt/data"] * 10_000) == 1
    assert "guest-fstrim" in refused(agent_("guest-fstrim", minimum=0))
    assert agent_("guest-fsfreeze-thaw") == 1
    for minimum in (-1, -(2**63), HUGE, 1 << 40, 0):
        paths = agent("guest-fstrim", minimum=minimum)["paths"]
        assert all(("error" in path) != ("trimmed" in path) for path in paths)
    # The one who trims, and the one who freezes meanwhile.
    assert ask_stock(agent.guest, "guest-fsfreeze-freeze-list", mountpoints=["/mnt/data"]) == 1
    agent.client.call("guest-ping", {})
    assert ask_stock(agent.guest, "guest-fsfreeze-thaw") == 1


def sleeping(agent: Attacked) -> None:
    assert refused(agent("guest-suspend-hybrid"))


def odd_names(agent: Attacked) -> None:
    guest = agent.guest
    device = guest.sh("awk '$2 == \"/mnt/data\" {print $1}' /proc/mounts").out.strip()
    for number, raw in enumerate((b"a\nb", b"c d\\040", b"\xff\xfe", b"\xed\xa0\x80")):
        code = "import os, sys; os.mkdir(bytes.fromhex(sys.argv[1]))"
        path = b"/run/" + raw
        guest.control.run(["/usr/bin/python3", "-c", code, path.hex()])
        code = (
            "import ctypes, sys; sys.exit(ctypes.CDLL(None).mount(sys.argv[2].encode(), "
            "bytes.fromhex(sys.argv[1]), b'ext4', 0, None))"
        )
        guest.sh("umount /mnt/data")
        done = guest.control.run(["/usr/bin/python3", "-c", code, path.hex(), device])
        assert done.code == 0, (number, done)
        ours = {info["mountpoint"] for info in agent("guest-get-fsinfo")}
        stock = {info["mountpoint"] for info in ask_stock(guest, "guest-get-fsinfo")}
        if number < 3:  # of a surrogate's three bytes the stock agent makes a single character
            assert ours == stock
        assert path.decode("utf-8", "replace") in ours
        trimmed = {found["path"] for found in agent("guest-fstrim")["paths"]}
        assert path.decode("utf-8", "replace") in trimmed
        code = "import ctypes, sys; sys.exit(ctypes.CDLL(None).umount(bytes.fromhex(sys.argv[1])))"
        assert guest.control.run(["/usr/bin/python3", "-c", code, path.hex()]).code == 0
        guest.sh(f"mount {device} /mnt/data")
    name = guest.sh("ls /sys/class/net | grep -v lo").out.split()[0]
    for odd in (b"\xff\xfe", b'"\\', b"'$(x)`"):
        code = (
            "import ctypes, fcntl, socket, sys; s = socket.socket(); "
            "old, new = map(bytes.fromhex, sys.argv[1:]); "
            "fcntl.ioctl(s, 0x8914, old.ljust(16, b'\\0') + bytes(24)); "
            "fcntl.ioctl(s, 0x8923, old.ljust(16, b'\\0') + new.ljust(24, b'\\0'))"
        )
        done = guest.control.run(["/usr/bin/python3", "-c", code, name.encode().hex(), odd.hex()])
        assert done.code == 0, done.err
        found = {info["name"] for info in agent("guest-network-get-interfaces")}
        assert odd.decode("utf-8", "replace") in found
        back = ["/usr/bin/python3", "-c", code, odd.hex(), name.encode().hex()]
        assert guest.control.run(back).code == 0
        agent("guest-network-get-route")


def odd_files(agent: Attacked) -> None:
    guest = agent.guest
    guest.sh("cp -a /etc/os-release /run/os-release; cp -a /etc/localtime /run/localtime")
    for trap in (
        "mkfifo {0}",
        "mkdir {0}",
        "ln -s {0} {0}",
        "ln -s /dev/zero {0}",
        "truncate -s 100M /run/big; ln -s /run/big {0}",
    ):
        for path in ("/etc/os-release", "/etc/localtime", "/run/utmp"):
            if path == "/etc/localtime" and "big" in trap:
                continue  # a zone of 100 MB is the C library's to read
            guest.sh(f"rm -rf {path}; {trap.format(path)}")
            assert "kernel-release" in agent("guest-get-osinfo")
            agent("guest-get-timezone")
            agent("guest-get-users")
            guest.sh(f"rm -rf {path} /run/big")
    guest.sh("mv /run/os-release /etc/os-release; mv /run/localtime /etc/localtime")


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    with Guest.restore(Machine(cpus=2)) as guest:
        guest.start_agent()
        yield guest


@pytest.mark.parametrize(
    "attack",
    [
        processors_and_memory,
        clocks,
        passwords,
        keys,
        programs,
        freezing,
        sleeping,
        odd_names,
        odd_files,
    ],
)
def test_the_agent_is_well_afterwards(guest: Guest, attack: Any) -> None:
    with attacked(guest) as agent:
        attack(agent)
        agent.is_well()
    with Raw(guest) as raw:
        raw.send(b'\xff{"execute": "guest-sync", "arguments": {"id": 7}}\n')
        while raw.reply().get("return") != 7:
            pass
    assert guest.agent_output().count("Traceback") == 0
