"""Ways to an agent, each as a `Transport`: a byte stream in both directions, with deadlines.

The client drives them; `target` decides which one. Unix and vsock sockets, terminals and character
devices are all file descriptors to poll, so one class serves them.
"""

import errno
import os
import select
import socket
import stat
import termios
import time
import tty
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from qga.errors import AgentTimeout, ConnectionLost, TransportError

# One read takes what a socket's buffer usually holds (208 KiB); larger requests measured no faster.
_READ_SIZE = 256 * 1024

# The kernel takes 1024 pieces at once; a request has three, unless somebody writes a list of data.
_PIECES = 1024

# Longer than this, eleven days, is for ever: poll() takes milliseconds in an int.
_LONG = 1e6

# An agent that serves one client at a time refuses others while its short queue is full.
_RETRY = 0.02


class Deadline:
    """The end of a call's time.

    Args:
        seconds: how long the call may take from now; `math.inf` for ever.
    """

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """The seconds that are left; 0.0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    def sooner(self, seconds: float) -> "Deadline":
        """A deadline in *seconds*, or this one if that is earlier."""
        return self if self.remaining() <= seconds else Deadline(seconds)

    def expired(self) -> AgentTimeout:
        """The exception to raise when it has passed."""
        return AgentTimeout(f"no answer within {self.seconds:g} s")


class Transport(Protocol):
    """A byte stream to one agent. Used by one thread at a time."""

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


class DescriptorTransport:
    """A `Transport` over a file descriptor, which it owns from then on.

    Args:
        descriptor: of a stream socket, a terminal or a character device.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._readable = select.poll()
        self._readable.register(descriptor, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(descriptor, select.POLLOUT)

    def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:
        waiting = [memoryview(piece) for piece in pieces if piece]
        while waiting:
            try:
                sent = os.writev(self._descriptor, waiting[:_PIECES])
            except BlockingIOError:
                _wait(self._writable, deadline)
                continue
            except OSError as error:
                raise _lost(error) from error
            while waiting and sent >= len(waiting[0]):
                sent -= len(waiting.pop(0))
            if sent:
                waiting[0] = waiting[0][sent:]

    def receive(self, deadline: Deadline) -> bytes:
        while True:
            _wait(self._readable, deadline)
            try:
                data = os.read(self._descriptor, _READ_SIZE)
            except BlockingIOError:
                continue
            except OSError as error:
                raise _lost(error) from error
            if not data:
                raise ConnectionLost("the agent's side closed the channel")
            return data

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _wait(poll: select.poll, deadline: Deadline) -> None:
    remaining = deadline.remaining()
    if not remaining or not poll.poll(None if remaining > _LONG else remaining * 1000):
        raise deadline.expired()


def _lost(error: OSError) -> ConnectionLost:
    return ConnectionLost(f"the channel broke: {error.strerror}")


def open_unix(path: str, deadline: Deadline) -> Transport:
    """Connect to the unix socket at *path*.

    Raises:
        TransportError: it cannot be connected to.
        AgentTimeout: it is busy until the deadline.
    """
    return _connect(socket.AF_UNIX, path, deadline)


def open_vsock(cid: int, port: int, deadline: Deadline) -> Transport:
    """Connect to *port* of the virtual machine *cid*. Errors are those of `open_unix`."""
    return _connect(socket.AF_VSOCK, (cid, port), deadline)


def _connect(family: int, address: str | tuple[int, int], deadline: Deadline) -> Transport:
    try:
        stream = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise TransportError(f"no sockets of this kind here: {error.strerror}") from error
    try:
        while True:
            remaining = deadline.remaining()
            if not remaining:
                raise deadline.expired()
            stream.settimeout(None if remaining > _LONG else remaining)
            try:
                stream.connect(address)
            except BlockingIOError:
                time.sleep(_RETRY)
                continue
            return DescriptorTransport(stream.detach())
    except AgentTimeout:
        raise
    except TimeoutError:
        raise deadline.expired() from None
    except OSError as error:
        raise TransportError(error.strerror or str(error)) from error
    finally:
        stream.close()


def open_serial(path: str, _: Deadline) -> Transport:
    """Open the terminal (pty, serial line) or character device at *path*, in raw mode.

    Raises:
        TransportError: it cannot be opened, or is neither.
    """
    try:
        # Non-blocking from the start: a serial line may wait for a carrier otherwise.
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except OSError as error:
        raise TransportError(error.strerror) from error
    try:
        if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
            raise TransportError("neither a terminal nor a character device")
        if os.isatty(descriptor):
            # What has arrived already is kept: the synchronisation sorts it out.
            tty.setraw(descriptor, termios.TCSANOW)
    except (OSError, termios.error) as error:
        os.close(descriptor)
        if isinstance(error, TransportError):
            raise
        raise TransportError(f"cannot be set to raw mode: {os.strerror(_number(error))}") from error
    return DescriptorTransport(descriptor)


def _number(error: Exception) -> int:
    number = error.args[0] if error.args else errno.EIO
    return number if isinstance(number, int) else errno.EIO
