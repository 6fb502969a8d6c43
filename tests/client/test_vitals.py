"""What a guest is busy with: counters, rates, and what they are asked of; overviews too."""

import asyncio
from typing import Any

import pytest

import qga
from qga.client import vitals
from qga.client.facts import Interface
from qga.client.flows import overview, snapshot
from qga.client.flows.steps import Leave, Together
from qga.client.overview import program_name, zone_name
from qga.client.vitals import CpuTime, DiskCount, Vitals, rates
from qga.errors import AgentTimeout, CommandDisabled
from qga.protocol import COMMANDS, FileClose, FileOpen, FileRead, GetLoad, Info
from qga.protocol.files import FileChunk
from qga.protocol.fsfreeze import FsfreezeState
from qga.testing import FakeAgent
from tests.support.stock import BLOCKED, RunningAgent, either

from .driven import Driven

PROC = {
    "/proc/loadavg": b"1.50 1.25 1.00 1/100 4242\n",
    "/proc/stat": b"cpu 9 9 9 9\ncpu0 30 10 10 50 0 0 0 0 0 0\ncpu1 0 0 0 100\nintr 1\n",
    "/proc/net/dev": (
        b"Inter-|   Receive  |  Transmit\n face |bytes packets ...\n"
        b"    lo: 500 5 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n"
        b"  eth0:1000 5 0 0 0 0 0 0 2000 5 0 0 0 0 0 0\n"
    ),
    "/proc/diskstats": (
        b" 254 0 vda 10 0 100 5 10 0 200 5 0 10 10\n"
        b" 254 1 vda1 10 0 100 5 10 0 200 5 0 10 10\n"
        b" 7 0 loop0 10 0 100 5 10 0 200 5 0 10 10\n"
    ),
}


def cpu(number: int, busy: int, idle: int) -> CpuTime:
    return CpuTime(number, busy, 0, 0, idle)


def net(**counts: int) -> tuple[Interface, ...]:
    return tuple(
        Interface(name.replace("_", "."), None, (), n, 2 * n) for name, n in counts.items()
    )


def test_rates_are_what_two_looks_differ_in() -> None:
    before = Vitals(
        10.0,
        cpus=(cpu(0, 100, 900), cpu(1, 100, 900)),
        interfaces=net(lo=5, eth0=1000, docker0=7),
        disks=(DiskCount("vda", 512, 0),),
    )
    after = Vitals(
        12.0,
        cpus=(cpu(0, 300, 900), cpu(1, 100, 1100), cpu(2, 5000, 0)),
        interfaces=net(lo=5000, eth0=2000, docker0=7000, eth1=10**9),
        disks=(DiskCount("vda", 1512, 4000), DiskCount("vdb", 10**9, 10**9)),
    )
    assert rates(before, after) == vitals.Rates(2.0, 50.0, 500.0, 1000.0, 500.0, 2000.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Vitals(1.0), Vitals(2.0)),
        # Booted in between: everything has begun anew.
        (
            Vitals(
                1.0, cpus=(cpu(0, 9, 9),), interfaces=net(eth0=9), disks=(DiskCount("a", 9, 9),)
            ),
            Vitals(
                2.0, cpus=(cpu(0, 1, 1),), interfaces=net(eth0=1), disks=(DiskCount("a", 1, 1),)
            ),
        ),
        # Frozen in between, so that nothing was told.
        (Vitals(1.0, cpus=(cpu(0, 9, 9),), interfaces=net(eth0=9)), Vitals(2.0, frozen=True)),
        # Nothing at all has happened, which processors cannot do.
        (Vitals(1.0, cpus=(cpu(0, 9, 9),)), Vitals(2.0, cpus=(cpu(0, 9, 9),))),
    ],
)
def test_where_there_is_no_rate(before: Vitals, after: Vitals) -> None:
    assert rates(before, after) == vitals.Rates(1.0)
    assert rates(after, before) == vitals.Rates(0.0)


def test_what_carries_others_does_not_count_twice() -> None:
    one, two = net(eth0=10, eth0_5=10, bond0=10, br0=10), net(eth0=20, eth0_5=20, bond0=20, br0=20)
    assert rates(Vitals(0.0, interfaces=one), Vitals(1.0, interfaces=two)).received == 10
    # Unless it is all there is.
    one, two = net(lo=10, br0=10), net(lo=20, br0=20)
    assert rates(Vitals(0.0, interfaces=one), Vitals(1.0, interfaces=two)).received == 10
    assert rates(Vitals(0.0, interfaces=net(lo=1)), Vitals(1.0, interfaces=net(lo=2))).sent is None


