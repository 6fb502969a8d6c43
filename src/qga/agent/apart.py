"""Work for which the kernel may take minutes, done by a process of its own, a copy of the agent.

The agent serves others meanwhile. (What is a program of the guest's is run by `programs`.)
"""

import os

from qga.errors import CommandError

from . import descriptors
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

# The exit code of a child whose work has raised OSError, whose number it has written.
_FAILED = 2


def run(
    loop: "Loop", work: "Callable[[], bytes]", understand: "Callable[[bytes], R]"
) -> "Pending[R]":
    """Call *work* in a child process; the result is what *understand* makes of what it returns.

    Raises:
        OSError: there is no room for another process.

    The result is the OSError that *work* has raised, or a CommandError if the child was ended. The
    child ends with its work, also when nobody waits for it any more, and at SIGTERM.
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
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # Above all the channel: while it is open here, a new agent could not open it.
        descriptors.close_all_but({writer})
        try:
            said, code_after = work(), 0
        except OSError as error:
            said, code_after = b"%d" % (error.errno or 0), _FAILED
        left = memoryview(said)
        while left:
            left = left[os.write(writer, left) :]
        code = code_after
    finally:
        os._exit(code)


def _checked(received: bytes, status: int) -> bytes:
    code = os.waitstatus_to_exitcode(status)
    if code == _FAILED:
        raise OSError(int(received), os.strerror(int(received)))
    if code:
        how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
        raise CommandError(f"the agent's process for this has ended {how}, before it was done")
    return received
