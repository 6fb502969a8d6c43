"""A request that is one long string, mostly: the quickest way through it, and when it is not taken.

Whether it is or not, the outcome has to be that of the same bytes in short pieces.
"""

from typing import NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qga.errors import CommandError
from qga.wire.splitter import Splitter
from tests.wire.reading import BASE64_5000, PING, in_pieces, whole

BEFORE = [
    b'{"a":', b'{"a": {"b": [1, ', b"{'a':", b'{"a":"x\\\\', b'{"a":"\\', b'{"\\ud800":',
    b'{"a":"\\udc000","b":', b'{"\xc3\xa9":', b'{"a"', b"{", b'{"a":1,"a":', b'{"a":NaN,"b":',
    b'{"a":\xff', b'{"a":"', b'{"a":\n', b'{"a":"' + b"x" * 3000 + b'","b":', b'{"\xc3":',
]  # fmt: skip
INSIDE = [
    BASE64_5000, BASE64_5000 + b"QQ==", BASE64_5000 + b"QR==", BASE64_5000 + b"Q", b"1" * 5000,
    b" " * 5000, BASE64_5000 + b"\\n", BASE64_5000 + b"\n", b"QQ==" + BASE64_5000, b"A" * 4096,
    b"A" * 4100, BASE64_5000 + b'","c":"', BASE64_5000 + b'":"' + BASE64_5000,
    BASE64_5000 + b"\xff" + BASE64_5000, BASE64_5000 + b"\xc3", b"\xc3\xa9" * 5000,
]  # fmt: skip
BEHIND = [
    b"}", b"}]}}", b"}\n", b"}" + PING, b"} x", b":1}", b',"b":"c"}', b"", b"]}}", b"}\xff",
    b',"b":"' + b"d" * 3000 + b'"}', b'","b":1}', b',"b":' + b"[" * 1030 + b"]" * 1030 + b"}",
    b',"a":1}', b',"b":"\\udc00"}',
]  # fmt: skip


@given(
    st.sampled_from(BEFORE),
    st.sampled_from([b'"', b"'", b""]),
    st.sampled_from(INSIDE),
    st.sampled_from(BEHIND),
)
@example(b'{"a":', b'"', BASE64_5000, b',"b":' + b"[" * 1030 + b"]" * 1030 + b"}")
@example(b'{"a":"x', b'"', b"1" * 5000, b'y"}')
@example(b'{"a":"x\\', b'"', BASE64_5000, b"}")
def test_whatever_surrounds_it(before: bytes, quote: bytes, inside: bytes, behind: bytes) -> None:
    stream = before + quote + inside + quote + behind
    in_short_pieces = repr(in_pieces(stream, 97))
    assert repr(whole(stream)) == in_short_pieces
    assert repr(in_pieces(stream, 4096)) == in_short_pieces


@pytest.mark.parametrize("behind", [b'"}}', b'"}}\n', b'", "count": 3}}\r\n'])
def test_it_is_taken(behind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("followed string by string")

    monkeypatch.setattr(Splitter, "_scan", refuse)
    before = b'{"execute": "guest-file-write", "arguments": {"handle": 1000, "buf-b64": "'
    (message,) = Splitter().feed(before + BASE64_5000 + behind)
    assert message["arguments"]["buf-b64"].data == b"ABCDEF" * 625


def test_of_a_long_message_all_before_the_string_is_taken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = []
    open_string = Splitter._open_string

    def counting(self: Splitter, quote: int, at: int) -> int:
        opened.append(at)
        return open_string(self, quote, at)

    monkeypatch.setattr(Splitter, "_open_string", counting)
    before = b'{"execute": "guest-file-write", "arguments": {"handle": 1000, "buf-b64": "'
    splitter = Splitter()
    assert splitter.feed(before + BASE64_5000) == []
    (message,) = splitter.feed(b'"}}')
    assert message["arguments"]["buf-b64"].data == b"ABCDEF" * 625
    # The first string of the message, and the long one.
    assert opened == [1, len(before) - 1]


def test_a_short_piece_of_it_is_kept_without_a_search_for_what_it_may_not_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> NoReturn:
        pytest.fail("looked at closely")

    splitter = Splitter()
    splitter.feed(b'{"a":"' + BASE64_5000)
    monkeypatch.setattr(Splitter, "_foreign_inside", refuse)
    monkeypatch.setattr(Splitter, "_grow", refuse)
    for _ in range(100):
        assert splitter.feed(BASE64_5000[:4096]) == []


@pytest.mark.parametrize("before", [*range(0, 200 << 10, 4 << 10), (96 << 10) - 1, (96 << 10) - 4])
@pytest.mark.parametrize("byte", [b"\xff", b"\n"])
def test_what_ends_a_message_is_found_wherever_it_comes(before: int, byte: bytes) -> None:
    splitter = Splitter()
    assert splitter.feed(b'{"a": "') == []
    for at in range(0, before, 4096):
        assert splitter.feed(b"A" * min(4096, before - at)) == []
    (error,) = splitter.feed(byte)
    assert isinstance(error, CommandError)
    assert splitter.feed(b'\n{"b": 1}') == [{"b": 1}]


@pytest.mark.parametrize("byte", [b"\x01", b"\n", b"\xff", b"\\n", b"\\", b" ", b"="])
@pytest.mark.parametrize("before", [b'{"a":"', b'{"a":1,"b":["x","', b'"', b"{'a':'"])
def test_what_begins_with_base64_and_goes_on_otherwise(before: bytes, byte: bytes) -> None:
    """The beginning is taken at once; what it is the beginning of shows later."""
    inside = BASE64_5000 * 5
    end = b"'}" if b"'" in before else b'"]}'
    stream = before + inside + byte + inside + end + b"\n" + PING
    expected = repr(in_pieces(stream, 97))
    for size in (len(before) + 20_000, len(before) + len(inside), len(stream)):
        assert repr(in_pieces(stream, size)) == expected
