"""Whole files out of the guest: checked, resumed, with holes. For `transfers`."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from qga.errors import GuestOSError, QgaError, Unsupported
from qga.protocol import FileSeek

from . import checking
from .asking import ask, full, run, told
from .handle import with_file
from .moving import Memory, Meter, SparseFile, Tally, beside, receive, receive_ranges
from .placing import checksum
from .sending import Transferred
from .steps import CHUNK, Timeout, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from .moving import TransferProgress
    from .script import GuestPath
    from .steps import Flow

# Where the file has data: first and last byte of each range. Only Python can tell everywhere.
_MAP = """command -v python3 >/dev/null || return 127
python3 -I -S -c '
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
end, size = 0, os.fstat(file).st_size
while end < size:
    try:
        start = os.lseek(file, end, os.SEEK_DATA)
    except OSError:
        break
    end = os.lseek(file, start, os.SEEK_HOLE)
    print(start, end - start)
' "$1"
"""


def read(
    path: GuestPath, *, limit: int | None = None, verify: bool = False, timeout: float | None = None
) -> Flow[bytes]:
    r"""The content of a file of the guest.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.read(f"{folder}/file", verify=True)
        b'data\n'

    Args:
        path: full path in the guest.
        limit: read at most so many bytes.
        verify: compare checksums made at both ends; needs guest-exec.
        timeout: seconds for each group of 2 MiB; the client's own if None.

    Raises:
        GuestOSError: the guest refused; `errno` tells why.
        CommandDisabled, Unsupported: it cannot be verified.
        QgaError: what was read is not what is there.
    """
    yield Timeout(timeout)
    where = full(path)
    sink, tally = Memory(), Tally(Meter(None))

    def transfer(handle: int) -> Flow[int]:
        return (yield from receive(handle, sink, tally, limit=limit))

    size = yield from with_file(where, "r", transfer)
    if verify:
        yield from checking.verify(where, size, tally, must=True)
    return bytes(sink.data)


def download(
    path: GuestPath,
    local_path: str | os.PathLike[str],
    *,
    preserve: bool = False,
    verify: bool | None = None,
    resume: bool = False,
    sparse: bool = True,
    progress: Callable[[TransferProgress], object] | None = None,
    timeout: float | None = None,
) -> Flow[Transferred]:
    r"""Copy a file of the guest to here, in bounded memory.

    The data is written beside *local_path* and then renamed: it is replaced when all has arrived.

    A file that grows meanwhile is copied up to its end as met; what was copied is verified. With an
    asynchronous client, the file here is written in the event loop, in pieces of 512 KiB.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.download(f"{folder}/file", f"{folder}/here")
        Transferred(size=5, moved=5, verified=...)

    Args:
        path: full path in the guest.
        local_path: the file here.
        preserve: give it the permissions, without setuid and such, and the modification time that
            it has in the guest; needs guest-exec.
        verify: True to compare checksums made at both ends, or fail; None to compare lengths where
            the guest cannot make one, or the file has no length as those of /proc; False not to.
        resume: leave what has arrived when the transfer breaks, in a hidden file beside
            *local_path*, and continue what an earlier download has left there, after having
            compared checksums of it. It begins anew where the guest can make none.
        sparse: make holes of what is all zeros, in blocks of 64 KiB. Where the file is sparse and
            the guest has Python, its holes are not even read.
        progress: called with a `TransferProgress` after each piece.
        timeout: seconds for each group of 2 MiB; the client's own if None.

    Raises:
        OSError: the file here cannot be written.
        GuestOSError: the guest refused; `errno` tells why. Pipes, terminals and the like are
            refused here, where guest-exec tells what they are.
        CommandDisabled, Unsupported: the guest cannot do what was asked for.
        QgaError: what arrived is not what is there.
    """
    yield Timeout(timeout)
    where = full(path)
    look = yield from checking.look(where, must=preserve)
    if look is not None:
        check_kind(where, look.mode)
    target = Path(local_path).resolve()
    place = target.with_name(beside(os.fsencode(target.name), resume=resume))
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if resume else os.O_EXCL)
    try:
        descriptor = os.open(place, flags, 0o600)
    except OSError as error:  # the folder's fault; the name would only confuse
        raise type(error)(error.errno, error.strerror, os.fspath(target.parent)) from None
    try:
        meter = Meter(progress, look.size or None if look else None)
        tally, start = Tally(meter), 0
        if resume:
            start = yield from _resumed(where, descriptor, tally, look)
        os.lseek(descriptor, start, os.SEEK_SET)
        os.ftruncate(descriptor, start)
        sink = SparseFile(descriptor, sparse=sparse)
        reading = _fetch(where, sink, tally, look if sparse else None, start=start)
        size, known = yield from checking.alongside(
            where, None if verify is False else look, reading
        )
        sink.finish()
        verified = False
        if verify or (verify is None and (look is None or look.size > 0 or not size)):
            verified = yield from checking.verify(
                where, size, tally, known=known, must=verify is True
            )
        _finish(descriptor, place, target, look if preserve else None)
    except BaseException as error:
        # Also when the flow is given up. What is wrong is not to be continued.
        if not resume or type(error) is QgaError:
            place.unlink()
        raise
    finally:
        os.close(descriptor)
    meter.add_files()
    return Transferred(size, meter.moved, verified)


def check_kind(path: bytes, mode: int) -> None:
    """Refuse what has no end, or keeps whoever opens it waiting, as pipes and terminals do."""
    if stat.S_ISDIR(mode):
        raise GuestOSError(f"cannot read {told(path)}: Is a directory", errno.EISDIR)
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise GuestOSError(
            f"cannot read {told(path)}: it is no regular file and no block device", errno.EINVAL
        )


def _fetch(
    path: bytes, sink: SparseFile, tally: Tally, look: checking.Look | None, *, start: int
) -> Flow[int]:
    """Read from *start* to the end; return the length of the file."""
    ranges = None
    if look is not None and look.sparse:
        ranges = yield from data_ranges(path)

    def transfer(handle: int) -> Flow[int]:
        if look is not None and ranges is not None:
            size = look.size
            return (yield from receive_ranges(handle, sink, ranges, tally, start=start, size=size))
        if start:
            yield FileSeek(handle=handle, offset=start, whence=0)
        left = look.size - start if look is not None else None
        return (yield from receive(handle, sink, tally, size=left))

    return start + (yield from with_file(path, "r", transfer))


def data_ranges(path: bytes) -> Flow[list[tuple[int, int]] | None]:
    """Where the file has data; None if the guest has no program that knows."""
    try:
        out = yield from ask(f"read {told(path)}", _MAP, path)
        words = [int(word) for word in out.split()]
    except (GuestOSError, Unsupported, ValueError):
        return None
    return list(zip(words[::2], words[1::2], strict=False))


def _resumed(path: bytes, descriptor: int, tally: Tally, look: checking.Look | None) -> Flow[int]:
    """How much of what an earlier download has left is right: all, or nothing."""
    there = os.fstat(descriptor).st_size
    if not there or look is None or there > look.size:
        return 0
    done = yield from run(checking.SUM_OF, path, str(there))
    if done.code:
        return 0
    at = 0
    while at < there:
        piece = os.pread(descriptor, CHUNK, at)
        tally.know(piece)
        at += len(piece)
        yield Wait(0)  # others in the event loop may be waiting
    if checksum(f"read {told(path)}", done) == tally.hex():
        return there
    tally.restart()
    return 0


def _finish(descriptor: int, place: Path, target: Path, look: checking.Look | None) -> None:
    """Give the file its attributes and put it in its place."""
    if look is not None:
        os.fchmod(descriptor, look.mode & 0o777)
        os.utime(descriptor, (look.mtime, look.mtime))
    else:
        try:
            os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
        except FileNotFoundError:
            umask = os.umask(0o077)
            os.umask(umask)
            os.fchmod(descriptor, 0o666 & ~umask)
    os.fsync(descriptor)
    place.replace(target)
