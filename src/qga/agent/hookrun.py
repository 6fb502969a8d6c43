"""One run of an fsfreeze hook: what it prints, how it ends, what is told of it. For `hooks`."""

import os
import time

from qga.errors import CommandError
from qga.protocol.fsfreeze import FreezeHook, HookAction

from .loop import HANGUP, READ
from .pipes import Pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .hookfiles import HookFile
    from .loop import Loop, Timer
    from .programs import Program

TASK = "execute fsfreeze hook"

_PIECE = 1 << 16

# How long one that was ended by force may take to end. One that waits in the kernel, for a disk
# that does not answer, say, does not: then the others go on without it.
_LET_GO = 5.0

_KERNEL = "it waits in the kernel (/proc/{}/stack tells for what)"


class Printed(Pipe):
    """What a hook prints: its begin, and how much more there was.

    It is read until nobody is left who might print, so that what a hook leaves running does not
    get into trouble; but not beyond the next freeze.

    Args:
        loop, pipes, fd: see `Pipe`.
        limit: how much is kept.
    """

    def __init__(self, loop: "Loop", pipes: "set[Pipe]", fd: int, limit: int) -> None:
        super().__init__(loop, pipes, fd)
        self._limit = limit
        self.kept = b""
        self.omitted = 0
        self._watch(READ, self._on_events)

    def _on_events(self, events: int) -> None:
        if not self.ended and self._read() < _PIECE and events & HANGUP:
            self.end()

    def finish(self) -> None:
        """The run is over: read what it has printed in the end."""
        for _ in range(64):  # what it has left running may print for ever
            if self.ended or not self._read():
                break

    def _read(self) -> int:
        try:
            data = os.read(self._fd, _PIECE)
        except BlockingIOError:
            return 0
        if not data:
            self.end()
        kept = data[: self._limit - len(self.kept)]
        self.kept += kept
        self.omitted += len(data) - len(kept)
        return len(data)


class Run:
    """A run of a hook.

    Args:
        loop: for the time that it may take.
        hook: which.
        action: what it is told.
        printed: what it prints; None if it could not be started for that.
        program: it; or why it could not be started.

    Attributes:
        hook, action: as above.
        program: it, if it was started.
        stopped: whether it was ended by force.
        left: its program, if that did not even end then.
    """

    def __init__(
        self,
        loop: "Loop",
        hook: "HookFile",
        action: HookAction,
        printed: "Printed | None",
        program: "Program | str",
    ) -> None:
        self._loop = loop
        self.hook = hook
        self.action = action
        self.program = None if isinstance(program, str) else program
        self.stopped = False
        self.left: Program | None = None
        self._printed = printed
        self._reason = program if isinstance(program, str) else ""
        self._timed_out = False
        self._when_over: Callable[[], None] | None = None
        self._timer: Timer | None = None
        self._began = time.monotonic()

    def listen(self, when_over: "Callable[[], None]") -> None:
        """Call *when_over* once it is over, which it is in time."""
        self._when_over = when_over
        late = f"it has not finished after {self.hook.timeout:g} s"
        self._wait(self.hook.timeout, lambda: self.stop(late, timed_out=True))
        if self.program is not None:
            self.program.listen(self._end_waiting)

    def stop(self, reason: str, *, timed_out: bool = False) -> None:
        """End it by force, with all that it has started."""
        if not self.stopped and self.program is not None:
            self.stopped, self._reason, self._timed_out = True, reason, timed_out
            self.program.kill()
            self._wait(_LET_GO, self._leave)

    def _leave(self) -> None:
        self.left = self.program
        if self.program is not None:
            pid = self.program.pid
            self._reason += f"; killed, its process {pid} does not end: {_KERNEL.format(pid)}"
        self._end_waiting()

    def _wait(self, seconds: float, then: "Callable[[], None]") -> None:
        if self._timer is not None:
            self._loop.cancel(self._timer)
        self._timer = self._loop.later(seconds, then)

    def _end_waiting(self) -> None:
        if self._timer is not None:
            self._loop.cancel(self._timer)
        when_over, self._when_over = self._when_over, None
        if when_over is not None:
            when_over()

    def end(self) -> FreezeHook:
        """It is over: what became of it."""
        kept, omitted = b"", 0
        if self._printed is not None:
            self._printed.finish()
            kept, omitted = self._printed.kept, self._printed.omitted
        status = None if self.program is None else self.program.status
        reason = self._reason
        if not reason and status:
            reason = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
        return FreezeHook(
            name=os.fsencode(self.hook.name).decode("utf-8", "replace"),
            action=self.action,
            ok=not reason,
            required=self.hook.required,
            milliseconds=int((time.monotonic() - self._began) * 1000),
            exit_code=status if status is not None and status >= 0 else None,
            signal=-status if status is not None and status < 0 else None,
            timed_out=self._timed_out or None,
            reason=reason or None,
            output=kept.decode("utf-8", "replace") or None,
            omitted=omitted or None,
        )


def still_there(program: "Program") -> str:
    """Why there is no run: *program*, an earlier one, has not ended."""
    return f"process {program.pid} of an earlier run has not ended: {_KERNEL.format(program.pid)}"


def failure(run: FreezeHook, *, alone: bool) -> CommandError:
    """The error that a failed *run* makes; *alone*: in the words of upstream."""
    what = f"child process has failed to {TASK}"
    printed = run.output or ""
    if not alone:
        tail = f": {printed}" if printed else ""
        return CommandError(f"{what} {run.name}: {run.reason}{tail}")
    if run.signal is not None and (run.reason or "").startswith("ended by signal"):
        tail = f": {printed}" if printed else ""
        return CommandError(f"child process has terminated abnormally{tail}")
    quoted = printed if run.exit_code and printed else run.reason
    return CommandError(f"{what}: {quoted}")
