"""The guardian of a freeze, as the agent sees it: started, found again, talked to. For `hold`.

What it does, as a process of its own, is `keeper`'s. It listens on a socket that has a name but no
file, so that the next agent finds it while every file system is frozen.
"""

import errno
import os
import select
import time

from . import record
from .keeper import Keeper, Task, uid_of
from .lean import socket
from .loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop import Loop

# How long a guardian may take to tell the next agent what it holds.
_PATIENCE = 5.0

# So many of one freeze there may be, of which all but one were killed and cannot end, since the
# kernel does not let go of them.
_MOST = 8

_PIECE = 1 << 16


class Guardian:
    """The process at the other end of a socket.

    Args:
        loop: the agent's.
        connection: to it.
        pid: its number, if it is a child of this agent.
        on_state: called after each change of `state`.
        on_lost: called when it has ended before its task was done.
        received: what it has told already, after its record; None: nothing.

    Attributes:
        state: how far it has come; None until it has told.
    """

    def __init__(
        self,
        loop: "Loop",
        connection: socket.socket,
        pid: "int | None",
        on_state: "Callable[[Guardian], None]",
        on_lost: "Callable[[Guardian], None]",
        *,
        received: "bytes | None" = None,
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._fd = connection.fileno()
        self.pid = pid
        self._on_state = on_state
        self._on_lost = on_lost
        self.state: record.State | None = None
        self._introduced = received is not None
        self._received = received or b""
        self._open = True
        connection.setblocking(False)
        loop.watch(self._fd, READ, self._readable)

    def tell(self, line: str) -> None:
        """Send it a line: see `keeper`."""
        if self._open:
            try:
                self._connection.send(f"{line}\n".encode())
            except OSError:
                pass  # it has ended, and `on_lost` is to come

    def wait(self, seconds: float, *, until: "Callable[[], bool]") -> None:
        """Listen without the loop, until *until* is true, but no longer than *seconds*."""
        end = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        while not until() and self._open and (left := end - time.monotonic()) > 0:
            if poller.poll(left * 1000):
                self._readable(0)

    def _readable(self, _: int) -> None:
        try:
            piece = self._connection.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        *lines, self._received = (self._received + piece).split(b"\n")
        for line in lines:
            if not self._introduced:
                self._introduced = True  # by its record, which it has from this agent
            elif self._open:
                self.state = record.State.parse(line)
                self._on_state(self)
        if not piece and self._open:  # that was not its last word
            self.close()
            self._on_lost(self)

    def close(self) -> None:
        """Hear no more of it."""
        if self._open:
            self._open = False
            self._loop.forget(self._fd)
            self._connection.close()

    def reap(self) -> bool:
        """Whether there is nothing to wait for: it has ended, or was not a child of this agent."""
        if self.pid is not None and os.waitpid(self.pid, os.WNOHANG)[0]:
            self.pid = None
        return self.pid is None


def _address(identity: bytes, number: int) -> bytes:
    return b"\0qga-guardian-%b-%d" % (identity, number)


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)


def start(task: Task) -> "tuple[socket.socket, int]":
    """Start a guardian; return a connection to it, and its number.

    Raises:
        OSError: no process could be started.
    """
    listener, connection = _new_socket(), _new_socket()
    try:
        address = _bind(listener, task.identity or os.urandom(8).hex().encode())
        listener.listen(8)
        connection.connect(address)
        pid = os.fork()
    except OSError:
        connection.close()
        listener.close()
        raise
    if pid == 0:
        code = 1
        try:
            Keeper(task, listener).run()
            code = 0
        finally:
            os._exit(code)
    listener.close()
    return connection, pid


def _bind(listener: socket.socket, identity: bytes) -> bytes:
    for number in range(_MOST):
        try:
            listener.bind(_address(identity, number))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return _address(identity, number)
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def find(identity: bytes) -> "socket.socket | None":
    """A connection to the guardian of the freeze with this *identity*; None if there is none."""
    for number in reversed(range(_MOST)):
        connection = _new_socket()
        try:
            connection.connect(_address(identity, number))
            if uid_of(connection) == os.geteuid():
                return connection
        except OSError:
            pass
        connection.close()
    return None


def hear_first(connection: socket.socket) -> "tuple[record.Record, record.State, bytes] | None":
    """What a guardian that was found has to tell, and what is left of it; None if it does not."""
    received = b""
    try:
        connection.settimeout(_PATIENCE)
        while received.count(b"\n") < 2:
            piece = connection.recv(_PIECE)
            if not piece:
                raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            received += piece
        about, line, rest = received.split(b"\n", 2)
        return record.Record.parse(about), record.State.parse(line), rest
    except (OSError, ValueError):
        connection.close()
        return None
