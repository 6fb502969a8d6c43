"""Questions to the kernel's network side, over rtnetlink. Used by `network`.

The kernel answers a *dump* with one message for each thing it has, in datagrams of some KiB.
"""

import errno
import os
import select
from _struct import Struct

from qga.agent.lean import socket

from .reading import malformed

RTM_GETLINK = 18
RTM_GETADDR = 22

# What is told of by itself, for `Changes`: links, and addresses of IPv4 and IPv6.
OF_LINKS = 1 << 0
OF_IPV4 = 1 << 4
OF_IPV6 = 1 << 8

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLM_F_REQUEST = 1
_NLM_F_DUMP = 0x300
# Set by the kernel on messages of a dump during which something came or went.
_NLM_F_DUMP_INTR = 0x10

_MESSAGE = Struct("=IHHII")  # length, type, flags, sequence number, port
_ERROR = Struct("=i")
_ATTRIBUTE = Struct("=HH")  # length, type
# Flags in an attribute's type, about what it holds.
_TYPE = 0x3FFF

# The kernel fills 32 KiB at most, unless a single message needs more.
_SIZE = 1 << 16
_ATTEMPTS = 20

# What is told is thrown away unread: room for one message, and the kernel then says that there were
# more.
_ROOM = 4096


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class _Again(Exception):
    """The answer is not whole."""


class Netlink:
    """A socket to ask the kernel by. It is opened at the first question."""

    def __init__(self) -> None:
        self._stream: socket.socket | None = None
        self._size = _SIZE

    def dump(self, *questions: tuple[int, bytes]) -> list[list[bytes]]:
        """The kernel's answers to *questions*, each a message's type and what follows its header.

        An answer is a list of messages without their headers. All are of one moment, if that can
        be had: what changes while the kernel answers is asked again, a few times.

        Raises:
            OSError: the kernel refused, or there is no netlink here.
        """
        for left in reversed(range(_ATTEMPTS)):
            try:
                return [
                    self._answer(kind, body, accept_interrupted=not left)
                    for kind, body in questions
                ]
            except _Again:
                self.close()
            except BaseException:
                self.close()
                raise
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    def _answer(self, kind: int, body: bytes, *, accept_interrupted: bool) -> list[bytes]:
        stream = self._stream
        if stream is None:
            stream = self._stream = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
        length = _MESSAGE.size + len(body)
        stream.send(_MESSAGE.pack(length, kind, _NLM_F_REQUEST | _NLM_F_DUMP, kind, 0) + body)
        messages: list[bytes] = []
        interrupted = 0
        while True:
            data, _, received, sender = stream.recvmsg(self._size)
            if received & socket.MSG_TRUNC:
                self._size *= 2
                raise _Again
            if sender[0]:
                continue  # not the kernel
            position, end = 0, len(data)
            while position < end:
                length, found, flags, _, _ = _MESSAGE.unpack_from(data, position)
                if length < _MESSAGE.size:
                    raise malformed("netlink's answer")
                interrupted |= flags & _NLM_F_DUMP_INTR
                start = position + _MESSAGE.size
                if found in (_NLMSG_DONE, _NLMSG_ERROR):
                    number = _ERROR.unpack_from(data, start)[0]
                    if number < 0:
                        raise OSError(-number, os.strerror(-number))
                    if interrupted and not accept_interrupted:
                        raise _Again
                    return messages
                messages.append(data[start : position + length])
                position += (length + 3) & ~3

    def close(self) -> None:
        """Close the socket, with what may still come; the next question opens another."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __del__(self) -> None:
        self.close()


class Changes:
    """Whether the kernel has told of changes. It is looked for when asked, nobody waits for it.

    Args:
        groups: what it shall tell of.
    """

    def __init__(self, groups: int) -> None:
        self._groups = groups
        self._stream: socket.socket | None = None
        self._poll: Callable[[int], list[tuple[int, int]]] | None = None

    def any(self) -> bool:
        """Whether something may have changed since the last call; so it may before the first.

        What changes from now on, the next call tells.

        Raises:
            OSError: the kernel refuses to tell.
        """
        if self._poll is not None:
            if not self._poll(0):
                return False
            # Instead of reading what may be many messages, or that there were more.
            self.close()
        stream = self._stream = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        stream.bind((0, self._groups))
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLIN)
        self._poll = poll.poll
        return True

    def close(self) -> None:
        """Be told no more, until the next call."""
        self._poll = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __del__(self) -> None:
        self.close()


def attributes(message: bytes, start: int, wanted: frozenset[int]) -> dict[int, tuple[int, int]]:
    """Where in *message* those attributes are that are *wanted*: begin and end, by their types.

    They come behind the first *start* bytes. Of a type there is one in a message.
    """
    found: dict[int, tuple[int, int]] = {}
    left = len(wanted)
    end = len(message)
    unpack = _ATTRIBUTE.unpack_from
    while left and start < end:
        length, kind = unpack(message, start)
        if length < _ATTRIBUTE.size:
            raise malformed("netlink's answer")
        kind &= _TYPE
        if kind in wanted:
            found[kind] = start + 4, start + length
            left -= 1
        start += (length + 3) & ~3
    return found