def test_disks_without_parts_and_what_lies_on_them() -> None:
    names = "sda sda1 sda2 nvme0n1 nvme0n1p1 vdb mmcblk0 mmcblk0p1 dm-0 loop1 md127 sr0 zram0 xvda1"
    found = vitals.whole([DiskCount(name, 0, 0) for name in names.split()])
    assert [disk.name for disk in found] == ["sda", "nvme0n1", "vdb", "mmcblk0", "xvda1"]


def test_what_kernels_write() -> None:
    found = vitals.meminfo("MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 15 kB\nX: y\n")
    assert found is not None
    assert (found.total, found.available, found.percent) == (102400, 30720, 70.0)
    assert vitals.Memory(0, 0, 0).percent == 100.0
    assert vitals.meminfo("") is None
    assert vitals.loadavg("") is None
    assert vitals.proc_stat("") == ()
    assert CpuTime(0, 0, 0, 0, 0).percent == 0.0


@pytest.fixture
def fake() -> FakeAgent:
    return FakeAgent()


def test_a_look(fake: FakeAgent) -> None:
    with fake.connect() as client:
        found = client.vitals()
        assert str(found.load) == "0.10 0.05 0.01"
        assert found.cpus is not None
        assert [one.percent for one in found.cpus] == [1.5, 1.5]
        assert found.memory is not None
        assert found.memory.percent == 25.0
        assert found.disks == (DiskCount("vda", 40 << 20, 4 << 20),)
        assert found.filesystems is not None
        assert [one.mountpoint for one in found.filesystems] == ["/", "/srv"]
        assert [one.name for one in found.interfaces or ()] == ["lo", "eth0"]
        before = len(fake.requests)
        allowed = {command.NAME for command in COMMANDS}
        assert client.vitals(filesystems=False, allowed=allowed).filesystems is None
        # Five commands, and a file that is opened, read and closed.
        assert len(fake.requests) - before == 8


def test_what_agents_do_not_know_files_tell(fake: FakeAgent) -> None:
    fake.version = "2.5"
    fake.unknown = {"guest-network-get-interfaces"}
    fake.files.update(PROC)
    with fake.connect() as client:
        found = client.vitals()
        assert (found.load, found.frozen) == (vitals.Load(1.5, 1.25, 1.0), False)
        assert found.cpus is not None
        assert [one.percent for one in found.cpus] == [50.0, 0.0]
        assert [(one.name, one.received, one.sent) for one in found.interfaces or ()] == [
            ("lo", 500, 500),
            ("eth0", 1000, 2000),
        ]
        assert found.disks == (DiskCount("vda", 51200, 102400),)
        assert client.load() == found.load
        assert client.cpus() == list(found.cpus)
        fake.files["/proc/loadavg"] = fake.files["/proc/meminfo"] = b"?"
        with pytest.raises(qga.GuestOSError, match="loadavg is not as Linux has it"):
            client.load()
        with pytest.raises(qga.GuestOSError, match="meminfo is not as Linux has it"):
            client.memory()


def test_who_is_frozen_or_may_tell_nothing(fake: FakeAgent) -> None:
    with fake.connect() as client:
        fake.state = FsfreezeState.FROZEN
        found = client.vitals()
        assert (found.frozen, found.load, found.memory) == (True, None, None)
        assert client.overview().state == "frozen"
        fake.state = FsfreezeState.THAWED
        fake.blocked = {one.NAME for one in COMMANDS} - {"guest-sync-delimited", "guest-info"}
        with pytest.raises(CommandDisabled, match="tells nothing"):
            client.vitals()
        told = client.overview()
        assert told.allowed == ("guest-info", "guest-sync-delimited")
        assert "guest-get-load" in told.disabled
        assert (told.hostname, told.addresses, told.memory) == (None, None, None)
        fake.blocked.add("guest-info")
        with pytest.raises(CommandDisabled):
            client.overview()


def test_everything_at_once(fake: FakeAgent) -> None:
    """An overview takes two steps for all that is not the clock's."""
    driven = Driven(overview.overview())
    first = driven.begin()
    assert isinstance(first, Together)
    assert {type(command) for command in first.commands} >= {Info, FileOpen}
    answers: list[Any] = [CommandDisabled("no") for _ in first.commands]
    with fake.connect() as client:
        answers[0] = client.info()
    answers[-1] = 1000
    second = driven.send(answers)
    assert isinstance(second, Together)
    assert [type(command) for command in second.commands] == [FileRead, FileClose]


