"""Messages to the log daemon of the guest: journald with fields, else syslog.

Used by `log`. Whatever the daemon does, the agent never waits for it: a message that it cannot take
at once is lost, and counted.
"""

import os
import time

from .lean import socket

_IDENTIFIER = "qga-agent"

_JOURNAL = "/run/systemd/journal/socket"
_SYSLOG = "/dev/log"

# How long to wait before looking again for a daemon that is not there.
_RETRY = 5.0

# What a daemon takes in one message, and more than anybody reads.
_LONGEST = 8000

# The severities of syslog, by the levels of `log`, and its facility for user programs.
SEVERITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
_USER = 1


class Event:
    """What is told.

    Args:
        text: the message.
        level: one of `SEVERITIES`.
        fields: more about it, for daemons that keep fields; names in capitals.
    """

    __slots__ = ("_encoded", "fields", "level", "text")

    def __init__(self, text: str, level: str = "info", **fields: object) -> None:
        self.text = readable(text)
        self.level = level
        self.fields = fields
        self._encoded: bytes | None = None

    def for_journal(self) -> bytes:
        """The event in journald's native protocol."""
        if self._encoded is None:
            fields = {
                "MESSAGE": self.text,
                "PRIORITY": SEVERITIES[self.level],
                "SYSLOG_FACILITY": _USER,
                "SYSLOG_IDENTIFIER": _IDENTIFIER,
                **self.fields,
            }
            # Its other form, for values with newlines, is not needed.
            lines = [f"{name}={readable(str(value))}\n" for name, value in fields.items()]
            self._encoded = "".join(lines).encode()
        return self._encoded

    def for_syslog(self, seconds: float) -> bytes:
        """The event as the C library's syslog would send it, of that time."""
        priority = _USER << 3 | SEVERITIES[self.level]
        return f"<{priority}>{_stamp(seconds)} {_IDENTIFIER}: {self.level}: {self.text}".encode()


def readable(text: str) -> str:
    """*text* as one line of printable characters, not too long."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


_stamps: "dict[int, str]" = {}  # the one that was made last


def _stamp(seconds: float) -> str:
    second = int(seconds)
    if second not in _stamps:
        _stamps.clear()
        _stamps[second] = time.strftime("%b %e %H:%M:%S", time.localtime(second))
    return _stamps[second]


class Daemon:
    """Whichever log daemon there is."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._is_journal = False
        self._look_again = 0.0
        self._lost = 0

    def listens(self) -> bool:
        """Whether there is one, as far as is known."""
        if self._socket is None and time.monotonic() < self._look_again:
            return False
        return (self._socket or self._connect()) is not None

    def send(self, event: Event, seconds: "float | None" = None) -> bool:
        """Tell it *event*, which happened at *seconds* since the epoch, or now.

        False when there is no daemon.
        """
        while (daemon := self._socket or self._connect()) is not None:
            try:
                daemon.send(self._encoded(event, seconds))
            except BlockingIOError:
                self._lost += 1
            except OSError:  # the daemon has ended; another one may have taken its place
                self.close()
                continue
            else:
                if self._lost:
                    self._tell_of_lost()
            return True
        return False

    def _tell_of_lost(self) -> None:
        lost, self._lost = self._lost, 0
        self.send(Event(f"{lost} messages were lost: the log daemon was busy", "warning"))

    def _encoded(self, event: Event, seconds: "float | None") -> bytes:
        if not self._is_journal:
            return event.for_syslog(time.time() if seconds is None else seconds)
        data = event.for_journal()
        if seconds is not None:  # or it would be taken for what happened now
            data += f"SYSLOG_TIMESTAMP={_stamp(seconds)}\n".encode()
        return data

    def _connect(self) -> "socket.socket | None":
        now = time.monotonic()
        if now < self._look_again:
            return None
        self._look_again = now + _RETRY
        for path in (_JOURNAL, _SYSLOG):
            try:
                found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            except OSError:  # no descriptors left
                return None
            try:
                found.setblocking(False)
                found.connect(path)
            except OSError:
                found.close()
                continue
            self._socket = found
            self._is_journal = path == _JOURNAL
            return found
        return None

    def close(self) -> None:
        """Disconnect from it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def owns(fd: int) -> bool:
    """Whether journald is at the other end of *fd*, as systemd says in the environment."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))
