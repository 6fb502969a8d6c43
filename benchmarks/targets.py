"""What the agent has to reach, and what it aims for. Used by `agents`, `abuse` and `cost`."""

import math
from dataclasses import dataclass

from benchmarks.contenders import BARE, OURS

OK, AIM, MISSED = "ok", "aim", "MISSED"


@dataclass(frozen=True)
class Target:
    must: float
    aim: float | None = None

    def at_least(self, figure: float) -> str:
        """What to say of a ratio."""
        if figure < self.must:
            return MISSED
        return AIM if self.aim is not None and figure >= self.aim else OK

    def at_most(self, figure: float) -> str:
        """What to say of a size or a duration."""
        if figure > self.must:
            return MISSED
        return AIM if self.aim is not None and figure <= self.aim else OK


# How many times less CPU than qemu-ga for the same: of each agent, by the row.
RATIOS = {
    OURS: {
        "guest-ping": Target(3, 4),
        "guest-sync-delimited": Target(1.8, 2.4),
        "guest-ping, pipelined": Target(15, 28),
        "guest-ping, pipelined lines": Target(15, 28),
        "guest-file-read 4 KiB": Target(3.5, 4.6),
        "guest-file-read 64 KiB": Target(9, 15),
        "guest-file-read 1 MiB": Target(15, 25),
        "guest-file-read 16 MiB": Target(15, 25),
        "guest-file-read 48 MiB": Target(15, 25),
        "guest-file-write 4 KiB": Target(4.5, 9),
        "guest-file-write 64 KiB": Target(14, 24),
        "guest-file-write 1 MiB": Target(25, 38),
        "guest-file-write 47 MiB": Target(16, 35),
        "guest-file-open and -close": Target(3.5, 4.7),
        "guest-exec /bin/true": Target(2, 2.8),
        "guest-exec, 8 MiB printed": Target(8, 12),
        "guest-info": Target(8, 13),
        "guest-get-fsinfo": Target(2, 12),
        "guest-get-osinfo": Target(1.8, 3),
        "guest-get-disks": Target(1, 2),
        "guest-get-cpustats": Target(1, 2),
        "guest-get-diskstats": Target(1, 2),
        "guest-get-memory-blocks": Target(1, 2),
        "guest-get-users": Target(1, 2),
        "guest-network-get-interfaces": Target(1.5, 6),
        "guest-network-get-route": Target(1, 2),
    },
    BARE: {
        "guest-file-read 1 MiB": Target(3.5, 5),
        "guest-file-read 16 MiB": Target(3.5, 5),
        "guest-file-read 48 MiB": Target(3.5, 5),
        "guest-file-write 64 KiB": Target(6, 11),
        "guest-file-write 1 MiB": Target(6, 11),
        "guest-file-write 47 MiB": Target(6, 11),
    },
}

# What a figure may be at most: milliseconds, MiB, wake-ups per second.
LIMITS = {
    "start to first reply, ms": Target(40, 20),
    "idle: RSS": Target(12, 9.5),
    "idle: private dirty": Target(5),
    "idle: wake-ups in a second": Target(0),
    "peak RSS, 48 MiB read": Target(16),
    "peak RSS, 47 MiB written": Target(80),
    "RSS afterwards": Target(16),
    "48 MiB written, ms": Target(math.inf),  # it works
}

# The same as `RATIOS`, whatever the stream.
ABUSE = Target(1)

# Microseconds of CPU time for a call, over a loop with a raw socket.
CALLS = {"client": Target(15), "await client": Target(60)}

# MB/s of a copy that is verified.
COPIES = Target(400)
