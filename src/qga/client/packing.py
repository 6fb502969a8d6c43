"""A directory tree of this machine in pieces that are archives for themselves. For `trees`."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from .archive import BLOCK, DIRECTORY, END, FILE, LINK, Member, header, kind_of, padding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .archive import Exclusion

    Owners: TypeAlias = Callable[[int, int], tuple[int, int]]


@dataclass(slots=True)
class Piece:
    """An archive.

    Attributes:
        data: it, without its end.
        members: how many it has.
        files: how many of them are no directories.
        size: the bytes of the files in it.
        sums: name and checksum of each file, if wanted.
    """

    data: bytearray = field(default_factory=bytearray)
    members: int = 0
    files: int = 0
    size: int = 0
    sums: list[tuple[bytes, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Large:
    """A file that goes for itself: where it is here, and what it is to be."""

    path: str
    member: Member


class LocalTree:
    """A tree to be packed.

    Args:
        root: its directory here.
        exclude: what is left out.
        owners: the owner and group that a file is to have, from those that it has here.
        limit: how many bytes a piece may have.
        sums: make checksums.

    Attributes:
        skipped: how many files were of a kind that does not travel.
    """

    def __init__(
        self, root: str, *, exclude: Exclusion, owners: Owners, limit: int, sums: bool
    ) -> None:
        self._root = root
        self._exclude = exclude
        self._owners = owners
        self._limit = limit
        self._sums = sums
        self._linked: dict[tuple[int, int], bytes] = {}
        self._directories: list[Member] = []
        self.skipped = 0

    def total(self) -> int:
        """The bytes of the tree's files."""
        seen = set()
        total = 0
        for _, _, status in self._walk():
            if stat.S_ISREG(status.st_mode):
                inode = (status.st_dev, status.st_ino)
                if status.st_nlink == 1 or inode not in seen:
                    total += status.st_size
                if status.st_nlink > 1:
                    seen.add(inode)
        return total

    def pieces(self) -> Iterator[Piece | Large]:
        """All of it, in an order in which it can be unpacked; directories may be written to."""
        piece = Piece()
        for name, path, status in self._walk():
            member = self._member(name, path, status)
            if member is None:
                continue
            data = b""
            if member.kind == FILE:
                if member.size + 8 * BLOCK > self._limit:
                    if piece.members:
                        yield piece
                        piece = Piece()
                    yield Large(path, member)
                    continue
                data = _content(path)
                member.size = len(data)
            elif member.kind == DIRECTORY:
                self._directories.append(member)
            packed = _packed(member, data)
            if piece.members and len(piece.data) + len(packed) + len(END) > self._limit:
                yield piece
                piece = Piece()
            piece.data += packed
            piece.members += 1
            piece.files += member.kind != DIRECTORY
            piece.size += len(data)
            if self._sums and member.kind == FILE:
                piece.sums.append((member.name, hashlib.sha256(data).hexdigest()))
        if piece.members:
            yield piece

    def directories(self) -> Iterator[Piece]:
        """The directories once more, now as they are to be, from the leaves to the root."""
        piece = Piece()
        while self._directories:
            member = self._directories.pop()
            packed = header(member)
            if piece.members and len(piece.data) + len(packed) + len(END) > self._limit:
                yield piece
                piece = Piece()
            piece.data += packed
            piece.members += 1
        if piece.members:
            yield piece

    def _walk(self) -> Iterator[tuple[str, str, os.stat_result]]:
        """Name, path and status of everything, parents first."""
        yield ".", self._root, Path(self._root).stat()
        waiting = [""]
        while waiting:
            above = waiting.pop()
            with os.scandir(f"{self._root}/{above}" if above else self._root) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            below = []
            for entry in found:
                name = f"{above}/{entry.name}" if above else entry.name
                if self._exclude(name):
                    continue
                status = entry.stat(follow_symlinks=False)
                yield name, entry.path, status
                if stat.S_ISDIR(status.st_mode):
                    below.append(name)
            waiting += reversed(below)

    def _member(self, name: str, path: str, status: os.stat_result) -> Member | None:
        kind = kind_of(status.st_mode)
        if kind is None:
            self.skipped += 1
            return None
        uid, gid = self._owners(status.st_uid, status.st_gid)
        member = Member(
            name=os.fsencode(name),
            kind=kind[0],
            mode=stat.S_IMODE(status.st_mode),
            uid=uid,
            gid=gid,
            size=status.st_size,
            mtime=status.st_mtime,
        )
        if stat.S_ISLNK(status.st_mode):
            member.target = os.fsencode(Path(path).readlink())
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            member.device = (os.major(status.st_rdev), os.minor(status.st_rdev))
        elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            inode = (status.st_dev, status.st_ino)
            first = self._linked.setdefault(inode, member.name)
            if first != member.name:
                member.kind, member.target = LINK, first
        return member


def _packed(member: Member, data: bytes) -> bytes:
    if member.kind != DIRECTORY:
        return header(member) + data + bytes(padding(len(data)))
    # Whoever unpacks has to be able to put things into it.
    mode, member.mode = member.mode, member.mode | 0o700
    packed = header(member)
    member.mode = mode
    return packed


def _content(path: str) -> bytes:
    """A file that was a regular, small one when it was looked at."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(os.fstat(descriptor).st_size)
