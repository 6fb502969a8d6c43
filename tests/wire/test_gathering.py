"""Long replies that are put together first: nothing comes out that would not come without it.

The splitter is fed the same bytes, as they come.
"""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qga.errors import CommandError
from qga.wire.gathering import Gathering
from qga.wire.splitter import Splitter
from tests.wire.reading import PING, PINGED, cut, plain

DATA = bytes(range(256)) * 2048  # 512 KiB
LONG = b'{"return": {"buf-b64": "' + b64encode(DATA) + b'", "count": 524288, "eof": false}}'
# As much as a socket holds.
PIECE = 220 * 1024

PARTS = [
    LONG + b"\n", LONG, LONG + b"\r\n", PING + b"\n", PING, b"\n", b"\xff", b"\xff" + LONG + b"\n",
    b"A" * 20_000, b'{"a": "' + b"A" * 20_000, b"[" + LONG + b"]\n", b'{"a": "' + b"\xff",
    b'{"a": "' + b"x y" * 10_000 + b'"}\n', LONG[:300_000] + b"\n" + LONG[300_000:] + b"\n",
    (PING + b"\n") * 2000, b'{"return": {}}\n', b'{"return": {}}\n', b'{"a": ', b"x ",
]  # fmt: skip


def fed(data: bytes, size: int) -> list[list[Any]]:
    """What comes out at each of the pieces of *size*."""
    gathering = Gathering(Splitter())
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return [gathering.feed(piece) for piece in pieces]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=4),
    st.lists(st.integers(0, 3_000_000), max_size=12),
)
def test_the_same_comes_out(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts) + b"\n"
    splitter, gathering = Splitter(), Gathering(Splitter())
    pieces = cut(stream, places)
    straight = [plain(event) for piece in pieces for event in splitter.feed(piece)]
    gathered = [plain(event) for piece in pieces for event in gathering.feed(piece)]
    assert gathered == straight


@pytest.mark.parametrize("size", [PIECE, 100_000, 65_536])
def test_a_long_reply_takes_the_quick_way(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("followed string by string")

    monkeypatch.setattr(Splitter, "_scan", refuse)
    # Several under way: pieces hold the end of one and the beginning of the next.
    came = [event for events in fed((LONG + b"\n") * 4, size) for event in events]
    assert [event["return"]["buf-b64"].data for event in came] == [DATA] * 4
    # As it was decoded: no other copy is made.
    assert all(type(event["return"]["buf-b64"].data) is bytes for event in came)


def test_the_quick_way_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("followed string by string")

    gathering = Gathering(Splitter())
    replies = (LONG + b"\n") * 2
    # A short beginning is not kept.
    assert gathering.feed(replies[:1000]) == []
    assert len(gathering.feed(replies[1000 : len(LONG) + 1000])) == 1
    monkeypatch.setattr(Splitter, "_scan", refuse)
    (reply,) = gathering.feed(replies[len(LONG) + 1000 :])
    assert reply["return"]["buf-b64"].data == DATA


def test_the_shortest_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    gathering = Gathering(Splitter())
    reply = b'{"return": {}}\n'
    (first,) = gathering.feed(reply)
    # Inside of another message it is a part of that.
    assert gathering.feed(b'{"a": ') == []
    assert gathering.feed(reply) == []
    assert gathering.feed(b"}") == [{"a": {"return": {}}}]
    assert gathering.feed(LONG[:20_000]) == []
    (error,) = gathering.feed(reply)
    assert isinstance(error, CommandError)

    def refuse(*_: object) -> None:
        pytest.fail("looked at")

    gathering = Gathering(Splitter())
    monkeypatch.setattr(Splitter, "feed", refuse)
    (second,) = gathering.feed(reply)
    assert first == second == {"return": {}}
    assert first is not second


@pytest.mark.parametrize("end", [b"\n", b"", b" ", b"\r"])
def test_a_reply_is_not_kept_when_it_is_complete(end: bytes) -> None:
    *before, last = fed(LONG + end, len(LONG + end) // 3 + 1)
    assert before == [[], []]
    assert plain(last[0])["return"]["count"] == len(DATA)


def test_what_is_before_a_long_reply_is_not_kept() -> None:
    gathering = Gathering(Splitter())
    assert gathering.feed(PING + b"\n" + LONG[:50_000]) == [PINGED]
    (reply,) = gathering.feed(LONG[50_000:])
    assert reply["return"]["buf-b64"].data == DATA


def test_no_more_than_a_few_mebibytes_are_kept() -> None:
    splitter = Splitter()
    gathering = Gathering(splitter)
    gathering.feed(LONG[:24] + b"A" * PIECE)
    for _ in range(18):
        assert splitter.idle
        gathering.feed(b"A" * PIECE)
    gathering.feed(b"A" * PIECE)
    assert not splitter.idle
    (reply,) = gathering.feed(b'"}}\n')
    assert reply["return"]["buf-b64"].data == bytes(20 * PIECE // 4 * 3)
