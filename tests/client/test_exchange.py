"""One request and one reply: the ways that calls take, and what carries them."""

import asyncio
import errno
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.client import Deadline
from qga.client.aiotransports import AsyncDescriptorTransport
from qga.client.channel import StreamChannel
from qga.client.digest import Digest
from qga.client.flows.steps import Flow, Series
from qga.client.transports import LARGE_READ_SIZE, PIECES, READ_SIZE, DescriptorTransport
from qga.protocol import FileClose, FileOpen, FileRead
from qga.wire import handshake
from qga.wire.handshake import Conversation, Send
from tests.support.stock import RunningAgent

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


# A series of commands, each result being used while the agent is at the next ones.


class Talker:
    """Holds `exchange_each` with an agent that a test plays."""

    def __init__(
        self,
        sizes: list[int],
        stop_at: int | None = None,
        ahead: int = 3,
        conversation: Conversation | None = None,
    ) -> None:
        self.conversation = conversation or in_step()
        self.log: list[str] = []

        def requests() -> Iterator[tuple[str, dict[str, str]]]:
            for number, size in enumerate(sizes):
                self.log.append(f"made {number}")
                yield "guest-x", {"x": "y" * size}

        def take(value: int) -> bool:
            if not isinstance(value, int):
                raise KeyError(value)
            self.log.append(f"taken {value}")
            return value == stop_at

        self._talk = self.conversation.exchange_each(requests(), take, ahead)

    def run(self, *replies: bytes) -> list[str]:
        """Answer the requests by *replies*; return what happened."""
        waiting = iter(replies)
        step = next(self._talk)
        try:
            while True:
                if isinstance(step, Send):
                    self.log.append("sent")
                    step = self._talk.send(b"")
                else:
                    step = self._talk.send(next(waiting))
        except StopIteration:
            assert next(waiting, None) is None
        return self.log


def returned(*values: int) -> list[bytes]:
    return [b'{"return": %d}\n' % value for value in values]


def test_the_next_request_is_made_while_the_agent_is_at_the_one_before() -> None:
    talker = Talker([5000, 5000, 5000], ahead=1)
    made_ahead = ["made 0", "sent", "made 1", "taken 0", "sent", "made 2", "taken 1", "sent"]
    assert talker.run(*returned(0, 1, 2)) == [*made_ahead, "taken 2"]
    assert talker.conversation.synced


def test_small_requests_are_sent_ahead() -> None:
    talker = Talker([1] * 5, ahead=3)
    log = talker.run(b"".join(returned(0, 1)), *returned(2, 3, 4))
    under_way = most = 0
    for event in log:
        under_way += (event == "sent") - event.startswith("taken")
        most = max(most, under_way)
    assert most == 3
    assert [event for event in log if event.startswith("taken")] == [
        f"taken {number}" for number in range(5)
    ]


def test_a_series_can_be_ended_and_what_is_under_way_is_taken() -> None:
    talker = Talker([1] * 5, stop_at=0, ahead=2)
    log = talker.run(*returned(0, 1))
    assert log.count("sent") == 2
    assert log[-1] == "taken 1"
    assert talker.conversation.synced


def test_nothing_is_sent_after_an_error_which_comes_when_all_replies_are_there() -> None:
    talker = Talker([1] * 5, ahead=2)
    refused = [b'{"error": {"class": "GenericError", "desc": "no"}}\n']
    with pytest.raises(qga.CommandError, match="no"):
        talker.run(*refused, *returned(1))
    assert talker.log.count("sent") == 2
    assert not any(event.startswith("taken") for event in talker.log)
    assert talker.conversation.synced


def test_a_failure_of_the_callers_leaves_the_channel_out_of_step() -> None:
    talker = Talker([5000, 5000], ahead=1)
    with pytest.raises(KeyError):
        talker.run(b'{"return": []}\n')
    assert not talker.conversation.synced


OURS = b'{"return": {}, "id": 18446744073709551617}\n'
# As newer versions of qemu-ga, an agent that has no ids, and one that refuses the command.
OTHERS = [
    b'{"return": {}, "id": 1.8446744073709552e+19}\n',
    b'{"return": {}}\n',
    b'{"error": {"class": "CommandNotFound", "desc": "no"}, "id": 1.8446744073709552e+19}\n',
]


def test_large_requests_are_sent_ahead_to_an_agent_that_can_have_them() -> None:
    talker = Talker([5000] * 4, ahead=2)
    log = talker.run(OURS, *returned(0, 1, 2, 3))
    assert log[:7] == ["made 0", "sent", "sent", "made 1", "sent", "made 2", "taken 0"]
    assert talker.conversation.synced


