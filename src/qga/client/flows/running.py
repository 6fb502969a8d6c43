"""A program of the guest that was started: fed, read while it runs, signalled and waited for.

Used by `process`, which starts programs; `kept` is what there is of it in the guest, and how that
is removed.
"""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING

from qga.client.completed import ProgramTimeout, StdinClosed
from qga.errors import AgentTimeout, CommandDisabled, CommandError
from qga.protocol import ExecGetStatus, FileClose, FileOpen, FileRead

from .bounds import Total, ignoring_errors, refused, still_there
from .kept import Kept
from .script import restarted
from .spoolinput import FIRST_PAUSE, LAST_PAUSE
from .steps import Wait
from .timing import pauses

if TYPE_CHECKING:
    from typing import Any

    from qga.protocol.exec import ExecStatus
    from qga.protocol.files import FileChunk

    from .spool import Output
    from .steps import Flow

# So often an ended program's outputs are looked at for their ends.
_GLANCES = 10
# Of Linux.
_LAST_SIGNAL = 64


class Running(Kept):
    """A program that was started: what users do with it."""

    def __init__(self, args: Any, pid: int) -> None:
        super().__init__(args, pid)
        self._unsent: memoryview | None = None  # of what `communicate` was given

    # What users do.

    def poll(self) -> Flow[int | None]:
        """Look whether the program has ended; return its exit code, or None while it runs.

        >>> with guest.popen(["sleep", "60"]) as program:
        ...     print(program.poll())
        ...     program.kill()
        None
        """
        if self.returncode is None:
            yield from self._control.alive()
            status = yield from self._status()
            if status is None:
                return self.returncode
            if not status.exited:
                return None
            self.note(status)
            yield from self.check_start()
            yield from self._gather()
        yield from self.finish()
        return self.returncode

    def _gather(self) -> Flow[None]:
        """Take what has ended with the program, if it is little: who reads it may not come."""
        pause = pauses(FIRST_PAUSE, LAST_PAUSE)
        for _ in range(_GLANCES):
            rest = [output for output in self.outputs() if output.short]
            if not rest:
                break
            for output in rest:
                yield from output.look()
            yield Wait(next(pause))

    def _status(self) -> Flow[ExecStatus | None]:
        """What the agent says of the program; None while it runs without that the agent knows."""
        try:
            status: ExecStatus = yield ExecGetStatus(pid=self.pid)
            return status
        except CommandDisabled:
            raise
        except CommandError as error:
            # Another thread may just have been told, and then the agent has forgotten it.
            yield Wait(LAST_PAUSE)
            if self.returncode is not None or (
                yield from still_there(self.pid, f"{self._directory}/s/born")
            ):
                return None
            self._forgotten = True
            yield from self.finish()
            raise restarted(f"process {self.pid}: how it ended is not known", error) from error

    def wait(self, timeout: float | None = None) -> Flow[int]:
        """Wait until the program has ended. Its output may be read later.

            >>> with guest.popen(["sh", "-c", "exit 3"]) as program:
            ...     program.wait(timeout=60)
            3

        Args:
            timeout: seconds to wait; for ever if None.

        Returns: its exit code; the negative number of the signal that ended it.

        Raises:
            ProgramTimeout: it has not ended in time. It goes on.
        """
        end = Total(timeout)
        pause = pauses(FIRST_PAUSE, 2 * LAST_PAUSE)
        while True:
            try:
                yield from end.bound()
                code = yield from self.poll()
            except AgentTimeout as error:
                raise end.passed(error, self.args) from error
            if code is not None:
                return code
            left = end.left()
            if left <= 0:
                raise ProgramTimeout(self.args, end.seconds)
            yield Wait(min(next(pause), left))

    def communicate(
        self, input: bytes | str | None = None, timeout: float | None = None
    ) -> Flow[tuple[bytes, bytes]]:
        """Send *input* to the program, read its outputs to their ends and wait for it.

            >>> from subprocess import PIPE
            >>> with guest.popen(["rev"], stdin=PIPE) as program:
            ...     program.communicate("stressed")
            (b'desserts', b'')

        Args:
            input: what it reads; text is encoded as UTF-8. Its input ends after that. After a
                ProgramTimeout the next call goes on with the rest, whatever it is given.
            timeout: seconds to wait; for ever if None.

        Returns: its standard output and its standard error.

        Raises:
            ProgramTimeout: it has not ended in time. It goes on; what it put out is kept for the
                next call.
        """
        end = Total(timeout)
        if self._unsent is None:
            self._unsent = memoryview(input.encode() if isinstance(input, str) else input or b"")
        pause = pauses(FIRST_PAUSE, LAST_PAUSE)
        while True:
            try:
                yield from end.bound()
                moved = yield from self._feed(self._unsent)
                self._unsent = self._unsent[moved:]
                for output in self.outputs():
                    moved += yield from output.look()
                ended = not moved and all(output.ended for output in self.outputs())
                if ended and (yield from self.poll()) is not None:
                    break
                yield from self._control.alive()
            except AgentTimeout as error:
                raise end.passed(error, self.args, *self._so_far()) from error
            left = end.left()
            if left <= 0:
                raise ProgramTimeout(self.args, end.seconds, *self._so_far())
            if moved:
                pause = pauses(FIRST_PAUSE, LAST_PAUSE)
            else:
                yield Wait(min(next(pause), left))
        so_far = self._so_far()
        for output in self.outputs():
            output.buffer.clear()
        return so_far

    def _feed(self, data: memoryview) -> Flow[int]:
        """Give the program the beginning of *data*, or the end of its input if that is empty."""
        if not self.input or self.input.closed:
            return len(data)
        try:
            sent = (yield from self.input.offer(data)) if data else 0
        except StdinClosed:
            sent = len(data)  # as subprocess has it, that is no error
        if sent == len(data):
            yield from self.input.close()
        return sent

    def send_signal(self, number: int, *, group: bool = True) -> Flow[None]:
        """Send a signal to the program; nothing happens if it has ended.

            >>> import signal
            >>> with guest.popen(["sleep", "60"]) as program:
            ...     program.send_signal(signal.SIGINT)
            ...     program.wait()
            -2

        Args:
            number: of the signal.
            group: whether what it has started gets it too: its process group.

        Raises:
            ValueError: no signal has this number.
        """
        if not 0 <= number <= _LAST_SIGNAL:
            raise ValueError(f"no signal has the number {number}")
        if self.returncode is None:
            yield from self._control.order(f"{'group' if group else 'only'} {int(number)}")

    def terminate(self) -> Flow[None]:
        """Send SIGTERM to the program and what it has started.

        >>> with guest.popen(["sleep", "60"]) as program:
        ...     program.terminate()
        ...     program.wait()
        -15
        """
        yield from self.send_signal(signal.SIGTERM)

    def kill(self) -> Flow[None]:
        """Send SIGKILL to the program and what it has started.

        >>> with guest.popen(["sleep", "60"]) as program:
        ...     program.kill()
        ...     program.wait()
        -9
        """
        yield from self.send_signal(signal.SIGKILL)

    # What its streams do.

    def read(self, output: Output, size: int) -> Flow[bytes]:
        """Wait until there is something of an output; return at most *size* bytes, none at its end.

        Args:
            output: which.
            size: -1 for all up to its end.
        """
        while not output.ended and (size < 0 or not output.buffer):
            yield from self._more(output)
        return output.take(len(output.buffer) if size < 0 else size)

    def read_line(self, output: Output, size: int) -> Flow[bytes]:
        """Wait for a line of an output; return it, or what is left at its end.

        Args:
            output: which.
            size: at most so many bytes; -1 for all of the line.
        """
        seen = 0
        while True:
            found = output.buffer.find(b"\n", seen) + 1
            seen = len(output.buffer)
            if found or 0 <= size <= seen or output.ended:
                found = found or seen
                return output.take(found if size < 0 else min(found, size))
            yield from self._more(output)

    def close_output(self, output: Output) -> Flow[None]:
        """Read no more of an output: in time the program is told so by SIGPIPE."""
        if not output.ended:
            yield from self._control.order(f"drop {output.name}")
            yield from ignoring_errors(output.closing())
        output.buffer.clear()
        yield from self.finish()

    def _more(self, output: Output) -> Flow[None]:
        """Wait until there is more of an output, or no more will come."""
        pause = pauses(FIRST_PAUSE, LAST_PAUSE)
        before = len(output.buffer)
        while not (yield from output.look()) and not output.ended and len(output.buffer) == before:
            yield from self._control.alive()
            yield Wait(next(pause))
        if output.ended:
            yield from self.finish()

    # Its end.

    def close_all(self) -> Flow[None]:
        """End its input, read no more of its outputs, and wait for its end."""
        if self.input:
            yield from self.input.close()
        for output in self.outputs():
            yield from self.close_output(output)
        yield from self.wait()

    def alive(self) -> Flow[None]:
        """Give a sign of life, so that the program is not taken for abandoned."""
        if not self._finished:
            yield from self._control.alive()
            if self.returncode is not None:
                yield from self._gather()
                yield from self.finish()

    def _so_far(self) -> tuple[bytes, bytes]:
        return (
            bytes(self.out.buffer) if self.out else b"",
            bytes(self.err.buffer) if self.err else b"",
        )

    def check_start(self) -> Flow[None]:
        """Raise if it has ended as a shell does that could not start the program."""
        code = self.returncode
        if code not in (126, 127):
            return
        handle = yield FileOpen(path=f"{self._directory}/start")
        chunk: FileChunk = yield FileRead(handle=handle, count=4096)
        yield from ignoring_errors([FileClose(handle=handle)])
        if b"failed" in chunk.data:
            number = errno.ENOENT if code == 127 else errno.EACCES
            yield from self.abandon()
            raise refused(self.args, number, "")
