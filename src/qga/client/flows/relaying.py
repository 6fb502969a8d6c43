"""Files from one guest to another, through this machine's memory alone. For `transfers`.

The flows are carried out by the client of the guest that gets the file; what the other one has to
do are steps for its own client. It reads the next piece while the one before is written.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from qga.errors import GuestOSError, QgaError
from qga.protocol import FileClose, FileRead, FileSeek

from . import checking, fetching
from .asking import full, told
from .handle import close_file, open_file
from .moving import FLIGHT, Meter, Tally
from .placing import Place
from .sending import Attributes, Transferred, deliver
from .sources import Data
from .steps import Begin, End, GetLimits, Leave, Limits, On, Series, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from qga.protocol.files import FileChunk, FilePosition
    from qga.protocol.model import Command

    from .moving import TransferProgress
    from .script import GuestPath
    from .sources import Ranges, Source
    from .steps import AnyClient, Flow

    T = TypeVar("T")


def copy_from(
    other: AnyClient,
    source: GuestPath,
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
    r"""Copy a file of another guest into this one, through this machine's memory alone.

    What `upload` says of attributes, of resuming and of errors counts here, too. Checksums are
    made by both guests. Both clients have to be blocking ones, or both asynchronous.

        >>> guest.files.write(f"{folder}/there", b"data\n")
        5
        >>> with qga.connect(guest.target) as other:
        ...     guest.files.copy_from(other, f"{folder}/there", f"{folder}/here")
        Transferred(size=5, moved=5, verified=True)

    Args:
        other: the client of the guest that has the file.
        source: its full path there.
        path: full path in this guest.
        mode: as for `write`.
        owner: as for `write`.
        group: as for `write`.
        preserve: give it the permissions and the modification time (whole seconds) that it has in
            the other guest.
        atomic: as for `write`.
        verify: True to compare checksums made by both guests, or fail; None to compare sizes where
            one of them cannot make any; False for sizes alone.
        resume: as for `upload`.
        sparse: do not send the holes of the file, where the other guest has Python to tell them.
        progress: called with a `TransferProgress` after each piece.
        timeout: seconds for each group of 2 MiB; the client's own if None.

    Raises:
        GuestOSError: one of the guests refused; `errno` tells why.
        CommandDisabled, Unsupported: one of them cannot do what was asked for.
        QgaError: what arrived is not what is there.
    """
    yield Timeout(timeout)
    there = Elsewhere(other, timeout)
    where, place = full(source), Place(full(path), beside=atomic, resume=resume)
    look = yield from there.do(checking.look(where, must=preserve))
    if look is not None:
        fetching.check_kind(where, look.mode)
    if look is not None and preserve and mode is None:
        mode = look.mode
    mtime = look.mtime if look is not None and preserve else None
    attributes = Attributes(mode, owner, group, mtime)
    handle = yield from there.do(open_file(where, "r"))
    try:
        file: Source = yield from _source(there, where, handle, look if sparse else None)
        meter = Meter(progress, file.size)
        verified = yield from deliver(file, place, attributes, Tally(meter), verify=verify)
    except GeneratorExit:
        raise  # nobody left to ask
    except BaseException:
        yield On(other, _later(handle))
        raise
    yield from there.do(close_file(handle))
    meter.add_files()
    return Transferred(file.size, meter.moved, verified)


def _later(handle: int) -> Flow[None]:
    yield Leave(FileClose(handle=handle))


def _source(there: Elsewhere, path: bytes, handle: int, look: checking.Look | None) -> Flow[Source]:
    """The open file *handle*, whose size is what it is now."""
    try:
        end: FilePosition = yield from there.ask(FileSeek(handle=handle, offset=0, whence=2))
        yield from there.ask(FileSeek(handle=handle, offset=0, whence=0))
        size = end.position
    except GuestOSError as error:
        if error.errno != errno.EINVAL:
            raise
        size = 0
    if not size:  # as of what the kernel makes while it is read
        return Data((yield from there.do(fetching.read(path))))
    ranges: Ranges = [(0, size)]
    if look is not None and look.sparse:
        ranges = (yield from there.do(fetching.data_ranges(path))) or ranges
    return GuestFile(there, path, handle, size, ranges)


class Elsewhere:
    """The other guest.

    Args:
        client: of that guest.
        timeout: as for the whole operation.
    """

    def __init__(self, client: AnyClient, timeout: float | None) -> None:
        self._client = client
        self._timeout = timeout

    def do(self, flow: Flow[T]) -> Flow[T]:
        """Have *flow* carried out there."""
        done: T = yield On(self._client, self._paced(flow))
        return done

    def begin(self, flow: Flow[Any]) -> Flow[Any]:
        """Begin that; the answer is for `End`."""
        return (yield Begin(self._client, self._paced(flow)))

    def ask(self, command: Command[T]) -> Flow[T]:
        """Have *command* executed there."""
        return (yield from self.do(_one(command)))

    def _paced(self, flow: Flow[T]) -> Flow[T]:
        yield Timeout(self._timeout)
        return (yield from flow)


def _one(command: Command[T]) -> Flow[T]:
    result: T = yield command
    return result


class GuestFile:
    """A `Source` that is a file of another guest.

    Args:
        there: the guest.
        path: of the file.
        handle: of the file, open, at its beginning.
        size: how long it is.
        ranges: where it has data.
    """

    def __init__(
        self, there: Elsewhere, path: bytes, handle: int, size: int, ranges: Ranges
    ) -> None:
        self.size = size
        self._there = there
        self._path = path
        self._handle = handle
        self._ranges = list(ranges)
        self._position = 0  # where the open file stands
        self._data = b""  # what has been read last
        self._at = 0  # where that begins
        self._begun: Any = None  # the reading of what follows it

    def ranges(self, start: int) -> Iterator[tuple[int, int]]:
        for first, length in self._ranges:
            offset, end = max(first, start), min(first + length, self.size)
            if offset < end:
                yield offset, end - offset

    def ready(self, at: int, end: int) -> Flow[int]:
        if not self._at <= at < self._at + len(self._data):
            data = b""
            if self._begun is not None:
                begun, self._begun = self._begun, None
                data = yield End(begun)
            if self._position - len(data) != at or not data:
                data = yield from self._there.do(self._read(at, end))
            self._data, self._at = data, at
        following = self._at + len(self._data)
        if self._begun is None and following < end:
            self._begun = yield from self._there.begin(self._read(following, end))
        return min(following, end)

    def read(self, offset: int, count: int) -> bytes:
        offset -= self._at
        return self._data[offset : offset + count]

    def check(self, digest: str, *, must: bool) -> Flow[bool]:
        done = yield from self._there.do(checking.sum_of(self._path, self.size, must=must))
        if done is not None and done != digest:
            raise QgaError(f"cannot read {told(self._path)}: what arrived is not what is there now")
        return done is not None

    def _read(self, at: int, end: int) -> Flow[bytes]:
        """Read from *at* on, as much as is worth keeping."""
        limits: Limits = yield GetLimits()
        if at != self._position:
            yield FileSeek(handle=self._handle, offset=at, whence=0)
        data = bytearray()
        end = min(end, at + FLIGHT * limits.read)

        def commands() -> Iterator[FileRead]:
            for start in range(at, end, limits.read):
                yield FileRead(handle=self._handle, count=min(limits.read, end - start))

        def take(piece: FileChunk) -> bool:
            data.extend(piece.data)
            return piece.eof or not piece.count

        try:
            yield Series(commands(), take, ahead=FLIGHT)
        except GuestOSError as error:
            text = f"cannot read {told(self._path)}: {error.desc}"
            raise GuestOSError(text, error.errno) from error
        if not data:
            raise QgaError(f"{told(self._path)} has become shorter while it was read")
        self._position = at + len(data)
        return bytes(data)
