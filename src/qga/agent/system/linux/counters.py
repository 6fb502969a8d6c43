"""What the Linux kernel counts, from /proc."""

import os

from qga.protocol.stats import LoadAverage

from .reading import KernelFile, malformed

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class LinuxCounters:
    """See `qga.agent.system.asked.Counters`.

    Args:
        proc: where /proc is.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._stat = KernelFile(f"{proc}/stat")
        self._diskstats = KernelFile(f"{proc}/diskstats")

    def cpus(self) -> list[list[int]]:
        """How each processor that is online has spent its time: its number, then milliseconds."""
        found = []
        for line in self._stat.read().split(b"\n"):
            if not line.startswith(b"cpu"):
                break  # the processors come first
            name, *ticks = line.split()
            if len(name) > 3:  # without a number: all of them together
                try:
                    numbers = [int(name[3:])]
                    numbers += [int(count) * 1000 // _TICKS_PER_SECOND for count in ticks]
                except ValueError:
                    raise malformed(self._stat.path) from None
                found.append(numbers)
        return found

    def disks(self) -> list[list[bytes]]:
        """What each disk and partition has done: the fields of the lines of /proc/diskstats."""
        return [line.split() for line in self._diskstats.read().splitlines()]

    def load(self) -> LoadAverage:
        """How many processes were running or about to run, on average."""
        one, five, fifteen = os.getloadavg()
        return LoadAverage(load1m=one, load5m=five, load15m=fifteen)
