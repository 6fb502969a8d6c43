"""What is tried with files, in a folder that both agents find filled alike (`fill`)."""

import base64
import os
from pathlib import Path
from typing import Any

from tests.interop.case import FOLDER, Case, call, handle

MODES = (
    "r", "rb", "w", "wb", "a", "ab", "r+", "rb+", "r+b", "w+", "wb+", "w+b", "a+", "ab+", "a+b",
)  # fmt: skip
BAD_MODES = ("", "x", "wx", "rt", "R", "rw", "r++", "+r", "br", "r ", "r\n", "w+bb", "é")

WHENCES: tuple[Any, ...] = (
    0, 1, 2, "set", "cur", "end", "SET", "", 3, -1, 2**63, 1.0, True, None, [], {},
)  # fmt: skip
NOT_STRINGS: tuple[Any, ...] = (1, None, True, [], {})

WRITTEN_BY_OURS_ONLY = "48MiB"

_BIG = bytes(range(256)) * 4096  # 1 MiB
_HELLO = b"hello world\n"

OPEN, CLOSE, READ, WRITE, SEEK, FLUSH = (
    f"guest-file-{verb}" for verb in ("open", "close", "read", "write", "seek", "flush")
)


def fill(folder: Path) -> None:
    """Make the files that the cases are about."""
    folder.mkdir()
    (folder / "hello").write_bytes(_HELLO)
    (folder / "big").write_bytes(_BIG)
    (folder / "empty").touch()
    (folder / "secret").write_bytes(b"secret")
    (folder / "secret").chmod(0)
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("hello")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    for mode in MODES:
        (folder / f"old-{mode}").write_bytes(b"0123456789")
    os.mkfifo(folder / "fifo")
    os.mkfifo(folder / "nobody")
    with (folder / "large").open("wb") as large:
        large.truncate(48 << 20)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _open(key: str, name: str, mode: str | None = None, opens: str = "") -> Case:
    path = name if name.startswith("/") else f"{FOLDER}/{name}"
    arguments: dict[str, Any] = {"path": path} if mode is None else {"path": path, "mode": mode}
    return call(key, OPEN, opens=opens, **arguments)


def _on(name: str, key: str, command: str, **arguments: Any) -> Case:
    return call(key, command, handle=handle(name), **arguments)


def _each_mode(mode: str) -> tuple[Case, ...]:
    name = f"mode-{mode}"
    return (
        _open(f"mode {mode}: open", f"old-{mode}", mode, opens=name),
        _on(name, f"mode {mode}: where it stands", SEEK, offset=0, whence="cur"),
        _on(name, f"mode {mode}: read", READ, count=5),
        _on(name, f"mode {mode}: write", WRITE, buf_b64=_b64(b"abc")),
        _on(name, f"mode {mode}: where it stands then", SEEK, offset=0, whence="cur"),
        _on(name, f"mode {mode}: back to the start", SEEK, offset=0, whence="set"),
        _on(name, f"mode {mode}: read again", READ, count=100),
        _on(name, f"mode {mode}: close", CLOSE),
        _open(f"mode {mode}: a file that is not there", f"new-{mode}", mode),
    )


OPENING = (
    *(_open(f"bad mode {mode!r}", "hello", mode) for mode in BAD_MODES),
    call("open without arguments", OPEN),
    call("open with a number for a path", OPEN, path=5),
    call("open with null for a path", OPEN, path=None),
    call("open with null for a mode", OPEN, path="/dev/null", mode=None),
    call("open with a number for a mode", OPEN, path="/dev/null", mode=1),
    call("open with more than it takes", OPEN, path="/dev/null", flags=1),
    call("open an empty path", OPEN, path=""),
    _open("open what is not there", "nothing"),
    _open("open below a file", "hello/below"),
    _open("open with a name that is too long", "n" * 300),
    _open("open with a NUL in the path", "a\0b"),
    _open("open with an accent in the path", "naïve"),
    _open("create with an accent in the path", "créé €😀", "w"),
    _open("open a link", "link"),
    _open("open a dangling link to read", "dangling"),
    _open("open a dangling link to write", "dangling", "w"),
    _open("open a link to itself", "loop"),
    _open("open a folder to write", "folder", "w"),
    _open("open a folder to append", "folder", "a"),
    _open("open a fifo that nobody reads, to write", "nobody", "w"),
    _open("create in a folder that is not there", "none/new", "w"),
    _open("create in /proc", "/proc/none", "w"),
    *(case for mode in MODES for case in _each_mode(mode)),
)

