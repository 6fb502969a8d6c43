"""Words and bytes between messages: what they are worth, and that it is made once."""

import pytest

from qga.errors import CommandError
from qga.wire import garbage, message
from qga.wire.splitter import Splitter
from tests.wire.reading import feed, plain, stray, whole

WORDS = [b"0", b"-1", b"1.5e3", b"true", b"null", b"nothing", b"-", b"01", b"1x", b"abcE", b"12-"]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_worth_what_the_decoder_says(word: bytes) -> None:
    try:
        expected = plain(message.decode([word]))
    except CommandError as error:
        expected = plain(error)
    assert whole(word + b"\n" + word + b" ") == [expected, expected]
    # In pieces it takes another way.
    assert feed(Splitter(), [word[:1], word[1:], b"\n"]) == [expected]


def test_the_same_garbage_is_worth_the_same_error() -> None:
    events = Splitter().feed(b"nothing\n" * 3 + b"\xff\n" * 3 + b"]" * 3)
    assert len(events) == 9
    assert len(set(map(id, events))) == 3
    assert all(event.__traceback__ is None for event in events)


def test_more_words_than_are_remembered() -> None:
    words = [b"w%s" % bytes((97 + n // 26, 97 + n % 26)) for n in range(300)]
    events = whole(b"\n".join(words + words) + b"\n")
    assert events == 2 * [
        ("error", f"JSON parse error, invalid keyword '{word.decode()}'") for word in words
    ]
    assert len(garbage._words) <= garbage._WORDS


def test_each_byte_that_begins_no_token() -> None:
    for byte in set(range(256)) - set(b" \t\r\n{}[]:,\"'-0123456789abcdefghijklmnopqrstuvwxyz"):
        expected = stray(bytes((byte,)).decode(errors="replace"))
        assert whole(bytes((byte,)) + b"\n" + bytes((byte,))) == [expected, expected]
