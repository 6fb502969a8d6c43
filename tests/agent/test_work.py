"""What the agent does with a stream, counted in lines of its code: garbage gets no more of them.

The splitter's part is in tests/wire; this is with the connection, which looks ahead.
"""

import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.connection import Connection
from qga.agent.loop import READ

PING = b'{"execute":"guest-ping"}'
READS = 4  # as many make up a stream
SIZE = 64 << 10


class Loop:
    """Calls back when the test says so."""

    happens: Callable[[int], None]

    def __init__(self) -> None:
        self._soon: list[Callable[[], None]] = []

    def watch(self, _: int, __: int, callback: Callable[[int], None]) -> None:
        self.happens = callback

    def change(self, fd: int, events: int) -> None:
        pass

    def forget(self, fd: int) -> None:
        pass

    def soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def turns(self) -> None:
        while self._soon:
            soon, self._soon = self._soon, []
            for callback in soon:
                callback()


class Lines:
    """Counts the lines that are carried out."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> "Lines":
        self.count += event == "line"
        return self


def carried_out(agent: Agent, stream: bytes) -> tuple[int, bytes]:
    """How many lines are for *stream*, and what is replied; in reads of SIZE."""
    host, guest = socket.socketpair()
    for end in (host, guest):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * SIZE)
        end.setblocking(False)
    loop: Any = Loop()
    connection = Connection(loop, guest.detach(), agent.dispatcher, lambda _, __: None)
    lines, before = Lines(), sys.gettrace()
    replies = b""
    with host:
        for at in range(0, len(stream), SIZE):
            host.sendall(stream[at : at + SIZE])
            sys.settrace(lines)
            try:
                loop.happens(READ)
                loop.turns()
            finally:
                sys.settrace(before)
            try:
                while True:
                    replies += host.recv(SIZE)
            except BlockingIOError:
                pass
        connection.close()
    return lines.count, replies


@pytest.mark.parametrize(
    "unit",
    [
        b" ",
        b"\n",
        b" " * 1000 + PING,
        PING + b"\n" * 1000,
        b"[{},",
        b"[" + b"{{{}}}," * 40_000,
        b"{}" + b"[" * 70_000,
    ],
    ids=lambda unit: repr(unit[:12]),
)
def test_what_is_received_is_not_looked_at_byte_by_byte(agent: Agent, unit: bytes) -> None:
    stream = (unit * (READS * SIZE // len(unit) + 1))[: READS * SIZE]
    lines, replies = carried_out(agent, stream)
    assert replies.count(b'{"return": {}}') == stream.count(PING)
    assert lines < len(stream) // 10


def test_a_row_of_requests_that_is_cut_stays_on_the_short_way(agent: Agent) -> None:
    count = READS * SIZE // len(PING)
    lines, replies = carried_out(agent, PING * count)
    assert replies == b'{"return": {}}\n' * count
    assert lines < 45 * count
