"""What the guest's kernel counts: guest-get-diskstats, guest-get-cpustats and guest-get-load."""

from .model import Command, Enum, Struct, UInt64, Value


class DiskStats(Struct):
    """What a disk has done since the guest started. What the kernel does not count is absent.

    Members:
        read-sectors: sectors read, of 512 bytes
        read-ios: reads completed
        read-merges: reads merged with others
        write-sectors: sectors written, of 512 bytes
        write-ios: writes completed
        write-merges: writes merged with others
        discard-sectors: sectors discarded, of 512 bytes
        discard-ios: discards completed
        discard-merges: discards merged with others
        flush-ios: flushes completed
        read-ticks: ms spent reading
        write-ticks: ms spent writing
        discard-ticks: ms spent discarding
        flush-ticks: ms spent flushing
        ios-pgr: requests in progress
        total-ticks: ms during which there was something to do
        weight-ticks: ms that all requests have waited, added up
    """

    NAME = "GuestDiskStats"
    SINCE = "7.1"

    read_sectors: UInt64 | None = None
    read_ios: UInt64 | None = None
    read_merges: UInt64 | None = None
    write_sectors: UInt64 | None = None
    write_ios: UInt64 | None = None
    write_merges: UInt64 | None = None
    discard_sectors: UInt64 | None = None
    discard_ios: UInt64 | None = None
    discard_merges: UInt64 | None = None
    flush_ios: UInt64 | None = None
    read_ticks: UInt64 | None = None
    write_ticks: UInt64 | None = None
    discard_ticks: UInt64 | None = None
    flush_ticks: UInt64 | None = None
    ios_pgr: UInt64 | None = None
    total_ticks: UInt64 | None = None
    weight_ticks: UInt64 | None = None


class DiskStatsInfo(Struct):
    """A disk or partition, and what it has done.

    Members:
        name: its name in the kernel, such as vda1
        major: major number of its device
        minor: minor number of its device
        stats: what it has done
    """

    NAME = "GuestDiskStatsInfo"
    SINCE = "7.1"

    name: str
    major: UInt64
    minor: UInt64
    stats: DiskStats


class GetDiskStats(Command[list[DiskStatsInfo]]):
    """Get what the guest's disks have done.

    Returns: one entry for each disk and partition
    """

    NAME = "guest-get-diskstats"
    SINCE = "7.1"


class CpuStatsType(Enum):
    """The kind of a processor's counters.

    Values:
        linux: those of Linux
    """

    NAME = "GuestCpuStatsType"
    SINCE = "7.1"

    LINUX = Value("linux")


class CpuStats(Struct):
    """How a processor has spent its time.

    Members:
        type: the kind of counters
    """

    NAME = "GuestCpuStats"
    SINCE = "7.1"
    DISCRIMINATOR = "type"

    type: CpuStatsType


class LinuxCpuStats(CpuStats):
    """How a processor has spent its time since the guest started, in ms.

    Members:
        cpu: the processor's number
        user: in programs
        nice: in programs of low priority
        system: in the kernel
        idle: with nothing to do
        iowait: with nothing to do, while a disk was at work
        irq: serving interrupts
        softirq: serving interrupts' aftermath
        steal: taken away by the hypervisor
        guest: running virtual machines
        guestnice: running virtual machines of low priority
    """

    NAME = "GuestLinuxCpuStats"
    SINCE = "7.1"
    BRANCH = "linux"

    cpu: int
    user: UInt64
    nice: UInt64
    system: UInt64
    idle: UInt64
    iowait: UInt64 | None = None
    irq: UInt64 | None = None
    softirq: UInt64 | None = None
    steal: UInt64 | None = None
    guest: UInt64 | None = None
    guestnice: UInt64 | None = None


class GetCpuStats(Command[list[CpuStats]]):
    """Get how the guest's processors have spent their time.

    Returns: one entry for each processor that is online
    """

    NAME = "guest-get-cpustats"
    SINCE = "7.1"


class LoadAverage(Struct):
    """How many processes were running or about to run, on average.

    Members:
        load1m: over the last minute
        load5m: over the last five minutes
        load15m: over the last quarter of an hour
    """

    NAME = "GuestLoadAverage"
    SINCE = "10.0"

    load1m: float
    load5m: float
    load15m: float


class GetLoad(Command[LoadAverage]):
    """Get the guest's load.

    Returns: `GuestLoadAverage`
    """

    NAME = "guest-get-load"
    SINCE = "10.0"
