"""Long and random: streams of valid requests, mutated, in random pieces."""

import random
import time

import pytest

from qga.errors import CommandError
from qga.wire import base64, envelope, splitter
from qga.wire.splitter import Splitter
from tests.wire.reading import BASE64_5000, feed, in_pieces, read_strictly, whole

pytestmark = pytest.mark.fuzz

SECONDS = 40
SIZE_LIMIT = 30_000

REQUESTS = [
    b'{"execute":"guest-ping"}',
    b'{"execute": "guest-sync", "arguments": {"id": 1234567}, "id": [1, {"a": null}]}\n',
    b'{"execute":"guest-info","id":"\\u20ac\\ud83d\\ude00\xc3\xa9"}\r\n',
    b"{'execute':'guest-file-open','arguments':{'path':'/tmp/\\'x\"','mode':'w+'}}",
    b'{"execute":"guest-file-write","arguments":{"handle":1000,"buf-b64":"' + BASE64_5000 + b'"}}',
    b'{"execute":"guest-file-write","arguments":{"handle":1000,"buf-b64":"'
    + base64.encode(bytes(range(256)) * 30)
    + b'","count":3}}\n',
    b'{"execute":"guest-exec","arguments":{"path":"/bin/sh","arg":["-c","'
    + b"ab\\n" * 2000
    + b'"]}}',
    b'[[{"a":[1.5e3,-0,true,false,null]}],[],{}]',
    b"123 true \"text\" 'text'\n",
]
SYNC = b'\xff{"execute":"guest-sync-delimited","arguments":{"id":42}}'
SYNCED = {"execute": "guest-sync-delimited", "arguments": {"id": 42}}
SPECIAL = b"{}[]:,\"'\\\n \x00\x01\xff\xfe\xc0\x80\xc3\xed\xa0u0eE+-.XN="


@pytest.fixture(autouse=True)
def _shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    # The comparisons here recurse; what they compare must not be as deep as Python's own limit.
    monkeypatch.setattr(splitter, "DEPTH_LIMIT", 100)


def mutated(stream: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((0, 1, 1, 2, 5, 30))):
        at = chance.randrange(len(stream) + 1)
        match chance.randrange(5):
            case 0:
                stream.insert(at, chance.choice(SPECIAL))
            case 1:
                stream[at : at + 1] = bytes((chance.randrange(256),))
            case 2:
                del stream[at : at + chance.choice((1, 1, 10, 3000))]
            case 3:
                stream[at:at] = stream[: chance.randrange(200)]
            case 4:
                stream[at:at] = bytes((chance.choice(SPECIAL),)) * chance.choice((2, 100, 5000))


def pieces_of(stream: bytes, chance: random.Random) -> list[bytes]:
    longest = chance.choice((2, 20, 500, 5000, 40_000))
    pieces = []
    at = 0
    while at < len(stream):
        end = at + chance.randint(1, longest)
        pieces.append(stream[at:end])
        at = end
    return pieces


def test_mutated_streams() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # shown when it fails
    chance = random.Random(seed)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        stream = bytearray(b"".join(chance.choices(REQUESTS, k=chance.randint(1, 6))))
        mutated(stream, chance)
        data = bytes(stream)
        at_once = repr(whole(data, size_limit=SIZE_LIMIT))
        assert repr(whole(b" " + data, size_limit=SIZE_LIMIT)) == at_once, data
        pieces = pieces_of(data, chance)
        at = Splitter(SIZE_LIMIT)
        assert repr(feed(at, pieces)) == at_once, pieces
        assert feed(at, pieces_of(SYNC, chance))[-1] == SYNCED, pieces


def test_one_splitter_for_a_long_stream() -> None:
    """State that a broken message leaves behind would show here."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    deadline = time.monotonic() + SECONDS
    at = Splitter(SIZE_LIMIT)
    while time.monotonic() < deadline:
        stream = bytearray(chance.choice(REQUESTS) + chance.randbytes(chance.randrange(40)))
        mutated(stream, chance)
        for event in at.feed(bytes(stream)):
            reply = (
                envelope.failure(event)
                if isinstance(event, CommandError)
                else b"".join(envelope.success(b"result", event))
            )
            assert {"return", "error"} & read_strictly(reply).keys()
        if chance.random() < 0.2:
            assert feed(at, pieces_of(SYNC, chance))[-1] == SYNCED, stream
    at.feed(b"\xff\n")
    # As good as new.
    assert feed(at, [REQUESTS[1]]) == in_pieces(REQUESTS[1], 7)
