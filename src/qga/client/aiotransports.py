"""Ways to an agent for the asynchronous client: the twins of `transports`, in an event loop.

`AsyncDescriptorTransport` serves everything that is a file descriptor.
"""

from __future__ import annotations

import asyncio
import os
import socket
from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple, Protocol

from qga.errors import AgentTimeout, ConnectionLost, NoChannel

from .streams import enlarge
from .transports import LONG, PIECES, RETRY, Reading, lost, no_sockets, reason, unsent
from .ways import addresses, as_os_error, unknown_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .deadline import Deadline
    from .flows.steps import Limits

# Nothing more is read ahead of the client than so many bytes.
_AHEAD = 1 << 20


class AsyncTransport(Protocol):
    """A byte stream to one agent, in the event loop in which it was opened."""

    @abstractmethod
    async def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:
        """Send all *pieces*, one behind the other. Errors are those of `Transport.send`."""

    @abstractmethod
    async def receive(self, deadline: Deadline) -> bytes:
        """Return what has arrived, at least one byte. Errors are those of `Transport.receive`."""

    @abstractmethod
    def close(self) -> None:
        """Close the stream. May be repeated."""


class AsyncRequestTransport(Protocol):
    """A way to one agent that carries whole requests: `RequestTransport`, to be awaited."""

    limits: Limits

    @abstractmethod
    async def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        """Have the agent execute a command. Result and errors are `RequestTransport.request`'s."""

    @abstractmethod
    def close(self) -> None:
        """Close it. May be repeated."""


class AsyncDescriptorTransport:
    """An `AsyncTransport` over a file descriptor, which it owns from then on.

    Args:
        descriptor: of a stream socket, a terminal or a character device.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._reading = Reading()
        self._arrived: list[bytes] = []
        self._held = 0
        self._ended: ConnectionLost | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._awaited: _Awaited | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Registered once, not for each call.
        self._registered = True
        self._loop.add_reader(descriptor, self._read)

    async def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:
        waiting: Sequence[bytes | memoryview] = pieces
        while waiting:
            if self._descriptor < 0:
                raise ConnectionLost("the channel is closed")
            try:
                sent = os.writev(self._descriptor, waiting[:PIECES])
            except BlockingIOError:
                await self._writable(deadline)
            except OSError as error:
                raise lost(error) from error
            else:
                waiting = unsent(waiting, sent)

    async def receive(self, deadline: Deadline) -> bytes:
        while not self._arrived:
            if self._ended:
                raise self._ended
            self._resume()
            self._waiter = self._loop.create_future()
            try:
                await self._by(self._waiter, deadline)
            finally:
                self._waiter = None
        data = b"".join(self._arrived)
        self._arrived.clear()
        self._held = 0
        self._resume()
        return data

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def hung_up(self) -> bool:
        """Whether the other side has closed the channel, as far as the event loop has seen."""
        return self._ended is not None

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)
            if self._timer is not None:
                self._timer.cancel()
        os.close(descriptor)
        self._end(ConnectionLost("the channel is closed"))

    def _read(self) -> None:
        try:
            data = self._reading.read(self._descriptor)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(lost(error))
            return
        if not data:
            self._end(ConnectionLost("the agent's side closed the channel"))
            return
        self._arrived.append(data)
        self._held += len(data)
        if self._held >= _AHEAD:
            self._pause()
        self._wake()

    def _end(self, error: ConnectionLost) -> None:
        self._ended = self._ended or error
        self._pause()
        self._wake()

    def _wake(self) -> None:
        if self._waiter:
            _resolve(self._waiter)
        if self._room and self._ended:
            _resolve(self._room)

    def _pause(self) -> None:
        if self._registered:
            self._registered = False
            if self._descriptor >= 0:
                self._loop.remove_reader(self._descriptor)

    def _resume(self) -> None:
        if not self._registered and not self._ended and self._descriptor >= 0:
            self._registered = True
            self._loop.add_reader(self._descriptor, self._read)

    async def _writable(self, deadline: Deadline) -> None:
        self._room = room = self._loop.create_future()
        self._loop.add_writer(self._descriptor, _resolve, room)
        try:
            await self._by(room, deadline)
        finally:
            self._room = None
            if self._descriptor >= 0:
                self._loop.remove_writer(self._descriptor)

    async def _by(self, future: asyncio.Future[None], deadline: Deadline) -> None:
        """Await *future* until *deadline*."""
        remaining = deadline.remaining()
        if not remaining:
            raise deadline.expired()
        self._awaited = _Awaited(future, deadline)
        self._look_in(remaining)
        try:
            await future
        finally:
            self._awaited = None

    # One timer for all calls: it is left to run when a call is over, and looks at the one of then.
    # To set and cancel a timer for each call costs as much as the rest of `_by`.

    def _look_in(self, seconds: float) -> None:
        if seconds > LONG:
            return  # for ever
        at = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._awaited is None:
            return
        remaining = self._awaited.deadline.remaining()
        if remaining:
            self._look_in(remaining)
        elif not self._awaited.future.done():
            self._awaited.future.set_exception(self._awaited.deadline.expired())


class _Awaited(NamedTuple):
    """What a call is waiting for, and until when."""

    future: asyncio.Future[None]
    deadline: Deadline


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def adopt(descriptor: int) -> AsyncTransport:
    """The transport over a descriptor that may be one which no event loop can wait for."""
    try:
        return AsyncDescriptorTransport(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise NoChannel(f"a device of this kind cannot be waited for: {error.strerror}") from error


async def resolve(host: str, port: int, deadline: Deadline) -> list[tuple[int, Any]]:
    """The addresses of *host*; errors are those of `Way.open`."""
    asking = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        async with asyncio.timeout(min(deadline.remaining(), LONG)):
            return addresses(await asking)
    except (socket.gaierror, UnicodeError) as error:
        raise unknown_host(host, as_os_error(error)) from error
    except TimeoutError:
        raise deadline.expired() from None


async def connect_socket(family: int, address: Any, deadline: Deadline) -> int:
    """The descriptor of a socket connected to *address*; errors are those of `Way.open`."""
    try:
        stream = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise no_sockets(error) from error
    try:
        stream.setblocking(False)
        enlarge(stream)
        loop = asyncio.get_running_loop()
        while True:
            remaining = deadline.remaining()
            if not remaining:
                raise deadline.expired()
            try:
                async with asyncio.timeout(None if remaining == float("inf") else remaining):
                    if family == socket.AF_UNIX:
                        # At once, or EAGAIN while the queue is full, which is no progress to await.
                        stream.connect(address)
                    else:
                        await loop.sock_connect(stream, address)
            except BlockingIOError:
                await asyncio.sleep(RETRY)
                continue
            except TimeoutError as error:
                if error.errno is None:
                    raise deadline.expired() from None
                raise
            return stream.detach()
    except AgentTimeout:
        raise
    except OSError as error:
        raise NoChannel(reason(error)) from error
    finally:
        stream.close()
