"""Operations of several commands, written once for every kind of client.

A flow is a generator: it yields a `Command` and is sent that command's result, or has the error
thrown into it; it returns the operation's result. `Wait` asks the driver for a pause. The drivers
are small: `sync.Client.run` is one.

Each command has the driver's timeout for itself: a long file is not a long call.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from qga.errors import (
    AgentNotResponding,
    AgentTimeout,
    CommandDisabled,
    CommandError,
    CommandNotFound,
    ConnectionLost,
    GuestOSError,
    QgaError,
    TransportError,
)
from qga.protocol import (
    FileClose,
    FileOpen,
    FileRead,
    FileWrite,
    FsfreezeFreeze,
    FsfreezeStatus,
    FsfreezeThaw,
)
from qga.protocol.fsfreeze import FsfreezeState

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Any, TypeAlias, TypeVar

    from qga.protocol.model import Command

    T = TypeVar("T")
    Flow: TypeAlias = Generator[Command[Any] | "Wait", Any, T]
    Progress: TypeAlias = Callable[[int], None]

# How much of a file one command carries.
CHUNK = 1 << 20

# Attempts to thaw before the caller is told that the guest may still be frozen, and the pause in
# seconds between them where the channel is broken (a timeout has waited already).
THAW_ATTEMPTS = 5
THAW_PAUSE = 1.0


class Wait:
    """A step: pause for *seconds*."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def download(
    path: str,
    sink: Callable[[bytes], object],
    *,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Flow[int]:
    """Read the guest's file *path* to its end, piece by piece.

    Args:
        path: full path in the guest.
        sink: called with each piece.
        chunk: the size of the pieces in bytes, which bounds the memory that is used.
        progress: called with the number of bytes so far.

    Returns: the number of bytes.

    Raises:
        CommandError: the agent refused; what was read before has reached *sink*.
    """

    def transfer(handle: int) -> Flow[int]:
        done = 0
        while True:
            piece = yield FileRead(handle=handle, count=chunk)
            if piece.count:
                sink(piece.data)
                done += piece.count
                if progress:
                    progress(done)
            if piece.eof or not piece.count:
                return done

    return (yield from _with_file(path, "r", transfer))


def upload(
    path: str,
    pieces: Iterable[bytes | bytearray | memoryview],
    *,
    mode: str = "w",
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Flow[int]:
    """Write *pieces* to the guest's file *path*.

    Args:
        path: full path in the guest.
        pieces: the data; pieces longer than *chunk* are divided.
        mode: fopen mode; "w" creates or empties the file, "a" appends.
        chunk: how many bytes one command carries at most.
        progress: called with the number of bytes so far.

    Returns: the number of bytes.

    Raises:
        CommandError: the agent refused, or wrote nothing of a piece.
    """

    def transfer(handle: int) -> Flow[int]:
        done = 0
        for piece in pieces:
            view = memoryview(piece).cast("B")
            while view:
                written = yield FileWrite(handle=handle, data=view[:chunk])
                if written.count <= 0:
                    raise GuestOSError(f"no byte could be written to {path}", errno.ENOSPC)
                # An agent may take less than it was given.
                view = view[written.count :]
                done += written.count
                if progress:
                    progress(done)
        return done

    return (yield from _with_file(path, mode, transfer))


def read_file(
    path: str, *, chunk: int = CHUNK, limit: int | None = None, progress: Progress | None = None
) -> Flow[bytes]:
    """The content of the guest's file *path*; of its beginning, at most *limit* bytes if given."""

    def transfer(handle: int) -> Flow[bytes]:
        data = bytearray()
        while limit is None or len(data) < limit:
            count = chunk if limit is None else min(chunk, limit - len(data))
            piece = yield FileRead(handle=handle, count=count)
            data += piece.data
            if progress and piece.count:
                progress(len(data))
            if piece.eof or not piece.count:
                break
        return bytes(data)

    return (yield from _with_file(path, "r", transfer))


def _with_file(path: str, mode: str, transfer: Callable[[int], Flow[T]]) -> Flow[T]:
    """Open *path*, do *transfer*, and close it whatever happens. The close tells of late errors."""
    handle = yield FileOpen(path=path, mode=mode)
    try:
        result = yield from transfer(handle)
    except (AgentTimeout, TransportError, GeneratorExit):
        raise  # nobody there to close it, or nobody left to ask
    except BaseException:
        try:
            yield FileClose(handle=handle)
        except QgaError:
            pass  # the first error is the one to tell
        raise
    yield FileClose(handle=handle)
    return result


def freeze() -> Flow[int]:
    """Freeze; when that fails in any way that may leave something frozen, thaw before raising.

    Returns: the number of file systems frozen.

    Raises:
        CommandDisabled: freezing is not allowed, or somebody else's freeze lasts: that one is not
            touched.
        CommandError: the guest refused.
        AgentTimeout: no reply in time; the guest has been thawed.
    """
    try:
        count: int = yield FsfreezeFreeze()
        return count
    except (CommandDisabled, CommandNotFound, AgentNotResponding, GeneratorExit):
        raise  # not carried out: if anything is frozen, then by somebody else
    except CommandError as error:
        # By the protocol nothing is left frozen, but agents of 2011 could.
        try:
            state = yield FsfreezeStatus()
            if state != FsfreezeState.THAWED:
                yield from thaw()
        except QgaError as failure:
            error.add_note(f"and {failure}")
        raise
    except BaseException as error:
        if isinstance(error, TransportError) and not isinstance(error, ConnectionLost):
            raise  # the channel could not be opened
        # Also an interrupt: the request is out, and the agent may freeze later than we gave up.
        try:
            yield from thaw()
        except QgaError as failure:
            error.add_note(f"and {failure}")
        raise


def thaw(attempts: int = THAW_ATTEMPTS) -> Flow[int]:
    """Thaw, again and again until the agent has confirmed it.

    An interrupt in the meantime is raised afterwards.

    Args:
        attempts: how often to try.

    Returns: the number of file systems that were thawed.

    Raises:
        CommandError: the guest could not thaw all of them.
        AgentTimeout, TransportError: nobody confirmed; the guest may still be frozen.
    """
    interrupt: BaseException | None = None
    for attempt in range(1, attempts + 1):
        try:
            count: int = yield FsfreezeThaw()
            if count < 0:  # how agents of 2011 tell a failure
                number = errno.EIO if count == -1 else -count
                raise GuestOSError(f"failed to thaw: {os.strerror(number)}", number)
        except (CommandDisabled, CommandNotFound):
            raise
        except (KeyboardInterrupt, SystemExit) as error:
            interrupt = error
        except QgaError as error:
            if attempt == attempts:
                error.add_note("the guest may still be frozen")
                raise
            if not isinstance(error, AgentTimeout):
                yield Wait(THAW_PAUSE)
        else:
            if interrupt:
                raise interrupt
            return count
    # The last attempt was interrupted, as earlier ones may have been.
    raise interrupt or AgentTimeout("the guest may still be frozen")