@pytest.mark.parametrize("reply", OTHERS)
def test_large_requests_are_not_sent_ahead_to_others(reply: bytes) -> None:
    talker = Talker([5000] * 3, ahead=2)
    asked = ["made 0", "sent", "sent", "made 1", "taken 0", "sent", "made 2", "taken 1", "sent"]
    assert talker.run(reply, *returned(0, 1, 2)) == [*asked, "taken 2"]
    assert talker.conversation.synced


def test_it_is_asked_once_and_again_after_a_synchronisation() -> None:
    talker = Talker([5000] * 2, ahead=2)
    talker.run(OURS, *returned(0, 1))
    conversation = talker.conversation
    again = Talker([5000] * 2, ahead=2, conversation=conversation)
    assert again.run(*returned(0, 1)).count("sent") == 2
    sync = conversation.synchronise()
    sent = next(sync)
    assert isinstance(sent, Send)
    number = json.loads(b"".join(sent.pieces).lstrip(b"\xff"))["arguments"]["id"]
    next(sync)
    with pytest.raises(StopIteration):
        sync.send(b'{"return": %d}\n' % number)
    again = Talker([5000] * 2, ahead=2, conversation=conversation)
    assert again.run(OTHERS[0], *returned(0, 1)).count("sent") == 3


def test_both_agents_are_told_from_each_other(agent: RunningAgent) -> None:
    """Ours, and qemu-ga, which must not be sent large requests ahead."""
    with qga.connect(agent.target) as client:
        client.ping()
        channel = client._channel
        assert isinstance(channel, StreamChannel)
        conversation = channel._conversation
        channel._hold(conversation._find_at_once(), Deadline(PATIENCE))
        expected = (
            handshake.MUCH_AT_ONCE if "qga.agent" in str(agent.process.args) else handshake.AT_ONCE
        )
        assert conversation._at_once == expected
        client.ping()


# The same by clients, with a real agent.


def reading(path: str, size: int, sink: Callable[[bytes], bool]) -> Flow[None]:
    handle = yield FileOpen(path=path)
    count = 5000
    commands = (FileRead(handle=handle, count=count) for _ in range(size // count + 2))
    yield Series(commands, lambda piece: sink(piece.data) or piece.eof, ahead=4)
    yield FileClose(handle=handle)


def test_a_series_of_reads(agent: RunningAgent) -> None:
    content = os.urandom(123_456)
    path = agent.directory / "file"
    path.write_bytes(content)
    found = bytearray()

    def flow() -> Flow[None]:
        found.clear()

        def sink(data: bytes) -> bool:
            found.extend(data)
            return False

        return reading(str(path), len(content), sink)

    with qga.connect(agent.target) as client:
        client.perform(flow())
        assert found == content
        client.ping()

    async def the_same() -> None:
        async with await qga.aconnect(agent.target) as client:
            await client.perform(flow())
            await client.ping()

    asyncio.run(the_same())
    assert found == content


def test_a_failure_here_ends_a_series_and_the_next_call_works(agent: RunningAgent) -> None:
    path = agent.directory / "file"
    path.write_bytes(bytes(100_000))

    def full(_: bytes) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with qga.connect(agent.target) as client:
        with pytest.raises(OSError, match="No space left"):
            client.perform(reading(str(path), 100_000, full))
        client.ping()
        assert client.read_file(str(path)) == bytes(100_000)


def test_others_get_turns_during_a_series_of_transfers(
    agent: RunningAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qga.client.flows.moving.SLICE", 0)
    content = os.urandom(5 << 20)
    (tmp_path / "here").write_bytes(content)
    with qga.connect(agent.target) as client:
        there, back = str(agent.directory / "there"), tmp_path / "back"
        client.files.upload(tmp_path / "here", there, atomic=False)
        done = client.files.download(there, back)
        assert done.size == len(content)
    assert back.read_bytes() == content


def test_pieces_are_hashed_in_order_by_whom_they_suit() -> None:
    pieces = [os.urandom(size) for size in (1, 300_000, 10, 1 << 20, 0, 5, 400_000)]
    digest, expected = Digest(), sha256()
    for number, piece in enumerate(pieces):
        digest.update(memoryview(piece))
        expected.update(piece)
        if number in (0, 3, 6):
            assert digest.hex() == expected.hexdigest()


def test_a_checksum_that_nobody_asks_for_leaves_no_thread_behind() -> None:
    digest = Digest()
    digest.update(bytes(1 << 20))
    (thread,) = (one for one in threading.enumerate() if one.name == "qga checksum")
    del digest
    thread.join(PATIENCE)
    assert not thread.is_alive()
