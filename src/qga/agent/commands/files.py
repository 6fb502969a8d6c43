"""Handlers of `qga.protocol.files`.

Nothing is buffered in the agent, so that no write error is lost and everybody sees what was
written; upstream goes through stdio. What an end of file is to stdio shows on the wire, and is the
same here.
"""

import errno
import os

from qga.agent.later import Stream, Text
from qga.errors import BadArgument, CommandError, GuestOSError
from qga.protocol.files import (
    FileChunk,
    FileClose,
    FileFlush,
    FileOpen,
    FilePosition,
    FileRead,
    FileSeek,
    FileWrite,
    FileWritten,
    Seek,
)
from qga.wire import base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qga.agent.app import Agent

_DEFAULT_COUNT = 4096
_MAX_COUNT = 48 << 20
_UINT32 = 1 << 32

# Larger reads are sent while they are read, in pieces of this size.
_PIECE = base64.PIECE

# Replies to smaller reads are put together in memory.
_LITTLE = 16 * 1024

_FLAGS = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "r+": os.O_RDWR,
    "w+": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    "a+": os.O_RDWR | os.O_CREAT | os.O_APPEND,
}
# fopen's spellings: the b means nothing on POSIX and may stand before or after the plus.
_MODES = {
    spelling: flags
    for mode, flags in _FLAGS.items()
    for spelling in {mode, mode[0] + "b" + mode[1:], mode + "b"}
}
_ALWAYS = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_FILE_MODE = 0o666

_WHENCE = {
    0: os.SEEK_SET,
    1: os.SEEK_CUR,
    2: os.SEEK_END,
    Seek.SET: os.SEEK_SET,
    Seek.CUR: os.SEEK_CUR,
    Seek.END: os.SEEK_END,
}


class OpenFile:
    """An open file. `reading` is the stream of a read that is not sent completely yet."""

    __slots__ = ("fd", "reading")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.reading: _Reading | None = None


def _failed(what: str, error: OSError) -> GuestOSError:
    return GuestOSError(f"failed to {what}: {error.strerror}", error.errno)


def _find(agent: "Agent", handle: int) -> OpenFile:
    try:
        file = agent.files[handle]
    except KeyError:
        raise CommandError(
            f"handle '{handle}' has not been found", legacy=("FdNotFound", {"name": str(handle)})
        ) from None
    if file.reading is not None:
        # Another client uses the file while a large read is still being sent: that read ends here,
        # short, so that the position is what both were told.
        file.reading.cut()
    return file


@FileOpen.handler
def open_(agent: "Agent", command: FileOpen) -> int:
    mode = "r" if command.mode is None else command.mode
    flags = _MODES.get(mode)
    if flags is None:
        raise BadArgument(
            f"invalid file open mode '{mode}'", legacy=("InvalidParameter", {"name": "mode"})
        )
    try:
        fd = _open(command.path, flags | _ALWAYS)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        number = error.errno if isinstance(error, OSError) else errno.EINVAL
        raise GuestOSError(
            f"failed to open file '{command.path}' (mode: '{mode}'): {os.strerror(number or 0)}",
            number,
            legacy=("OpenFileFailed", {"filename": command.path}),
        ) from None
    try:
        handle = agent.state.next_handle()
    except OSError:
        os.close(fd)
        raise CommandError("failed to commit persistent state to disk") from None
    agent.files[handle] = OpenFile(fd)
    return handle


def _open(path: str, flags: int) -> int:
    if not flags & os.O_CREAT:
        return os.open(path, flags)
    # A new file gets its permissions whatever the umask is; those of an old one are left alone.
    try:
        fd = os.open(path, flags | os.O_EXCL, 0)
    except FileExistsError:
        return os.open(path, flags & ~os.O_CREAT)
    try:
        os.fchmod(fd, _NEW_FILE_MODE)
    except OSError:
        os.close(fd)
        raise
    return fd


@FileClose.handler
def close(agent: "Agent", command: FileClose) -> None:
    file = _find(agent, command.handle)
    # Linux has released the descriptor even when it reports an error.
    del agent.files[command.handle]
    try:
        os.close(file.fd)
    except OSError as error:
        raise _failed("close handle", error) from None


