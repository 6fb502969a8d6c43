"""A program of the guest that was started: fed, read while it runs, signalled and waited for.

Used by `process`, which starts programs; `spool` is how it is talked to.
"""

from __future__ import annotations

import errno
import signal
import time
from typing import TYPE_CHECKING

from qga.client.completed import ProgramTimeout
from qga.errors import (
    AgentTimeout,
    BadArgument,
    CommandDisabled,
    CommandError,
    QgaError,
)
from qga.protocol import Exec, ExecGetStatus, FileClose, FileOpen, FileRead

from . import wrapper
from .bounds import Total, ignoring_errors, refused, still_there
from .script import SHELL
from .spool import Control, Output
from .spoolinput import Input, StdinClosed
from .steps import GetLimits, Leave, Limits, Timeout, Together, Wait

if TYPE_CHECKING:
    from typing import Any

    from qga.protocol.exec import ExecStatus
    from qga.protocol.files import FileChunk
    from qga.protocol.model import Command

    from .steps import Flow

# How long the keeper of a program goes on without a sign of the client, in seconds.
LEASE = 60.0
# Pauses between looks at what has come, in seconds: short ones first.
_FIRST_PAUSE, LAST_PAUSE = 0.001, 0.05
# So often an ended program's outputs are looked at for their ends.
_GLANCES = 10
# Of Linux.
_LAST_SIGNAL = 64
# How long what ends a program may take, when nobody waits for it any more.
ENDING = 5.0
# How long the output of a program that was killed is waited for.
LAST_WORDS = 1.0


