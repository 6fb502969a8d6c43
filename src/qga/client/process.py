"""Programs of the guest, for `Client`: shaped like those of `subprocess`, and their output streams.

    with client.popen(["journalctl", "--follow"]) as program:
        for line in program.stdout: ...

`aioprocess` has what differs for `AsyncClient`.
"""

from __future__ import annotations

import io
import threading
import weakref
from typing import TYPE_CHECKING

from qga.errors import QgaError

from .flows.running import Running
from .operation import Blocking, method

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Self, TypeVar

    from _typeshed import ReadableBuffer, WriteableBuffer

    from .flows.spool import Output
    from .flows.spoolinput import Input
    from .flows.steps import Flow

    R = TypeVar("R")


class ProgramMethods:
    """What programs are asked and told, with either client."""

    _state: Running

    poll = method(Running.poll)
    wait = method(Running.wait)
    communicate = method(Running.communicate)
    send_signal = method(Running.send_signal)
    terminate = method(Running.terminate)
    kill = method(Running.kill)

    @property
    def args(self) -> Any:
        """The program and its arguments."""
        return self._state.args

    @property
    def pid(self) -> int:
        """Its process number in the guest."""
        return self._state.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, as far as `poll` and `wait` have seen; a signal's number is negative."""
        return self._state.returncode

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.args!r} pid={self.pid} returncode={self.returncode}>"


class _Link(Blocking):
    """Performs for a program's objects, and ends the thread that keeps it when it is finished."""

    def __init__(self, client: Blocking, running: Running) -> None:
        self._client = client
        self._running = running
        self.gone = threading.Event()

    def perform(self, flow: Flow[R]) -> R:
        try:
            return self._client.perform(flow)
        finally:
            if self._running.finished:
                self.gone.set()

    def keep_alive(self) -> None:
        while not self.gone.wait(self._running.lease / 8):
            try:
                self.perform(self._running.alive())
            except QgaError:
                pass  # the channel may come back


class ProgramOutput(io.RawIOBase):
    """An output of a program, while it runs: raw and unbuffered, as pipes are with bufsize=0.

    A read waits for something to come and gives what there is. Lines may be read as they are; for
    text wrap it: `io.TextIOWrapper(io.BufferedReader(program.stdout))`.
    """

    def __init__(self, link: Blocking, running: Running, output: Output) -> None:
        super().__init__()
        self._link = link
        self._running = running
        self._output = output

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._perform(self._running.read(self._output, len(view)))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        return self._perform(self._running.read(self._output, -1 if size is None else size))

    def readall(self) -> bytes:
        return self.read()

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._perform(self._running.read_line(self._output, -1 if size is None else size))

    def close(self) -> None:
        """Read no more. In time the program is told so by SIGPIPE, when it writes more."""
        if not self.closed:
            super().close()
            self._link.perform(self._running.close_output(self._output))

    def _perform(self, flow: Flow[R]) -> R:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        return self._link.perform(flow)


class ProgramInput(io.RawIOBase):
    """The input of a program. What is written is at the program's disposal at once."""

    def __init__(self, link: Blocking, target: Input) -> None:
        super().__init__()
        self._link = link
        self._input = target

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of *data*, waiting for the program to take most of it.

        Raises:
            StdinClosed: the program takes no more; also a BrokenPipeError.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file")
        return self._link.perform(self._input.write(memoryview(data).cast("B")))

    def close(self) -> None:
        """Tell the program that its input ends here."""
        if not self.closed:
            super().close()
            self._link.perform(self._input.close())


class Popen(Blocking, ProgramMethods):
    r"""A running program of the guest; made by `Client.popen`. Shaped like `subprocess.Popen`.

    As a context manager it waits for the program's end; when the block is left by an exception it
    kills the program, with what that has started. Several threads may use one at a time, each
    another of its streams.

    While this object exists the guest hears of the client now and then, from a thread of its own.
    When it no longer does, it ends the program and removes what is left of its output.

        >>> from subprocess import PIPE
        >>> with guest.popen(["rev"], stdin=PIPE) as program:
        ...     program.stdin.write(b"stressed\n")
        ...     program.stdin.close()
        ...     program.stdout.readline()
        9
        b'desserts\n'
        >>> program.returncode
        0

    Attributes:
        stdin: where to write what it reads; None if that is not `subprocess.PIPE`.
        stdout, stderr: its outputs; None if they are not `subprocess.PIPE`.
    """

    stdin: ProgramInput | None
    stdout: ProgramOutput | None
    stderr: ProgramOutput | None

    def __init__(self, client: Blocking, running: Running) -> None:
        self._state = running
        self._link = link = _Link(client, running)
        self.stdin = ProgramInput(link, running.input) if running.input else None
        self.stdout = ProgramOutput(link, running, running.out) if running.out else None
        self.stderr = ProgramOutput(link, running, running.err) if running.err else None
        weakref.finalize(self, link.gone.set)
        threading.Thread(target=link.keep_alive, name="qga-popen", daemon=True).start()

    def perform(self, flow: Flow[R]) -> R:
        return self._link.perform(flow)

    def interact(
        self,
        *,
        stdin: int | None = 0,
        stdout: int | Callable[[bytes], object] = 1,
        stderr: int | Callable[[bytes], object] = 2,
        signals: Callable[[], Iterable[int]] | None = None,
        timeout: float | None = None,
    ) -> int:
        r"""Join the caller's streams with the program's until it ends, as if it ran here.

            >>> from subprocess import PIPE
            >>> errors = []
            >>> with guest.popen(["sh", "-c", "rev; echo done >&2"], stdin=PIPE) as program:
            ...     with open(f"{folder}/data", "w+b", buffering=0) as file:
            ...         file.write(b"stressed\n")
            ...         file.seek(0)
            ...         program.interact(stdin=file.fileno(), stdout=print, stderr=errors.append)
            9
            0
            b'desserts\n'
            0
            >>> errors
            [b'done\n']

        A stream that was not started as `subprocess.PIPE` is left out. Where a reader of ours goes
        away (`BrokenPipeError`), the program gets SIGPIPE. Over a freeze of the guest, and while
        the agent does not answer for less than the program's lease, it waits. What the program has
        left behind in the guest, and holds its outputs, is not waited for.

        Args:
            stdin: a file descriptor to read from; None for an empty input.
            stdout, stderr: file descriptors to write to, or functions to call with what comes.
            signals: called again and again for the numbers of signals that are to be sent to the
                program and what it has started.
            timeout: seconds to wait; for ever if None.

        Returns: its exit code; the negative number of the signal that ended it.

        Raises:
            ProgramTimeout: it has not ended in time. It goes on.
            SpoolLost: its output could not be kept.
        """
        from . import attached

        return attached.join(
            self, self._state,
            stdin=stdin, stdout=stdout, stderr=stderr, signals=signals, timeout=timeout,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.perform(self._state.abandon())
            return
        try:
            self.perform(self._state.close_all())
        except BaseException:
            self.perform(self._state.abandon())
            raise
