"""Whole files through the file commands alone, piece by piece. For `operations`."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from qga.errors import GuestOSError
from qga.protocol import FileRead, FileWrite

from .asking import told
from .handle import with_file
from .steps import GetLimits, Limits, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .script import GuestPath
    from .steps import Flow, Progress


def download(
    path: GuestPath,
    sink: Callable[[bytes], object],
    *,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> Flow[int]:
    """Pass a file of the guest piece by piece to *sink*.

        >>> import hashlib
        >>> digest = hashlib.sha256()
        >>> client.download("/etc/hostname", digest.update)
        5
        >>> digest.hexdigest()[:16]
        '997890bc85c57964'

    Args:
        path: full path in the guest.
        sink: called with each piece, of 512 KiB or what the channel carries at once.
        progress: called with the number of bytes so far.
        timeout: seconds for each piece; the client's own if None.

    Returns: the number of bytes.

    Raises:
        CommandError: the agent refused; what was read before has reached *sink*.
    """

    def transfer(handle: int) -> Flow[int]:
        limits: Limits = yield GetLimits()
        done = 0
        while True:
            piece = yield FileRead(handle=handle, count=limits.read)
            if piece.count:
                sink(piece.data)
                done += piece.count
                if progress:
                    progress(done)
            if piece.eof or not piece.count:
                return done

    yield Timeout(timeout)
    return (yield from with_file(path, "r", transfer))


def upload(
    path: GuestPath,
    pieces: Iterable[bytes | bytearray | memoryview],
    *,
    append: bool = False,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> Flow[int]:
    r"""Write *pieces* one behind the other to a file of the guest.

        >>> client.upload("/tmp/lines", (b"line %d\n" % n for n in range(3)), progress=print)
        7
        14
        21
        21
        >>> client.read_file("/tmp/lines")
        b'line 0\nline 1\nline 2\n'

    Args:
        path: full path in the guest.
        pieces: the data; long pieces are divided.
        append: keep what the file holds.
        progress: called with the number of bytes so far.
        timeout: seconds for each piece of 512 KiB, or what the channel carries at once; the
            client's own if None.

    Returns: the number of bytes.

    Raises:
        CommandError: the agent refused, or wrote nothing of a piece.
    """

    def transfer(handle: int) -> Flow[int]:
        limits: Limits = yield GetLimits()
        done = 0
        for piece in pieces:
            view = memoryview(piece).cast("B")
            while view:
                written = yield FileWrite(handle=handle, data=view[: limits.write])
                if written.count <= 0:
                    raise GuestOSError(
                        f"no byte could be written to {told(os.fsencode(path))}", errno.ENOSPC
                    )
                # An agent may take less than it was given.
                view = view[written.count :]
                done += written.count
                if progress:
                    progress(done)
        return done

    yield Timeout(timeout)
    return (yield from with_file(path, "a" if append else "w", transfer))


def write_file(
    path: GuestPath,
    data: bytes | bytearray | memoryview,
    *,
    append: bool = False,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> Flow[int]:
    r"""Make *data* the content of a file of the guest, or append it; return its length.

        >>> client.write_file("/etc/motd", b"Welcome.\n")
        9
        >>> client.write_file("/etc/motd", b"Behave.\n", append=True)
        8
        >>> client.read_file("/etc/motd")
        b'Welcome.\nBehave.\n'

    Arguments and errors are those of `upload`.
    """
    return (yield from upload(path, [data], append=append, progress=progress, timeout=timeout))


def read_file(
    path: GuestPath,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> Flow[bytes]:
    r"""The content of a file of the guest.

        >>> client.read_file("/etc/hostname")
        b'fake\n'
        >>> client.read_file("/no/such/file")
        Traceback (most recent call last):
        qga.errors.GuestOSError: failed to open file '/no/such/file' (mode: 'r'): No such file...

    Args:
        path: full path in the guest.
        limit: read at most so many bytes.
        progress: called with the number of bytes so far.
        timeout: seconds for each piece of 512 KiB; the client's own if None.

    Raises:
        CommandError: the agent refused.
    """

    def transfer(handle: int) -> Flow[bytes]:
        limits: Limits = yield GetLimits()
        pieces: list[bytes] = []
        done = 0
        while limit is None or done < limit:
            count = limits.read if limit is None else min(limits.read, limit - done)
            piece = yield FileRead(handle=handle, count=count)
            pieces.append(piece.data)
            done += len(piece.data)
            if progress and piece.count:
                progress(done)
            if piece.eof or not piece.count:
                break
        return b"".join(pieces)

    yield Timeout(timeout)
    return (yield from with_file(path, "r", transfer))
