"""The time zone on Linux: as the C library has it, which reads the same files as all programs."""

import os
import stat
import time

from qga.protocol.clock import Timezone

from .reading import shown

_LOCAL = "/etc/localtime"
_ABSENT = (0, 0, 0, 0)
_ZONES = "/usr/share/zoneinfo"
_UTC = Timezone(zone="UTC", offset=0)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class LinuxTimezone:
    """See `qga.agent.system.asked.Timezone`."""

    def __init__(self) -> None:
        self._name = os.environ.get("TZ")
        self._seen: tuple[int, int, int, int] | None = None
        self._last = _UTC

    def now(self) -> Timezone:
        """The one at this moment; the same object as the last time, if it is the same."""
        name = self._name
        if name and not _understood(name.removeprefix(":")):
            # The C library would take the name's beginning for the abbreviation.
            return _UTC
        if name is None and not self._look_again():
            return _UTC
        local = time.localtime()
        zone, offset = shown(local.tm_zone), local.tm_gmtoff
        if zone != self._last.zone or offset != self._last.offset:
            self._last = Timezone(zone=zone, offset=offset)
        return self._last

    def _look_again(self) -> bool:
        """Have the C library read /etc/localtime, if that is another than before.

        False if that is no file, and it would wait for a pipe's other end for ever.
        """
        try:
            status = os.stat(_LOCAL)
            if not stat.S_ISREG(status.st_mode):
                return False
            seen = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
        except OSError:
            seen = _ABSENT
        if seen != self._seen:
            # Not every C library reads it again, unless the zone was another one in between.
            os.environ["TZ"] = "UTC0"
            time.tzset()
            del os.environ["TZ"]
            time.tzset()
            self._seen = seen
        return True


def _understood(name: str) -> bool:
    """Whether *name* is a zone's file, or what POSIX has in its place, such as CET-1CEST."""
    end = name.find(">") + 1 if name.startswith("<") else len(name) - len(name.lstrip(_LETTERS))
    sign = name[end : end + 1]
    if end >= 3 and (sign.isdecimal() or sign in ("+", "-")):
        return True
    return os.path.isfile(os.path.join(os.environ.get("TZDIR", _ZONES), name))
