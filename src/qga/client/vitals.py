"""What a guest is busy with: the counters that `flows.vitals` returns, and what two of them make.

Counters only grow, so what happens in a second is what two looks differ in, divided by the time
between them: `rates`. Everything here only computes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .facts import FileSystem, Interface

SECTOR = 512  # whatever the disk's own is
_TICK = 10  # ms in which /proc/stat counts

# What carries the packets of another interface, or the sectors of another disk.
_CARRIED = re.compile(r"bond\d+|team\d+|br.*|vlan.*|.+[.:@].*")
_NO_DISK = re.compile(r"(loop|ram|zram|sr|fd|nbd|dm-|md)\d+")
_PART = re.compile(r"(.*?\d)p\d+|(.*?\D)\d+")


@dataclass(frozen=True, slots=True)
class Memory:
    """The guest's memory, in bytes.

    Attributes:
        total: what the guest's kernel manages.
        available: what programs could have, caches that can be dropped included.
        free: what nobody uses for anything.
        buffers: cache of disks.
        cached: cache of files.
        swap_total: the size of all swap spaces.
        swap_free: what of it is not used.
    """

    total: int
    available: int
    free: int
    buffers: int = 0
    cached: int = 0
    swap_total: int = 0
    swap_free: int = 0

    @property
    def used(self) -> int:
        """What programs and the kernel hold."""
        return self.total - self.available

    @property
    def percent(self) -> float:
        """How much is used, from 0.0 to 100.0."""
        return 100.0 * self.used / self.total if self.total else 100.0


@dataclass(frozen=True, slots=True)
class Load:
    """How many processes were running or about to run, on average.

    Attributes:
        one: over the last minute.
        five: over the last five minutes.
        fifteen: over the last quarter of an hour.
    """

    one: float
    five: float
    fifteen: float

    def __str__(self) -> str:
        return f"{self.one:.2f} {self.five:.2f} {self.fifteen:.2f}"


@dataclass(frozen=True, slots=True)
class CpuTime:
    """How a processor has spent its time since the guest was booted, in ms.

    Attributes:
        number: the processor's.
        user: in programs.
        nice: in programs of low priority.
        system: in the kernel.
        idle: with nothing to do.
        iowait: with nothing to do, while a disk was at work.
        irq: serving interrupts.
        softirq: serving interrupts' aftermath.
        steal: taken away by the hypervisor.
    """

    number: int
    user: int
    nice: int
    system: int
    idle: int
    iowait: int = 0
    irq: int = 0
    softirq: int = 0
    steal: int = 0

    @property
    def busy(self) -> int:
        """With something to do; what was taken away is no work of the guest's."""
        return self.user + self.nice + self.system + self.irq + self.softirq

    @property
    def total(self) -> int:
        """All of it."""
        return self.busy + self.idle + self.iowait + self.steal

    @property
    def percent(self) -> float:
        """How much of the time it was busy, from 0.0 to 100.0."""
        return 100.0 * self.busy / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class DiskCount:
    """What a disk has done since the guest was booted.

    Attributes:
        name: its name in the kernel, such as vda.
        read: bytes.
        written: bytes.
    """

    name: str
    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """A look at a guest. What its agent does not tell, or may not, is None.

    Attributes:
        seconds: when it was, by a clock of this machine that only runs forward.
        frozen: whether file systems are frozen; the agent then tells nothing else.
        load: the load average.
        cpus: how each processor has spent its time.
        memory: its memory.
        interfaces: all network interfaces.
        disks: its disks, without their partitions and what lies on them.
        filesystems: those on disks; None also where it was not asked for.
    """

    seconds: float
    frozen: bool = False
    load: Load | None = None
    cpus: tuple[CpuTime, ...] | None = None
    memory: Memory | None = None
    interfaces: tuple[Interface, ...] | None = None
    disks: tuple[DiskCount, ...] | None = None
    filesystems: tuple[FileSystem, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """What a guest did between two looks. What cannot be known is None.

    Attributes:
        seconds: the time between them.
        cpu: how busy its processors were, all together, from 0.0 to 100.0.
        received: bytes a second, over its real network interfaces.
        sent: the same.
        read: bytes a second, from its disks.
        written: the same, to them.
    """

    seconds: float
    cpu: float | None = None
    received: float | None = None
    sent: float | None = None
    read: float | None = None
    written: float | None = None


def rates(before: Vitals, after: Vitals) -> Rates:
    """What happened between two looks.

    A counter that is smaller than before has begun anew, as after a boot: then there is no rate.
    One that was not there before, as of a disk that was plugged in, does not count yet.
    """
    seconds = after.seconds - before.seconds
    if seconds <= 0:
        return Rates(0.0)
    received, sent = _grown(_traffic(before.interfaces), _traffic(after.interfaces))
    read, written = _grown(_sectors(before.disks), _sectors(after.disks))

    def per_second(count: int | None) -> float | None:
        return None if count is None else count / seconds

    return Rates(
        seconds,
        _cpu(before.cpus, after.cpus),
        *map(per_second, (received, sent, read, written)),
    )


def _cpu(before: Sequence[CpuTime] | None, after: Sequence[CpuTime] | None) -> float | None:
    if before is None or after is None:
        return None
    earlier = {cpu.number: cpu for cpu in before}
    busy = total = 0
    for cpu in after:
        last = earlier.get(cpu.number)
        if last is None:
            continue
        if cpu.total < last.total:
            return None
        busy += cpu.busy - last.busy
        total += cpu.total - last.total
    # Kernels take back some of what they had counted as idle.
    return min(100.0, max(0.0, 100.0 * busy / total)) if total else None


def _traffic(interfaces: Iterable[Interface] | None) -> dict[str, tuple[int, int]] | None:
    """Bytes received and sent, of the interfaces that lead out of the guest."""
    if interfaces is None:
        return None
    found = {
        one.name: (one.received, one.sent)
        for one in interfaces
        if not one.virtual and one.received is not None and one.sent is not None
    }
    real = {name: count for name, count in found.items() if not _CARRIED.fullmatch(name)}
    return real or found or None


def _sectors(disks: Iterable[DiskCount] | None) -> dict[str, tuple[int, int]] | None:
    return None if disks is None else {disk.name: (disk.read, disk.written) for disk in disks}


def _grown(
    before: dict[str, tuple[int, int]] | None, after: dict[str, tuple[int, int]] | None
) -> tuple[int, int] | tuple[None, None]:
    if before is None or after is None:
        return None, None
    first = second = 0
    for name, now in after.items():
        last = before.get(name, now)
        if now[0] < last[0] or now[1] < last[1]:
            return None, None
        first += now[0] - last[0]
        second += now[1] - last[1]
    return first, second


def whole(disks: Sequence[DiskCount]) -> tuple[DiskCount, ...]:
    """Those of *disks* that are no partition of another, and do not lie on others."""
    names = {disk.name for disk in disks}

    def is_part(name: str) -> bool:
        found = _PART.fullmatch(name)
        return found is not None and (found[1] or found[2]) in names

    return tuple(disk for disk in disks if not _NO_DISK.match(disk.name) and not is_part(disk.name))


# Files of /proc, for agents that lack the commands.


def meminfo(text: str) -> Memory | None:
    """What /proc/meminfo says; None if it is something else."""
    found = dict(_sizes(text))
    if "MemTotal" not in found or "MemFree" not in found:
        return None
    free = found["MemFree"]
    buffers, cached = found.get("Buffers", 0), found.get("Cached", 0)
    return Memory(
        found["MemTotal"],
        found.get("MemAvailable", free + buffers + cached),  # kernels before 3.14
        free,
        buffers,
        cached,
        found.get("SwapTotal", 0),
        found.get("SwapFree", 0),
    )


def _sizes(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            yield name, int(words[0]) * (1024 if words[1:] == ["kB"] else 1)


def loadavg(text: str) -> Load | None:
    """What /proc/loadavg says; None if it is something else."""
    try:
        one, five, fifteen = map(float, text.split()[:3])
    except ValueError:
        return None
    return Load(one, five, fifteen)


def proc_stat(text: str) -> tuple[CpuTime, ...]:
    """What /proc/stat says of each processor."""
    found = []
    for line in text.splitlines():
        name, *counts = line.split() or [""]
        number = name.removeprefix("cpu")
        if name.startswith("cpu") and number.isdecimal():
            # The rest is part of user and nice already.
            found.append(CpuTime(int(number), *(int(count) * _TICK for count in counts[:8])))
    return tuple(found)


def diskstats(text: str) -> tuple[DiskCount, ...]:
    """What /proc/diskstats says of each disk and partition."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 10:
            found.append(DiskCount(words[2], int(words[5]) * SECTOR, int(words[9]) * SECTOR))
    return tuple(found)


def net_dev(text: str) -> dict[str, tuple[int, int]]:
    """The bytes received and sent by each interface, of /proc/net/dev."""
    found = {}
    for line in text.splitlines():
        name, colon, rest = line.rpartition(":")
        counts = rest.split()
        if colon and len(counts) >= 9:
            found[name.strip()] = int(counts[0]), int(counts[8])
    return found