def test_files_that_were_opened_are_closed_whatever_happens() -> None:
    driven = Driven(snapshot.snapshot([GetLoad()], ["/a", "/b", "/c"]))
    assert len(driven.begin().commands) == 4
    refused = CommandDisabled("no")
    step = driven.send([refused, 1000, refused, 1002])
    assert step.commands[2:] == [FileClose(handle=1000), FileClose(handle=1002)]
    step = driven.throw(AgentTimeout("late"))
    assert isinstance(step, Leave)
    assert step.command == FileClose(handle=1000)
    step = driven.send(None)
    assert step.command == FileClose(handle=1002)
    with pytest.raises(AgentTimeout):
        driven.send(None)
    driven = Driven(snapshot.snapshot([], ["/a", "/b"]))
    driven.begin()
    driven.send([1000, 1001])
    chunk = FileChunk(count=2, data=b"\xffx", eof=True)
    with pytest.raises(StopIteration) as stop:
        driven.send([chunk, refused, None, None])
    assert stop.value.value == ([], {"/a": "\ufffdx"})


def test_requests_of_which_some_may_be_refused(fake: FakeAgent) -> None:
    fake.blocked = {"guest-get-load"}

    def asked(*, optional: bool) -> Any:
        return (yield Together([GetLoad(), Info()], optional=optional))

    with fake.connect() as client:
        refused, info = client.perform(asked(optional=True))
        assert isinstance(refused, CommandDisabled)
        assert "forbids it" in str(refused)
        assert info.version == client.info().version
        with pytest.raises(CommandDisabled):
            client.perform(asked(optional=False))

    async def both() -> Any:
        async with await fake.aconnect() as aclient:
            return await aclient.perform(asked(optional=True))

    assert isinstance(asyncio.run(both())[0], CommandDisabled)


def test_real_agents(agent: RunningAgent) -> None:
    with qga.connect(agent.target) as client:
        before = client.vitals()
        after = client.vitals(filesystems=False)
        while after.cpus == before.cpus:  # they count hundredths of a second
            after = client.vitals(filesystems=False)
        found = rates(before, after)
        assert found.seconds > 0
        assert found.cpu is not None
        assert 0 <= found.cpu <= 100
        assert before.load is not None
        assert before.memory is not None
        assert before.memory.total == client.memory().total
        assert len(before.cpus or ()) == len(client.cpus())
        assert {disk.name for disk in before.disks or ()} == {
            disk.name for disk in after.disks or ()
        }


@pytest.mark.parametrize(
    ("cmdline", "name"),
    [
        ("/usr/sbin/qemu-ga\0-m\0virtio-serial\0", "qemu-ga"),
        ("/lib64/ld-linux-x86-64.so.2\0/opt/qemu-ga\0-d\0", "qemu-ga"),
        ("/usr/bin/python3\0-I\0-m\0qga.agent\0", "qga-agent"),
        ("/usr/bin/python3\0/usr/bin/qga-agent\0", "qga-agent"),
        ("/opt/other-agent\0-v\0", "other-agent"),
        ("", None),
    ],
)
def test_what_the_agent_is_called(cmdline: str, name: str | None) -> None:
    assert program_name(cmdline) == name


@pytest.mark.parametrize(
    ("which", "name"),
    [("ours", "qga-agent"), pytest.param("stock", "qemu-ga", marks=pytest.mark.interop)],
)
def test_what_an_agent_is_that_may_not_read_files(which: str, name: str) -> None:
    with (
        either(which, [*BLOCKED, "guest-file-open"]) as agent,
        qga.connect(agent.target) as client,
    ):
        assert client.overview().agent == name
        assert client.perform(overview.identity())[0] == name


def test_what_an_agent_is_that_tells_little(fake: FakeAgent) -> None:
    with fake.connect() as client:
        assert client.overview().agent == "qga-agent"  # which has commands of its own
        fake.version = "5.2"
        fake.blocked = {"guest-exec-status"}
        assert client.overview().agent is None
        fake.files["/proc/uptime"] = b"no number"
        assert client.overview().uptime is None


def test_time_zones() -> None:
    assert [zone_name("CET", 3600), zone_name(None, 19800), zone_name(None, -1800)] == [
        "CET",
        "UTC+05:30",
        "UTC-00:30",
    ]
