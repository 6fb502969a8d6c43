"""Reading, writing and seeking: positions, ends of files, what is no plain file."""

import os
import pty
import select
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.protocol.codec import encode
from qga.protocol.files import FileChunk, FileWritten
from qga.protocol.model import Struct
from qga.wire import base64, text
from tests.agent.filecalls import opened, read, seek, write
from tests.agent.harness import PATIENCE, call, raw_answer, refusal, request

# Reading, and where a file ends.


def test_eof_is_told_by_the_read_that_met_it(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abcdef")
    handle = opened(agent, tmp_path / "file")
    assert read(agent, handle, 4) == (b"abcd", False)
    assert read(agent, handle, 2) == (b"ef", False)
    assert read(agent, handle, 0) == (b"", False)
    assert read(agent, handle, 1) == (b"", True)
    assert read(agent, handle, 0) == (b"", False)
    seek(agent, handle, 3)
    assert read(agent, handle, 100) == (b"def", True)
    with (tmp_path / "file").open("ab") as file:
        file.write(b"more")
    assert read(agent, handle, 100) == (b"more", True)


def test_a_read_takes_4096_bytes_by_default(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(5000))
    handle = opened(agent, tmp_path / "file")
    assert read(agent, handle) == (bytes(4096), False)
    assert read(agent, handle) == (bytes(904), True)


@pytest.mark.parametrize("count", [-1, (48 << 20) + 1, 1 << 32, 2**63 - 1, -(2**63)])
def test_counts_that_cannot_be_read(agent: Agent, tmp_path: Path, count: int) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    handle = opened(agent, tmp_path / "file")
    desc = refusal(agent, "guest-file-read", handle=handle, count=count)
    assert desc == f"value '{count}' is invalid for argument count"
    assert read(agent, handle) == (b"abc", True)


def test_48_mib_is_the_largest_count(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert read(agent, opened(agent, tmp_path / "file"), 48 << 20) == (b"abc", True)


def test_a_fifo_gives_what_it_holds(agent: Agent, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    handle = opened(agent, tmp_path / "fifo")
    with (tmp_path / "fifo").open("wb", buffering=0) as end:
        end.write(b"abc")
        assert read(agent, handle, 4096) == (b"abc", False)
        empty = "failed to read file: Resource temporarily unavailable"
        assert refusal(agent, "guest-file-read", handle=handle) == empty
        end.write(b"defg")
        assert read(agent, handle, 2) == (b"de", False)
    assert read(agent, handle) == (b"fg", True)
    assert read(agent, handle) == (b"", True)


def test_a_terminal_gives_what_it_holds(agent: Agent) -> None:
    master, slave = pty.openpty()
    try:
        handle = opened(agent, Path(os.ttyname(slave)), "r+")
        os.write(master, b"typed\n")
        # The kernel carries it over when it finds the time.
        assert select.select([slave], [], [], PATIENCE)[0]
        assert read(agent, handle) == (b"typed\n", False)
        assert "temporarily unavailable" in refusal(agent, "guest-file-read", handle=handle)
        assert write(agent, handle, b"shown") == 5
        seen = b""
        while not seen.endswith(b"shown"):
            seen += os.read(master, 100)
        assert refusal(agent, "guest-file-seek", handle=handle, offset=0, whence=0) == (
            "failed to seek file: Illegal seek"
        )
    finally:
        os.close(master)
        os.close(slave)


# Replies.


@pytest.mark.parametrize("identity", [{}, {"id": 7}, {"id": None}])
@pytest.mark.parametrize(("size", "count"), [(0, 1), (0, 0), (3, 3), (4, 5), (5000, None)])
def test_replies_are_as_declared(
    agent: Agent, tmp_path: Path, size: int, count: int | None, identity: dict[str, Any]
) -> None:
    def expected(result: Struct) -> bytes:
        return b"".join(text.encode({"return": encode(result)} | identity)) + b"\n"

    data = os.urandom(size)
    handle = opened(agent, tmp_path / "file", "w+")
    buf_b64 = base64.encode(data).decode()
    writing = request("guest-file-write", {"handle": handle, "buf-b64": buf_b64}, **identity)
    assert raw_answer(agent, writing) == expected(FileWritten(count=size, eof=False))
    seek(agent, handle, 0)
    arguments = {"handle": handle} | ({} if count is None else {"count": count})
    reading = request("guest-file-read", arguments, **identity)
    found = data[: 4096 if count is None else count]
    chunk = FileChunk(count=len(found), data=found, eof=count is not None and count > size)
    assert raw_answer(agent, reading) == expected(chunk)


# Writing.


def test_what_is_written_is_there_at_once(agent: Agent, tmp_path: Path) -> None:
    handle = opened(agent, tmp_path / "file", "w")
    assert write(agent, handle, b"abc") == 3
    assert (tmp_path / "file").read_bytes() == b"abc"
    assert call(agent, "guest-file-flush", handle=handle) == {}


def test_nothing_can_be_written_to_a_file_open_for_reading(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    handle = call(agent, "guest-file-open", path=str(tmp_path / "file"))
    nothing = {"count": 0, "eof": False}
    assert call(agent, "guest-file-write", handle=handle, buf_b64="") == nothing
    assert call(agent, "guest-file-write", handle=handle, buf_b64="YWJj", count=0) == nothing


def test_count_limits_what_is_written(agent: Agent, tmp_path: Path) -> None:
    handle = opened(agent, tmp_path / "file", "w")
    assert write(agent, handle, b"abcdef", count=2) == 2
    assert write(agent, handle, b"abcdef", count=0) == 0
    assert write(agent, handle, b"xyz", count=3) == 3
    for count in (4, -1, 2**63 - 1):
        desc = refusal(agent, "guest-file-write", handle=handle, buf_b64="eHl6", count=count)
        assert desc == f"value '{count}' is invalid for argument count"
    assert (tmp_path / "file").read_bytes() == b"abxyz"


@pytest.mark.parametrize(
    ("encoded", "written"),
    [("", b""), ("aGVs\nbG8=\n", b"hello"), ("aGVsbG8", b"hel"), ("YQ==Yg==", b"ab")],
)
def test_base64_of_all_kinds_that_upstream_takes(
    agent: Agent, tmp_path: Path, encoded: str, written: bytes
) -> None:
    handle = opened(agent, tmp_path / "file", "w")
    result = call(agent, "guest-file-write", handle=handle, buf_b64=encoded)
    assert result == {"count": len(written), "eof": False}
    assert (tmp_path / "file").read_bytes() == written


@pytest.mark.parametrize("encoded", ["aGVs bG8=", "a-b_", "\u00e9", "YQ==\t"])
def test_what_is_not_base64_writes_nothing(agent: Agent, tmp_path: Path, encoded: str) -> None:
    handle = opened(agent, tmp_path / "file", "w")
    desc = refusal(agent, "guest-file-write", handle=handle, buf_b64=encoded)
    assert desc == "Base64 data contains invalid characters"
    assert (tmp_path / "file").read_bytes() == b""


def test_a_full_disk_is_told_by_the_write(agent: Agent) -> None:
    handle = opened(agent, Path("/dev/full"), "w")
    desc = refusal(agent, "guest-file-write", handle=handle, buf_b64="QUJD")
    assert desc == "failed to write to file: No space left on device"
    assert call(agent, "guest-file-close", handle=handle) == {}


def test_a_full_pipe_takes_what_the_count_says(agent: Agent, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        handle = opened(agent, tmp_path / "fifo", "w")
        data = os.urandom(1 << 20)
        count = write(agent, handle, data)
        assert 0 < count < len(data)
        desc = refusal(agent, "guest-file-write", handle=handle, buf_b64="QUJD")
        assert desc == "failed to write to file: Resource temporarily unavailable"
        taken = b""
        while len(taken) < count:
            taken += os.read(reader, 1 << 20)
        assert taken == data[:count]
    finally:
        os.close(reader)


def test_appending_goes_to_the_end_wherever_the_position_is(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    handle = opened(agent, tmp_path / "file", "a")
    assert seek(agent, handle, 0, "cur") == 0
    both = opened(agent, tmp_path / "file", "a+")
    assert seek(agent, both, 0, "cur") == 0
    seek(agent, handle, 0)
    write(agent, handle, b"d")
    assert read(agent, both, 2) == (b"ab", False)
    write(agent, both, b"e")
    assert read(agent, both) == (b"", True)
    assert (tmp_path / "file").read_bytes() == b"abcde"


def test_reads_and_writes_on_one_handle_follow_each_other(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    handle = opened(agent, tmp_path / "file", "r+")
    assert read(agent, handle, 2) == (b"01", False)
    assert write(agent, handle, b"AB") == 2
    assert read(agent, handle, 2) == (b"45", False)
    assert seek(agent, handle, 0, "cur") == 6
    assert write(agent, handle, b"C") == 1
    assert seek(agent, handle, -1, "end") == 9
    assert read(agent, handle) == (b"9", True)
    assert write(agent, handle, b"X") == 1
    assert (tmp_path / "file").read_bytes() == b"01AB45C789X"


# Seeking.


@pytest.mark.parametrize(
    ("whence", "offset", "position"),
    [(0, 3, 3), (1, 3, 5), (2, -3, 7), ("set", 3, 3), ("cur", -2, 0), ("end", 5, 15)],
)
def test_seek(agent: Agent, tmp_path: Path, whence: int | str, offset: int, position: int) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    handle = opened(agent, tmp_path / "file")
    seek(agent, handle, 2)
    assert seek(agent, handle, offset, whence) == position


@pytest.mark.parametrize(
    ("offset", "whence", "desc"),
    [
        (-1, 0, "failed to seek file: Invalid argument"),
        (-11, "end", "failed to seek file: Invalid argument"),
        (0, 3, "invalid whence code 3"),
        (0, -1, "invalid whence code -1"),
        (0, "SET", "Parameter 'whence' does not accept value 'SET'"),
        (0, None, "Invalid parameter type for 'whence', expected: GuestFileWhence"),
        (0, True, "Invalid parameter type for 'whence', expected: GuestFileWhence"),
    ],
)
def test_seeks_that_are_refused_leave_the_position(
    agent: Agent, tmp_path: Path, offset: int, whence: Any, desc: str
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    handle = opened(agent, tmp_path / "file")
    seek(agent, handle, 2)
    arguments = {"handle": handle, "offset": offset, "whence": whence}
    assert refusal(agent, "guest-file-seek", **arguments) == desc
    assert seek(agent, handle, 0, "cur") == 2


def test_whence_is_required(agent: Agent, tmp_path: Path) -> None:
    handle = opened(agent, tmp_path)
    desc = refusal(agent, "guest-file-seek", handle=handle, offset=0)
    assert desc == "Parameter 'whence' is missing"


def test_a_file_written_beyond_its_end_has_zeros_between(agent: Agent, tmp_path: Path) -> None:
    handle = opened(agent, tmp_path / "file", "w+")
    assert seek(agent, handle, 5) == 5
    write(agent, handle, b"x")
    assert (tmp_path / "file").read_bytes() == bytes(5) + b"x"
