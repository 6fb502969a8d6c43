"""The pipes between the agent and a program that it runs. Used by `processes`.

Each goes on with the loop until it is over, whatever has become of the program: what a program has
started in its turn may hold the other end. Descriptors are closed at the end of the loop's round,
since before it an event for the old owner of a number could reach the new one.
"""

import fcntl
import os

from qga.wire import base64
from qga.wire.buffer import Buffer

from .loop import HANGUP, READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qga.protocol.model import Data

    from .loop import Loop

    FileActions = list[tuple[int, int, int] | tuple[int, int, str, int, int]]

# How much is kept of each stream.
LIMIT = 16 << 20

# What a pipe holds, and to what it is enlarged where that is not enough, so that the agent and the
# program take turns less often: what the kernel allows to everybody.
_CAPACITY = 1 << 16
_LARGE_CAPACITY = 1 << 20


class Pipe:
    """The agent's end of a pipe.

    Args:
        loop: the event loop.
        pipes: where it is listed while it is open.
        fd: descriptor, owned by it from now on.
    """

    def __init__(self, loop: "Loop", pipes: "set[Pipe]", fd: int) -> None:
        os.set_blocking(fd, False)
        self._loop = loop
        self._pipes = pipes
        self._fd = fd
        self.ended = False
        pipes.add(self)

    def _watch(self, events: int, callback: "Callable[[int], None]") -> None:
        try:
            self._loop.watch(self._fd, events, callback)
        except OSError:
            self.close()
            raise

    def end(self) -> None:
        """It is over; it is closed after this round of the loop."""
        if not self.ended:
            self.ended = True
            self._loop.soon(self.close)

    def close(self) -> None:
        """Close it now."""
        if self in self._pipes:
            self.ended = True
            self._pipes.remove(self)
            self._loop.forget(self._fd)
            os.close(self._fd)


class Input(Pipe):
    """What a program is given to read. It takes it when it likes, or never.

    Args:
        data: all of it.
    """

    def __init__(self, loop: "Loop", pipes: "set[Pipe]", fd: int, data: "Data") -> None:
        super().__init__(loop, pipes, fd)
        self._rest = memoryview(data)
        if len(data) > _CAPACITY:
            _enlarge(fd)
        self._write()
        if self.ended:
            self.close()  # at once: nobody watches it
        else:
            self._watch(WRITE, self._on_events)

    def _on_events(self, events: int) -> None:
        if not self.ended:
            self._write()

    def _write(self) -> None:
        try:
            if self._rest:
                self._rest = self._rest[os.write(self._fd, self._rest) :]
        except BlockingIOError:
            return
        except OSError:  # nobody is left who might read it
            self._rest = self._rest[:0]
        if not self._rest:
            self._rest = memoryview(b"")  # the data need not wait for the pipe's end
            self.end()


class Output(Pipe):
    """What a program writes, kept up to the limit; beyond it is read and dropped.

    `truncated` is whether there was more than is kept.
    """

    def __init__(self, loop: "Loop", pipes: "set[Pipe]", fd: int) -> None:
        super().__init__(loop, pipes, fd)
        self.truncated = False
        self._kept = Buffer(LIMIT)
        self._dropping = False
        self._enlarged = False
        self._watch(READ, self._on_events)

    def _on_events(self, events: int) -> None:
        # Less than was asked for, and nobody left who might write: that was all.
        if not self.ended and self._read() < base64.PIECE and events & HANGUP:
            self.end()

    def drain(self) -> None:
        """Read all that the pipe holds now."""
        taken = 0
        while not self.ended and taken < _LARGE_CAPACITY:
            size = self._read()
            if not size:
                break
            taken += size

    def _read(self) -> int:
        try:
            data = os.read(self._fd, base64.PIECE)
            if data and not self._dropping:
                self._keep(data)
        except BlockingIOError:
            return 0
        except MemoryError:
            # Some of it may be lost: what comes behind the gap must not be taken for the next.
            self.truncated = self._dropping = True
            return 0
        if not data:
            self.end()
        elif len(data) >= _CAPACITY and not self._enlarged:
            self._enlarged = True
            _enlarge(self._fd)
        return len(data)

    def _keep(self, data: bytes) -> None:
        room = LIMIT - len(self._kept)
        if len(data) > room:
            self.truncated = self._dropping = True
            data = data[:room]
        self._kept.append(data)

    def take(self) -> memoryview:
        """What is kept; from now on nothing is."""
        self._dropping = True
        kept, self._kept = self._kept, Buffer(LIMIT)
        return kept.data


def encoded(data: memoryview) -> "Iterator[bytes]":
    """The base64 text of *data*, piece by piece."""
    for start in range(0, len(data), base64.PIECE):
        yield base64.encode(data[start : start + base64.PIECE])


class Streams:
    """The standard streams of a program that is about to start.

    `actions` connects it to them. Afterwards `started` has to be called, or `abandon` if it did not
    start.
    """

    def __init__(self, loop: "Loop", pipes: "set[Pipe]") -> None:
        self.actions: FileActions = []
        self._loop = loop
        self._pipes = pipes
        self._theirs: list[int] = []
        self._ours: list[Pipe] = []

    def nothing(self, fd: int) -> None:
        """There is nothing to read, or nobody who wants what is written."""
        flags = os.O_WRONLY if fd else os.O_RDONLY
        self.actions.append((os.POSIX_SPAWN_OPEN, fd, os.devnull, flags, 0))

    def input(self, data: "Data") -> None:
        """Standard input is *data*."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._connect(reader, 0)
        self._ours.append(Input(self._loop, self._pipes, writer, data))

    def output(self, fd: int) -> Output:
        """Keep what is written to *fd*."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._connect(writer, fd)
        output = Output(self._loop, self._pipes, reader)
        self._ours.append(output)
        return output

    def merge(self) -> None:
        """Standard error goes where standard output goes."""
        self.actions.append((os.POSIX_SPAWN_DUP2, 1, 2))

    def _connect(self, end: int, fd: int) -> None:
        self._theirs.append(end)
        self.actions.append((os.POSIX_SPAWN_DUP2, end, fd))

    def started(self) -> None:
        """The program has its ends now."""
        while self._theirs:
            os.close(self._theirs.pop())

    def abandon(self) -> None:
        """There is no program."""
        self.started()
        for pipe in self._ours:
            pipe.close()


def _enlarge(fd: int) -> None:
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _LARGE_CAPACITY)
    except OSError:
        pass  # the user has too many of these, or the system allows none: it is slower then
