"""What the topics of this package share: files read whole, names made fit for a reply."""

import errno
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Generic, TypeVar

    T = TypeVar("T")
else:

    class Generic:
        """Stands in for typing.Generic."""

        __slots__ = ()

        def __class_getitem__(cls, _: object) -> type:
            return cls

    T = None

# Files of sysfs are shorter, udev's records are, and one read is all of them.
_SHORT = 1 << 14

# The files of /proc give a few KiB at a time, whatever the buffer.
_CHUNK = 1 << 16

# The kernel fills a page, of 4 KiB or more, with as many lines as go into it. Where there was room
# for the longest of those that are read as such, there are no more.
_FULL = 3 << 10

# More than any of the files has that are read; /dev/zero has no end.
_MOST = 32 << 20

# Nanoseconds: more than the grain of a file's times, which is a tick of the kernel's timer, or up
# to two seconds on old file systems.
_SETTLED = 3_000_000_000


def read_file(path: str, most: int = _MOST) -> bytes:
    """All that is in the file at *path*; one of /proc or /sys may be longer than it says.

    Nobody is waited for: a pipe in its place is as good as an empty file.

    Raises:
        OSError: it cannot be read, or is longer than *most*; its text names the file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            first = os.read(fd, _CHUNK)
            pieces = [first]
            while piece := os.read(fd, _CHUNK):
                pieces.append(piece)
                most -= len(piece)
                if most < len(first):
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, f'open("{path}"): {error.strerror}') from None
    return first if len(pieces) == 1 else b"".join(pieces)


class KernelFile:
    """A file of /proc that is read again and again, for which it is opened but once.

    The kernel makes its content anew for whoever reads from the beginning.

    Args:
        path: where it is.
        short_lines: whether its lines are short; then it shows when the last piece has been read.
    """

    __slots__ = ("_fd", "_full", "path")

    def __init__(self, path: str, *, short_lines: bool = False) -> None:
        self.path = path
        self._full = _FULL if short_lines else 1
        self._fd = -1

    def read(self) -> bytes:
        """All that is in it now.

        Raises:
            OSError: as `read_file`.
        """
        try:
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            piece = os.pread(self._fd, _CHUNK, 0)
            if len(piece) < self._full:
                return piece
            pieces = [piece]
            size = len(piece)
            while len(piece) >= self._full:
                piece = os.pread(self._fd, _CHUNK, size)
                pieces.append(piece)
                size += len(piece)
        except OSError as error:
            raise OSError(error.errno, f'open("{self.path}"): {error.strerror}') from None
        return b"".join(pieces)

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class _Kept(Generic[T]):
    """Something that is read again only when stat() tells that it is another, or has changed.

    What has changed just now may change again without another time than it has, and be as long as
    before: it is read each time, until its times are old enough.
    """

    __slots__ = ("_load", "_meaning", "_seen", "path")

    def __init__(self, path: str, load: "Callable[[os.stat_result], tuple[T, bool]]") -> None:
        self.path = path
        # What it means, and whether a change of what stat() has told of it would show.
        self._load = load
        self._seen: tuple[int, ...] = ()
        self._meaning: T

    def read(self) -> "T":
        """What it means now; the same object as before if it has not been read again.

        Raises:
            OSError: it is not there, or as `read_file`.
        """
        found = os.stat(self.path)
        # Which nobody can set, as opposed to the time of the last change of the content.
        changed = found.st_ctime_ns
        seen = (changed, found.st_ino, found.st_size, found.st_dev)
        if seen != self._seen:
            self._seen = ()
            self._meaning, shows = self._load(found)
            if shows and time.time_ns() - changed > _SETTLED:
                self._seen = seen
        return self._meaning


class KeptFile(_Kept[T]):
    """A file of which the meaning is kept.

    Args:
        path: where it is.
        understand: what its content means.
        most: as for `read_file`.
    """

    __slots__ = ()

    def __init__(self, path: str, understand: "Callable[[bytes], T]", most: int = _MOST) -> None:
        def load(found: os.stat_result) -> "tuple[T, bool]":
            content = read_file(path, most)
            # What has no size, or another, is no file that somebody writes.
            shows = stat.S_ISREG(found.st_mode) and found.st_size == len(content)
            return understand(content), shows

        super().__init__(path, load)


class KeptListing(_Kept["list[str]"]):
    """A directory, not of /proc or /sys, of which the names are kept."""

    __slots__ = ()

    def __init__(self, path: str) -> None:
        super().__init__(path, lambda _: (os.listdir(path), True))


def read_short(path: str) -> bytes:
    """What is in a short file. (By hand, which takes a fraction of the time.)

    Raises:
        OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _SHORT)
    finally:
        os.close(fd)


def text(data: bytes) -> str:
    """*data* as text; bytes that are not UTF-8 become U+FFFD, for JSON has no room for them."""
    return data.decode("utf-8", "replace")


def shown(name: str) -> str:
    """The same for what Python has decoded already, by the rules for file names."""
    return name if name.isascii() else text(os.fsencode(name))


def malformed(path: str) -> OSError:
    """The error about a file at *path* that is not what the kernel writes."""
    return OSError(errno.EBADMSG, f"{path} is not as the kernel writes it")
