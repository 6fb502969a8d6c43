"""Starts and ends the process that thaws when this one is gone: see `watchdog`."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import IO, cast

# How long it may take to start, and to end, in seconds.
STARTING, _ENDING = 30.0, 5.0

# Those that go on, since the guest may still be frozen; kept, so that nobody waits for them.
_going_on: list[subprocess.Popen[bytes]] = []


class Watch:
    """One such process.

    Args:
        target: as what it opens the channel.
        deadline: when the freeze should be over, in seconds from now.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, target: str, deadline: float) -> None:
        module = f"{__package__}.watchdog"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, target, str(deadline), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # An interrupt or the end of the terminal is for this process.
            start_new_session=True,
        )
        self._input = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout)

    def ready(self) -> bool:
        """Wait until it watches; False if it does not come to that."""
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        return bool(poll.poll(STARTING * 1000)) and self._output.read(1) == b"r"

    def tell(self, token: str) -> None:
        """Say that a freeze is about to be asked for, and what it is called; "" without a lease."""
        try:
            self._input.write(f"{token}\n".encode())
            self._input.flush()
        except OSError:
            pass  # it has ended

    def end(self, *, over: bool) -> None:
        """Say that nobody is frozen any more; or, if it is not *over*, leave the guest to it."""
        process = self._process
        try:
            with self._input:
                self._input.write(b"over\n" if over else b"")
        except OSError:
            pass  # it has ended
        self._output.close()
        if not over:
            _going_on.append(process)
            return
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
