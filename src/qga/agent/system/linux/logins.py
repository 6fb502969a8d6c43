"""Who is logged in on Linux: the records of utmp(5), or else the sessions of systemd-logind."""

import os
import sys
from _struct import Struct

from .reading import KeptFile, KeptListing, text

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

_NO_NAMES: list[str] = []


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
        self._utmp = KeptFile(utmp, self._records)
        self._listing = KeptListing(sessions)
        self._names = _NO_NAMES
        self._sessions: list[KeptFile[tuple[str, float] | None]] = []
        # What they were found to be the last time, and that in order.
        self._found: list[tuple[str, float]] = []
        self._logins: list[tuple[str, float]] = []
        large = (machine or os.uname().machine) in _ARCHITECTURES_64 and sys.maxsize > 1 << 32
        self._record = _UTMP_64 if large else _UTMP

    def current(self) -> list[tuple[str, float]]:
        """The user's name of each login, and when it was, in seconds since the epoch."""
        if not os.access(self._utmp.path, os.F_OK):
            return self._logind()
        return self._utmp.read()

    def _records(self, records: bytes) -> list[tuple[str, float]]:
        size = self._record.size
        whole = memoryview(records)[: len(records) // size * size]
        return [
            (text(user.partition(b"\0")[0]), seconds + microseconds / 1_000_000)
            for kind, user, seconds, microseconds in self._record.iter_unpack(whole)
            if kind == _USER_PROCESS
        ]

    def _logind(self) -> list[tuple[str, float]]:
        """The same from logind's sessions, the oldest first."""
        there = os.access(self._listing.path, os.F_OK)
        names = self._listing.read() if there else _NO_NAMES
        if names is not self._names:
            self._names = names
            folder = self._listing.path
            self._sessions = [
                KeptFile(f"{folder}/{name}", _login)
                for name in names
                if not name.endswith(".ref")  # a pipe, by which logind notices the end
            ]
        found = []
        for session in self._sessions:
            try:
                login = session.read()
            except FileNotFoundError:
                continue  # it has ended in the meantime
            if login is not None:
                found.append(login)
        if found != self._found:
            self._found = found
            self._logins = sorted(found, key=lambda login: login[1])
        return self._logins


def _login(session: bytes) -> "tuple[str, float] | None":
    """Whose *session* it is, and since when; None if it is nobody's who is there."""
    members = _assignments(session)
    since = members.get("REALTIME", "")
    kind = members.get("CLASS", "")
    if (
        members.get("USER")
        and since.isdecimal()
        and len(since) <= _DIGITS
        and kind.startswith("user")
        and kind != _NOT_YET
        and members.get("STATE") in _PRESENT
    ):
        return members["USER"], int(since) / 1_000_000
    return None


def _assignments(data: bytes) -> dict[str, str]:
    pairs = (line.partition("=") for line in text(data).split("\n"))
    return {key: value for key, assigned, value in pairs if assigned}
