"""A directory tree that comes from a guest, put below a directory of this machine. For `trees`.

The guest is not trusted: whatever the archive says, nothing outside of that directory is touched.
Names that leave it are refused; below it no symlink is ever followed, because each directory is
opened from the one above; and each file is made anew.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from qga.errors import ProtocolError

from .archive import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    SYMLINK,
    padding,
    parse,
)
from .flows.moving import SparseFile
from .flows.steps import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TypeAlias

    from .archive import Exclusion, Member
    from .flows.moving import Meter
    from .packing import Owners

    Parts: TypeAlias = tuple[bytes, ...]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Unpacker:
    """Takes an archive piece by piece.

    Args:
        root: the directory here, which exists.
        exclude: what is left out.
        owners: the owner and group that a file is to have, from those that it has in the guest;
            None for the caller's own.
        special: make devices, and keep setuid and setgid.
        sparse: make holes of zeros.
        sums: called with name and checksum of each file.
        meter: counts.

    Attributes:
        patterns: what is left out.
        ended: whether the end of the archive has come.
        skipped: how many devices were not made.
    """

    def __init__(
        self,
        root: str,
        *,
        exclude: Exclusion,
        owners: Owners | None,
        special: bool,
        sparse: bool,
        sums: Callable[[bytes, str], object] | None,
        meter: Meter,
    ) -> None:
        self.patterns = exclude.patterns
        self._exclude = exclude
        self._owners = owners
        self._special = special
        self._sparse = sparse
        self._sums = sums
        self._meter = meter
        self._directories: list[tuple[Parts, Member]] = []
        self._buffer = bytearray()
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._last: tuple[Parts, int] = ((), self._root)
        self._work = self._all()
        self._need = next(self._work)
        self.ended = False
        self.skipped = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece of the archive."""
        if self.ended:
            return  # what fills the last record
        self._buffer += data
        while len(self._buffer) >= self._need:
            piece = bytes(self._buffer[: self._need])
            del self._buffer[: self._need]
            try:
                self._need = self._work.send(piece)
            except StopIteration:
                self.ended = True
                return

    def finish(self) -> None:
        """Give the directories their attributes, when all is there.

        Raises:
            ProtocolError: the archive's end has not come.
        """
        if not self.ended:
            raise ProtocolError("the guest's archive ends in the middle")
        while self._directories:
            parts, member = self._directories.pop()
            # What is no directory any more has got its attributes as what it is now.
            with suppress(NotADirectoryError, FileNotFoundError):
                self._dress(self._open(parts), member)

    def close(self) -> None:
        """Close what is open here. May be repeated."""
        self._work.close()
        self._forget()
        if self._root >= 0:
            os.close(self._root)
        self._root = -1

    def _all(self) -> Generator[int, bytes, None]:
        while True:
            member = yield from parse()
            if member is None:
                return
            yield from self._unpack(member)

    def _unpack(self, member: Member) -> Generator[int, bytes, None]:
        parts = parts_of(member.name)
        if parts and self._exclude.covers(os.fsdecode(b"/".join(parts))):
            yield from self._content(member, None)
            return
        if member.kind == DIRECTORY:
            self._make_directory(parts)
            self._directories.append((parts, member))
            return
        if not parts:
            raise ProtocolError("the root of the guest's archive is no directory")
        above, name = self._open(parts[:-1], make=True), parts[-1]
        if member.kind in (CHARACTER, BLOCK_DEVICE) and not self._special:
            self.skipped += 1
            return
        self._clear(above, name)
        if member.kind == FILE:
            yield from self._file(member, above, name)
        elif member.kind == SYMLINK:
            os.symlink(member.target, name, dir_fd=above)
            if self._owners:
                os.chown(name, *self._owner(member), dir_fd=above, follow_symlinks=False)
            times = (member.mtime, member.mtime)
            os.utime(name, times, dir_fd=above, follow_symlinks=False)
        elif member.kind == LINK:
            self._link(parts_of(member.target), parts)
        elif member.kind == FIFO:
            os.mkfifo(name, 0o600, dir_fd=above)
            self._dress_special(member, above, name)
        elif member.kind in (CHARACTER, BLOCK_DEVICE):
            kind = stat.S_IFCHR if member.kind == CHARACTER else stat.S_IFBLK
            os.mknod(name, kind | 0o600, os.makedev(*member.device), dir_fd=above)
            self._dress_special(member, above, name)
        else:
            raise ProtocolError(f"what is {chr(member.kind)!r} in the guest's archive?")
        self._meter.add_files()

    def _file(self, member: Member, above: int, name: bytes) -> Generator[int, bytes, None]:
        descriptor = os.open(name, _NEW, 0o600, dir_fd=above)
        try:
            yield from self._content(member, descriptor)
            self._dress(descriptor, member)
        finally:
            os.close(descriptor)

    def _content(self, member: Member, descriptor: int | None) -> Generator[int, bytes, None]:
        """Take what is stored of a file, to *descriptor* if it is wanted."""
        sink = None if descriptor is None else SparseFile(descriptor, sparse=self._sparse)
        digest = hashlib.sha256() if self._sums and sink else None
        at = 0
        for offset, length in member.ranges or [(0, member.stored)]:
            _skip(offset - at, sink, digest)
            at, end = offset, offset + length
            while at < end:
                data = yield min(CHUNK, end - at)
                at += len(data)
                if sink:
                    sink.write(data)
                    self._meter.add(len(data))
                if digest:
                    digest.update(data)
        _skip(member.size - at, sink, digest)
        if sink:
            self._meter.add(member.size - member.stored, moved=False)
            sink.finish()
        if digest and self._sums:
            self._sums(b"/".join(parts_of(member.name)), digest.hexdigest())
        if filler := padding(member.stored):
            yield filler

    def _link(self, source: Parts, parts: Parts) -> None:
        if not source:
            raise ProtocolError("a hard link to the root of the guest's archive")
        # Not by `_last`, which may be the other one's.
        from_there = os.dup(self._open(source[:-1]))
        try:
            os.link(
                source[-1],
                parts[-1],
                src_dir_fd=from_there,
                dst_dir_fd=self._open(parts[:-1]),
                follow_symlinks=False,
            )
        finally:
            os.close(from_there)

    def _make_directory(self, parts: Parts) -> None:
        if not parts:
            return
        above, name = self._open(parts[:-1], make=True), parts[-1]
        try:
            os.mkdir(name, 0o700, dir_fd=above)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=above)
                os.mkdir(name, 0o700, dir_fd=above)

    def _open(self, parts: Parts, *, make: bool = False) -> int:
        """A descriptor of a directory below the root, which stays ours."""
        if not parts:
            return self._root
        if self._last[0] == parts:
            return self._last[1]
        descriptor = os.dup(self._root)
        try:
            for name in parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                below = os.open(name, _DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
        except OSError as error:
            os.close(descriptor)
            if make and isinstance(error, NotADirectoryError):
                where = os.fsdecode(b"/".join(parts))
                raise ProtocolError(f"{where} in the guest's archive is no directory") from None
            raise
        self._forget()
        self._last = (parts, descriptor)
        return descriptor

    def _forget(self) -> None:
        if self._last[0]:
            os.close(self._last[1])
        self._last = ((), self._root)

    def _clear(self, above: int, name: bytes) -> None:
        """Make room for what gets the place of an older file."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=above)

    def _owner(self, member: Member) -> tuple[int, int]:
        return self._owners(member.uid, member.gid) if self._owners else (-1, -1)

    def _dress(self, descriptor: int, member: Member) -> None:
        if self._owners:
            os.fchown(descriptor, *self._owner(member))
        os.fchmod(descriptor, member.mode & (0o7777 if self._special else 0o1777))
        os.utime(descriptor, (member.mtime, member.mtime))

    def _dress_special(self, member: Member, above: int, name: bytes) -> None:
        if self._owners:
            os.chown(name, *self._owner(member), dir_fd=above, follow_symlinks=False)
        # It has just been made here, so it is no symlink.
        os.chmod(name, member.mode & 0o777, dir_fd=above)
        times = (member.mtime, member.mtime)
        os.utime(name, times, dir_fd=above, follow_symlinks=False)


def _skip(count: int, sink: SparseFile | None, digest: hashlib._Hash | None) -> None:
    if count and sink:
        sink.skip(count)
    while count > 0 and digest:
        digest.update(bytes(min(count, CHUNK)))
        count -= CHUNK


def parts_of(name: bytes) -> Parts:
    """The parts of a member's name.

    Raises:
        ProtocolError: it leads out of the archive.
    """
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if name.startswith(b"/") or b".." in parts:
        raise ProtocolError(f"a name in the guest's archive leads out of it: {os.fsdecode(name)!r}")
    return parts
