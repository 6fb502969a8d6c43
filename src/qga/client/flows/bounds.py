"""What the flows of `running` and `process` have in common: the time for all, errors at the end."""

from __future__ import annotations

import errno
import math
import os
import time
from typing import TYPE_CHECKING

from qga.client.completed import CannotExecute, ProgramTimeout
from qga.client.deadline import TIMEOUT
from qga.errors import AgentTimeout, CommandError, GuestOSError, QgaError

from .steps import Timeout, Together
from .transfer import read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from qga.protocol.model import Command

    from .steps import Flow

# What a command gets, however late it is.
_SHORTEST = 0.1


class Total:
    """The time that an operation has for all of its commands; `math.inf` if *seconds* is None."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._end = time.monotonic() + self.seconds

    def left(self) -> float:
        return self._end - time.monotonic()

    def each(self) -> float | None:
        """Seconds that a command may take; None if that is not less than what clients give it."""
        left = self.left()
        return max(left, _SHORTEST) if left < TIMEOUT else None

    def bound(self) -> Flow[None]:
        """Have the next commands take no longer."""
        seconds = self.each()
        if seconds is not None:
            yield Timeout(seconds)

    def passed(
        self, error: AgentTimeout, args: Any, out: bytes = b"", err: bytes = b""
    ) -> QgaError:
        """What to raise for *error*: it is the program's affair if that was all of the time."""
        return error if self.left() > 0 else ProgramTimeout(args, self.seconds, out, err)


def ignoring_errors(commands: Sequence[Command[Any]]) -> Flow[None]:
    """Do *commands*, of which some may have been done, or be the affair of an earlier agent."""
    if commands:
        try:
            yield Together(commands)
        except CommandError:
            pass


def refused(args: Any, number: int, directory: str) -> GuestOSError:
    why = f"cannot be used: {os.strerror(number)}"
    if directory:
        return GuestOSError(f"the directory {directory!r} {why}", number)
    first = args if isinstance(args, str | bytes) else args[0]
    error = CannotExecute(f"the program {os.fsdecode(first)!r} {why}", number)
    if isinstance(args, str) and number == errno.ENOENT and " " in args:
        error.hint = "a program with arguments is a list, and a text for a shell takes shell=True"
    return error


def still_there(pid: int, born: str) -> Flow[bool]:
    """Whether a process runs, as the guest's kernel tells.

    Args:
        pid: its number, which another may have by now.
        born: the file that tells when it was started.
    """
    found = []
    for path in (f"/proc/{pid}/stat", born):
        try:
            data: bytes = yield from read_file(path)
        except GuestOSError:
            return False
        found.append(data.rpartition(b") ")[2].split())
    stat, (moment,) = found
    return stat[0] != b"Z" and stat[19] == moment
