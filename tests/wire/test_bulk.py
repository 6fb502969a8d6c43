"""Many short strings at once have to come out as one by one: long pieces against short ones."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qga.wire import bulk
from qga.wire.splitter import Splitter
from tests.wire.reading import PING, in_pieces

MANY = 200


def same(stream: bytes) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_FEW", len(stream))
        one_by_one = in_pieces(stream, 60)
    assert in_pieces(stream, 60) == one_by_one
    assert in_pieces(stream, len(stream)) == one_by_one
    assert in_pieces(stream, 2000) == one_by_one
    return one_by_one


@pytest.mark.parametrize(
    "element",
    [
        b'"ab"', b'""', b'"a\\"b"', b'"a\\\\"', b'"\\\\\\"\\u0041"', b'"it\'s"', b"'ab'", b"'a\"b'",
        '"é€"'.encode(), b'1 , "a"', b'{"a": "b"}', b'{"a":{"b":["c",{}]}}', b'[["a"],[]]',
        b'true,"a"', b'"' + b"x" * 5000 + b'"', b'"' + b"QUJD" * 1250 + b'"',
    ],
)  # fmt: skip
def test_valid_ones(element: bytes) -> None:
    whole, ping = same(b'["first",' + element + (b"," + element) * MANY + b"]" + PING)
    assert isinstance(whole, list)
    assert ping == {"execute": "guest-ping"}


@pytest.mark.parametrize(
    "element",
    [
        b'"a\nb"', b'"a\xffb"', b'"a\xfeb"', b'"a" @', b'"a" \\"', b'"a"]', b'"a"}', b'"a"]]',
        b'{"a"', b'"a\x01b"', b'"a":', b'"\\x"', b'"\xc3"', b'"a"\xff',
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 100, MANY])
def test_broken_ones(element: bytes, place: int) -> None:
    elements = [b'"ok"'] * MANY
    elements.insert(place, element)
    same(b'["first",' + b",".join(elements) + b"]\n" + PING + b"\xff" + PING)


@given(
    st.lists(
        st.sampled_from([b'"', b"\\", b"'", b"{", b"}", b"[", b"]", b",", b"a", b"\n", b"\xff"])
    )
)
@example([b"\\", b'"'])
def test_anything_among_many(junk: list[bytes]) -> None:
    many = b'"ab",' * MANY
    same(b"[" + many + b"".join(junk) + many + b"]" + PING)


def test_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from qga.wire import splitter

    monkeypatch.setattr(splitter, "TOKEN_LIMIT", 1000)
    (value,) = same(b"[" + b'"ab",' * 498 + b'"ab"]')
    assert len(value) == 499
    same(b"[" + b'"ab",' * 499 + b'"ab"]')
    monkeypatch.setattr(splitter, "DEPTH_LIMIT", 12)
    deep = b"[" * 11 + b'["ab"],' * MANY + b'"ab"' + b"]" * 11
    same(deep)
    same(b"[" + deep + b"]")
    same(b"[[" + deep + b"]]")


def test_many_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        pytest.fail("looked at a string alone")

    monkeypatch.setattr(bulk, "_MANY", 2)
    splitter = Splitter()
    assert splitter.feed(b'["a"') == []
    monkeypatch.setattr(Splitter, "_open_string", refuse)
    assert splitter.feed(b',"b","c",{"d":"e"}' * MANY) == []
