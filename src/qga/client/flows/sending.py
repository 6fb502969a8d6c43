"""Whole files into the guest: atomically, checked, with attributes, resumed. For `transfers`."""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qga.errors import CommandDisabled, CommandNotFound, GuestOSError, QgaError, Unsupported
from qga.protocol import FileSeek

from .asking import full, told
from .handle import with_file
from .moving import SENT, Meter, Tally, send
from .placing import Place
from .sources import Data, LocalFile
from .steps import CHUNK, Timeout, Wait
from .summing import Follower

if TYPE_CHECKING:
    from collections.abc import Callable

    from .moving import TransferProgress
    from .script import GuestPath
    from .sources import Source
    from .steps import Flow


@dataclass(frozen=True, slots=True)
class Transferred:
    r"""What a transfer came to.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> done = guest.files.download(f"{folder}/file", f"{folder}/here", verify=True)
        >>> done.size, done.verified
        (5, True)

    Attributes:
        size: the bytes of the file.
        moved: the bytes that went over the channel: less where there were holes, or a part was
            there already.
        verified: whether checksums made at both ends were compared; otherwise the sizes were.
    """

    size: int
    moved: int
    verified: bool


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a file in the guest is to have besides its content; None for what is left alone."""

    mode: int | None = None
    owner: str | int | None = None
    group: str | int | None = None
    mtime: float | None = None

    def words(self) -> tuple[str, str, str, str]:
        """As the guest's programs take them; "" for None."""
        when = time.gmtime(self.mtime) if self.mtime is not None else None
        return (
            "" if self.mode is None else f"{stat.S_IMODE(self.mode):o}",
            "" if self.owner is None else str(self.owner),
            "" if self.group is None else str(self.group),
            "" if when is None else time.strftime("%Y%m%d%H%M.%S", when),
        )


def write(
    path: GuestPath,
    data: bytes | bytearray | memoryview,
    *,
    mode: int | None = None,
    owner: str | int | None = None,
    group: str | int | None = None,
    atomic: bool = True,
    verify: bool | None = None,
    timeout: float | None = None,
) -> Flow[int]:
    r"""Make *data* the content of a file of the guest; return its length.

    With `atomic` the data is written beside the file, to the disk, and then renamed: whoever looks
    finds the old file or the new one, and nothing is left behind by an error. A symlink is
    followed. Other hard links to the old file, and its extended attributes, keep to the old file.

        >>> guest.files.write(f"{folder}/secret", b"data\n", mode=0o600)
        5
        >>> oct(guest.files.stat(f"{folder}/secret").permissions)
        '0o600'

    Args:
        path: full path in the guest.
        data: the content.
        mode: its permissions; by default those of the file that it replaces, or 0o644.
        owner: its owner, by name or number; by default that of the file that it replaces, or the
            agent's user.
        group: its group; likewise.
        atomic: replace the file at once. False writes to the file itself, which needs no
            guest-exec unless something else does; agents make a new one with 0o666.
        verify: True to compare checksums made at both ends, or fail; None to compare sizes where
            the guest cannot make one; False for sizes alone.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: the guest refused; `errno` tells why.
        CommandDisabled: guest-exec is not allowed.
        Unsupported: the guest lacks a program.
        QgaError: what arrived is not what was sent.
    """
    yield Timeout(timeout)
    source = Data(data)
    place = Place(full(path), beside=atomic, resume=False)
    attributes = Attributes(mode, owner, group)
    yield from deliver(source, place, attributes, Tally(Meter(None)), verify=verify)
    return source.size


def append(
    path: GuestPath, data: bytes | bytearray | memoryview, *, timeout: float | None = None
) -> Flow[int]:
    r"""Add *data* to the end of a file of the guest, which is made if need be; return its length.

    If it fails, a part of the data may have been added. Agents make a new file with the permissions
    0o666: with `touch` before, it has others.

        >>> guest.files.append(f"{folder}/log", b"one\n")
        4
        >>> guest.files.append(f"{folder}/log", b"two\n")
        4
        >>> guest.files.read(f"{folder}/log")
        b'one\ntwo\n'

    Args:
        path: full path in the guest.
        data: what to add.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: the guest refused; `errno` tells why.
    """
    yield Timeout(timeout)
    source = Data(data)

    def transfer(handle: int) -> Flow[None]:
        yield from send(handle, source, Tally(Meter(None)))

    yield from with_file(full(path), "a", transfer)
    return source.size


