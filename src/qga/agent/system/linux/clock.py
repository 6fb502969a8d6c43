"""The clocks of a Linux guest: the system's, and the hardware's by the kernel's RTC interface."""

import errno
import fcntl
import os
import time
from _struct import Struct

from .reading import read_file, read_short

# struct rtc_time: second, minute, hour, day, month - 1, year - 1900, and three that are not used.
_TIME = Struct("9i")

# From linux/rtc.h: _IOR('p', 9, struct rtc_time) and _IOW('p', 10, struct rtc_time). Architectures
# do not agree on which bits say the direction.
_ONE_WAY, _OTHER_WAY = 0x80240000 | ord("p") << 8, 0x40240000 | ord("p") << 8
_SWAPPED = os.uname().machine.startswith(("alpha", "mips", "parisc", "ppc", "sparc"))
_READ = (_OTHER_WAY if _SWAPPED else _ONE_WAY) | 9
_SET = (_ONE_WAY if _SWAPPED else _OTHER_WAY) | 10

_DEVICES = ("/dev/rtc0", "/dev/rtc", "/dev/misc/rtc")
_NAMES = "/sys/class/rtc"
_ADJTIME = "/etc/adjtime"

# The PC's clock, and what emulates it, starts its first second half way when it is set.
_PC = b"rtc_cmos"
_PC_DELAY = 0.5


class LinuxClock:
    """See `qga.agent.system.asked.Clock`.

    Args:
        devices: where the hardware clock may be.
        names: the kernel's folder of hardware clocks.
        adjtime: hwclock's file, which says whether the hardware clock keeps local time.
    """

    def __init__(
        self,
        devices: tuple[str, ...] = _DEVICES,
        names: str = _NAMES,
        adjtime: str = _ADJTIME,
    ) -> None:
        self._devices = devices
        self._names = names
        self._adjtime = adjtime

    def now(self) -> int:
        """The time."""
        return time.time_ns()

    def set(self, time_: int) -> None:
        """Set it."""
        try:
            time.clock_settime_ns(time.CLOCK_REALTIME, time_)
        except OverflowError:
            raise _no_time() from None

    def hardware(self) -> "LinuxHardwareClock":
        """The hardware clock, to be closed after use."""
        missing = FileNotFoundError()
        for path in self._devices:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                missing = error
                continue
            return LinuxHardwareClock(path, fd, self._delay(path), local=self._is_local())
        raise missing

    def _delay(self, path: str) -> float:
        name = os.path.basename(os.path.realpath(path))
        try:
            driver = read_short(f"{self._names}/{name}/name")
        except OSError:
            return 1.0
        return _PC_DELAY if driver.startswith(_PC) else 1.0

    def _is_local(self) -> bool:
        try:
            return read_file(self._adjtime).split(b"\n")[2:3] == [b"LOCAL"]
        except OSError:
            return False


class LinuxHardwareClock:
    """See `qga.agent.system.asked.HardwareClock`.

    Args:
        path: its device.
        fd: a descriptor of it.
        tick_delay: see there.
        local: whether it keeps local time.
    """

    def __init__(self, path: str, fd: int, tick_delay: float, *, local: bool) -> None:
        self.path = path
        self.tick_delay = tick_delay
        self._fd = fd
        self._local = local

    def read(self) -> int:
        """Seconds since 1970-01-01 00:00 UTC."""
        packed = fcntl.ioctl(self._fd, _READ, bytes(_TIME.size))
        return from_fields(_TIME.unpack(packed), local=self._local)

    def write(self, seconds: int) -> None:
        """Set it."""
        fcntl.ioctl(self._fd, _SET, _TIME.pack(*to_fields(seconds, local=self._local)))

    def close(self) -> None:
        """Leave it to others."""
        os.close(self._fd)


def from_fields(fields: "tuple[int, ...]", *, local: bool) -> int:
    """The time in a struct rtc_time, in seconds since 1970-01-01 00:00 UTC."""
    second, minute, hour, day, month, year = fields[:6]
    if local:
        time.tzset()
        try:
            return int(time.mktime((year + 1900, month + 1, day, hour, minute, second, 0, 0, -1)))
        except OverflowError:
            raise _no_time() from None
    # Days by the civil calendar, with years that begin in March, so that the leap day is the last.
    shifted = year + 1900 - (month < 2)
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400
    days += (153 * ((month + 10) % 12) + 2) // 5 + day - 1 - _DAYS_TO_1970
    return ((days * 24 + hour) * 60 + minute) * 60 + second


# From the first of March of the year 0 to 1970-01-01.
_DAYS_TO_1970 = 719468


def to_fields(seconds: int, *, local: bool) -> "tuple[int, ...]":
    """What a struct rtc_time holds for *seconds* since 1970-01-01 00:00 UTC."""
    if local:
        time.tzset()
    fields = time.localtime(seconds) if local else time.gmtime(seconds)
    return (
        *(fields.tm_sec, fields.tm_min, fields.tm_hour, fields.tm_mday),
        *(fields.tm_mon - 1, fields.tm_year - 1900, 0, 0, 0),
    )


def _no_time() -> OSError:
    """The error about one that there cannot be."""
    return OSError(errno.EINVAL, os.strerror(errno.EINVAL))
