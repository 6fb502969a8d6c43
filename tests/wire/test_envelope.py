"""Replies: strict JSON, whatever the id."""

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qga.errors import CommandError
from qga.wire import envelope, splitter, text
from qga.wire.splitter import Splitter
from tests.wire.reading import (
    BASE64_5000,
    plain,
    read_strictly,
)

IDS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])) | st.just(BASE64_5000.decode()),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner),
    max_leaves=8,
)  # fmt: skip


@given(IDS, st.sampled_from([None, 7, b"bytes", {"buf-b64": b"\0" * 5000, "eof": True}]))
def test_every_reply_is_strict_json_and_echoes_the_id(request_id: Any, result: Any) -> None:
    request = b"".join(text.encode({"execute": "guest-ping", "id": request_id}))
    error = CommandError("no \u20ac \x00 '\"\\")
    for size in (50, 1 << 20):
        at = Splitter()
        (message,) = [
            event for start in range(0, len(request), size)
            for event in at.feed(request[start : start + size])
        ]  # fmt: skip
        for reply in (
            b"".join(envelope.success(result, message["id"])),
            envelope.failure(error, message["id"]),
            envelope.failure(error, message["id"], legacy=True),
        ):
            assert reply.endswith(b"}\n")
            assert reply.count(b"\n") == 1
            assert repr(read_strictly(reply)["id"]) == repr(read_strictly(request)["id"])


def test_a_reply_echoes_the_deepest_id() -> None:
    depth = splitter.DEPTH_LIMIT - 1
    deep = b"[" * depth + b"]" * depth
    (message,) = Splitter().feed(b'{"execute":"guest-file-read","id":' + deep + b"}")
    assert sys.getrecursionlimit() < depth
    reply = b"".join(envelope.success({"buf-b64": b"abc"}, message["id"]))
    assert reply == b'{"return": {"buf-b64": "YWJj"}, "id": ' + deep + b"}\n"
    assert plain(envelope.check_request(message)[0]) == "guest-file-read"


def test_a_long_command_name_is_a_name() -> None:
    (message,) = in_pieces_raw(b'{"execute":"' + BASE64_5000 + b'"}', 1000)
    assert envelope.check_request(message) == (BASE64_5000.decode(), {})


def in_pieces_raw(data: bytes, size: int) -> list[Any]:
    at = Splitter()
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    return [event for piece in pieces for event in at.feed(piece)]


def test_a_file_name_that_is_not_utf8_makes_a_valid_reply() -> None:
    reply = envelope.failure(CommandError("failed to open /mnt/\udcff: no"))
    assert read_strictly(reply)["error"]["desc"] == "failed to open /mnt/\ufffd: no"
