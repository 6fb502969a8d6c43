"""Directory trees from one guest to another, through this machine's memory. For `transfers`.

The one guest's tar packs, as one stream. That is divided into archives for themselves, which the
other guest's tar unpacks, and into large files, which go for themselves: as `trees` sends them.
What the one guest says is not trusted, so nothing of it comes to lie outside of the directory in
the other.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from qga.client.archive import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    END,
    FILE,
    LINK,
    SYMLINK,
    Exclusion,
    header,
    padding,
    parse,
)
from qga.client.packing import Piece
from qga.client.unpacking import parts_of
from qga.errors import ProtocolError, QgaError

from .asking import ask, fail, full, shown, told
from .moving import Meter, Tally, beside
from .placing import Place
from .relaying import Elsewhere
from .script import Output, later
from .sending import Attributes, deliver
from .steps import CHUNK, GetLimits, Limits, Timeout
from .trees import BEGIN, FINISH, REMOVE, Sums, TreeTransferred, packing, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from qga.client.archive import Member

    from .moving import TransferProgress
    from .running import Running
    from .script import GuestPath
    from .sources import Ranges
    from .steps import AnyClient, Flow

_KNOWN_KINDS = frozenset(b"0123456")


def copy_tree_from(
    other: AnyClient,
    source: GuestPath,
    path: GuestPath,
    *,
    exclude: Iterable[str] = (),
    owner: int | None = None,
    group: int | None = None,
    special: bool = False,
    verify: bool = False,
    progress: Callable[[TransferProgress], object] | None = None,
    timeout: float | None = None,
) -> Flow[TreeTransferred]:
    """Copy what is in a directory of another guest to a directory of this one.

    Through this machine's memory alone. What `upload_tree` says of the directory here, of what is
    kept of the files, and of errors counts here, too; both guests need tar. Both clients have to be
    blocking ones, or both asynchronous.

        >>> guest.files.mkdir(f"{folder}/site")
        >>> guest.files.write(f"{folder}/site/index.html", b"<h1>hi</h1>")
        11
        >>> with qga.connect(guest.target) as other:
        ...     guest.files.copy_tree_from(other, f"{folder}/site", f"{folder}/copy").files
        1

    Args:
        other: the client of the guest that has the directory.
        source: its full path there.
        path: full path of the directory in this guest.
        exclude: as for `upload_tree`.
        owner: the number of the user that all is to belong to; else of the one that it has there.
        group: likewise.
        special: make devices too, and keep the bits setuid and setgid. Only from guests that you
            trust as you do root in this one.
        verify: compare checksums of what came and of what has arrived, of all files. Otherwise of
            those that are larger than 1 MiB.
        progress: called with a `TransferProgress` when something has arrived.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: one of the guests refused; `errno` tells why.
        CommandDisabled, Unsupported: one of them has no tar, or its agent runs no programs.
        ProtocolError: what came is no archive, or leads out of the directory.
        QgaError: what arrived is not what was sent.
    """
    yield Timeout(timeout)
    limits: Limits = yield GetLimits()
    there = Elsewhere(other, timeout)
    where, target = full(source), full(path).rstrip(b"/") or b"/"
    exclusion = Exclusion(exclude)
    meter = Meter(progress)
    what = f"copy to {told(target)}"
    above, _, last = target.rpartition(b"/")
    name = beside(last)
    partial = above + b"/" + name.encode()
    running = yield from there.do(packing(where, exclusion.patterns))
    try:
        base = yield from ask(what, BEGIN, target, name)
        stream = _Stream(there, running)
        relay = _Relay(stream, base, meter, what, limit=limits.input, exclude=exclusion)
        relay.special, relay.beside = special, base != partial
        relay.owner, relay.group = owner, group
        relay.sums = Sums(what, base) if verify else None
        yield from relay.all()
        warnings = yield from stream.end(f"copy {told(where)}")
        yield from ask(what, FINISH, base, str(relay.count), target if base == partial else "")
    except GeneratorExit:
        raise  # nobody left to ask
    except BaseException as error:
        yield from there.do(running.give_up(error))
        yield later(REMOVE, partial)
        raise
    return TreeTransferred(meter.files, meter.done, relay.skipped, verify, warnings)


class _Stream:
    """What the other guest's tar prints."""

    def __init__(self, there: Elsewhere, running: Running) -> None:
        self._there = there
        self._running = running
        self._data = bytearray()

    def take(self, count: int) -> Flow[bytes]:
        """The next *count* bytes."""
        while len(self._data) < count:
            data = yield from self._read()
            if not data:
                raise ProtocolError("the guest's archive ends in the middle")
            self._data += data
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    def end(self, what: str) -> Flow[str]:
        """Wait for tar's end; return what it has complained of."""
        while (yield from self._read()):
            pass
        running = self._running
        assert running.err is not None  # noqa: S101 - a pipe
        complaints = yield from self._there.do(running.read(running.err, -1))
        code = yield from self._there.do(running.wait())
        # GNU tar ends with 1 when files have changed while it read them.
        if code not in (0, 1):
            fail(what, Output(code, b"", complaints))
        return shown(complaints).strip()

    def _read(self) -> Flow[bytes]:
        running = self._running
        assert running.out is not None  # noqa: S101 - a pipe
        return (yield from self._there.do(running.read(running.out, CHUNK)))


