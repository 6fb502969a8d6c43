"""The quick decoder's refusals, and the encoder."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qga.wire import base64, text
from qga.wire.splitter import Splitter
from tests.wire.reading import read_strictly


@pytest.mark.parametrize(
    "refused",
    [
        "", " ", "{", "[1,", '{"a":1,"a":2}', "[NaN]", "[Infinity]", "[-Infinity]", '"\x00"',
        '"\n"', "'a'", "[1,]", '{"a":1,}', "[01]", "{1:2}", "nul", "[" * 100_000, "9" * 5000,
    ],
)  # fmt: skip
def test_refused(refused: str) -> None:
    with pytest.raises(text.Refused):
        text.scan(refused, 0)


def test_scan_tells_where_the_value_ends() -> None:
    assert text.scan('{"a": 1} {"b": 2}', 0) == ({"a": 1}, 8)
    assert text.scan('{"a": 1} {"b": 2}', 9) == ({"b": 2}, 17)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ({}, b"{}"),
        ({"return": {}}, b'{"return": {}}'),
        ([1, -2, True, None, 0.5, "a"], b'[1, -2, true, null, 0.5, "a"]'),
        ({"b": [], "a": {}}, b'{"b": [], "a": {}}'),
        ("\x7f\xe9\U0001f600/\n\"\\'", b'"\\u007f\\u00e9\\ud83d\\ude00/\\n\\"\\\\\'"'),
        ((1, 2), b"[1, 2]"),
        (float("inf"), b"1e999"),
        ([float("-inf"), {"a": True}], b'[-1e999, {"a": true}]'),
        (2**64, b"18446744073709551616"),
    ],
)
def test_encoded_like_the_stock_agent(value: Any, encoded: bytes) -> None:
    # DEL is printable ASCII to Python, and the one difference: JSON allows both.
    assert b"".join(text.encode(value)).replace(b"\x7f", b"\\u007f") == encoded


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_become_base64_in_a_piece_of_their_own(kind: Any) -> None:
    data = bytes(range(256)) * 3
    pieces = text.encode({"count": 768, "buf-b64": kind(data), "eof": True})
    assert base64.encode(data) in pieces
    assert json.loads(b"".join(pieces)) == {
        "count": 768, "buf-b64": base64.encode(data).decode(), "eof": True,
    }  # fmt: skip


def test_two_kinds_of_bytes_keep_their_places() -> None:
    value = [b"one", {"two": b"two", "text": '"\\udc00"'}, [b""], "three"]
    assert json.loads(b"".join(text.encode(value))) == [
        "b25l", {"two": "dHdv", "text": '"\\udc00"'}, [""], "three",
    ]  # fmt: skip


def long_string(data: bytes) -> Any:
    splitter = Splitter()
    events = splitter.feed(b'["' + base64.encode(data)[:7]) + splitter.feed(
        base64.encode(data)[7:] + b'"]'
    )
    return events[0][0]


def test_a_blob_is_the_string_that_it_was() -> None:
    data = bytes(range(256)) * 20
    blob = long_string(data)
    assert type(blob).__name__ == "Blob"
    encoded = b"".join(text.encode({"return": b"AB", "id": [blob, {"again": blob}]}))
    expected = base64.encode(data).decode()
    assert json.loads(encoded) == {"return": "QUI=", "id": [expected, {"again": expected}]}


@pytest.mark.parametrize("innermost", [0, float("inf"), "text"])
@pytest.mark.parametrize("result", [None, b"bytes", {"buf-b64": b"\0" * 5000}])
def test_depth_and_infinity_beside_bytes(innermost: Any, result: Any) -> None:
    deep = innermost
    depth = sys.getrecursionlimit() + 23
    for level in range(depth):
        deep = [deep] if level % 2 else {"": deep}
    encoded = b"".join(text.encode({"return": result, "id": deep}))
    head, _, tail = encoded.partition(b', "id": ')
    assert read_strictly(head + b"}") == read_strictly(b"".join(text.encode({"return": result})))
    assert tail.count(b"[") + tail.count(b'{"": ') == depth
    assert tail.count(b"]") == tail.count(b"[")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


def as_read(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.encode(value).decode()
    if isinstance(value, list):
        return [as_read(item) for item in value]
    if isinstance(value, dict):
        return {name: as_read(item) for name, item in value.items()}
    return value


@given(VALUES)
def test_round_trip(value: Any) -> None:
    encoded = b"".join(text.encode(value))
    assert encoded.isascii()
    assert read_strictly(encoded) == as_read(value)
    # The slow way says the same.
    assert "".join(text._iterative(as_read(value), repr)).encode() == encoded
