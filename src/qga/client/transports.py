"""Ways to an agent: how each is opened, and what then carries the conversation.

A `Transport` is a byte stream in both directions, with deadlines. Sockets, terminals and character
devices are all file descriptors to poll, so one class serves them. A `RequestTransport` carries
whole requests: what lies behind it, as libvirt does, keeps requests and replies together itself.
Both are Protocols: a class with these methods is one, and a function that opens it is all that a
`Client` needs.

The client drives them; `target` decides which one, and `ways` opens it.
"""

from __future__ import annotations

import os
import select
from abc import abstractmethod

from qga.errors import ConnectionLost, NoChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Protocol

    from .aiotransports import AsyncRequestTransport, AsyncTransport
    from .deadline import Deadline
    from .flows.steps import Limits

else:
    # To load typing takes longer than to ask an agent something.
    from abc import ABC as Protocol  # noqa: N811

# Most replies fit in this. Room for more would have to be had from the system, and given back, for
# each of them.
READ_SIZE = 16 * 1024

# When more is there, one read takes all that the buffer of a unix socket holds: 416 KiB, where its
# sender has asked for much, as this agent does. A piece of a file then comes in half as many parts.
LARGE_READ_SIZE = 512 * 1024

# The kernel takes 1024 pieces at once; a request has three, unless somebody writes a list of data.
PIECES = 1024

# Longer than this, eleven days, is for ever: poll() takes milliseconds in an int.
LONG = 1e6

# An agent that serves one client at a time refuses others while its short queue is full.
RETRY = 0.02


class Transport(Protocol):
    r"""A byte stream to one agent. Used by one thread at a time.

    >>> class Loud:
    ...     "Shows what is sent."
    ...     def __init__(self, transport):
    ...         self.transport = transport
    ...     def send(self, pieces, deadline):
    ...         print(b"".join(pieces))
    ...         self.transport.send(pieces, deadline)
    ...     def receive(self, deadline):
    ...         return self.transport.receive(deadline)
    ...     def close(self):
    ...         self.transport.close()
    >>> client = qga.Client(lambda deadline: Loud(agent.dial(deadline)))
    >>> client.ping()
    b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": ...}}\n'
    b'{"execute": "guest-ping"}\n'
    """

    @abstractmethod
    def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:
        """Send all *pieces*, one behind the other.

        Raises:
            AgentTimeout: the deadline passed; a part may have been sent.
            ConnectionLost: the other side is gone.
        """

    @abstractmethod
    def receive(self, deadline: Deadline) -> bytes:
        """Return what has arrived, at least one byte, waiting for it if need be.

        Raises:
            AgentTimeout: nothing came before the deadline.
            ConnectionLost: the other side is gone.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the stream. May be repeated."""


class RequestTransport(Protocol):
    """A way to one agent that carries whole requests. Used by one thread at a time.

        >>> from qga.client import Limits
        >>> class Canned:
        ...     "Knows all the answers."
        ...     limits = Limits(commands=frozenset(["guest-get-host-name"]))
        ...     def request(self, name, arguments, deadline, *, silent=False):
        ...         if name not in self.limits.commands:
        ...             raise qga.Unsupported(f"{name} is not to be had here")
        ...         return {"host-name": "canned"}
        ...     def close(self):
        ...         pass
        >>> qga.Client(lambda deadline: Canned()).execute(GetHostName())
        HostName(host_name='canned')

    Attributes:
        limits: what it can carry.
    """

    limits: Limits

    @abstractmethod
    def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        """Have the agent execute a command, and return what it returned, as JSON has it.

        Args:
            name: the command's name.
            arguments: as JSON has them; bytes where base64 is meant.
            deadline: the end of the call's time.
            silent: whether the agent sends no reply when it succeeds; then None is returned.

        Raises:
            CommandError: the agent's error reply; `qga.wire.refusal.refusal` makes it.
            Unsupported: this command cannot be carried; nothing was sent.
            AgentTimeout: no reply before the deadline.
            TransportError: the way is broken; it is closed, and opened again for the next call.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it. May be repeated."""


class Way(Protocol):
    """How to reach one agent; what a target stands for."""

    @abstractmethod
    def open(self, deadline: Deadline) -> Transport | RequestTransport:
        """Open it.

        Raises:
            NoChannel: there is none; the text says what to do.
            AgentTimeout: it is busy until the deadline.
        """

    @abstractmethod
    async def aopen(self, deadline: Deadline) -> AsyncTransport | AsyncRequestTransport:
        """Open it in the running event loop. Errors are those of `open`."""


class DescriptorTransport:
    """A `Transport` over a file descriptor, which it owns from then on.

    Args:
        descriptor: of a stream socket, a terminal or a character device.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._readable = select.poll()
        self._readable.register(descriptor, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(descriptor, select.POLLOUT)
        self._gone = select.poll()
        self._gone.register(descriptor, select.POLLRDHUP)
        self._reading = Reading()

    def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:
        waiting: Sequence[bytes | memoryview] = pieces
        while waiting:
            try:
                if len(waiting) == 1:  # nearly always
                    sent = os.write(self._descriptor, waiting[0])
                    if sent == len(waiting[0]):
                        return
                else:
                    sent = os.writev(self._descriptor, waiting[:PIECES])
            except BlockingIOError:
                _wait(self._writable, deadline)
            except OSError as error:
                raise lost(error) from error
            else:
                waiting = unsent(waiting, sent)

    def receive(self, deadline: Deadline) -> bytes:
        while True:
            _wait(self._readable, deadline)
            try:
                data = self._reading.read(self._descriptor)
            except BlockingIOError:
                continue
            except OSError as error:
                raise lost(error) from error
            if not data:
                raise ConnectionLost("the agent's side closed the channel")
            return data

    def __del__(self) -> None:
        # A client that was forgotten must not keep others off the channel.
        self.close()

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def hung_up(self) -> bool:
        """Whether the other side has closed the channel."""
        return bool(self._gone.poll(0))

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def unsent(pieces: Sequence[bytes | memoryview], sent: int) -> Sequence[bytes | memoryview]:
    """What of *pieces* is still to be sent after their first *sent* bytes."""
    at = 0
    while at < len(pieces) and sent >= len(pieces[at]):
        sent -= len(pieces[at])
        at += 1
    if not sent:
        return pieces[at:]
    return [memoryview(pieces[at])[sent:], *pieces[at + 1 :]]


class Reading:
    """Reads from a descriptor as much as it seems to have."""

    __slots__ = ("_size",)

    def __init__(self) -> None:
        self._size = READ_SIZE

    def read(self, descriptor: int) -> bytes:
        """What is there, of some length. Errors are those of `os.read`."""
        data = os.read(descriptor, self._size)
        if len(data) < READ_SIZE:
            self._size = READ_SIZE
        elif self._size == READ_SIZE:
            self._size = LARGE_READ_SIZE
            from . import memory

            memory.keep()
        return data


def _wait(poll: select.poll, deadline: Deadline) -> None:
    remaining = deadline.remaining()
    if not remaining or not poll.poll(None if remaining > LONG else remaining * 1000):
        raise deadline.expired()


def lost(error: OSError) -> ConnectionLost:
    return ConnectionLost(f"the channel broke: {error.strerror}")


def reason(error: OSError) -> str:
    """What the system says about *error*; asyncio has texts of its own."""
    return os.strerror(error.errno) if error.errno else str(error)


def no_sockets(error: OSError) -> NoChannel:
    return NoChannel(f"no sockets of this kind here: {error.strerror}")