HANDLES = (
    *(
        call(f"{command}, handle: {value!r}", command, handle=value)
        for command in (CLOSE, READ, FLUSH)
        for value in (5, -1, 0, 2**63 - 1, 2**63, 1000.0, "1000", True, None)
    ),
    call("close without a handle", CLOSE),
    call("read without a handle", READ),
    call("write without a handle", WRITE, buf_b64=""),
    call("write without data", WRITE, handle=5),
    call("write to an unknown handle", WRITE, handle=5, buf_b64="YWJj"),
    call("write bad base64 to an unknown handle", WRITE, handle=5, buf_b64="***"),
    call("seek an unknown handle", SEEK, handle=5, offset=0, whence=0),
    call("seek an unknown handle by a bad whence", SEEK, handle=5, offset=0, whence=9),
    call("seek without whence", SEEK, handle=5, offset=0),
    call("seek without offset", SEEK, handle=5, whence=0),
    call("flush with more than it takes", FLUSH, handle=5, x=1),
)

READING = (
    _open("reading: open", "hello", opens="r"),
    _on("r", "read all by default", READ),
    _on("r", "read at the end", READ),
    _on("r", "read once more at the end", READ, count=1),
    _on("r", "rewind", SEEK, offset=0, whence=0),
    _on("r", "read exactly what is there", READ, count=12),
    _on("r", "read after exactly that", READ, count=12),
    *(
        _on("r", f"seek, whence: {whence!r}", SEEK, offset=0, whence=whence)
        for whence in WHENCES
    ),
    *(
        _on("r", f"seek, offset: {offset!r}", SEEK, offset=offset, whence=0)
        for offset in (5, 100, -1, 2**62, 2**63 - 1, 2**63, 1.0, "1", True, None)
    ),
    _on("r", "read beyond the end", READ),
    _on("r", "seek back from the end", SEEK, offset=-6, whence="end"),
    _on("r", "read the last word", READ, count=5),
    _on("r", "tell", SEEK, offset=0, whence="cur"),
    _on("r", "seek before the start", SEEK, offset=-100, whence="cur"),
    _on("r", "read after a seek that failed", READ),
    *(
        _on("r", f"read, count: {count!r}", READ, count=count)
        for count in (0, -1, 2**31, 2**32, (48 << 20) + 1, 48 << 20, 2**63, 1.0, "1", True, None)
    ),
    _on("r", "read with more than it takes", READ, count=1, offset=0),
    _on("r", "write to a file open for reading", WRITE, buf_b64="YWJj"),
    _on("r", "write nothing to a file open for reading", WRITE, buf_b64=""),
    _on("r", "write none of it to a file open for reading", WRITE, buf_b64="YWJj", count=0),
    _on("r", "flush a file open for reading", FLUSH),
    _on("r", "reading: close", CLOSE),
    _on("r", "close again", CLOSE),
    _on("r", "read after close", READ),
    _open("empty: open", "empty", opens="empty"),
    _on("empty", "read nothing of an empty file", READ, count=0),
    _on("empty", "read an empty file", READ),
    _on("empty", "empty: close", CLOSE),
    _open("big: open", "big", opens="big"),
    _on("big", "read 64 KiB", READ, count=64 << 10),
    _on("big", "read 500,000 bytes", READ, count=500_000),
    _on("big", "read more than is left", READ, count=1 << 20),
    _on("big", "big: rewind", SEEK, offset=0, whence="set"),
    _on("big", "read 1 MiB", READ, count=1 << 20),
    _on("big", "big: at the end", READ, count=1 << 20),
    _on("big", "big: close", CLOSE),
    _open("large: open", "large", opens="large"),
    _on("large", "read 48 MiB", READ, count=48 << 20),
    _on("large", "large: close", CLOSE),
    _open("secret: open", "secret", opens="secret"),
    _open("folder: open", "folder", opens="folder"),
    _on("folder", "read a folder", READ),
    _on("folder", "write to a folder", WRITE, buf_b64="YWJj"),
    _on("folder", "folder: close", CLOSE),
    _open("zero: open", "/dev/zero", opens="zero"),
    _on("zero", "read /dev/zero", READ, count=10),
    _on("zero", "seek in /dev/zero", SEEK, offset=5, whence="set"),
    _open("proc: open", "/proc/sys/kernel/ostype", opens="proc"),
    _on("proc", "read a file of /proc", READ),
)  # fmt: skip

