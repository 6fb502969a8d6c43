"""How channels are opened: sockets, terminals and devices, and descriptors that are open already.

For `schemes`, which says what each target means. All of them lead to a `DescriptorTransport`, or to
its asynchronous twin.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import termios
import threading
import tty
from fcntl import F_GETFL, fcntl
from typing import TYPE_CHECKING

from qga.errors import AgentTimeout, NoChannel

from .streams import connect
from .transports import DescriptorTransport

if TYPE_CHECKING:
    from typing import Any

    from .aiotransports import AsyncTransport
    from .deadline import Deadline
    from .transports import Transport


class TcpWay:
    """A TCP port to connect to: usually one that something forwards to the agent's channel.

    Args:
        host: a name, or an address of IPv4 or IPv6.
        port: its number.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def open(self, deadline: Deadline) -> Transport:
        attempts = Attempts(_resolve(self.host, self.port, deadline), deadline)
        for family, address, share in attempts:
            try:
                return DescriptorTransport(_without_delay(connect(family, address, share)))
            except (NoChannel, AgentTimeout) as error:
                attempts.failed(address, error)
        raise attempts.verdict()

    async def aopen(self, deadline: Deadline) -> AsyncTransport:
        from .aiotransports import AsyncDescriptorTransport, connect_socket, resolve

        attempts = Attempts(await resolve(self.host, self.port, deadline), deadline)
        for family, address, share in attempts:
            try:
                descriptor = _without_delay(await connect_socket(family, address, share))
                return AsyncDescriptorTransport(descriptor)
            except (NoChannel, AgentTimeout) as error:
                attempts.failed(address, error)
        raise attempts.verdict()


class Attempts:
    """The addresses of a host, one after the other, each with its share of the time.

    So a host that is silent at one of its addresses is reached at the other.
    """

    def __init__(self, addresses: list[tuple[int, Any]], deadline: Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._reasons: list[str] = []
        self._late = True

    def __iter__(self) -> Any:
        for number, (family, address) in enumerate(self._addresses):
            share = self._deadline.remaining() / (len(self._addresses) - number)
            yield family, address, self._deadline.sooner(share)

    def failed(self, address: Any, error: NoChannel | AgentTimeout) -> None:
        """Note why *address* could not be reached."""
        self._late = self._late and isinstance(error, AgentTimeout)
        self._reasons.append(f"{error.text} ({address[0]})")

    def verdict(self) -> NoChannel | AgentTimeout:
        """The exception to raise when none could be."""
        if self._late:
            return self._deadline.expired()
        return NoChannel("; ".join(self._reasons))


def addresses(found: list[Any]) -> list[tuple[int, Any]]:
    """Family and address of each result of `getaddrinfo`, without those that stand there twice."""
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def unknown_host(host: str, error: OSError) -> NoChannel:
    return NoChannel(f"no address of {host!r} is known: {error.strerror}")


def _resolve(host: str, port: int, deadline: Deadline) -> list[tuple[int, Any]]:
    """The addresses of *host*. The system's resolver knows no deadline, so it gets a thread."""
    found: list[Any] = []
    failure: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failure.append(as_os_error(error))

    resolver = threading.Thread(target=ask, name=f"qga resolves {host}", daemon=True)
    resolver.start()
    resolver.join(min(deadline.remaining(), threading.TIMEOUT_MAX))
    if failure:
        raise unknown_host(host, failure[0])
    if resolver.is_alive():
        raise deadline.expired()
    return addresses(found)


def as_os_error(error: OSError | UnicodeError) -> OSError:
    """*error*; what Python says of a name that no host can have, as the system would say it."""
    if isinstance(error, OSError):
        return error
    return socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _without_delay(descriptor: int) -> int:
    """Have small requests sent at once."""
    with socket.socket(fileno=descriptor) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream.detach()


class SerialWay:
    """A terminal (pty, serial line) or character device, in raw mode."""

    def __init__(self, path: str) -> None:
        self.path = path

    def open(self, deadline: Deadline) -> Transport:
        return DescriptorTransport(self._open())

    async def aopen(self, deadline: Deadline) -> AsyncTransport:
        from .aiotransports import adopt

        return adopt(self._open())  # never blocks

    def _open(self) -> int:
        try:
            # Non-blocking from the start: a serial line may wait for a carrier otherwise.
            flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self.path, flags)
        except OSError as error:
            raise NoChannel(error.strerror) from error
        try:
            if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
                raise NoChannel("neither a terminal nor a character device")
            _make_raw(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


class DescriptorWay:
    """A descriptor that this process has inherited or opened itself, and keeps.

    It leads over a copy of its own. What cannot be opened again stays closed once it is: a new
    connection needs a new descriptor.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def open(self, deadline: Deadline) -> Transport:
        return DescriptorTransport(self._copy())

    async def aopen(self, deadline: Deadline) -> AsyncTransport:
        from .aiotransports import adopt

        return adopt(self._copy())

    def _copy(self) -> int:
        try:
            copy = os.dup(self.number)  # not inheritable
        except OSError as error:
            raise NoChannel(f"there is no such open descriptor: {error.strerror}") from error
        try:
            _check_usable(copy)
        except BaseException:
            os.close(copy)
            raise
        return copy


def _check_usable(descriptor: int) -> None:
    """Raise NoChannel unless *descriptor* can carry a conversation; put a terminal in raw mode."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(descriptor)) as stream:
            if stream.type != socket.SOCK_STREAM:
                raise NoChannel("it is a socket, but not one of streams")
            try:
                stream.getpeername()
            except OSError as error:
                raise NoChannel(f"it is a socket without a peer: {error.strerror}") from error
    elif stat.S_ISCHR(mode):
        if fcntl(descriptor, F_GETFL) & os.O_ACCMODE != os.O_RDWR:
            raise NoChannel("it is not open for both reading and writing")
        _make_raw(descriptor)
    else:
        raise NoChannel("it is neither a stream socket nor a terminal nor a character device")
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    if poll.poll(0):
        raise NoChannel(
            "its other side has closed it, and a descriptor cannot be opened again: pass a new one"
        )


def _make_raw(descriptor: int) -> None:
    if not os.isatty(descriptor):
        return
    try:
        # What has arrived already is kept: the synchronisation sorts it out.
        tty.setraw(descriptor, termios.TCSANOW)
    except (OSError, termios.error) as error:
        raise NoChannel(f"cannot be set to raw mode: {os.strerror(_number(error))}") from error


def _number(error: Exception) -> int:
    number = error.args[0] if error.args else errno.EIO
    return number if isinstance(number, int) else errno.EIO
