"""What a message may be at most, and what a stream may cost: memory and work."""

import tracemalloc
from collections import Counter
from typing import Any, ClassVar

import pytest

from qga.errors import CommandError
from qga.wire import base64, splitter, text
from qga.wire.blob import Blob
from qga.wire.splitter import Splitter
from tests.wire.reading import (
    LIMIT,
    PING,
    PINGED,
    RESET,
    errors,
    in_pieces,
)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("size", [1, 3, 100, 10_000])
@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        (b"[" * 8 + b"]" * 8, b"[" * 9 + b"]" * 9),
        (b'{"":' * 7 + b"{}" + b"}" * 7, b'{"":' * 8 + b"{}" + b"}" * 8),
        (b"[" * 8 + b"]" * 8, b"[" * 100 + b"]" * 100),
        (b'{"a":[' + b"1234567," * 21 + b"1]}", b'{"a":[' + b"1234567," * 22 + b"1]}"),
        (b'["a",' + b"'b'," * 22 + b"'c']", b'["a",' + b"'b'," * 23 + b"'c',1,2]"),
        (b'["' + b"x" * 900 + b'"]', b'["' + b"x" * 1000 + b'"]'),
        (b'"' + b"x" * 900 + b'"', b'"' + b"x" * 1000 + b'"'),
        (b"1" * 900 + b" ", b"1" * 1001 + b" "),
        (b"[" + b" " * 900 + b"]", b"[" + b" " * 1000 + b"]"),
        (b'{"' + b"A" * 900 + b'":1}', b'{"' + b"A" * 5000 + b'":"' + b"A" * 100_000 + b'"}'),
        (b'{"a":1}', b'{"a":"' + b'","b":"' * 1000 + b'"}'),
    ],
)
def test_limits_cost_one_error_and_one_message(within: bytes, beyond: bytes, size: int) -> None:
    limit = ("error", LIMIT)
    for before in (b"", b" ", PING):
        expected = [PINGED] * (before == PING)
        events = in_pieces(before + within + PING, size, size_limit=1000)
        assert errors(events) == []
        assert events[-1] == PINGED
        stream = before + beyond + PING + b"\n" + beyond + b"\n" + PING
        events = in_pieces(stream, size, size_limit=1000)
        assert events == [*expected, limit, PINGED, limit, PINGED]


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("beyond", [b"[" * 9, b'["' + b"x" * 1000, b"[" + b"1," * 50, b"1" * 1001])
def test_a_discarded_message_can_be_left_by_0xff(beyond: bytes) -> None:
    for size in (1, 10_000):
        events = in_pieces(beyond + b"\xff" + PING, size, size_limit=1000)
        assert events == [("error", LIMIT), RESET, PINGED]


