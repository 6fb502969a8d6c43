"""A log daemon for tests: syslog's or journald's socket, and what arrives there."""

import re
import socket
from pathlib import Path

import pytest

from qga.agent import journal
from tests.agent.harness import PATIENCE

SYSLOG_LINE = re.compile(r"<(\d+)>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) qga-agent: (.*)")


class LogDaemon:
    """Listens on *path*."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE)

    def close(self) -> None:
        self.socket.close()
        self.path.unlink(missing_ok=True)

    def message(self) -> str:
        """The next message, as it came."""
        return self.socket.recv(1 << 20).decode()

    def pending(self) -> list[str]:
        """All messages that are there."""
        found = []
        self.socket.setblocking(False)
        try:
            while True:
                found.append(self.message())
        except BlockingIOError:
            self.socket.settimeout(PATIENCE)
        return found

    def texts(self) -> list[str]:
        """The texts of all syslog messages that are there."""
        found = []
        for message in self.pending():
            match = SYSLOG_LINE.fullmatch(message)
            assert match is not None, message
            assert match[1] in {"11", "12", "14"}  # of the user: error, warning, info
            found.append(match[3])
        return found

    def events(self) -> list[dict[str, str]]:
        """The fields of all messages to journald that are there."""
        return [fields(message) for message in self.pending()]


def fields(message: str) -> dict[str, str]:
    """A message of journald's native protocol, in the simple of its two forms."""
    assert message.endswith("\n")
    pairs = [line.partition("=") for line in message.splitlines()]
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and equals for name, equals, _ in pairs)
    return {name: value for name, _, value in pairs}


def direct(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have agents in this process look for log daemons in *folder*."""
    monkeypatch.setattr(journal, "_JOURNAL", str(folder / "journal"))
    monkeypatch.setattr(journal, "_SYSLOG", str(folder / "syslog"))


def directed(folder: Path) -> str:
    """A statement that has an agent in a process of its own do the same."""
    return (
        "import qga.agent.journal as j; "
        f"j._JOURNAL, j._SYSLOG = {str(folder / 'journal')!r}, {str(folder / 'syslog')!r}"
    )