class _Relay:
    """Unpacks here, member by member, what comes from there.

    Attributes:
        count: how many members there have been.
        skipped: how many of them were left out.
        special: whether devices are made.
        beside: whether large files are written beside their place first.
        owner: the number of the user that all is to belong to, if not of the one that it has.
        group: likewise.
        sums: what compares checksums, if they are to be.
    """

    special = beside = False
    owner: int | None = None
    group: int | None = None
    sums: Sums | None = None

    def __init__(
        self,
        stream: _Stream,
        base: bytes,
        meter: Meter,
        what: str,
        *,
        limit: int,
        exclude: Exclusion,
    ) -> None:
        self._stream = stream
        self._base = base
        self._meter = meter
        self._what = what
        self._limit = limit - len(END)
        self._exclude = exclude
        self._piece = Piece()
        self._directories: list[bytes] = []
        self._links: set[bytes] = set()  # symlinks that have been made here
        self.count = self.skipped = 0

    def all(self) -> Flow[None]:
        """All of it, and the directories once more, now as they are to be, leaves first."""
        while (member := (yield from self._member())) is not None:
            yield from self._take(member)
        yield from self._flush()
        if self.sums is not None:
            yield from self.sums.compare(all_of_them=True)
        while self._directories:
            yield from self._add(self._directories.pop())
        yield from self._flush()

    def _member(self) -> Flow[Member | None]:
        parsing = parse()
        need = next(parsing)
        while True:
            data = yield from self._stream.take(need)
            try:
                need = parsing.send(data)
            except StopIteration as stop:
                member: Member | None = stop.value
                return member

    def _take(self, member: Member) -> Flow[None]:
        parts = self._inside(member.name)
        member.name = b"/".join(parts) or b"."
        if member.kind == LINK:
            member.target = b"/".join(self._inside(member.target))
        if member.kind not in _KNOWN_KINDS or (not parts and member.kind != DIRECTORY):
            raise ProtocolError(f"what is {told(member.name)} in the guest's archive?")
        device = member.kind in (CHARACTER, BLOCK_DEVICE)
        if self._exclude.covers(shown(member.name)) or (device and not self.special):
            self.skipped += device
            for _, length in _stored(member):
                yield from self._skip(length)
            yield from self._stream.take(padding(member.stored))
            return
        if not self.special:
            member.mode &= 0o1777
        member.uid = member.uid if self.owner is None else self.owner
        member.gid = member.gid if self.group is None else self.group
        self.count += 1
        if member.kind == FILE and member.size + 8 * BLOCK > self._limit:
            yield from self._flush()
            yield from self._large(member)
            return
        packed, digest = header(member), ""
        if member.kind == FILE:
            content = bytearray(member.size)
            for offset, length in _stored(member):
                content[offset : offset + length] = yield from self._stream.take(length)
            yield from self._stream.take(padding(member.stored))
            packed += content + bytes(padding(member.size))
            if self.sums is not None:
                digest = hashlib.sha256(content).hexdigest()
        elif member.kind == DIRECTORY:
            self._directories.append(packed)
            member.mode |= 0o700
            packed = header(member)
        elif member.kind == SYMLINK:
            self._links.add(member.name)
        if member.kind != SYMLINK:
            self._links.discard(member.name)
        yield from self._add(packed, size=member.size, files=member.kind != DIRECTORY)
        if digest:
            self._piece.sums.append((member.name, digest))

    def _inside(self, name: bytes) -> tuple[bytes, ...]:
        """The parts of *name*, which leads neither out nor through a symlink."""
        parts = parts_of(name)
        for count in range(1, len(parts)):
            if b"/".join(parts[:count]) in self._links:
                raise ProtocolError(
                    f"a name in the guest's archive leads through a symlink: {told(name)}"
                )
        return parts

    def _skip(self, count: int) -> Flow[None]:
        while count:
            count -= len((yield from self._stream.take(min(count, CHUNK))))

    def _large(self, member: Member) -> Flow[None]:
        place = Place(self._base + b"/" + member.name, beside=self.beside, resume=False)
        attributes = Attributes(member.mode, member.uid, member.gid, member.mtime)
        source = _Content(self._stream, member)
        yield from deliver(source, place, attributes, Tally(self._meter), verify=None)
        yield from self._stream.take(padding(member.stored))
        self._links.discard(member.name)
        self._meter.add_files()

    def _add(self, packed: bytes, *, size: int = 0, files: int = 0) -> Flow[None]:
        if len(self._piece.data) + len(packed) > self._limit:
            yield from self._flush()
        self._piece.data += packed
        self._piece.members += 1
        self._piece.size += size
        self._piece.files += files

    def _flush(self) -> Flow[None]:
        piece, self._piece = self._piece, Piece()
        if piece.members:
            yield from unpack(self._what, self._base, piece)
            self._meter.add(piece.size)
            self._meter.add_files(piece.files)
        if self.sums is not None:
            for name_and_sum in piece.sums:
                self.sums.add(*name_and_sum)
            yield from self.sums.compare()


def _stored(member: Member) -> Ranges:
    if member.ranges is not None:
        return member.ranges
    return [(0, member.stored)] if member.stored else []


class _Content:
    """A `Source` that is a large file in the stream."""

    def __init__(self, stream: _Stream, member: Member) -> None:
        self.size = member.size
        self._name = member.name
        self._stream = stream
        self._ranges = list(_stored(member))
        self._data = b""
        self._at = 0

    def ranges(self, start: int) -> Iterator[tuple[int, int]]:
        if start:
            raise QgaError(f"{told(self._name)} can only be read from its beginning")
        yield from (found for found in self._ranges if found[1])

    def ready(self, at: int, end: int) -> Flow[int]:
        if not self._at <= at < self._at + len(self._data):
            self._data = yield from self._stream.take(min(end - at, CHUNK))
            self._at = at
        return self._at + len(self._data)

    def read(self, offset: int, count: int) -> bytes:
        offset -= self._at
        return self._data[offset : offset + count]

    def check(self, digest: str, *, must: bool) -> Flow[bool]:  # noqa: ARG002 - tar is to be content
        yield from ()
        return True
