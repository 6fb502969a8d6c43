"""What the Linux kernel counts, from /proc."""

import os

from qga.protocol.stats import CpuStats, CpuStatsType, LinuxCpuStats, LoadAverage

from .reading import malformed, read_file

# The columns of /proc/stat; older kernels have fewer of them, newer ones may have more.
_COLUMNS = (
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestnice",
)  # fmt: skip
_LEAST = 4

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class LinuxCounters:
    """See `qga.agent.system.asked.Counters`.

    Args:
        proc: where /proc is.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._stat = f"{proc}/stat"
        self._diskstats = f"{proc}/diskstats"

    def cpus(self) -> list[CpuStats]:
        """How each processor that is online has spent its time."""
        found: list[CpuStats] = []
        for line in read_file(self._stat).split(b"\n"):
            if not line.startswith(b"cpu"):
                break  # the processors come first
            name, *ticks = line.split()
            if len(name) > 3 and len(ticks) >= _LEAST:  # without a number: all of them together
                try:
                    number = int(name[3:])
                    times = [int(count) * 1000 // _TICKS_PER_SECOND for count in ticks]
                except ValueError:
                    raise malformed(self._stat) from None
                found.append(
                    LinuxCpuStats(
                        type=CpuStatsType.LINUX,
                        cpu=number,
                        **dict(zip(_COLUMNS, times, strict=False)),
                    )
                )
        return found

    def disks(self) -> list[list[bytes]]:
        """What each disk and partition has done: the fields of the lines of /proc/diskstats."""
        return [line.split() for line in read_file(self._diskstats).splitlines()]

    def load(self) -> LoadAverage:
        """How many processes were running or about to run, on average."""
        one, five, fifteen = os.getloadavg()
        return LoadAverage(load1m=one, load5m=five, load15m=fifteen)
