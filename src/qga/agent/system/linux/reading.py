"""What the topics of this package share: files read whole, names made fit for a reply."""

import errno
import os

# Files of sysfs are shorter, udev's records are, and one read is all of them.
_SHORT = 1 << 14

# The files of /proc give a few KiB at a time, whatever the buffer.
_CHUNK = 1 << 16

# The kernel fills a page, of 4 KiB or more, with as many lines as go into it. Where there was room
# for the longest of those that are read by `KeptFile`, there are no more.
_FULL = 3 << 10

# More than any of the files has that are read; /dev/zero has no end.
_MOST = 32 << 20


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


class KeptFile:
    """A file of /proc with short lines, kept open: read again and again, always from its beginning.

    It is opened when first read. What it tells is of the moment.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1

    def read(self) -> bytes:
        """All that is in it.

        Raises:
            OSError: it cannot be read; the text names the file.
        """
        try:
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            piece = os.pread(self._fd, _CHUNK, 0)
            if len(piece) < _FULL:
                return piece
            pieces = [piece]
            length = 0
            while len(piece) >= _FULL:
                length += len(piece)
                piece = os.pread(self._fd, _CHUNK, length)
                pieces.append(piece)
        except OSError as error:
            raise OSError(error.errno, f'open("{self.path}"): {error.strerror}') from None
        return b"".join(pieces)

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def text(data: bytes) -> str:
    """*data* as text; bytes that are not UTF-8 become U+FFFD, for JSON has no room for them."""
    return data.decode("utf-8", "replace")


def shown(name: str) -> str:
    """The same for what Python has decoded already, by the rules for file names."""
    return name if name.isascii() else text(os.fsencode(name))


def malformed(path: str) -> OSError:
    """The error about a file at *path* that is not what the kernel writes."""
    return OSError(errno.EBADMSG, f"{path} is not as the kernel writes it")
