"""Reads that are sent while they are read: pieces of 192 KiB, and what may happen between them."""

import base64
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from tests.agent.filecalls import opened
from tests.agent.harness import RunningAgent, call, request

PIECE = 192 * 1024


def content(size: int) -> bytes:
    return (os.urandom(1021) * (size // 1021 + 1))[:size]


def begin(agent: Agent, handle: int, count: int, **more: Any) -> Iterator[bytes]:
    """The pieces of the reply to a large read."""
    message = request("guest-file-read", {"handle": handle, "count": count}, **more)
    reply = agent.dispatcher.answer(message)
    assert isinstance(reply, Iterator)
    return reply


def begin_and_take(agent: Agent, handle: int, count: int, pieces: int) -> tuple[Any, bytes]:
    """A large read of which *pieces* pieces of the file have been sent, and the text so far."""
    reply = begin(agent, handle, count)
    # What surrounds them comes in two pieces of its own.
    return reply, b"".join(next(reply) for _ in range(2 + pieces))


def decoded(text: bytes) -> tuple[bytes, bool]:
    chunk = json.loads(text)["return"]
    data = base64.b64decode(chunk["buf-b64"], validate=True)
    assert chunk["count"] == len(data)
    return data, chunk["eof"]


@pytest.mark.parametrize("count", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5, 1 << 20])
@pytest.mark.parametrize(
    "size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1, 2 * PIECE, 3 * PIECE, 700_001]
)
def test_any_count_of_any_size(agent: Agent, tmp_path: Path, size: int, count: int) -> None:
    data = content(size)
    (tmp_path / "file").write_bytes(data)
    handle = opened(agent, tmp_path / "file")
    message = request("guest-file-read", {"handle": handle, "count": count})
    reply = agent.dispatcher.answer(message)
    assert isinstance(reply, list | Iterator)
    assert decoded(b"".join(reply)) == (data[:count], count > size)
    position = call(agent, "guest-file-seek", handle=handle, offset=0, whence="cur")["position"]
    assert position == min(size, count)


@pytest.mark.parametrize("identity", [None, 7, "text \u00e9", {"a": [1.5, "\\"]}, [], 2**63])
def test_the_id_stands_behind_a_large_reply(agent: Agent, tmp_path: Path, identity: Any) -> None:
    (tmp_path / "file").write_bytes(bytes(2 * PIECE))
    handle = opened(agent, tmp_path / "file")
    text = b"".join(begin(agent, handle, 2 * PIECE, id=identity))
    assert text.endswith(b"}\n")
    assert text.isascii()
    reply = json.loads(text)
    assert set(reply) == {"return", "id"}
    assert reply["id"] == identity
    assert reply["return"]["count"] == 2 * PIECE


def test_a_large_reply_is_held_in_memory_piece_by_piece(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(2 << 20))
    handle = opened(agent, tmp_path / "file")
    assert max(map(len, begin(agent, handle, 2 << 20))) == PIECE // 3 * 4


def test_an_error_after_the_first_piece_makes_a_short_read(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = content(3 * PIECE)
    (tmp_path / "file").write_bytes(data)
    handle = opened(agent, tmp_path / "file")
    reply, text = begin_and_take(agent, handle, 3 * PIECE, 1)

    def fail(fd: int, count: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "read", fail)
        text += b"".join(reply)
    assert decoded(text) == (data[:PIECE], False)
    # The next read tells the error, or goes on if it has passed.
    assert decoded(b"".join(begin(agent, handle, 2 * PIECE))) == (data[PIECE:], False)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("guest-file-read", {"count": 10}),
        ("guest-file-seek", {"offset": 0, "whence": 1}),
        ("guest-file-close", {}),
        ("guest-file-flush", {}),
    ],
)
def test_another_use_of_the_file_ends_a_large_read(
    agent: Agent, tmp_path: Path, name: str, more: dict[str, Any]
) -> None:
    data = content(4 * PIECE)
    (tmp_path / "file").write_bytes(data)
    handle = opened(agent, tmp_path / "file")
    reply, text = begin_and_take(agent, handle, 4 * PIECE, 2)
    result = call(agent, name, handle=handle, **more)
    text += b"".join(reply)
    # Both are told the same: what the first has got, and that the second began behind it.
    assert decoded(text) == (data[: 2 * PIECE], False)
    if name == "guest-file-read":
        assert base64.b64decode(result["buf-b64"]) == data[2 * PIECE :][:10]
    if name == "guest-file-seek":
        assert result["position"] == 2 * PIECE


def test_two_large_reads_of_one_handle_share_the_file(agent: Agent, tmp_path: Path) -> None:
    data = content(4 * PIECE)
    (tmp_path / "file").write_bytes(data)
    handle = opened(agent, tmp_path / "file")
    first, text = begin_and_take(agent, handle, 4 * PIECE, 1)
    second = begin(agent, handle, 4 * PIECE)
    rest = b"".join(second)
    assert decoded(text + b"".join(first)) == (data[:PIECE], False)
    assert decoded(rest) == (data[PIECE:], True)


def test_a_large_read_that_nobody_finishes_leaves_the_file_usable(
    agent: Agent, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(bytes(4 * PIECE))
    handle = opened(agent, tmp_path / "file")
    reply, _ = begin_and_take(agent, handle, 4 * PIECE, 2)
    del reply
    assert call(agent, "guest-file-read", handle=handle, count=1)["count"] == 1
    assert call(agent, "guest-file-close", handle=handle) == {}


def test_a_fifo_ends_a_large_read_with_what_it_holds(agent: Agent, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    handle = opened(agent, tmp_path / "fifo")
    end = os.open(tmp_path / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    try:
        data = content(60_000)
        os.write(end, data)
        message = request("guest-file-read", {"handle": handle, "count": 1 << 20})
        reply = agent.dispatcher.answer(message)
        assert isinstance(reply, list)
        assert decoded(b"".join(reply)) == (data, False)
    finally:
        os.close(end)


@pytest.mark.parametrize("size", [1 << 20, 5 * PIECE, (48 << 20) + 1])
def test_a_file_comes_whole_over_a_socket(running: RunningAgent, size: int) -> None:
    data = content(size)
    (running.folder / "file").write_bytes(data)
    with running.connect() as peer:
        handle = peer.call("guest-file-open", path=str(running.folder / "file"))
        got, eof = [], False
        while not eof:
            peer.send(
                request("guest-file-read", {"handle": handle, "count": 48 << 20}),
                request("guest-sync", {"id": 9}, id="after"),
            )
            piece, eof = decoded(peer.line())
            got.append(piece)
            assert peer.reply() == {"return": 9, "id": "after"}
    assert b"".join(got) == data


def test_clients_reading_one_handle_get_every_byte_once(running: RunningAgent) -> None:
    data = content(3 << 20)
    (running.folder / "file").write_bytes(data)
    handle = running.call("guest-file-open", path=str(running.folder / "file"))
    message = request("guest-file-read", {"handle": handle, "count": 1 << 20})
    got = []
    with running.connect() as first, running.connect() as second:
        ends = 0
        while ends < 2:
            first.send(message)
            second.send(message)
            chunks = [decoded(peer.line()) for peer in (first, second)]
            got += [piece for piece, _ in chunks]
            ends = sum(eof for _, eof in chunks)
    assert sum(map(len, got)) == len(data)
