"""How the channels are opened that are stream sockets, which most are. For `schemes` and `ways`.

By the C half of `socket`, which is all that connecting needs and loads at once: a unix socket is
what one looks at most often, and in scripts each time from a new process.
"""

from __future__ import annotations

import _socket as socket
import time

from qga.errors import AgentTimeout, NoChannel

from .transports import LONG, RETRY, DescriptorTransport, no_sockets, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .aiotransports import AsyncTransport
    from .deadline import Deadline
    from .transports import Transport


# A request with a piece of a file goes into the buffer of a unix socket as a whole, if the system
# allows that much: otherwise the client is woken up for each part that the other side has read.
BUFFER = 1 << 20


class SocketWay:
    """A stream socket to connect to.

    Args:
        family: AF_UNIX or AF_VSOCK.
        address: as `socket.connect` takes it.
    """

    def __init__(self, family: int, address: Any) -> None:
        self.family = family
        self.address = address

    def open(self, deadline: Deadline) -> Transport:
        return DescriptorTransport(connect(self.family, self.address, deadline))

    async def aopen(self, deadline: Deadline) -> AsyncTransport:
        from .aiotransports import AsyncDescriptorTransport, connect_socket

        descriptor = await connect_socket(self.family, self.address, deadline)
        return AsyncDescriptorTransport(descriptor)


def connect(family: int, address: Any, deadline: Deadline) -> int:
    """The descriptor of a socket that is connected to *address*."""
    try:
        stream = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise no_sockets(error) from error
    try:
        enlarge(stream)
        while True:
            remaining = deadline.remaining()
            if not remaining:
                raise deadline.expired()
            stream.settimeout(None if remaining > LONG else remaining)
            try:
                stream.connect(address)
            except BlockingIOError:
                time.sleep(RETRY)
                continue
            return stream.detach()
    except AgentTimeout:
        raise
    except TimeoutError as error:
        if error.errno is None:  # ours, not the network's
            raise deadline.expired() from None
        raise NoChannel(reason(error)) from error
    except OSError as error:
        raise NoChannel(reason(error)) from error
    finally:
        stream.close()


def enlarge(stream: socket.socket) -> None:
    """Give a unix socket a larger buffer for what it sends. Others grow by themselves."""
    if stream.family == socket.AF_UNIX:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
