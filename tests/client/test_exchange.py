"""One request and one reply: the ways that calls take, and what carries them."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

import pytest

import qga
from qga.client import Deadline
from qga.client.aiotransports import AsyncDescriptorTransport
from qga.client.transports import LARGE_READ_SIZE, PIECES, READ_SIZE, DescriptorTransport
from qga.wire.handshake import Conversation, Send

PATIENCE = 60


def in_step() -> Conversation:
    conversation = Conversation()
    talk = conversation.synchronise()
    sent = next(talk)
    assert isinstance(sent, Send)
    number = json.loads(b"".join(sent.pieces)[1:])["arguments"]["id"]
    next(talk)
    with pytest.raises(StopIteration):
        talk.send(b'\xff{"return": %d}\n' % number)
    return conversation


def told(error: qga.QgaError) -> tuple[type, str]:
    return type(error), str(error)


def by_steps(conversation: Conversation, name: str, pieces: list[bytes]) -> object:
    talk = conversation.exchange(name, {})
    sent = next(talk)
    assert isinstance(sent, Send)
    next(talk)
    try:
        for piece in pieces:
            talk.send(piece)
    except StopIteration as stop:
        return sent.pieces, stop.value
    except qga.QgaError as error:
        return sent.pieces, told(error)
    raise AssertionError("it waits for more")


def directly(conversation: Conversation, name: str, pieces: list[bytes]) -> object:
    assert conversation.plain(name)
    sent = conversation.ask(name, {})
    assert not conversation.synced
    taken = [conversation.take(piece) for piece in pieces]
    assert taken == [False] * (len(pieces) - 1) + [True]
    try:
        return sent, conversation.answer(name)
    except qga.QgaError as error:
        return sent, told(error)


@pytest.mark.parametrize("name", ["guest-ping", 'guest-"quoted"-\N{SNOWMAN}'])
@pytest.mark.parametrize(
    "pieces",
    [
        [b'{"return": {}}\n'],
        [b'{"return"', b": [1, ", b"2]}"],
        [b'{"error": {"class": "CommandNotFound", "desc": "no such command"}}\n'],
        [b'{"return": {}}\n{"return": "of another"}\n'],
        [b"garbage\n"],
        [b"[]"],
        [b'{"return": 1, "error": {}}'],
    ],
)
def test_both_ways_of_an_exchange_are_the_same(name: str, pieces: list[bytes]) -> None:
    long, short = in_step(), in_step()
    assert by_steps(long, name, pieces) == directly(short, name, pieces)
    assert long.synced == short.synced


class Interrupted:
    """A transport whose user presses ^C while it waits for the reply to the second request."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.reply = b""

    def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:
        request = json.loads(b"".join(pieces).lstrip(b"\xff"))
        self.requests.append(request["execute"])
        number = request.get("arguments", {}).get("id")
        self.reply += b'{"return": {}}\n' if number is None else b'\xff{"return": %d}\n' % number

    def receive(self, deadline: Deadline) -> bytes:
        if len(self.requests) == 2:
            raise KeyboardInterrupt
        reply, self.reply = self.reply, b""
        return reply

    def close(self) -> None:
        pass


def test_after_an_interrupt_the_next_call_gets_in_step_again() -> None:
    transport = Interrupted()
    client = qga.Client(lambda _: transport)
    with pytest.raises(KeyboardInterrupt):
        client.call("guest-first")
    client.call("guest-second")
    client.call("guest-third")
    sync = "guest-sync-delimited"
    assert transport.requests == [sync, "guest-first", sync, "guest-second", "guest-third"]


# The transports.


@pytest.fixture
def ends() -> Iterator[tuple[DescriptorTransport, socket.socket]]:
    near, far = socket.socketpair()
    transport = DescriptorTransport(near.detach())
    with far:
        yield transport, far
    transport.close()


SIZES = [1, READ_SIZE - 1, READ_SIZE, READ_SIZE + 1, 100_000, LARGE_READ_SIZE + 1, 1 << 20, 5]


def test_what_is_sent_arrives(ends: tuple[DescriptorTransport, socket.socket]) -> None:
    transport, far = ends
    for size in SIZES:
        data = os.urandom(size)
        far.setblocking(False)
        sent, arrived = 0, b""
        while len(arrived) < size:
            try:
                sent += far.send(data[sent:])
            except BlockingIOError:
                pass
            arrived += transport.receive(Deadline(PATIENCE))
        assert arrived == data


def test_much_is_read_at_once(ends: tuple[DescriptorTransport, socket.socket]) -> None:
    transport, far = ends
    far.sendall(bytes(100_000))
    reads = [len(transport.receive(Deadline(PATIENCE))) for _ in range(2)]
    assert reads == [READ_SIZE, 100_000 - READ_SIZE]


@pytest.mark.parametrize("count", [0, 1, 3, PIECES + 1, 3 * PIECES])
def test_many_pieces(ends: tuple[DescriptorTransport, socket.socket], count: int) -> None:
    transport, far = ends
    pieces = [b"piece %d" % number if number % 3 else b"" for number in range(count)]
    transport.send(pieces, Deadline(PATIENCE))
    transport.close()
    with far.makefile("rb") as stream:
        assert stream.read() == b"".join(pieces)


def test_calls_of_an_event_loop_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk() -> None:
        near, far = socket.socketpair()
        far.setblocking(False)
        loop = asyncio.get_running_loop()
        transport = AsyncDescriptorTransport(near.detach())
        set_timer = loop.call_at
        times: list[float] = []

        def noted(at: float, *arguments: Any, **named: Any) -> asyncio.TimerHandle:
            times.append(at)
            return set_timer(at, *arguments, **named)

        monkeypatch.setattr(loop, "call_at", noted)

        async def received(seconds: float) -> bytes:
            loop.call_soon(far.send, b"data")
            return await transport.receive(Deadline(seconds))

        for seconds in (60, 70, 80, inf):
            assert await received(seconds) == b"data"
        assert len(times) == 1
        # An earlier end has a timer of its own, and is kept to.
        with pytest.raises(qga.AgentTimeout, match=r"0\.01 s"):
            await transport.receive(Deadline(0.01))
        assert len(times) >= 2
        # A timer of an earlier call ends no later one.
        assert await received(0.02) == b"data"
        loop.call_later(0.1, far.send, b"late")
        assert await transport.receive(Deadline(PATIENCE)) == b"late"
        transport.close()
        far.close()

    asyncio.run(talk())