def test_the_limits_are_those_of_qemu() -> None:
    depth = splitter.DEPTH_LIMIT
    assert depth == 1024
    for before in (b"", b" "):  # whole, and in the other way
        at = Splitter()
        (value,) = at.feed(before + b'{"":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}")
        assert "" in value
        (error,) = at.feed(before + b'{"":' + b"[" * depth + b"]" * depth + b"}")
        assert str(error) == "JSON nesting depth limit exceeded"
        assert at.feed(PING) == [PINGED]


@pytest.mark.fuzz
@pytest.mark.parametrize("piece", [1 << 16, 1 << 20, 1 << 28])
def test_the_real_limits(piece: int) -> None:
    def tell(data: bytes) -> list[str]:
        at = Splitter()
        pieces = (data[start : start + piece] for start in range(0, len(data), piece))
        return [
            str(event) if isinstance(event, CommandError) else "a value"
            for part in pieces
            for event in at.feed(part)
        ]

    mebi = 1 << 20
    size_error = ["JSON token size limit exceeded", "a value"]
    assert tell(b'{"a":"' + b"A" * (64 * mebi) + b'"}' + PING) == ["a value", "a value"]
    assert tell(b'{"a":"' + b"A" * (65 * mebi) + b'"}' + PING) == size_error
    assert tell(b'{"a":"' + b"A" * (200 * mebi) + b'"}' + PING) == size_error
    assert tell(b'{"a":' + b" " * (65 * mebi) + b"1}" + PING) == size_error
    tokens = b"1," * (mebi - 4) + b"1"
    assert tell(b'{"a":[' + tokens + b"]}" + PING) == ["a value", "a value"]
    assert tell(b'{"a":[' + tokens + b",1,1,1]}" + PING) == [
        "JSON token count limit exceeded", "a value",
    ]  # fmt: skip


# Memory.

GROWING = [
    b"1", b"[", b'["', b'["\\', b"['a',", b'{"a":"' + b"A" * 5000, b"[" * 9, b" ", b"\xff", b"X",
    b'["' + b"A" * 5000 + b'",', b'["' + b"-" * 5000 + b'",', b"\\" * 501, b"{'" + b"\xc3" * 5001,
]  # fmt: skip


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("unit", GROWING, ids=lambda unit: repr(unit[:8]))
@pytest.mark.parametrize("start", [b"", b'["', b"[", b'{"a":"' + b"A" * 5000])
def test_memory_stays_within_the_limit(start: bytes, unit: bytes) -> None:
    limit = 20_000
    at = Splitter(size_limit=limit)
    piece = unit * (4096 // len(unit) + 1)
    at.feed(start)
    tracemalloc.start()
    try:
        for _ in range(5 * limit // len(piece)):
            at.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Copies while it is put together, and an error with its text for each line of garbage.
    assert peak < 8 * limit + 400 * len(piece)
    assert held(at) <= 2 * limit


def held(at: Splitter) -> int:
    """The bytes of messages that *at* keeps."""
    kept = len(at._text) + sum(map(len, at._parts))
    for item in [*at._blobs, at._blob]:
        if isinstance(item, Blob):
            kept += len(item._raw) + len(item._decoded)
        elif item is not None:
            kept += len(item)
    return kept


# Linear work.


class Counted(bytes):
    """Counts the bytes that searches and slices of it touch."""

    touched: ClassVar[Counter[str]] = Counter()

    def find(self, wanted: Any, start: Any = 0, end: Any = None) -> int:
        stop = len(self) if end is None else end
        found = bytes.find(self, wanted, start, stop)
        Counted.touched["find"] += (found if found >= 0 else stop) - start + 1
        return found

    def __getitem__(self, key: Any) -> Any:
        item = bytes.__getitem__(self, key)
        Counted.touched["get"] += len(item) if isinstance(item, bytes) else 1
        return item


@pytest.mark.parametrize(
    "unit",
    [
        b"[]", b'[""]', b"{},", b"X\n", b"X{}", b"1 ", b'"a" ', b"[1,'a'] ", b"\xff", b"\xff[",
        b'["\n', b"\\", b'"\\"" ', b"['\\''] ", b'{"a":1} ', b" ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("start", [b" ", b"[", b'["', b"X", b'["' + b"A" * 5000])
def test_many_small_things_in_one_piece_are_each_looked_at_once(start: bytes, unit: bytes) -> None:
    count = 40_000
    Counted.touched.clear()
    Splitter().feed(Counted(start + unit * (count // len(unit))))
    # Each may look ahead a little; a square would be twenty times as much.
    assert Counted.touched.total() < 2 * splitter._AHEAD * count


@pytest.mark.parametrize("piece", [64, 4096, 65536])
def test_a_long_string_is_decoded_once_however_it_arrives(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked_on: dict[str, list[int]] = {"decode_strict": [], "encode": []}

    def watch(name: str) -> None:
        function = getattr(base64, name)

        def watched(data: bytes) -> Any:
            worked_on[name].append(len(data))
            return function(data)

        monkeypatch.setattr(base64, name, watched)

    watch("decode_strict")
    watch("encode")
    length = 4 << 20
    at = Splitter()
    at.feed(b'{"execute":"guest-file-write","arguments":{"handle":1000,"buf-b64":"')
    for _ in range(length // piece):
        at.feed(b"QUJDREVG" * (piece // 8))
    (message,) = at.feed(b'"}}')
    assert len(message["arguments"]["buf-b64"].data) == length // 4 * 3
    assert sum(worked_on["decode_strict"]) <= length + 4
    assert len(worked_on["decode_strict"]) <= length // (32 << 10) + 2
    assert sum(worked_on["encode"]) <= 4


def test_a_message_in_pieces_is_scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[int] = []
    scan = text.scan

    def counting(json_text: str, start: int) -> tuple[Any, int]:
        scanned.append(len(json_text) - start)
        return scan(json_text, start)

    monkeypatch.setattr(text, "scan", counting)
    message = b'{"a":[' + b"1," * 50_000 + b'"b"]}'
    assert len(in_pieces(message, 100)[0]["a"]) == 50_001
    # The first piece is tried by itself.
    assert sum(scanned) <= len(message) + 100