BASE64 = (
    "", "YWJj", "YWI=", "YQ==", "YWJ", "YW", "Y", "YWJjZA", "YWJj\n", "YW\nJj", "\n", "YW Jj",
    "YWJj\r\n", "YWJj!", "YW-_", "YWI=YWJj", "YQ==YWJj", "YWJj====", "=", "==", "===", "====",
    "=YWJ", "Y===", "Y=Jj", "YW=j", "YWJjé", "YWJj\0", "YR==", "YWL=", "\tYWJj",
)  # fmt: skip

WRITING = (
    _open("writing: open", "written", "w+", opens="w"),
    *(_on("w", f"write base64 {text!r}", WRITE, buf_b64=text) for text in BASE64),
    *(
        _on("w", f"write, count: {count!r}", WRITE, buf_b64=_b64(b"counted"), count=count)
        for count in (0, 3, 7, 8, -1, 2**32, 2**63, 3.0, "3", True, None)
    ),
    *(
        _on("w", f"write data of the wrong type: {data!r}", WRITE, buf_b64=data)
        for data in NOT_STRINGS
    ),
    _on("w", "write with more than it takes", WRITE, buf_b64="", offset=1),
    _on("w", "write: tell", SEEK, offset=0, whence=1),
    _on("w", "write: rewind", SEEK, offset=0, whence=0),
    _on("w", "write: read what was written", READ),
    _on("w", "write after read", WRITE, buf_b64=_b64(b"after read")),
    _on("w", "write: back a little", SEEK, offset=-5, whence="cur"),
    _on("w", "read after write", READ, count=3),
    _on("w", "write in the middle", WRITE, buf_b64=_b64(b"X")),
    _on("w", "read on", READ, count=100),
    _on("w", "write: to the start", SEEK, offset=0, whence="set"),
    _on("w", "overwrite the start", WRITE, buf_b64=_b64(b"START")),
    _on("w", "read behind it", READ, count=5),
    _on("w", "write far beyond the end", SEEK, offset=5000, whence="set"),
    _on("w", "write there", WRITE, buf_b64=_b64(b"far")),
    _on("w", "flush", FLUSH),
    _on("w", "read over the hole", SEEK, offset=4990, whence="set"),
    _on("w", "read the hole", READ),
    *(
        _on("w", f"write {size} bytes", WRITE, buf_b64=_b64(_BIG[:size]))
        for size in (3072, 4096, 65_536, 100_001, 1 << 20)
    ),
    _on("w", "write with escapes in the base64", WRITE, buf_b64="YWJj\n" * 2000),
    _on("w", "write long base64 with a blank", WRITE, buf_b64="YWJj" * 2000 + " "),
    _on("w", "write long base64 with padding inside", WRITE, buf_b64="YQ==" * 2000),
    _on("w", "write long base64 without padding", WRITE, buf_b64="YWJj" * 2000 + "YQ"),
    _on("w", "write long base64 less than all", WRITE, buf_b64="YWJj" * 2000, count=5000),
    _on("w", "write: close", CLOSE),
    _open("48 MiB: open", WRITTEN_BY_OURS_ONLY, "w", opens="48M"),
    _on("48M", "write 48 MiB", WRITE, buf_b64=_b64(bytes(48 << 20))),
    _on("48M", "48 MiB: close", CLOSE),
)  # fmt: skip

