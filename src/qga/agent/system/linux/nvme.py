"""What an NVMe disk tells of its health. Loaded by `storage` when there is such a disk."""

import array
import fcntl
import os
from _struct import Struct

from qga.protocol.storage import DiskBusType, NvmeSmart

# From linux/nvme_ioctl.h: _IOWR('N', 0x41, struct nvme_passthru_cmd), and that: opcode, flags,
# reserved, namespace, words 2 and 3, metadata, data, their lengths, words 10 to 15, timeout and
# result.
_ADMIN_COMMAND = 0xC0484E41
_COMMAND = Struct("=BBHIIIQQII6III")

# From the NVMe specification: the log page with identifier 2, for all namespaces, of 512 bytes.
_GET_LOG_PAGE = 0x02
_SMART = 0x02
_ALL_NAMESPACES = 0xFFFFFFFF
_SIZE = 512
# Asking shall not count as having taken notice of an event.
_RETAIN_EVENT = 1 << 15

_BYTES = Struct("<BHBBB")
_COUNTERS = Struct("<20Q")
_COUNTERS_AT = 32
_BYTE_NAMES = (
    "critical_warning",
    "temperature",
    "available_spare",
    "available_spare_threshold",
    "percentage_used",
)
_COUNTER_NAMES = tuple(
    f"{name}_{half}"
    for name in (
        "data_units_read",
        "data_units_written",
        "host_read_commands",
        "host_write_commands",
        "controller_busy_time",
        "power_cycles",
        "power_on_hours",
        "unsafe_shutdowns",
        "media_errors",
        "number_of_error_log_entries",
    )
    for half in ("lo", "hi")
)


def smart(node: str) -> "NvmeSmart | None":
    """The log of the disk with the device file *node*; None if it gives none."""
    # The kernel wants the address of memory that it may write to, which an array tells.
    log = array.array("B", bytes(_SIZE))
    words = (_SIZE // 4 - 1) << 16
    lengths = 0, log.buffer_info()[0], 0, _SIZE
    arguments = _SMART | _RETAIN_EVENT | words, 0, 0, 0, 0, 0
    command = bytearray(
        _COMMAND.pack(_GET_LOG_PAGE, 0, 0, _ALL_NAMESPACES, 0, 0, *lengths, *arguments, 0, 0)
    )
    try:
        fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if fcntl.ioctl(fd, _ADMIN_COMMAND, command) != 0:
            return None  # the disk has refused
    except OSError:
        return None
    finally:
        os.close(fd)
    return parse(log.tobytes())


def parse(log: bytes) -> NvmeSmart:
    """The health that the log page *log* tells."""
    values = dict(zip(_BYTE_NAMES, _BYTES.unpack_from(log), strict=True))
    values |= zip(_COUNTER_NAMES, _COUNTERS.unpack_from(log, _COUNTERS_AT), strict=True)
    return NvmeSmart(type=DiskBusType.NVME, **values)
