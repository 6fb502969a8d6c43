"""Twice the input costs about twice the work: counted in calls, and in bytes that are copied."""

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from qga.errors import CommandError
from qga.wire.splitter import Splitter

READ = 64 << 10  # what the agent takes at once


class Work:
    """Counts the calls of functions, of Python's and of C's, and the bytes that these return."""

    def __init__(self) -> None:
        self.calls = 0
        self.copied = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.calls += 1
        elif event == "return" and isinstance(argument, bytes | str):
            self.copied += len(argument)

    def of(self, stream: bytes, piece: int) -> "Work":
        """Take apart *stream*, in pieces."""
        splitter = Splitter()
        pieces = [stream[at : at + piece] for at in range(0, len(stream), piece)]
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            for part in pieces:
                splitter.feed(part)
        finally:
            sys.setprofile(before)
        return self


def request(filling: bytes) -> bytes:
    return b'{"execute":"guest-ping","id":"%s"}' % filling


STREAMS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "spaces": (lambda size: b" " * size, 2_000_000),
    "spaces in a list": (lambda size: b"[" + b" " * size, 1_000_000),
    "spaces between": (lambda size: (b"{}" + b" " * 1000) * (size // 1000), 1_000_000),
    "0xFF": (lambda size: b"\xff" * size, 2_000_000),
    "0xFF and newlines": (lambda size: b"\xff\n" * size, 2_000),
    "text": (lambda size: b"abc def. ghi? jkl\n" * size, 2_000),
    "a long word": (lambda size: b"a" * size, 2_000_000),
    "a long number": (lambda size: b"1" * size + b" ", 200_000),
    "garbage without an end": (lambda size: b"@" * size, 2_000_000),
    "[": (lambda size: b"[" * size, 1_000_000),
    "]": (lambda size: b"]" * size, 2_000),
    "[{},": (lambda size: b"[{}," * size, 200_000),
    "{{{{{{}}}}}},": (lambda size: b"[" + b"{{{{{{}}}}}}," * size, 2_000),
    "nested 1000 deep": (lambda size: (b"[" * 1000 + b"]" * 1000) * size, 20),
    "nested too deep": (lambda size: b"[" * size + b"]" * size, 50_000),
    "objects": (lambda size: b'{"a":1}' * size, 2_000),
    "objects, lines": (lambda size: b'{"a":1}\r\n' * size, 2_000),
    "objects and garbage": (lambda size: b'{"a":1}@\n' * size, 2_000),
    "objects after garbage": (lambda size: b"@\n" + b'{"a":1}' * size, 2_000),
    "lists that are not closed": (lambda size: b"[\xff" * size, 2_000),
    "[}": (lambda size: b"[}" * size, 2_000),
    "numbers": (lambda size: b"1 " * size, 3_000),
    "strings": (lambda size: b'"" ' * size, 3_000),
    "numbers in a list": (lambda size: b"[" + b"1," * size + b"1]", 200_000),
    "strings in a list": (lambda size: b"[" + b'"",' * size + b'""]', 200_000),
    "strings in single quotes": (lambda size: b"[" + b"''," * size + b"'']", 200_000),
    "strings in both quotes": (lambda size: b"[" + b"'\"',\"'\"," * size + b"'']", 2_000),
    "members": (lambda size: b"{%s}" % b",".join(b'"%d":1' % n for n in range(size)), 50_000),
    "the same member": (lambda size: b"{" + b'"a":1,' * size + b'"a":1}', 2_000),
    "quotes": (lambda size: b'"' * size, 3_000),
    "escaped backslashes": (lambda size: request(b"\\\\" * size), 200_000),
    "escaped quotes": (lambda size: request(b'\\"' * size), 200_000),
    "escaped characters": (lambda size: request(b"\\u00e9" * size), 200_000),
    "strings with escaped quotes": (lambda size: b"[" + b'"\\"",' * size + b"1]", 50_000),
    "a string": (lambda size: request(b"a-" * size), 2_000_000),
    "base64": (lambda size: request(b"QUJD" * size), 1 << 20),
    "a string that is not closed": (lambda size: b'{"execute":"' + b"a" * size, 4_000_000),
}


@pytest.mark.parametrize("name", STREAMS)
def test_twice_as_much_is_twice_the_work(name: str) -> None:
    make, size = STREAMS[name]
    once, twice = Work().of(make(size), READ), Work().of(make(2 * size), READ)
    assert twice.calls <= 2.2 * once.calls + 500
    assert twice.copied <= 2.2 * once.copied + 2 * READ


def test_a_long_message_in_pages_is_twice_the_work() -> None:
    """The longest that there may be, and half of it."""
    once, twice = (Work().of(request(b"QUJD" * size), 4096) for size in (8 << 20, 16 << 20))
    assert twice.calls <= 2.2 * once.calls
    assert twice.copied <= 2.2 * once.copied


class Sliced(bytes):
    """A piece of the stream that counts the bytes which are cut out of it."""

    cut = 0

    def __getitem__(self, key: Any) -> Any:
        item = bytes.__getitem__(self, key)
        if isinstance(item, bytes):
            Sliced.cut += len(item)
        return item


def sliced(stream: bytes) -> int:
    """How much is cut out of *stream*, as one piece."""
    Sliced.cut = 0
    Splitter().feed(Sliced(stream))
    return Sliced.cut


@pytest.mark.parametrize(
    "unit", [b"{}@\n", b"[]\xff", b"[}", b"1 ", b'"" ', b'["\\""]\xff', b"{} ", b"@\n", b"[[]]] "]
)
def test_what_comes_behind_is_not_copied_for_each_message(unit: bytes) -> None:
    count = 5_000
    once, twice = sliced(b" " + unit * count), sliced(b" " + unit * (2 * count))
    assert twice <= 2.2 * once
    assert twice <= 2048 * 2 * count * len(unit)


@pytest.fixture
def deep_enough() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * 1024)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("deep_enough")
def test_the_deepest_message_is_left_to_the_c_decoder() -> None:
    """As deep as it may be; with the agent's limit of recursion."""
    stream = b"[" * 1024 + b"]" * 1024
    work = Work().of(stream, len(stream))
    assert work.calls < 30


@pytest.mark.usefixtures("deep_enough")
def test_long_messages_behind_one_that_was_cut_are_left_to_it_as_well() -> None:
    """But for the one in which a read ends."""
    count, message = 200, b"[" * 1000 + b"]" * 1000
    work = Work().of(message * count, READ)
    assert work.calls < 40 * count


def test_the_same_garbage_again_costs_few_calls() -> None:
    count = 5_000
    for garbage, most in ((b"nothing\n", 20), (b"1 ", 20), (b"\xff\n", 12), (b"]", 3)):
        work = Work().of(garbage * count, READ)
        assert work.calls < most * count


def test_errors_that_wait_keep_no_frames() -> None:
    for event in Splitter().feed(b'nothing\n[1,\xff]\n{"a":1,"a":2}\n["\\x"]\n["a" "b"]\n'):
        assert isinstance(event, CommandError)
        assert event.__traceback__ is None
        assert event.__context__ is None