SHARED = (
    _open("shared: open to write", "shared", "w", opens="writer"),
    _open("shared: open to read", "shared", opens="reader"),
    _on("writer", "shared: write", WRITE, buf_b64=_b64(b"one")),
    _on("reader", "shared: read before a flush", READ),
    _on("writer", "shared: flush", FLUSH),
    _on("reader", "shared: rewind", SEEK, offset=0, whence="set"),
    _on("reader", "shared: read after the flush", READ),
    _open("append: open", "shared", "a+", opens="append"),
    _on("append", "append: write", WRITE, buf_b64=_b64(b"two")),
    _on("append", "append: tell", SEEK, offset=0, whence="cur"),
    _on("append", "append: rewind", SEEK, offset=0, whence="set"),
    _on("append", "append: write from the start", WRITE, buf_b64=_b64(b"three")),
    _on("append", "append: rewind to read", SEEK, offset=0, whence="set"),
    _on("append", "append: read all", READ),
    _on("append", "append: close", CLOSE),
    _on("writer", "shared: close", CLOSE),
    _open("emptied: open to read", "hello", opens="ahead"),
    _on("ahead", "emptied: read", READ, count=5),
    _open("emptied: open to write", "hello", "w", opens="emptying"),
    _on("ahead", "emptied: read on", READ, count=3),
    _on("ahead", "emptied: tell", SEEK, offset=0, whence="cur"),
    _on("ahead", "emptied: rewind", SEEK, offset=0, whence="set"),
    _on("ahead", "emptied: read from the start", READ),
    _on("ahead", "emptied: close the reader", CLOSE),
    _on("emptying", "emptied: close the writer", CLOSE),
)

PIPES = (
    _open("fifo: open to read", "fifo", opens="pipe-r"),
    _on("pipe-r", "fifo: read while nobody writes", READ),
    _open("fifo: open to write", "fifo", "w", opens="pipe-w"),
    _on("pipe-r", "fifo: read while it is empty", READ),
    _on("pipe-w", "fifo: write", WRITE, buf_b64=_b64(b"abc")),
    _on("pipe-w", "fifo: flush", FLUSH),
    _on("pipe-r", "fifo: read more than is there", READ),
    _on("pipe-w", "fifo: write again", WRITE, buf_b64=_b64(b"defghi")),
    _on("pipe-w", "fifo: flush again", FLUSH),
    _on("pipe-r", "fifo: read less than is there", READ, count=2),
    _on("pipe-r", "fifo: seek", SEEK, offset=0, whence="set"),
    _on("pipe-w", "fifo: tell", SEEK, offset=0, whence="cur"),
    _on("pipe-r", "fifo: the reader goes", CLOSE),
    _on("pipe-w", "fifo: write to nobody", WRITE, buf_b64=_b64(b"abc")),
    _on("pipe-w", "fifo: flush to nobody", FLUSH),
    _on("pipe-w", "fifo: close", CLOSE),
    _open("fifo: open for both", "fifo", "r+", opens="pipe-rw"),
    _on("pipe-rw", "fifo: write to itself", WRITE, buf_b64=_b64(b"abcdef")),
    _on("pipe-rw", "fifo: read after that", READ, count=3),
    _on("pipe-rw", "fifo: write after a read", WRITE, buf_b64=_b64(b"ghi")),
    _on("pipe-rw", "fifo: read after that, too", READ, count=3),
    _on("pipe-rw", "fifo: close both", CLOSE),
    _open("full: open", "/dev/full", "w", opens="full"),
    _on("full", "full: write", WRITE, buf_b64=_b64(b"abc")),
    _on("full", "full: flush", FLUSH),
    _on("full", "full: write again", WRITE, buf_b64=_b64(b"abc")),
    _on("full", "full: write much", WRITE, buf_b64=_b64(bytes(100_000))),
    _on("full", "full: close", CLOSE),
    _open("null: open", "/dev/null", "w", opens="null"),
    _on("null", "null: write", WRITE, buf_b64=_b64(b"abc")),
    _on("null", "null: close", CLOSE),
)

CASES: tuple[Case, ...] = (*OPENING, *HANDLES, *READING, *WRITING, *SHARED, *PIPES)
