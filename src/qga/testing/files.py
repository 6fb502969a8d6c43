"""The files of a fake agent's guest: a file system in memory, and the guest-file commands on it."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from qga.client.flows.openfile import MODES
from qga.errors import BadArgument, CommandError, GuestOSError
from qga.protocol import FileClose, FileFlush, FileOpen, FileRead, FileSeek, FileWrite
from qga.protocol.codec import LATEST
from qga.protocol.files import FileChunk, FilePosition, FileWritten, Seek

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from qga.protocol.model import Command

_DEFAULT_COUNT = 4096
_MAX_COUNT = 48 << 20
_FIRST_HANDLE = 1000
_WHENCE = {0: 0, 1: 1, 2: 2, Seek.SET: 0, Seek.CUR: 1, Seek.END: 2}


class _Open:
    """An open file; its content is None for a directory."""

    def __init__(self, content: bytearray | None, mode: str) -> None:
        self.content = content
        self.reads = mode[0] == "r" or "+" in mode
        self.writes = mode[0] != "r" or "+" in mode
        self.appends = mode[0] == "a"
        self.position = 0


class Files(MutableMapping[str, bytes]):
    """The regular files of the guest, by their full paths; a fake agent has them as `files`.

        >>> agent.files["/srv/www/index.html"] = b"<h1>hi</h1>"
        >>> client.read_file("/srv/www/index.html")
        b'<h1>hi</h1>'
        >>> client.write_file("/srv/www/robots.txt", b"")
        0
        >>> "/srv/www/robots.txt" in agent.files
        True

    Directories are made where a file is put; `mkdir` makes empty ones. There are no links, owners
    or permissions.

    Attributes:
        most: how many bytes one command reads or writes at most; None for as many as it asks for.
        room: how many bytes the guest's disk has left; None for as many as anybody writes.
    """

    def __init__(self) -> None:
        self.most: int | None = None
        self.room: int | None = None
        self._contents: dict[str, bytearray] = {}
        self._directories = {"/"}
        self._open: dict[int, _Open] = {}
        self._next = _FIRST_HANDLE
        self._age: Callable[[], tuple[int, ...]] = lambda: LATEST

    def __getitem__(self, path: str) -> bytes:
        return bytes(self._contents[posixpath.normpath(path)])

    def __setitem__(self, path: str, content: bytes) -> None:
        path = posixpath.normpath(path)
        self.mkdir(posixpath.dirname(path))
        self._contents[path] = bytearray(content)

    def __delitem__(self, path: str) -> None:
        del self._contents[posixpath.normpath(path)]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._contents))

    def __len__(self) -> int:
        return len(self._contents)

    def __repr__(self) -> str:
        return f"<Files {list(self)}>"

    def mkdir(self, path: str) -> None:
        """Make a directory, and those above it, where they are not there.

        >>> agent.files.mkdir("/srv/backup")
        >>> client.write_file("/srv/backup/new", b"data")
        4

        Args:
            path: full path; a `ValueError` if it is none, or leads through a file.
        """
        if not path.startswith("/"):
            raise ValueError(f"not a full path: {path!r}")
        path = posixpath.normpath(path)
        while path not in self._directories:
            if path in self._contents:
                raise ValueError(f"{path!r} is a file")
            self._directories.add(path)
            path = posixpath.dirname(path)

    @property
    def open_handles(self) -> int:
        """How many files the agent has open.

        >>> file = client.open("/etc/hostname")
        >>> agent.files.open_handles
        1
        >>> file.close()
        >>> agent.files.open_handles
        0
        """
        return len(self._open)

    def forget_handles(self) -> None:
        """Close what is open, as the end of an agent does.

        >>> file = client.open("/etc/hostname")
        >>> agent.files.forget_handles()
        >>> file.read(1)
        Traceback (most recent call last):
        qga.errors.ConnectionLost: /etc/hostname is not open any more, for the agent has ...
        >>> file.close()
        Traceback (most recent call last):
        qga.errors.ConnectionLost: /etc/hostname is not open any more, for the agent has ...
        """
        self._open.clear()

    # The commands.

    def _answers(
        self, age: Callable[[], tuple[int, ...]]
    ) -> dict[type[Command[Any]], Callable[[Any], Any]]:
        """What carries out the commands of an agent of that *age*."""
        self._age = age
        return {
            FileOpen: self._on_open,
            FileClose: self._on_close,
            FileRead: self._on_read,
            FileWrite: self._on_write,
            FileSeek: self._on_seek,
            FileFlush: self._on_flush,
        }

    def _on_open(self, command: FileOpen) -> int:
        mode = "r" if command.mode is None else command.mode
        if mode not in MODES:
            raise BadArgument(
                f"invalid file open mode '{mode}'", legacy=("InvalidParameter", {"name": "mode"})
            )
        try:
            content = self._find(command.path, mode)
        except OSError as error:
            raise GuestOSError(
                f"failed to open file '{command.path}' (mode: '{mode}'): {error.strerror}",
                error.errno,
                legacy=("OpenFileFailed", {"filename": command.path}),
            ) from None
        handle = self._next
        self._next += 1
        self._open[handle] = _Open(content, mode)
        return handle

    def _find(self, name: str, mode: str) -> bytearray | None:
        """The content of a file to open; None for a directory."""
        if "\0" in name:
            raise _os_error(errno.EINVAL)
        # An agent's working directory is the root.
        path = posixpath.normpath("/" + name).replace("//", "/")
        if path in self._directories:
            if mode not in {"r", "rb"}:
                raise _os_error(errno.EISDIR)
            return None
        above = posixpath.dirname(path)
        while above not in self._directories:
            if above in self._contents:
                raise _os_error(errno.ENOTDIR)
            above = posixpath.dirname(above)
        content = self._contents.get(path)
        if content is None:
            if mode[0] == "r" or posixpath.dirname(path) != above:
                raise _os_error(errno.ENOENT)
            content = self._contents[path] = bytearray()
        elif mode[0] == "w":
            if self.room is not None:
                self.room += len(content)
            content.clear()
        return content

    def _on_close(self, command: FileClose) -> None:
        self._file(command.handle)
        del self._open[command.handle]

    def _on_read(self, command: FileRead) -> FileChunk:
        file = self._file(command.handle)
        count = _DEFAULT_COUNT if command.count is None else command.count
        if not 0 <= count <= _MAX_COUNT:
            raise BadArgument.value("count", count)
        if file.content is None or not file.reads:
            raise _failed("read file", errno.EBADF if file.content is not None else errno.EISDIR)
        most = count if self.most is None else min(count, self.most)
        data = bytes(file.content[file.position : file.position + most])
        file.position += len(data)
        return FileChunk(count=len(data), data=data, eof=len(data) < most)

    def _on_write(self, command: FileWrite) -> FileWritten:
        file = self._file(command.handle)
        count = len(command.data) if command.count is None else command.count
        if not 0 <= count <= len(command.data):
            raise BadArgument.value("count", count)
        if file.content is None or not file.writes:
            raise _failed("write to file", errno.EBADF)
        data = memoryview(command.data)[: count if self.most is None else min(count, self.most)]
        if file.appends:
            file.position = len(file.content)
        end = file.position + len(data)
        growth = max(0, end - len(file.content))
        if self.room is not None:
            if growth > self.room:
                raise _failed("write to file", errno.ENOSPC)
            self.room -= growth
        if file.position > len(file.content):
            file.content.extend(bytes(file.position - len(file.content)))
        file.content[file.position : end] = data
        file.position = end
        return FileWritten(count=len(data), eof=False)

    def _on_seek(self, command: FileSeek) -> FilePosition:
        file = self._file(command.handle)
        if command.whence not in _WHENCE:
            if self._age() < (2, 6):
                raise _failed("seek file", errno.EINVAL)
            raise BadArgument(
                f"invalid whence code {command.whence}",
                legacy=("InvalidParameter", {"name": "whence"}),
            )
        base = (0, file.position, len(file.content or b""))[_WHENCE[command.whence]]
        if base + command.offset < 0:
            raise _failed("seek file", errno.EINVAL)
        file.position = base + command.offset
        return FilePosition(position=file.position, eof=False)

    def _on_flush(self, command: FileFlush) -> None:
        self._file(command.handle)

    def _file(self, handle: int) -> _Open:
        found = self._open.get(handle)
        if found is None:
            raise CommandError(
                f"handle '{handle}' has not been found",
                legacy=("FdNotFound", {"name": str(handle)}),
            )
        return found


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _failed(what: str, number: int) -> GuestOSError:
    return GuestOSError(f"failed to {what}: {os.strerror(number)}", number)
