"""Who is logged in on Linux: the records of utmp(5), or else the sessions of systemd-logind."""

import os
import sys
from _struct import Struct

from .reading import read_file, text

_USER_PROCESS = 7

# struct utmp of glibc: type, user, seconds, microseconds. Most architectures keep the sizes that
# it had when long was 32 bits; those that never were 32 bits have it in 64.
_UTMP = Struct("=h2x4x32x4x32s256x4x4xii16x20x")
_UTMP_64 = Struct("=h2x4x32x4x32s256x4x8xqq16x20x4x")
_ARCHITECTURES_64 = ("aarch64", "aarch64_be", "alpha", "ia64", "loongarch64")

# States of a session that has neither ended nor is about to.
_PRESENT = ("online", "active")
# Not those of a login screen, nor of services. Before its home directory is unlocked, somebody is
# not in yet.
_NOT_YET = "user-incomplete"

# Digits of the microseconds since the epoch; more are none.
_DIGITS = 18


class LinuxLogins:
    """See `qga.agent.system.asked.Logins`.

    Args:
        utmp: the file of records.
        sessions: the directory of logind, for systems that keep no records any more.
        machine: the architecture.
    """

    def __init__(
        self,
        utmp: str = "/var/run/utmp",
        sessions: str = "/run/systemd/sessions",
        machine: str = "",
    ) -> None:
        self._utmp = utmp
        self._sessions = sessions
        large = (machine or os.uname().machine) in _ARCHITECTURES_64 and sys.maxsize > 1 << 32
        self._record = _UTMP_64 if large else _UTMP

    def current(self) -> list[tuple[str, float]]:
        """The user's name of each login, and when it was, in seconds since the epoch."""
        if not os.access(self._utmp, os.F_OK):
            return self._logind()
        records = read_file(self._utmp)
        size = self._record.size
        whole = memoryview(records)[: len(records) // size * size]
        return [
            (text(user.partition(b"\0")[0]), seconds + microseconds / 1_000_000)
            for kind, user, seconds, microseconds in self._record.iter_unpack(whole)
            if kind == _USER_PROCESS
        ]

    def _logind(self) -> list[tuple[str, float]]:
        """The same from logind's sessions, the oldest first."""
        if not os.access(self._sessions, os.F_OK):
            return []
        found = []
        for name in os.listdir(self._sessions):
            if name.endswith(".ref"):
                continue  # a pipe, by which logind notices the end
            try:
                session = _assignments(read_file(f"{self._sessions}/{name}"))
            except FileNotFoundError:
                continue  # it has ended in the meantime
            since = session.get("REALTIME", "")
            kind = session.get("CLASS", "")
            if (
                session.get("USER")
                and since.isdecimal()
                and len(since) <= _DIGITS
                and kind.startswith("user")
                and kind != _NOT_YET
                and session.get("STATE") in _PRESENT
            ):
                found.append((session["USER"], int(since) / 1_000_000))
        return sorted(found, key=lambda login: login[1])


def _assignments(data: bytes) -> dict[str, str]:
    pairs = (line.partition("=") for line in text(data).split("\n"))
    return {key: value for key, assigned, value in pairs if assigned}