def upload(
    local_path: str | os.PathLike[str],
    path: GuestPath,
    *,
    mode: int | None = None,
    owner: str | int | None = None,
    group: str | int | None = None,
    preserve: bool = False,
    atomic: bool = True,
    verify: bool | None = None,
    resume: bool = False,
    sparse: bool = True,
    progress: Callable[[TransferProgress], object] | None = None,
    timeout: float | None = None,
) -> Flow[Transferred]:
    r"""Copy a file from here into the guest, in bounded memory.

    As `write`, and: with `resume` that which has arrived stays in the guest when the transfer
    breaks, in a hidden file beside its place, and the next upload to the same path with `resume`
    continues it, after having compared checksums of what is there.

    With an asynchronous client, the file is read in the event loop, in pieces of 512 KiB.

        >>> from pathlib import Path
        >>> Path(folder, "here").write_bytes(b"data\n")
        5
        >>> guest.files.upload(f"{folder}/here", f"{folder}/there", verify=True)
        Transferred(size=5, moved=5, verified=True)

    Args:
        local_path: the file here.
        path: full path in the guest.
        mode: as for `write`.
        owner: as for `write`.
        group: as for `write`.
        preserve: give it the permissions and the modification time (whole seconds) that it has
            here.
        atomic: as for `write`.
        verify: as for `write`.
        resume: continue an upload that broke, and let this one be continued.
        sparse: do not send the holes of the file, and make them in the guest.
        progress: called with a `TransferProgress` after each piece.
        timeout: seconds for each two pieces of 512 KiB; the client's own if None.

    Raises:
        OSError: the file here cannot be read.
        GuestOSError, CommandDisabled, Unsupported, QgaError: as `write`.
    """
    yield Timeout(timeout)
    place = Place(full(path), beside=atomic, resume=resume)
    with Path(local_path).open("rb") as file:
        status = os.fstat(file.fileno())
        if preserve and mode is None:
            mode = status.st_mode
        attributes = Attributes(mode, owner, group, status.st_mtime if preserve else None)
        source = LocalFile(file, sparse=sparse)
        meter = Meter(progress, source.size)
        verified = yield from deliver(source, place, attributes, Tally(meter), verify=verify)
    meter.add_files()
    return Transferred(source.size, meter.moved, verified)


def deliver(
    source: Source, place: Place, attributes: Attributes, tally: Tally, *, verify: bool | None
) -> Flow[bool]:
    """Bring *source* to its *place*; return whether checksums were compared."""
    words = attributes.words()
    scripted = place.beside or place.resume or any(words)
    follower = Follower()
    try:
        target, there, start = place.path, 0, 0
        if scripted:
            target, there = yield from place.prepare(*words[:3])
        if place.resume and 0 < there <= source.size:
            start = yield from _resumed(source, place, tally, there)

        def transfer(handle: int) -> Flow[bool]:
            steady = place.beside or (yield from _seekable(handle, source))
            if steady and verify is not False:
                yield from follower.begin(target, source.size)
            ahead = SENT if steady else 1
            yield from send(handle, source, tally, start=start, ahead=ahead)
            try:
                end = yield FileSeek(handle=handle, offset=0, whence=2)
            except GuestOSError as error:
                if scripted or error.errno != errno.ESPIPE:
                    raise
                return False  # a pipe, or the like: it cannot be looked at
            # A device that is written to as it is has a size of its own.
            if end.position < source.size or (scripted and end.position > source.size):
                raise QgaError(
                    f"{told(place.path)} has {end.position} bytes after {source.size} were written"
                )
            return True

        fresh = place.beside and not there
        how = "r+" if start or fresh else "w"
        there_now = yield from with_file(target, how, transfer, place=place.path)
        known = "" if verify is False else tally.hex()
        stamp = yield from follower.end(known)
        if not there_now:
            if verify:
                raise Unsupported(f"cannot verify {told(place.path)}: it keeps nothing")
            return False
        must = verify is True
        same = not known or (yield from source.check(known, must=must))
        if scripted:
            finishing = place.finish(source.size, known, words, must=must, stamp=stamp)
            return (yield from finishing) and same
        if stamp and (yield from place.unchanged(stamp)):
            return same
        return (yield from _compare(source.size, known, place, must=must)) and same
    except GeneratorExit:
        raise  # nobody left to ask
    except BaseException as error:
        yield from follower.leave()
        if not place.resume or type(error) is QgaError:
            yield from place.remove(error)
        raise


def _seekable(handle: int, source: Source) -> Flow[bool]:
    """Whether one can go back in an open file, if that matters for *source*: it is no pipe."""
    if source.size <= CHUNK:
        return False
    try:
        yield FileSeek(handle=handle, offset=0, whence=1)
    except GuestOSError:
        return False
    return True


def _compare(size: int, known: str, place: Place, *, must: bool) -> Flow[bool]:
    """Compare the checksum of a file that was written where it is, if the guest can."""
    if not known:
        return False
    try:
        found = yield from place.prefix(size)
    except (CommandDisabled, CommandNotFound, Unsupported):
        if must:
            raise
        return False
    if found is None:
        if must:
            raise Unsupported(f"cannot verify {told(place.path)}: the guest has no sha256sum")
        return False
    if found != known:
        raise QgaError(f"cannot write {told(place.path)}: what arrived is not what was sent")
    return True


def _resumed(source: Source, place: Place, tally: Tally, there: int) -> Flow[int]:
    """How much of what is *there* already is right: all, or nothing."""
    prefix = yield from place.prefix(there)
    if prefix is None:
        return 0
    at = 0
    for offset, length in source.ranges(0):
        if offset >= there:
            break
        tally.skip(offset - at)
        at, end = offset, min(offset + length, there)
        while at < end:
            ready = yield from source.ready(at, end)
            piece = source.read(at, min(CHUNK, ready - at))
            tally.know(piece)
            at += len(piece)
            yield Wait(0)  # others in the event loop may be waiting
    tally.skip(there - at)
    if tally.hex() == prefix:
        return there
    tally.restart()
    return 0
