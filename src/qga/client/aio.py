"""The asynchronous client: the driver of commands and flows in an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from qga.errors import AgentBusy, AgentTimeout, CommandError, QgaError, TransportError
from qga.protocol.model import Command

from . import aiochannel, elsewhere, hints, results
from .aioturns import AsyncTurns
from .deadline import TIMEOUT, Deadline, Paced
from .flows.steps import MOST_LEFT, TIDYING, End, GetLimits, Leave, On, Series, Timeout, Wait
from .operation import Awaiting
from .operations import Operations
from .target import settled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any, Self, TypeVar

    from .aiochannel import AsyncChannel
    from .aiofrozen import AsyncFreeze
    from .aiotransports import AsyncRequestTransport, AsyncTransport
    from .files import AsyncFiles
    from .flows.script import GuestPath
    from .flows.steps import Flow, Limits, Step, Together
    from .guestfile import AsyncGuestFile
    from .target import Target
    from .trace import Trace

    R = TypeVar("R")


async def aconnect(
    target: str | Target | None = None,
    *,
    timeout: float | None = None,
    wait: float | None = None,
    trace: Trace | None = None,
) -> AsyncClient:
    r"""Open the channel to an agent, in the running event loop.

        >>> with agent.serve() as target:
        ...     async with await qga.aconnect(target, timeout=5) as client:
        ...         await client.read_file("/etc/hostname")
        b'fake\n'

    Arguments and errors are those of `qga.connect`.
    """
    target, timeout = settled(target, timeout)
    if trace is not None:
        from .trace import traced

        target = traced(target, trace)
    client = AsyncClient(target.aopen, timeout=timeout, target=str(target))
    try:
        if wait is None:
            await client.open_channel()
        else:
            await client.wait_ready(wait)
    except BaseException:
        await client.close()
        raise
    return client


class AsyncClient(Awaiting, Paced, Operations):
    r"""A connection to one guest agent, for asyncio. `aconnect` makes it from a target.

    Its operations are those of `Client`, to be awaited. Several tasks may share it: their calls
    take turns, in the order in which they came. A task may be cancelled at any time; the next call
    gets in step with the agent again. A client that is used in another event loop than before
    opens its channel again there.

        >>> import asyncio
        >>> async with qga.AsyncClient(agent.adial, timeout=5) as client:
        ...     await asyncio.gather(client.read_file("/etc/hostname"), client.fsfreeze_status())
        [b'fake\n', FsfreezeState('thawed')]

    Args:
        dial: opens the channel, by the deadline that it is given.
        timeout: what a call may take unless it says otherwise, in seconds; `math.inf` for ever.
        target: as what another process can open the same channel, if it can: for `frozen`.
    """

    def __init__(
        self,
        dial: Callable[[Deadline], Awaitable[AsyncTransport | AsyncRequestTransport]],
        *,
        timeout: float = TIMEOUT,
        target: str | None = None,
    ) -> None:
        self.timeout = timeout
        self.target = target
        self._dial = dial
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = AsyncTurns()
        self._channel: AsyncChannel | None = None
        self._left: deque[Command[Any]] = deque(maxlen=MOST_LEFT)
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel. Files that are open in the guest stay open there.

        >>> await aclient.close()
        >>> await aclient.ping()
        Traceback (most recent call last):
        qga.errors.TransportError: this client has been closed
        """
        try:
            if self._left and not self._closed and self._channel is not None:
                await self._use(Deadline(TIDYING), _limits)
        except QgaError:
            pass  # it was worth a try
        finally:
            self._closed = True
            self._drop()

    async def execute(self, command: Command[R], *, timeout: float | None = None) -> R:
        """Have the agent execute *command*. Arguments, result and errors: see `Client.execute`.

        >>> (await aclient.execute(GetHostName(), timeout=5)).host_name
        'fake'
        """
        return await self._execute(command, self._deadline(timeout))

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        silent: bool = False,
        raw: bool = False,
    ) -> Any:
        """Have the agent execute a command by its name. See `Client.call`.

        >>> await aclient.call("guest-get-host-name")
        {'host-name': 'fake'}
        """
        deadline = self._deadline(timeout)
        reply = await self._use(
            deadline,
            lambda channel: channel.exchange(name, arguments or {}, deadline, silent=silent),
        )
        return reply if raw else results.plain(reply)

    async def sync(self, *, timeout: float | None = None) -> None:
        """Get in step with the agent. Done by itself whenever it is needed.

        >>> await aclient.sync(timeout=5)
        """
        deadline = self._deadline(timeout)
        await self._use(deadline, lambda channel: channel.synchronise(deadline))

    async def perform(self, flow: Flow[R]) -> R:
        r"""Carry out a flow. See `Client.perform`.

        >>> def swap(path, data):
        ...     handle = yield FileOpen(path=path, mode="r+")
        ...     old = yield FileRead(handle=handle)
        ...     yield FileSeek(handle=handle, offset=0, whence=0)
        ...     yield FileWrite(handle=handle, data=data)
        ...     yield FileClose(handle=handle)
        ...     return old.data
        >>> await aclient.perform(swap("/etc/hostname", b"web1\n"))
        b'fake\n'
        """
        pace = Timeout(None)
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, Timeout):
                        answer, pace = None, step
                    else:
                        answer = await self._take(step, pace)
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result

    def frozen(
        self,
        mountpoints: str | Sequence[str] | None = None,
        *,
        exclude: str | Sequence[str] = (),
        deadline: float = 60.0,
        timeout: float | None = None,
        on_lost: Callable[[str], object] | None = None,
    ) -> AsyncFreeze:
        """Freeze the guest's file systems for an `async with` block. See `Client.frozen`.

        At the deadline a task of the event loop thaws: what blocks the loop holds it up. A signal
        cancels the task that is in the block, and becomes SystemExit when the guest is thawed.

            >>> async with aclient.frozen(["/srv"]) as freeze:
            ...     await aclient.fsfreeze_status()
            FsfreezeState('frozen')
            >>> freeze.frozen, freeze.thawed, freeze.held
            (1, 1, True)
        """
        from .aiofrozen import AsyncFreeze

        return AsyncFreeze(self, mountpoints, deadline, timeout, exclude=exclude, on_lost=on_lost)

    async def open(self, path: GuestPath, mode: str = "r") -> AsyncGuestFile:
        r"""Open a file of the guest, as a binary file whose methods are to be awaited.

            async with await client.open("/var/log/syslog") as file:
                async for line in file: ...

            >>> async with await aclient.open("/etc/os-release") as file:
            ...     (await file.readline()).decode()
            'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'

        Args:
            path: full path in the guest.
            mode: one of fopen's: r, w or a, with + for both ways; b changes nothing.
        """
        from .flows.openfile import BufferedFile
        from .guestfile import AsyncGuestFile

        state = BufferedFile(path, mode)
        await self.perform(state.open())
        return AsyncGuestFile(self, state)

    @property
    def files(self) -> AsyncFiles:
        """The guest's files, and what can be done with them."""
        from .files import AsyncFiles

        return AsyncFiles(self)

    async def open_channel(self) -> None:
        """Open the channel now, not at the first call.

        >>> client = qga.AsyncClient(agent.adial)
        >>> await client.open_channel()
        """
        await self._use(self._deadline(None), _limits, tidy=False)

    # The driver.

    async def _take(self, step: Step, pace: Timeout) -> Any:
        """Do what a flow asks for."""
        if isinstance(step, Command):
            return await self._execute(step, self._pace(pace, self.timeout))
        if isinstance(step, Wait):
            await asyncio.sleep(min(step.seconds, self._pace(pace, step.seconds).remaining()))
            return None
        if isinstance(step, Leave):
            self._left.append(step.command)
            return None
        deadline = self._pace(pace, self.timeout)
        if isinstance(step, GetLimits):
            return await self._use(deadline, _limits, tidy=False)
        if isinstance(step, Series):

            def paced() -> Deadline:
                return self._pace(pace, self.timeout)

            return await self._use(deadline, lambda channel: channel.exchange_each(step, paced))
        if isinstance(step, On | End):
            return await elsewhere.wait(step)
        return await self._execute_all(step, deadline)

    async def _execute(self, command: Command[R], deadline: Deadline) -> R:
        name, arguments, silent = results.request(command)
        reply = await self._use(
            deadline, lambda channel: channel.exchange(name, arguments, deadline, silent=silent)
        )
        return results.result(command, reply)

    async def _execute_all(self, step: Together, deadline: Deadline) -> list[Any]:
        requests = [results.request(command)[:2] for command in step.commands]
        replies = await self._use(
            deadline, lambda channel: channel.exchange_all(requests, deadline)
        )
        return results.all_results(step, replies)

    async def _use(
        self,
        deadline: Deadline,
        use: Callable[[AsyncChannel], Awaitable[R]],
        *,
        tidy: bool = True,
    ) -> R:
        """Wait for the calls of other tasks, within the call's time; *use* the channel."""
        self._move()
        turns = self._turns  # of this event loop
        if not await turns.take(deadline):
            raise AgentBusy(f"calls of other tasks took all of {deadline.seconds:g} s")
        try:
            open_channel = await self._open(deadline)
            if tidy and self._left:
                await self._tidy(open_channel, deadline)
            return await use(open_channel)
        except CommandError as error:
            hints.advise(error)
            raise
        finally:
            if self._channel is not None and self._channel.closed:
                self._channel = None
            turns.give()

    def _move(self) -> None:
        """Begin anew where the event loop is not the one of the last call."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._drop()
            self._turns = AsyncTurns()
            self._loop = loop

    async def _tidy(self, open_channel: AsyncChannel, deadline: Deadline) -> None:
        while self._left:
            command = self._left[0]
            name, arguments, _ = results.request(command)
            try:
                await open_channel.exchange(name, arguments, deadline)
            except (AgentTimeout, TransportError):
                raise
            except QgaError:
                pass  # gone already, or not for this channel
            if self._left[0] is command:  # unless so many came meanwhile that it was forgotten
                self._left.popleft()

    async def _open(self, deadline: Deadline) -> AsyncChannel:
        if self._closed:
            closed = TransportError("this client has been closed")
            closed.hint = "make another one"
            raise closed
        if self._channel is not None and self._channel.hung_up():
            self._drop()  # the agent or the guest has been started again
        if self._channel is None:
            self._channel = aiochannel.opened(await self._dial(deadline))
        return self._channel

    def _drop(self) -> None:
        dropped, self._channel = self._channel, None
        if dropped is not None:
            dropped.close()


async def _limits(channel: AsyncChannel) -> Limits:
    return channel.limits