@FileRead.handler
def read(agent: "Agent", command: FileRead) -> "Text[FileChunk] | Stream[FileChunk]":
    file = _find(agent, command.handle)
    count = _DEFAULT_COUNT if command.count is None else command.count
    if not 0 <= count <= _MAX_COUNT:
        # Agents before 3.0 knew no maximum; what they could not do is out of reach here too.
        raise BadArgument.value("count", count)
    try:
        data, eof = _fill(file.fd, min(count, _PIECE))
    except OSError as error:
        raise _failed("read file", error) from None
    if len(data) < _PIECE or count == _PIECE:
        # What `FileChunk` would become, without a search for what in it is to be encoded.
        pieces = (
            b'{"count": %d, "buf-b64": "' % len(data),
            base64.encode(data),
            b'", "eof": true}' if eof else b'", "eof": false}',
        )
        # To copy a little costs less than to write it in pieces.
        return Text(b"".join(pieces)) if len(data) <= _LITTLE else Text(*pieces)
    file.reading = _Reading(file, data, count)
    return Stream(file.reading.pieces())


def _fill(fd: int, count: int) -> tuple[bytes, bool]:
    """Read *count* bytes; fewer at the end of the file, or of what a pipe or terminal holds now."""
    data = os.read(fd, count) if count else b""
    if len(data) == count:
        return data, False
    chunks = [data]
    missing = count - len(data)
    while data and missing:
        try:
            data = os.read(fd, missing)
        except BlockingIOError:
            return b"".join(chunks), False
        chunks.append(data)
        missing -= len(data)
    return b"".join(chunks), not data


class _Reading:
    """A large read, after its first piece: an error then makes it a short read, not a failure."""

    def __init__(self, file: OpenFile, first: bytes, count: int) -> None:
        self._file = file
        self._first = first
        self._count = count
        self._cut = False

    def cut(self) -> None:
        """End the read with what has been read so far."""
        self._cut = True
        self._file.reading = None

    def pieces(self) -> "Iterator[bytes]":
        data, eof, done = self._first, False, 0
        self._first = b""
        yield b'{"buf-b64": "'
        while True:
            done += len(data)
            # Only the last piece may be of a length that base64 has to pad.
            full = len(data) == _PIECE
            yield base64.encode(data)
            if not full or eof or self._cut or done == self._count:
                break
            try:
                data, eof = _fill(self._file.fd, min(_PIECE, self._count - done))
            except OSError:
                break
        self._file.reading = None
        yield b'", "count": %d, "eof": %s}' % (done, b"true" if eof else b"false")


@FileWrite.handler
def write(agent: "Agent", command: FileWrite) -> Text[FileWritten]:
    file = _find(agent, command.handle)
    data = command.data
    if command.count is not None:
        if not 0 <= command.count <= len(data):
            raise BadArgument.value("count", command.count)
        data = memoryview(data)[: command.count]
    written = 0
    try:
        # Nothing can be written anywhere, also to a file that is open for reading.
        while written < len(data):
            written += os.write(file.fd, memoryview(data)[written:] if written else data)
    except OSError as error:
        # A pipe that is full has taken what the count says, and none of the rest is lost. Any other
        # error is reported although some bytes were written: few clients look at the count.
        if not (written and error.errno == errno.EAGAIN):
            raise _failed("write to file", error) from None
    return Text(b'{"count": %d, "eof": false}' % written)


@FileSeek.handler
def seek(agent: "Agent", command: FileSeek) -> FilePosition:
    file = _find(agent, command.handle)
    whence = _WHENCE.get(command.whence)
    if whence is None:
        if agent.config.compat >= (2, 6):
            raise BadArgument(f"invalid whence code {command.whence}")
        whence = int(command.whence)  # was handed to the C library as it came
    try:
        position = os.lseek(file.fd, command.offset, whence)
    except OSError as error:
        raise _failed("seek file", error) from None
    return FilePosition(position=position, eof=False)


@FileFlush.handler
def flush(agent: "Agent", command: FileFlush) -> None:
    # Every write has reached the kernel before it was answered.
    _find(agent, command.handle)
