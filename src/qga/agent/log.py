"""The agent's own messages, to stderr or a file, and to memory while file systems are frozen.

Each line is `SECONDS.MICROSECONDS: LEVEL: text`. What requests contain is never logged.
"""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from qga.protocol.model import Command

_STDERR = 2

# Lines kept while frozen; the newest are dropped beyond.
_HELD = 1000


class Log:
    """Where messages go. Errors always, the rest when *verbose*."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._fd = _STDERR
        self._verbose = verbose
        self._held: list[bytes] | None = None
        self._dropped = 0

    def open(self, path: str) -> None:
        """Append to the file *path* from now on.

        Raises:
            OSError: it cannot be opened.
        """
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def error(self, text: str) -> None:
        """Something failed."""
        self._write("error", text)

    def warning(self, text: str) -> None:
        """Something is odd."""
        if self._verbose:
            self._write("warning", text)

    def info(self, text: str) -> None:
        """Something happened."""
        if self._verbose:
            self._write("info", text)

    def command(self, command: "type[Command[Any]]") -> None:
        """*command* is about to run."""
        if self._verbose:
            self._write("debug", command.NAME)

    def mishap(self, error: BaseException) -> None:
        """An exception that nobody expected: a bug in the agent."""
        frames = []
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            frames.append(f"{os.path.basename(code.co_filename)}:{trace.tb_lineno}")
            trace = trace.tb_next
        # Its text may hold what a request contained.
        self._write("critical", f"{type(error).__name__} at {' > '.join(frames)}")

    def hold(self) -> None:
        """File systems are about to freeze: keep the messages in memory."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """File systems are thawed: write what was kept."""
        held, self._held = self._held, None
        for line in held or ():
            self._out(line)
        if self._dropped:
            self.error(f"{self._dropped} more messages while file systems were frozen")
            self._dropped = 0

    def _write(self, level: str, text: str) -> None:
        line = f"{time.time():.6f}: {level}: {text}\n".encode("utf-8", "backslashreplace")
        if self._held is None:
            self._out(line)
        elif len(self._held) < _HELD:
            self._held.append(line)
        else:
            self._dropped += 1

    def _out(self, line: bytes) -> None:
        try:
            os.write(self._fd, line)
        except OSError:
            pass  # a full disk or a closed terminal is no reason to stop serving
