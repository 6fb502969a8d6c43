"""Programs of the guest, for `Client`: shaped like those of `subprocess`, and their output streams.

    with client.popen(["journalctl", "--follow"]) as program:
        for line in program.stdout: ...

`aioprocess` has what differs for `AsyncClient`.
"""

from __future__ import annotations

import io
import threading
import weakref
from typing import TYPE_CHECKING, Any, Generic, ParamSpec

from qga.errors import QgaError

from .flows import process
from .flows.process import Running
from .operation import Blocking, method, operation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Self, TypeVar, overload

    from _typeshed import ReadableBuffer, WriteableBuffer

    from .aioprocess import AsyncPopen
    from .flows.process import Input, Output
    from .flows.steps import Flow
    from .operation import Awaiting

    R = TypeVar("R")

P = ParamSpec("P")


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


class ProgramOutput(io.RawIOBase):
    """An output of a program, while it runs: raw and unbuffered, as pipes are with bufsize=0.

    A read waits for something to come and gives what there is. Lines may be read as they are; for
    text wrap it: `io.TextIOWrapper(io.BufferedReader(program.stdout))`.
    """

    def __init__(self, client: Blocking, running: Running, output: Output) -> None:
        super().__init__()
        self._client = client
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
            self._client.perform(self._running.close_output(self._output))

    def _perform(self, flow: Flow[R]) -> R:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        return self._client.perform(flow)


class ProgramInput(io.RawIOBase):
    """The input of a program. What is written is at the program's disposal at once."""

    def __init__(self, client: Blocking, target: Input) -> None:
        super().__init__()
        self._client = client
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
        return self._client.perform(self._input.write(memoryview(data).cast("B")))

    def close(self) -> None:
        """Tell the program that its input ends here."""
        if not self.closed:
            super().close()
            self._client.perform(self._input.close())


class Popen(Blocking, ProgramMethods):
    """A running program of the guest; made by `Client.popen`. Shaped like `subprocess.Popen`.

    As a context manager it waits for the program's end; when the block is left by an exception it
    kills the program, with what that has started. Several threads may use one at a time, each
    another of its streams.

    While this object exists the guest hears of the client now and then, from a thread of its own.
    When it no longer does, it ends the program and removes what is left of its output.

    Attributes:
        stdin: where to write what it reads; None if that is not `subprocess.PIPE`.
        stdout, stderr: its outputs; None if they are not `subprocess.PIPE`.
    """

    stdin: ProgramInput | None
    stdout: ProgramOutput | None
    stderr: ProgramOutput | None

    def __init__(self, client: Blocking, running: Running) -> None:
        self._client = client
        self._state = running
        self.stdin = ProgramInput(client, running.input) if running.input else None
        self.stdout = ProgramOutput(client, running, running.out) if running.out else None
        self.stderr = ProgramOutput(client, running, running.err) if running.err else None
        gone = threading.Event()
        weakref.finalize(self, gone.set)
        threading.Thread(
            target=_keep_alive, args=(client, running, gone), name="qga-popen", daemon=True
        ).start()

    def perform(self, flow: Flow[R]) -> R:
        return self._client.perform(flow)

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


def _keep_alive(client: Blocking, running: Running, gone: threading.Event) -> None:
    while not gone.wait(running.lease / 8) and not running.finished:
        try:
            client.perform(running.alive())
        except QgaError:
            pass  # the channel may come back


if TYPE_CHECKING:

    class started(Generic[P]):  # noqa: N801 - a function at run time
        """A method that starts a program by *flow*."""

        def __init__(self, flow: Callable[P, Flow[Running]]) -> None: ...
        @overload
        def __get__(self, instance: None, owner: type) -> Callable[..., Any]: ...
        @overload
        def __get__(self, instance: Blocking, owner: type) -> Callable[P, Popen]: ...
        @overload
        def __get__(
            self, instance: Awaiting, owner: type
        ) -> Callable[P, Coroutine[Any, Any, AsyncPopen]]: ...
        def __get__(self, instance: Any, owner: type) -> Any: ...

else:

    def started(flow):
        perform = operation(flow)

        def popen(self, *args, **kwargs):
            running = perform(self, *args, **kwargs)
            if isinstance(self, Blocking):
                return Popen(self, running)
            from .aioprocess import made

            return made(self, running)

        popen.__signature__ = perform.__signature__.replace(return_annotation="Popen")
        popen.__name__ = popen.__qualname__ = "popen"
        popen.__doc__ = flow.__doc__
        return popen


class ProgramOperations:
    """The operations of every client that run programs."""

    run = operation(process.run)
    popen = started(process.start)