class Running:
    """A program that was started: what the client knows of it, and what can be done.

    Attributes:
        args: the program and its arguments.
        pid: its process number in the guest.
        returncode: None while it is not known to have ended.
        out, err: its outputs; None if they are no pipes.
        input: its input; None if that is no pipe.
    """

    def __init__(self, args: Any, pid: int) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self.out: Output | None = None
        self.err: Output | None = None
        self.input: Input | None = None
        self.lease = LEASE
        self._directory = ""
        self._control = Control("", LEASE)
        self._unsent: memoryview | None = None  # of what `communicate` was given
        self._finished = False
        self._forgotten = False  # by the agent, before it has told how the program ended

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left in the guest."""
        return self._finished

    @property
    def directory(self) -> str:
        """Its spool in the guest."""
        return self._directory

    def outputs(self) -> list[Output]:
        return [output for output in (self.out, self.err) if output]

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
            if status.exitcode in (126, 127):
                yield from self._check_start(status.exitcode)
            yield from self._gather()
        yield from self.finish()
        return self.returncode

    def _gather(self) -> Flow[None]:
        """Take what has ended with the program, if it is little: who reads it may not come."""
        pause = _FIRST_PAUSE
        for _ in range(_GLANCES):
            rest = [output for output in self.outputs() if output.short]
            if not rest:
                break
            for output in rest:
                yield from output.look()
            yield Wait(pause)
            pause *= 1.5

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
            raise QgaError(
                f"process {self.pid}: how it ended is not known, for the agent has been restarted "
                f"since it began ({error})"
            ) from error

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
        pause = _FIRST_PAUSE
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
            yield Wait(min(pause, left))
            pause = min(pause * 1.5, 2 * LAST_PAUSE)

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
        pause = _FIRST_PAUSE
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
                pause = _FIRST_PAUSE
            else:
                yield Wait(min(pause, left))
                pause = min(pause * 1.5, LAST_PAUSE)
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
        pause = _FIRST_PAUSE
        before = len(output.buffer)
        while not (yield from output.look()) and not output.ended and len(output.buffer) == before:
            yield from self._control.alive()
            yield Wait(pause)
            pause = min(pause * 1.5, LAST_PAUSE)
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

    def finish(self) -> Flow[None]:
        """When it has ended, and its outputs have: leave nothing in the guest."""
        over = self._forgotten or self.returncode is not None
        if over and not self._finished and all(output.ended for output in self.outputs()):
            self._finished = True
            yield from self._close("done")

    def abandon(self) -> Flow[None]:
        """Kill it if it still runs, and leave nothing of it in the guest."""
        if self._finished:
            return
        commands = self._ending()
        yield Timeout(ENDING, despite=True)
        end = time.monotonic() + LAST_WORDS
        try:
            yield from self._close("abort", commands)
            while self.returncode is None and time.monotonic() < end:
                status = yield ExecGetStatus(pid=self.pid)
                if status.exited:
                    self.note(status)
                else:
                    yield Wait(LAST_PAUSE / 5)
        except CommandError:
            pass  # forgotten with an agent that has ended
        except QgaError:
            for command in [*commands, *self._by_name()]:
                yield Leave(command)

    def left(self) -> list[Command[Any]]:
        """What ends it when there is time: for operations that were interrupted."""
        if self._finished:
            return []
        return [*self._ending(), *self._by_name(), ExecGetStatus(pid=self.pid)]

    def _ending(self) -> list[Command[Any]]:
        self._finished = True
        commands = self._closing("abort")
        if not self._control.is_open:
            # Interrupted before it was, and maybe before there was anything: its name is known.
            commands.append(self._named(wrapper.ABORT))
        return commands

    def _by_name(self) -> list[Command[Any]]:
        """The same for another agent than it was started by, which knows none of the handles."""
        return [self._named(wrapper.ABORT_NOW)] if self._directory.startswith("/") else []

    def _named(self, text: str) -> Command[Any]:
        name = self._directory.rpartition("qga-")[2]
        places = [f"{place}/qga-{name}" for place in wrapper.PLACES]
        return Exec(path=SHELL, arg=["-c", text, "sh", *places])

    def _close(self, order: str, commands: list[Command[Any]] | None = None) -> Flow[None]:
        try:
            yield Together(self._closing(order) if commands is None else commands)
        except BadArgument:
            # Of an agent that has been restarted: the keeper has not heard it.
            try:
                yield from self._control.order(order)
                yield Together(self._control.closing())
            except CommandError:
                pass  # it is no longer there
        except CommandError:
            pass

    def _closing(self, order: str) -> list[Command[Any]]:
        commands: list[Command[Any]] = []
        for output in self.outputs():
            commands += output.closing()
        if self.input:
            commands += self.input.closing()
        return [*commands, *self._control.last(order)]

    def note(self, status: ExecStatus) -> None:
        """Take note of how it ended."""
        code = status.exitcode or 0
        self.returncode = code if status.signal is None else -status.signal

    def _so_far(self) -> tuple[bytes, bytes]:
        return (
            bytes(self.out.buffer) if self.out else b"",
            bytes(self.err.buffer) if self.err else b"",
        )

    # Its beginning.

    def begin(self, name: str, place: str) -> None:
        """Its spool's name is known, and then the place."""
        self._directory = name if not place else f"{place}/qga-{name}"

    def open(self, stdin: str, stdout: str, stderr: str) -> Flow[None]:
        """Open what talks to the keeper."""
        limits: Limits = yield GetLimits()
        inner = f"{self._directory}/s"
        self._control = Control(inner, self.lease / wrapper.PERIODS / 2)
        opening: list[Command[int]] = [self._control.opening()]
        outputs = [
            Output(inner, name) for name, how in (("o", stdout), ("e", stderr)) if how == "p"
        ]
        for output in outputs:
            opening += output.opening()
        handles = yield Together(opening)
        self._control.opened(handles.pop(0))
        for output in outputs:
            output.opened(handles.pop(0), handles.pop(0))
            output.limit(limits)
            if output.name == "o":
                self.out = output
            else:
                self.err = output
        if stdin == "p":
            self.input = Input(inner)

    def _check_start(self, code: int) -> Flow[None]:
        """Raise if the exit code is that of a shell that could not start the program."""
        handle = yield FileOpen(path=f"{self._directory}/start")
        chunk: FileChunk = yield FileRead(handle=handle, count=4096)
        yield from ignoring_errors([FileClose(handle=handle)])
        if b"failed" in chunk.data:
            number = errno.ENOENT if code == 127 else errno.EACCES
            yield from self.abandon()
            raise refused(self.args, number, "")
