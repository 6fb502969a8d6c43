"""Work that may take minutes, done by a process of its own while the agent serves others."""

import os

from qga.errors import CommandError

from .later import Pending
from .lean import signal
from .loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .loop import Loop

    R = TypeVar("R")

_PIECE = 1 << 16


def run(
    loop: "Loop", work: "Callable[[], bytes]", understand: "Callable[[bytes], R]"
) -> "Pending[R]":
    """Call *work* in a child process; the result is what *understand* makes of what it returns.

    Raises:
        OSError: there is no room for another process.

    The result is an error if the child ends without one. The child ends with its work, also when
    nobody waits for it any more, and at SIGTERM.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if child == 0:
        _child(writer, work)
    os.close(writer)
    pending: Pending[R] = Pending()
    received = bytearray()

    def more(_: int) -> None:
        piece = os.read(reader, _PIECE)
        if piece:
            received.extend(piece)
            return
        loop.forget(reader)
        os.close(reader)
        _, status = os.waitpid(child, 0)
        pending.resolve(lambda: understand(_checked(bytes(received), status)))

    loop.watch(reader, READ, more)
    return pending


def _child(writer: int, work: "Callable[[], bytes]") -> None:
    """Never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # Above all the channel: while it is open here, a new agent could not open it.
        os.closerange(3, writer)
        os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))
        left = memoryview(work())
        while left:
            left = left[os.write(writer, left) :]
        code = 0
    finally:
        os._exit(code)


def _checked(received: bytes, status: int) -> bytes:
    code = os.waitstatus_to_exitcode(status)
    if code:
        how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
        raise CommandError(f"the agent's process for this has ended {how}, before it was done")
    return received
