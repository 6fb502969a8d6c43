"""Messages from a stream without framing: where they end, what resets, and what it may cost."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qga.errors import CommandError
from qga.wire import base64, envelope, text
from qga.wire.blob import THRESHOLD, Blob
from qga.wire.splitter import Splitter
from tests.wire.reading import (
    BASE64_5000,
    PING,
    PINGED,
    RESET,
    cut,
    errors,
    feed,
    in_pieces,
    read_strictly,
    stray,
    whole,
)

EXPECTING = ("error", "JSON parse error, expecting value")

# Where messages begin and end.


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (PING, [PINGED]),
        (PING + PING, [PINGED, PINGED]),
        (b"\r\n\t " + PING + b"\n" + PING + b"\n\n", [PINGED, PINGED]),
        (b'{"a":"}]{[\\"}"}', [{"a": '}]{["}'}]),
        (b"{'a':'}]{[\\'}\"'}", [{"a": "}]{['}\""}]),
        (b'{"a\\\\":"\\\\"}', [{"a\\": "\\"}]),
        (b'{"a":{"b":[1,{}]}}{}', [{"a": {"b": [1, {}]}}, {}]),
        (b"[]{}[[]]", [[], {}, [[]]]),
        (b"\"abc\"'def'", ["abc", "def"]),
        (b"123\ntrue\nnull -1.5e3 ", [123, True, None, -1500.0]),
        (b"12{}", [12, {}]),
        (b'1"2"3[]', [1, "2", 3, []]),
        (b"{}}{}", [{}, EXPECTING, {}]),
        (b"{},{}", [{}, EXPECTING, {}]),
        (b"{]" + PING, [EXPECTING, PINGED]),
        (b"[}" + PING, [EXPECTING, PINGED]),
        (b'{"a":\xc3\xa9}\n' + PING, [stray("\ufffd"), PINGED]),
        (b'{"a":"\xc3\xa9"}', [{"a": "\xe9"}]),
        (b'{"a":"\xc0\x80"}', [{"a": "\0"}]),
    ],
)
def test_messages(stream: bytes, events: list[Any], size: int) -> None:
    assert in_pieces(stream, size) == events


@pytest.mark.parametrize("pending", [b"123", b"tru", b'"abc', b"[1", b'{"a":[}', b'{"a":"\\'])
def test_pending(pending: bytes) -> None:
    assert whole(pending) == []


def test_a_word_is_complete_when_something_else_follows() -> None:
    at = Splitter()
    assert at.feed(b"12") == []
    assert at.feed(b"3") == []
    assert at.feed(b"\n") == [123]


def test_braces_and_brackets_are_counted_apart() -> None:
    at = Splitter()
    assert at.feed(b'{"a":[}' + PING) == []
    assert feed(at, [b"]", PING]) == [EXPECTING, PINGED]


# 0xFF and other bytes that no token can hold.


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"\xff" + PING, [RESET, PINGED]),
        (b"\xff\xff\xff" + PING, [RESET, PINGED]),
        (b"\xff\n\xff" + PING, [RESET, RESET, PINGED]),
        (b'{"execute":"guest-p\xff' + PING, [stray('"guest-p\ufffd'), PINGED]),
        (b'{"execute"\xff' + PING, [RESET, PINGED]),
        (b'{"execute":"guest\xff-ping"}' + PING, [stray('"guest\ufffd'), PINGED]),
        (b'{"id":1,\xff"execute":"x"}\n' + PING, [RESET, PINGED]),
        (b"\xff\"x'" + PING, [RESET, PINGED]),
        (b"\xffx\xff\xff[]\n[]", [RESET, RESET, []]),
        (b'{"a":"b\n' + PING, [stray('"b\n'), PINGED]),
        (b'{"a":"\x01 }]"}\n' + PING, [stray('"\x01'), PINGED]),
        (b"NaN, Infinity]}\n" + PING, [stray("N"), PINGED]),
        (b"NaN, Infinity]}" + PING, [stray("N"), PINGED]),
        (b"X" + PING + b"}]X" + PING + b"[]\n[]", [stray("X"), PINGED, PINGED, []]),
        (b"X\nX\n" + PING, [stray("X"), stray("X"), PINGED]),
        (b"\xef\xbb\xbf" + PING, [RESET, PINGED]),
        (b"\xfe" + PING, [RESET, PINGED]),
        (b"X\xff" + PING, [stray("X"), RESET, PINGED]),
        (b'{"a":"\\\xff' + PING, [stray('"\\\ufffd'), PINGED]),
        (b'{"a":"\\\n"' + PING, [stray('"\\\n'), PINGED]),
    ],
)
def test_reset(stream: bytes, events: list[Any], size: int) -> None:
    assert in_pieces(stream, size) == events


@pytest.mark.parametrize("pending", [b"", b"{", b'{"a', b'{"a":"\\', b"[[[", b"12", b"{'", b"X"])
def test_a_sync_request_after_0xff_is_always_found(pending: bytes) -> None:
    at = Splitter()
    at.feed(pending)
    assert feed(at, [b"\xff" + PING])[-1] == PINGED


def test_a_long_token_is_quoted_in_part() -> None:
    (error,) = errors(whole(b'{"a":"' + b"A" * 3000 + b"\n"))
    assert len(error) < 200
    assert error.endswith("AAA\n'")


# Long strings.


@pytest.mark.usefixtures("either_base64")
@pytest.mark.parametrize("size", [1, 64, 4099, 20_000, 1 << 20])
@pytest.mark.parametrize(
    "string",
    [
        "A" * THRESHOLD,
        "A" * (THRESHOLD + 4),
        "A" * (THRESHOLD + 5),
        "A" * 4998 + "==",
        # Valid base64 of which not every bit counts, and too much padding.
        "A" * 4997 + "B==",
        "A" * 4998 + "B=",
        "A" * 4999 + "==",
        "A" * 5000 + "=",
        "A" * 4000 + "====" + "A" * 4000,
        "not base64 " * 1000,
        "\xe9" * 5000,
        'quoted "\\/\b\n\u1234\U0001f600 ' * 500,
        "QUJDREVG" * 40_000,
        "QUJDREVG" * 40_000 + "-" + "QUJDREVG" * 40_000,
        "QUJDREVG" * 250_000,
    ],
    ids=lambda string: f"{len(string)}{string[-6:]!r}",
)
def test_long_string(string: str, size: int) -> None:
    size = max(size, len(string) // 100_000)
    stream = b"".join(text.encode({"a": string, "b": [string, 1], string: None})) + PING
    expected = {"a": string, "b": [string, 1], string: None}
    assert in_pieces(stream, size) == [expected, PINGED]


def test_long_strings_in_single_quotes() -> None:
    stream = b"{'a':'" + BASE64_5000 + b"','b':'\\'" + BASE64_5000 + b"\\/'}"
    plain_text = BASE64_5000.decode()
    for size in (100, 10_000, 100_000):
        assert in_pieces(b" " + stream, size) == [{"a": plain_text, "b": f"'{plain_text}/"}]


def test_long_base64_arrives_decoded() -> None:
    data = bytes(range(256)) * 20_000
    at = Splitter()
    stream = b'{"buf-b64":"' + base64.encode(data) + b'"}'
    events = [event for start in range(0, len(stream), 4096)
              for event in at.feed(stream[start : start + 4096])]  # fmt: skip
    (message,) = events
    assert isinstance(message["buf-b64"], Blob)
    assert message["buf-b64"].data == data


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_errors_in_long_strings(size: int) -> None:
    def long_then(tail: bytes) -> list[Any]:
        return in_pieces(b' {"a":"' + BASE64_5000 + tail + PING, size)

    assert long_then(b"\n") == [stray("\n"), PINGED]
    assert long_then(b"\xff") == [RESET, PINGED]
    assert errors(long_then(b'\\x"}')) == ["JSON parse error, invalid escape sequence in string"]
    assert errors(long_then(b'\xc3("}')) == ["JSON parse error, invalid UTF-8 sequence in string"]
    assert long_then(b'\x01{}"}')[1:] == [PINGED]
    long = b'"' + BASE64_5000 + b'":1'
    assert errors(in_pieces(b" {" + long + b"," + long + b"}", size)) == [
        "JSON parse error, duplicate key"
    ]


def test_nothing_that_is_sent_passes_for_a_placeholder() -> None:
    long = b'"' + BASE64_5000 + b'"'
    events = in_pieces(b'{"a":"\\udc000","b":' + long + b"}" + PING, 1000)
    assert events == [
        ("error", "JSON parse error, \\udc00 is not a valid Unicode character"), PINGED,
    ]  # fmt: skip
    (message, _) = in_pieces(b'{"a":"\\\\udc000","b":' + long + b"}" + PING, 1000)
    assert message == {"a": "\\udc000", "b": BASE64_5000.decode()}


# Any split, any bytes.

MESSAGES = [
    PING, b"{}", b"[]", b'{"a":[1,2,{"b":null}],"c":"d"}', b"'single'", b"12", b"true", b"nul",
    b"{'a':\"b'\\\"\"}", b'{"\xc3\xa9":"\xf0\x9f\x98\x80"}', b'"\\ud83d\\ude00"', b'"\\udc00"',
    b'{"a":"' + BASE64_5000 + b'"}', b"['" + BASE64_5000 + b"-', 1]", b'"' + b"\\\\" * 2500 + b'"',
    b'{"' + BASE64_5000 + b'":"' + BASE64_5000 + b'=="}', b"[" * 12 + b"]" * 12, b"[" + b"1," * 70,
    b"1" * 200,
]  # fmt: skip
SCRAPS = [
    b" ", b"\n", b"\xff", b"\xff\xff", b"{", b"}", b"[", b"]", b",", b":", b'"', b"'", b"\\", b"X",
    b"\x01", b"\xc0\x80", b"\xef\xbb\xbf", b"NaN", b"-", b"E", b"\xc3", b"A" * 3000, b"\\u",
]  # fmt: skip
STREAMS = st.lists(
    st.sampled_from(MESSAGES) | st.sampled_from(SCRAPS) | st.binary(max_size=8), max_size=12
).map(b"".join)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("size_limit", [300, 20_000])
def test_any_split_gives_the_same_events(size_limit: int) -> None:
    @given(STREAMS, st.lists(st.integers(0), max_size=8))
    @example(PING + b"{}{}[]", [3, 24])
    @example(b"1" * 400 + b"\n{}", [350])
    @example(b"[" + b"1234567," * 21 + b"1]", list(range(200)))
    @example(b"[" + b"1," * 30 + b"1]", [40])
    @example(b'{"a":"' + b"A" * 4095 + b"\x01{}\n" + PING, [4101])
    @example(b'{"a":"' + b"A" * 4097 + b'\x01{}"}' + PING, [4103])
    @example(b'{"a":"' + b"A" * 4097 + b'\xc3\x01{}"}' + PING, [4103])
    def check(stream: bytes, places: list[int]) -> None:
        at_once = whole(b" " + stream, size_limit=size_limit)
        assert repr(whole(stream, size_limit=size_limit)) == repr(at_once)
        pieces = cut(stream, places)
        assert repr(feed(Splitter(size_limit), pieces)) == repr(at_once)
        assert repr(in_pieces(stream, 64, size_limit=size_limit)) == repr(at_once)

    check()


@given(st.lists(st.binary(max_size=60) | st.sampled_from(SCRAPS), max_size=20))
def test_random_bytes_never_raise_and_never_hide_a_sync(pieces: list[bytes]) -> None:
    at = Splitter(size_limit=1000)
    for piece in pieces:
        for event in at.feed(piece):
            if isinstance(event, CommandError):
                read_strictly(envelope.failure(event))
    assert feed(at, [b"\xff", PING])[-1] == PINGED


@pytest.mark.parametrize("end", [b"", b"\xff", b"\xc3", b'{"x', b"{'a':1}", b'{"a":"\\ud800"}'])
def test_many_messages_behind_the_rest_of_one(end: bytes) -> None:
    splitter = Splitter()
    assert splitter.feed(PING[:5]) == []
    events = feed(splitter, [PING[5:] + PING * 5000 + end])
    assert events[:5001] == [PINGED] * 5001
    assert len(events) == 5001 + (end[-1:] in {b"\xff", b"\xc3", b"}"})
