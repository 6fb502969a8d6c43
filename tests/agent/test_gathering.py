"""Long requests that come in parts: each is answered as soon as it is complete, whatever comes."""

import json
import os
import socket
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qga.agent.gathering import Gathering, begins
from qga.wire.splitter import Splitter
from tests.agent.harness import RunningAgent
from tests.wire.reading import cut, plain

KIB, MIB = 1 << 10, 1 << 20


def writing(size: int, handle: int = 1000, end: bytes = b"\n") -> bytes:
    """A request to write *size* bytes."""
    text = b64encode(bytes(range(256)) * (size // 256))
    head = b'{"execute": "guest-file-write", "arguments": {"handle": %d, "buf-b64": "' % handle
    return head + text + b'"}}' + end


PING = b'{"execute": "guest-ping"}\n'
LONG = writing(512 * KIB)

PARTS = [
    LONG, LONG, LONG, writing(512 * KIB, end=b""), writing(256 * KIB), writing(MIB),
    writing(2 * MIB), PING, b'{"a": [' + b"1," * 100_000 + b"1]}",
    b'{"a": "' + b"x y" * 60_000 + b'"}\n', b"{'a': '" + b"A" * 200_000 + b"'}",
    b"\n", b"\xff" + PING, LONG[:400_000] + b"\xff" + PING, LONG[:400_000] + b"\n" + PING,
    b"{" + b"[" * 1000, b'{"a": "' + b"A" * 300_000, b'{"a": "\\"' + b"A" * 200_000,
]  # fmt: skip


class Stream:
    """What a connection does with a gathering, over a pair of sockets."""

    def __init__(self) -> None:
        self.here, self.there = socket.socketpair()
        self.here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MIB)
        self.there.setblocking(False)
        self.gathering: Gathering | None = None
        self.splitter = Splitter()
        self.events: list[Any] = []

    def take(self, piece: bytes) -> None:
        """Send *piece*, and receive all of it."""
        view = memoryview(piece)
        while view:
            view = view[self.here.send(view[: 64 * KIB]) :]
            self.receive()

    def receive(self) -> None:
        while True:
            try:
                if self.gathering is None:
                    data = self.there.recv(128 * KIB)
                    if self.splitter.idle and begins(data, len(data)):
                        self.gathering = Gathering(data)
                        continue
                else:
                    found = self.gathering.read(self.there.fileno())
                    if self.gathering.over:
                        self.gathering = None
                    if found is None:
                        continue
                    data = bytes(found)
            except BlockingIOError:
                return
            self.events += map(plain, self.splitter.feed(data))

    def close(self) -> None:
        self.here.close()
        self.there.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=5),
    st.lists(st.integers(0, 5_000_000), max_size=12),
)
def test_the_same_comes_out(parts: list[bytes], places: list[int]) -> None:
    whole = b"".join(parts) + b'"\n'
    splitter, stream = Splitter(), Stream()
    pieces = cut(whole, places)
    straight = [plain(event) for piece in pieces for event in splitter.feed(piece)]
    try:
        for piece in pieces:
            stream.take(piece)
        assert stream.events == straight
    finally:
        stream.close()


@pytest.mark.parametrize("request_", PARTS[:11], ids=lambda part: str(part[:12]))
def test_nothing_that_is_complete_waits(request_: bytes) -> None:
    stream, splitter = Stream(), Splitter()
    try:
        for _ in range(4):
            stream.take(request_)
            assert len(stream.events) == len(splitter.feed(request_))
            stream.events.clear()
    finally:
        stream.close()


def test_requests_of_the_same_length_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("followed part by part")

    monkeypatch.setattr(Splitter, "_scan", refuse)
    stream = Stream()
    try:
        stream.take(LONG * 5)  # parts hold the end of one, and the beginning of the next
        assert len(stream.events) == 5
        assert stream.gathering is not None
        stream.take(LONG)
        assert len(stream.events) == 6
        stream.take(PING)
        assert stream.gathering is None
    finally:
        stream.close()


@pytest.mark.parametrize("rest", [b"", b"\xff", b"A" * 1000])
def test_who_leaves_in_the_middle_is_gone(running: RunningAgent, rest: bytes) -> None:
    before = running.descriptors()
    with running.connect() as peer:
        peer.send(LONG[: 400 * KIB] + rest)
    with running.connect() as peer:
        assert peer.call("guest-ping") == {}
    with running.connect() as peer:
        assert peer.call("guest-ping") == {}
        assert running.descriptors() <= before + 1


def test_a_synchronisation_ends_what_has_begun(running: RunningAgent) -> None:
    with running.connect() as peer:
        peer.send(LONG[: 400 * KIB])
        number = json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": 7}})
        peer.send(b"\xff" + number.encode())
        assert "error" in json.loads(peer.line())
        assert json.loads(peer.line().removeprefix(b"\xff")) == {"return": 7}


def test_pieces_of_a_file_with_others_between(running: RunningAgent) -> None:
    data = [os.urandom(size * KIB) for size in (512, 512, 512, 300, 512, 1, 1024, 1024, 2048, 512)]
    path = running.folder / "file"
    with running.connect() as peer, running.connect() as other:
        handle = peer.call("guest-file-open", path=str(path), mode="w")
        for number, piece in enumerate(data):
            text = b64encode(piece)
            head = writing(0, handle)[:-4]
            peer.send(head + text[: 150 * KIB])
            assert other.call("guest-ping") == {}
            peer.send(text[150 * KIB :] + b'"}}\n' + PING * (number % 3))
            assert peer.reply() == {"return": {"count": len(piece), "eof": False}}
            for _ in range(number % 3):
                assert peer.reply() == {"return": {}}
    assert Path(path).read_bytes() == b"".join(data)
