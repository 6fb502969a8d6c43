"""Questions to the kernel's network side, over rtnetlink. Used by `network`.

The kernel answers a *dump* with one message for each thing it has, in datagrams of some KiB.
"""

import errno
import os
from _struct import Struct

from qga.agent.lean import socket

RTM_GETLINK = 18
RTM_GETADDR = 22

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


class _Again(Exception):
    """The answer is not whole."""


def dump(*questions: tuple[int, bytes]) -> list[list[bytes]]:
    """The kernel's answers to *questions*, each a message's type and what follows its header.

    An answer is a list of messages without their headers. All are of one moment, if that can be
    had: what changes while the kernel answers is asked again, a few times.

    Raises:
        OSError: the kernel refused, or there is no netlink here.
    """
    size = _SIZE
    for left in reversed(range(_ATTEMPTS)):
        stream = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        try:
            return [
                _answer(stream, kind, body, size, accept_interrupted=not left)
                for kind, body in questions
            ]
        except _Again:
            size *= 2
        finally:
            stream.close()
    raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))


def _answer(
    stream: socket.socket, kind: int, body: bytes, size: int, *, accept_interrupted: bool
) -> list[bytes]:
    length = _MESSAGE.size + len(body)
    stream.send(_MESSAGE.pack(length, kind, _NLM_F_REQUEST | _NLM_F_DUMP, kind, 0) + body)
    messages: list[bytes] = []
    interrupted = 0
    while True:
        data, _, received, sender = stream.recvmsg(size)
        if received & socket.MSG_TRUNC:
            raise _Again
        if sender[0]:
            continue  # not the kernel
        position, end = 0, len(data)
        while position < end:
            length, found, flags, _, _ = _MESSAGE.unpack_from(data, position)
            interrupted |= flags & _NLM_F_DUMP_INTR
            start = position + _MESSAGE.size
            if found in (_NLMSG_DONE, _NLMSG_ERROR):
                number = _ERROR.unpack_from(data, start)[0] if length > _MESSAGE.size else 0
                if number < 0:
                    raise OSError(-number, os.strerror(-number))
                if interrupted and not accept_interrupted:
                    raise _Again
                return messages
            messages.append(data[start : position + length])
            position += (length + 3) & ~3


def attributes(message: bytes, start: int, wanted: frozenset[int]) -> dict[int, bytes]:
    """Those of the attributes behind the first *start* bytes of *message* that are *wanted*.

    Of the same type there is one in a message. It is over when all are found.
    """
    found: dict[int, bytes] = {}
    left = len(wanted)
    end = len(message)
    unpack = _ATTRIBUTE.unpack_from
    while left and start < end:
        length, kind = unpack(message, start)
        kind &= _TYPE
        if kind in wanted:
            found[kind] = message[start + 4 : start + length]
            left -= 1
        start += (length + 3) & ~3
    return found
