"""Programs of the guest, for `AsyncClient`: what differs from `process`."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from qga.errors import QgaError

from .operation import Awaiting
from .process import ProgramMethods

if TYPE_CHECKING:
    from typing import Self, TypeVar

    from .flows.running import Running
    from .flows.spool import Output
    from .flows.spoolinput import Input
    from .flows.steps import Flow

    R = TypeVar("R")


class _Link(Awaiting):
    """Performs for a program's objects, and ends the task that keeps it when it is finished."""

    def __init__(self, client: Awaiting, running: Running) -> None:
        self._client = client
        self._running = running
        self.keeping: asyncio.Task[None] | None = None

    async def perform(self, flow: Flow[R]) -> R:
        try:
            return await self._client.perform(flow)
        finally:
            if self._running.finished:
                self.cancel()

    async def keep_alive(self) -> None:
        while not self._running.finished:
            await asyncio.sleep(self._running.lease / 8)
            try:
                await self._client.perform(self._running.alive())
            except QgaError:
                pass  # the channel may come back

    def cancel(self) -> None:
        keeping, self.keeping = self.keeping, None
        if keeping is not None and not keeping.get_loop().is_closed():
            keeping.cancel()


class AsyncProgramOutput:
    """An output of a program, while it runs: bytes with `read`, lines with `async for`."""

    def __init__(self, link: Awaiting, running: Running, output: Output) -> None:
        self._link = link
        self._running = running
        self._output = output

    async def read(self, size: int = -1) -> bytes:
        """Wait for something to come; give what there is, at most *size* bytes.

        Args:
            size: -1 for all up to the end.

        Returns: the bytes; none at the end.
        """
        return await self._link.perform(self._running.read(self._output, size))

    async def readline(self) -> bytes:
        """Wait for a line, and give it with its end; what is left when the output ends."""
        return await self._link.perform(self._running.read_line(self._output, -1))

    async def close(self) -> None:
        """Read no more. In time the program is told so by SIGPIPE, when it writes more."""
        await self._link.perform(self._running.close_output(self._output))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line


class AsyncProgramInput:
    """The input of a program. What is written is at the program's disposal at once."""

    def __init__(self, link: Awaiting, target: Input) -> None:
        self._link = link
        self._input = target

    async def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all of *data*, waiting for the program to take most of it.

        Raises:
            StdinClosed: the program takes no more; also a BrokenPipeError.
        """
        return await self._link.perform(self._input.write(data))

    async def close(self) -> None:
        """Tell the program that its input ends here."""
        await self._link.perform(self._input.close())


class AsyncPopen(Awaiting, ProgramMethods):
    r"""A running program of the guest; made by `AsyncClient.popen`. Shaped like `Popen`.

    As an asynchronous context manager it waits for the program's end; when the block is left by an
    exception it kills the program, with what that has started. Several tasks may use one, each
    another of its streams.

        >>> async with await aguest.popen(["seq", "2"]) as program:
        ...     async for line in program.stdout:
        ...         print(line)
        b'1\n'
        b'2\n'

    Attributes:
        stdin: where to write what it reads; None if that is not `subprocess.PIPE`.
        stdout, stderr: its outputs; None if they are not `subprocess.PIPE`.
    """

    def __init__(self, client: Awaiting, running: Running) -> None:
        self._state = running
        self._link = link = _Link(client, running)
        self.stdin = AsyncProgramInput(link, running.input) if running.input else None
        self.stdout = AsyncProgramOutput(link, running, running.out) if running.out else None
        self.stderr = AsyncProgramOutput(link, running, running.err) if running.err else None
        link.keeping = asyncio.create_task(link.keep_alive(), name="qga-popen")
        weakref.finalize(self, link.cancel)

    async def perform(self, flow: Flow[R]) -> R:
        return await self._link.perform(flow)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            await self.perform(self._state.abandon())
            return
        try:
            await self.perform(self._state.close_all())
        except BaseException:
            await self.perform(self._state.abandon())
            raise
