"""What the agent tells about itself: its own messages, and an account of what the host has it do.

Messages go to stderr or a file as lines `SECONDS.MICROSECONDS: LEVEL: text`, or to journald when
that is where stderr leads. Accounts go to the guest's log daemon, whatever the settings are. Both
wait in memory while file systems are frozen. What requests contain is in neither, except for what
`accounting` names.
"""

import os
import time

from . import journal
from .journal import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from qga.protocol.model import Command

_STDERR = 2

# Messages, and accounts, that are kept while frozen; the newest are dropped beyond.
_HELD = 1000


class Log:
    """Where messages go. Errors always, the rest when *verbose*."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._fd = _STDERR
        self._path: str | None = None
        self.verbose = verbose
        self._daemon = journal.Daemon()
        self._to_journal = journal.owns(_STDERR)
        self._held: list[tuple[float, Event]] | None = None
        self._held_accounts: list[tuple[float, Event, int]] = []
        self._dropped = 0

    def open(self, path: str) -> None:
        """Append to the file *path* from now on.

        Raises:
            OSError: it cannot be opened.
        """
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._path = path
        self._to_journal = False

    def reopen(self) -> None:
        """Go on in a new file of the same name, if the messages go to a file: it was rotated."""
        if self._path is None:
            return
        old = self._fd
        try:
            self.open(self._path)
        except OSError as error:
            self.error(f"cannot open {self._path} again: {error.strerror}")
        else:
            os.close(old)

    def close(self) -> None:
        """Let go of the log daemon; messages that come later find it again."""
        self._daemon.close()

    def error(self, text: str) -> None:
        """Something failed."""
        self._write(Event(text, "error"))

    def warning(self, text: str) -> None:
        """Something is odd."""
        if self.verbose:
            self._write(Event(text, "warning"))

    def info(self, text: str) -> None:
        """Something happened."""
        if self.verbose:
            self._write(Event(text))

    def command(self, command: "type[Command[Any]]") -> None:
        """*command* is about to run."""
        if self.verbose:
            self._write(Event(command.NAME, "debug", QGA_COMMAND=command.NAME))

    def mishap(self, error: BaseException) -> None:
        """An exception that nobody expected: a bug in the agent."""
        frames = []
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            frames.append(f"{os.path.basename(code.co_filename)}:{trace.tb_lineno}")
            trace = trace.tb_next
        # Its text may hold what a request contained.
        self._write(Event(f"{type(error).__name__} at {' > '.join(frames)}", "critical"))

    def account(self, tell: "Callable[..., Event]", *of: object) -> None:
        """The agent does something because the host wants it to; *tell* makes the event *of* it."""
        if self._held is None:
            if self._daemon.listens():
                self._daemon.send(tell(*of))
            return
        event = tell(*of)
        held = self._held_accounts
        # The host may ask for a sign of life all the time.
        if held and held[-1][1] is event:
            seconds, _, count = held[-1]
            held[-1] = seconds, event, count + 1
        elif len(held) < _HELD:
            held.append((time.time(), event, 1))
        else:
            self._dropped += 1

    def hold(self) -> None:
        """File systems are about to freeze: keep everything in memory."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """File systems are thawed: write what was kept."""
        held, self._held = self._held or [], None
        accounts, self._held_accounts = self._held_accounts, []
        for seconds, event in held:
            self._out(event, seconds, held=True)
        for seconds, event, count in accounts:
            repeated = Event(f"{event.text} ({count} times)", event.level, **event.fields)
            self._daemon.send(event if count == 1 else repeated, seconds)
        if self._dropped:
            self.error(f"{self._dropped} more messages while file systems were frozen")
            self._dropped = 0

    def _write(self, event: Event) -> None:
        now = time.time()
        if self._held is None:
            self._out(event, now)
        elif len(self._held) < _HELD:
            self._held.append((now, event))
        else:
            self._dropped += 1

    def _out(self, event: Event, seconds: float, *, held: bool = False) -> None:
        if self._to_journal and self._daemon.send(event, seconds if held else None):
            return
        try:
            os.write(self._fd, f"{seconds:.6f}: {event.level}: {event.text}\n".encode())
        except OSError:
            pass  # a full disk or a closed terminal is no reason to stop serving
