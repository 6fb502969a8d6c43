"""Handlers of `qga.protocol.stats`."""

from _json import encode_basestring_ascii as quote

from qga.agent.later import Text
from qga.protocol.stats import (
    CpuStats,
    CpuStatsType,
    DiskStatsInfo,
    GetCpuStats,
    GetDiskStats,
    GetLoad,
    LoadAverage,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent

# The counters of a disk in the kernel's order, and how many of them a line of so many fields has:
# newer kernels have added to it. Partitions before Linux 2.6.25 had fewer, of their own.
_COUNTERS = (
    *("read-ios", "read-merges", "read-sectors", "read-ticks"),
    *("write-ios", "write-merges", "write-sectors", "write-ticks"),
    *("ios-pgr", "total-ticks", "weight-ticks"),
    *("discard-ios", "discard-merges", "discard-sectors", "discard-ticks"),
    *("flush-ios", "flush-ticks"),
)
_OLD_COUNTERS = ("read-ios", "read-sectors", "write-ios", "write-sectors")
_LENGTHS = ((20, 17), (18, 15), (14, 11), (8, 0))
_FEWEST = 7


def _template(names: "tuple[str, ...]") -> bytes:
    """The JSON text of a disk's entry, for the % operator: major, minor, name and counters."""
    counters = ", ".join(f'"{name}": %b' for name in names)
    return f'{{"major": %b, "minor": %b, "name": %b, "stats": {{{counters}}}}}'.encode()


_TEMPLATES = [(fields, 3 + count, _template(_COUNTERS[:count])) for fields, count in _LENGTHS]
_TEMPLATES.append((_FEWEST, _FEWEST, _template(_OLD_COUNTERS)))


@GetDiskStats.handler
def disks(agent: "Agent", command: GetDiskStats) -> Text[list[DiskStatsInfo]]:
    # The kernel's decimal numbers go into the reply as they are: there are many of them, and to
    # decode and encode each would take longer than all the rest.
    entries = []
    for fields in agent.system.counters.disks():
        if not b"".join((*fields[:2], *fields[3:])).isdigit():
            fields = _in_columns(fields)  # noqa: PLW2901 - the same, mended
        for least, used, template in _TEMPLATES:
            if len(fields) >= least:
                fields[2] = quote(fields[2].decode("utf-8", "replace")).encode()
                entries.append(template % tuple(fields[:used]))
                break
    return Text(b"[" + b", ".join(entries) + b"]")


def _in_columns(fields: "list[bytes]") -> "list[bytes]":
    """The *fields* of a line that are not all numbers: a name may have blanks in it.

    None at all if it is no such line.
    """
    last = max((at for at, field in enumerate(fields) if not field.isdigit()), default=0)
    if last < 2 or not (fields[0] + fields[1]).isdigit():
        return []
    return [*fields[:2], b" ".join(fields[2 : last + 1]), *fields[last + 1 :]]


# A processor's number, and the columns of /proc/stat: older kernels have fewer of them, newer ones
# may have more.
_CPU_COLUMNS = (
    *("cpu", "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"),
    *("guest", "guestnice"),
)
_FEWEST_OF_CPU = 5


def _cpu_template(used: int) -> bytes:
    """The JSON text of a processor's entry with so many numbers, for the % operator."""
    members = "".join(f', "{name}": %d' for name in _CPU_COLUMNS[:used])
    return f'{{"type": "{CpuStatsType.LINUX}"{members}}}'.encode()


_CPU_TEMPLATES = [_cpu_template(used) for used in range(len(_CPU_COLUMNS) + 1)]


@GetCpuStats.handler
def get_cpu_stats(agent: "Agent", command: GetCpuStats) -> Text[list[CpuStats]]:
    entries = []
    for numbers in agent.system.counters.cpus():
        used = min(len(numbers), len(_CPU_COLUMNS))
        if used >= _FEWEST_OF_CPU:
            entries.append(_CPU_TEMPLATES[used] % tuple(numbers[:used]))
    return Text(b"[" + b", ".join(entries) + b"]")


@GetLoad.handler
def get_load(agent: "Agent", command: GetLoad) -> LoadAverage:
    return agent.system.counters.load()
