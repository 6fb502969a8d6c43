"""QAPI's dialect of JSON, and its error texts as the stock agent was seen to give them."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qga.errors import CommandError
from qga.wire import strict, text
from tests.wire.reading import whole


def parse(data: bytes) -> Any:
    return strict.parse(strict.to_text(data))


REFUSED = [
    (b"{bad json}", "invalid keyword 'bad'"),
    (b'{"a":tru}', "invalid keyword 'tru'"),
    (b'{"a":truefalse}', "invalid keyword 'truefalse'"),
    (b"[1,]", "expecting value"),
    (b"[,1]", "expecting value"),
    (b"{,}", "expecting value"),
    (b'{"a":}', "expecting value"),
    (b'{"a":1,}', "expecting value"),
    (b"{]", "expecting value"),
    (b'{"a" 1}', "missing : in object pair"),
    (b'{"a"}', "missing : in object pair"),
    (b'{"a":1 "b":2}', "expected separator in dict"),
    (b'{"a":{"b":1]', "expected separator in dict"),
    (b'{"a":1true}', "expected separator in dict"),
    (b'{"a":0x1}', "expected separator in dict"),
    (b"[1 2]", "expected separator in list"),
    (b'{"a":1,"a":2}', "duplicate key"),
    (b'{"a":1,"\\u0061":2}', "duplicate key"),
    (b"{1:2}", "key is not a string in object"),
    (b"{[1]:2}", "key is not a string in object"),
    (b"{{}:2}", "key is not a string in object"),
    (b'{"a":1,{"b":[2]}:3}', "key is not a string in object"),
    (b"{true:2}", "key is not a string in object"),
    (b"{tru:2}", "invalid keyword 'tru'"),
    # The first mistake counts, unless what is no token comes behind it.
    (b"{[1 2]:3}", "expected separator in list"),
    (b'{{"a" 1}:3}', "missing : in object pair"),
    (b'{"a":1 "\\x"}', "expected separator in dict"),
    (b'["\\x" 1]', "invalid escape sequence in string"),
    (b'{"a" 1, "b": 01}', "stray '01'"),
    (b'{"a" 1, "b": "x\x1f"}', "stray '\"x\x1f'"),
    (b'["\\x", {"b": 1.}]', "stray '1.}'"),
    (b'{"a":"\\x"}', "invalid escape sequence in string"),
    (b'["\\\xc0\x80"]', "invalid escape sequence in string"),
    (b'{"a":"\\ud800"}', "\\ud800 is not a valid Unicode character"),
    (b'{"a":"\\ud800x"}', "\\ud800 is not a valid Unicode character"),
    (b'{"a":"\\ud83d\\u0041"}', "\\ud83d is not a valid Unicode character"),
    (b'{"a":"\\udc00"}', "\\udc00 is not a valid Unicode character"),
    (b'{"a":"\\u12\xe2\x82\xac"}', "\\u12\ufffd is not a valid Unicode character"),
    (b'{"a":"\\u1\xe2\x82\xac"}', "\\u1\u20ac is not a valid Unicode character"),
    (b'{"a":"\\u12g4"}', "\\u12g4 is not a valid Unicode character"),
    (b'{"a":"\\u12"}', '\\u12" is not a valid Unicode character'),
    (b'{"a":"\xc3("}', "invalid UTF-8 sequence in string"),
    (b'["\xed\xa0\x80"]', "invalid UTF-8 sequence in string"),
    (b'["\xf4\x90\x80\x80"]', "invalid UTF-8 sequence in string"),
    (b'["\xc0\x81"]', "invalid UTF-8 sequence in string"),
    (b'{"a":01}', "stray '01'"),
    (b'{"a":-01}', "stray '-01'"),
    (b'{"a":1.}', "stray '1.}'"),
    (b'{"a":1e}', "stray '1e}'"),
    (b'{"a":1e+}', "stray '1e+}'"),
    (b'{"a":-}', "stray '-}'"),
    (b'{"a":1-}', "stray '-}'"),
    (b'{"a":--1}', "stray '--'"),
    (b'{"a":.5}', "stray '.'"),
    (b'{"a":1.5.5}', "stray '.'"),
    (b'{"a":+1}', "stray '+'"),
    (b'{"a":"\x01"}', "stray '\"\x01'"),
    (b'{"a":"b\tc"}', "stray '\"b\t'"),
]
# Those that the splitter finds, because what follows them is skipped or another message.
LEXICAL = [
    (b"}\n", "expecting value"),
    (b"]\n", "expecting value"),
    (b":\n", "expecting value"),
    (b",\n", "expecting value"),
    (b"+1\n", "stray '+'"),
    (b"NaN\n", "stray 'N'"),
    (b'{"a":NaN}\n', "stray 'N'"),
    (b'{"a":\\}\n', "stray '\\'"),
    (b'{"a":"b\n', "stray '\"b\n'"),
    (b'{"a":"\xff', "stray '\"\ufffd'"),
    (b"\xff", "stray '\ufffd'"),
    (b"\xef\xbb\xbf\n", "stray '\ufffd'"),
]


@pytest.mark.parametrize(("data", "what"), REFUSED)
def test_error_text(data: bytes, what: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse(data)
    assert str(caught.value) == f"JSON parse error, {what}"
    assert caught.value.error_class == "GenericError"
    assert caught.value.legacy[0] == "JSONParsing"


@pytest.mark.parametrize(("data", "what"), REFUSED + LEXICAL)
def test_error_text_from_the_splitter(data: bytes, what: str) -> None:
    assert whole(data) == [("error", f"JSON parse error, {what}")]


@pytest.mark.parametrize("data", [b'{"a', b'{"a"', b'{"a":', b'{"a":1', b"[", b"[1,", b"", b"'a"])
def test_end_of_input(data: bytes) -> None:
    with pytest.raises(CommandError, match="JSON parse error, premature EOI"):
        parse(data)


ACCEPTED = [
    (b'"abc"', "abc"),
    (b"'abc'", "abc"),
    (b"['a\\'b', \"a\\'b\", 'a\"b']", ["a'b", "a'b", 'a"b']),
    (b"{'a':1}", {"a": 1}),
    (b'"\\" \\\\ \\/ \\b\\f\\n\\r\\t"', '" \\ / \b\f\n\r\t'),
    (b'"\\u00e9\\u20AC"', "\u00e9\u20ac"),
    (b'"\\ud83d\\uDE00"', "\U0001f600"),
    (b'"\xf0\x9f\x98\x80\x7f"', "\U0001f600\x7f"),
    (b'"\\u0000"', "\0"),
    (b'"a\xc0\x80b"', "a\0b"),
    (b'"\\\\u0000"', "\\u0000"),
    (b'"\xef\xbf\xbf"', "\uffff"),
    (b" [ ]\t", []),
    (b"{ }", {}),
    (b"[true, false, null]", [True, False, None]),
    (b"[0, -0, 1.5, 1E2, -1e-1]", [0, 0, 1.5, 100.0, -0.1]),
    (b"9223372036854775808", 1 << 63),
    (b"-9223372036854775808", -(1 << 63)),
    (b"18446744073709551615", (1 << 64) - 1),
    (b"123456789012345678901", 1.2345678901234568e20),
    (b"1e400", float("inf")),
    (b'[[], {"a": {}}, [[1]]]', [[], {"a": {}}, [[1]]]),
]


@pytest.mark.parametrize(("data", "value"), ACCEPTED)
def test_accepted(data: bytes, value: Any) -> None:
    assert repr(parse(data)) == repr(value)


def test_no_depth_is_too_deep() -> None:
    depth = 100_000
    value = parse(b"[" * depth + b"]" * depth)
    for _ in range(depth - 1):
        (value,) = value
    assert value == []


def test_a_string_of_escapes_is_read_once() -> None:
    class Counting(str):
        __slots__ = ()
        looked_through = 0

        def find(self, wanted: str, start: Any = 0, end: Any = None) -> int:
            stop = len(self) if end is None else end
            found = str.find(self, wanted, start, stop)
            Counting.looked_through += (found if found >= 0 else stop) - start
            return found

    count = 10_000
    assert strict.parse(Counting('"' + "\\n" * count + '"')) == "\n" * count
    assert Counting.looked_through <= 4 * 2 * count


# JSON and what is nearly JSON: pieces of it, in any order.
WORDS = """{ } [ ] : , " ' \\ \\u \\u00e9 \\ud83d \\ude00 \\n a ab é \x01 \x7f true false null nul
    0 1 -1 1.5 1e5 1E+2 -0.0 . - + e 01 123456789012345678901 "a": 'b' {} [] "" NaN Infinity"""
BLANKS = [" ", "\n", "\t", "\r", "\uffff", "\x00"]
SCRAPS = st.lists(st.sampled_from(WORDS.split()) | st.sampled_from(BLANKS), max_size=12).map(
    "".join
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def by_strict(value: Any) -> Any:
    """What `scan` returned, as `strict` has it: integers of more than 20 digits are doubles."""
    if isinstance(value, dict):
        return {name: by_strict(item) for name, item in value.items()}
    if isinstance(value, list):
        return [by_strict(item) for item in value]
    if type(value) is int and len(str(value)) > 20:
        return float(str(value))
    return value


def agree(json_text: str) -> None:
    # The callers of `scan` look for surrogates themselves, which it lets pass.
    if "\\ud" in json_text or "\\uD" in json_text:
        return
    try:
        value, end = text.scan(json_text, 0)
    except text.Refused:
        return
    assert repr(by_strict(value)) == repr(strict.parse(json_text[:end]))


@given(SCRAPS)
@example('{"a":[1,"b"],"":null}')
@example('"\x7f\uffff"')
def test_scan_accepts_no_more_than_strict_in_scraps(json_text: str) -> None:
    agree(json_text)


@given(VALUES, st.booleans())
def test_scan_accepts_no_more_than_strict_in_json(value: Any, ascii_only: bool) -> None:
    try:
        json_text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    except ValueError:
        json_text = "[]"
    agree(json_text)


@given(SCRAPS)
def test_strict_raises_nothing_else(json_text: str) -> None:
    try:
        strict.parse(json_text)
    except CommandError as error:
        str(error).encode()
