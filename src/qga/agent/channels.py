"""The ways to the host: virtio-serial, isa-serial, unix-listen, vsock-listen, socket activation.

A channel opens its device or socket, and makes a `Connection` of each stream that it finds there.
"""

import errno
import os
import stat

from .connection import Connection
from .lean import socket
from .loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .dispatch import Dispatcher
    from .log import Log
    from .loop import Loop

# How long to wait before a device that has gone is opened again.
_RETRY = 5.0

_BACKLOG = 128

# How much of a reply a unix socket is to hold, if the system allows as much: a piece of a file as a
# whole, so that the agent and its client take turns less often. Others grow by themselves.
_BUFFER = 1 << 20

# The first descriptor that systemd hands over.
_LISTEN_FDS_START = 3


class ChannelError(Exception):
    """The channel cannot be opened as it is configured."""


class Port:
    """A device with one stream and no connections: a virtio-serial port or a serial line.

    Args:
        loop: the event loop.
        dispatcher: answers the requests.
        log: for what happens to the device.
        path: the device.
        on_lost: called when the device has gone and *retry* is off.
        retry: whether to open it again, and again, when it is not there or goes away.
        prepare: called with the descriptor after each opening.
        tell: called with one line about what has become of the device.
    """

    def __init__(
        self,
        loop: "Loop",
        dispatcher: "Dispatcher",
        log: "Log",
        path: str,
        on_lost: "Callable[[], None]",
        *,
        retry: bool = False,
        prepare: "Callable[[int], None] | None" = None,
        tell: "Callable[[str], None]" = lambda _: None,
    ) -> None:
        self._loop = loop
        self._dispatcher = dispatcher
        self._log = log
        self._path = path
        self._retry = retry
        self._on_lost = on_lost
        self._prepare = prepare
        self._tell = tell
        self._connection: Connection | None = None

    def open(self) -> None:
        """Open the device, now or, with *retry*, as soon as it can be.

        Raises:
            ChannelError: it cannot be opened, and *retry* is off.
        """
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        fd = -1
        try:
            fd = os.open(self._path, flags)
            if self._prepare is not None:
                self._prepare(fd)
            self._connection = Connection(
                self._loop,
                fd,
                self._dispatcher,
                self._on_end,
                is_port=True,
                lost_at_end=self._prepare is not None,
            )
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            if not self._retry:
                raise ChannelError(f"cannot open {self._path}: {error.strerror}") from error
            self._log.warning(f"cannot open {self._path}: {error.strerror}; trying again")
            self._tell(f"waiting for {self._path}: {error.strerror}")
            self._loop.later(_RETRY, self.open)
        else:
            self._tell(f"serving {self._path}")

    def _on_end(self, _: Connection, error: "OSError | None") -> None:
        self._connection = None
        if error is None:
            return
        self._log.error(f"lost {self._path}: {error.strerror}")
        if self._retry:
            self._tell(f"waiting for {self._path}: {error.strerror}")
            self._loop.later(_RETRY, self.open)
        else:
            self._on_lost()

    def close(self) -> None:
        """Close the device."""
        if self._connection is not None:
            self._connection.close()


def raw_serial(fd: int) -> None:
    """Make the serial line *fd* carry bytes as they are, and forget what has arrived before."""
    import termios

    try:
        attributes = termios.tcgetattr(fd)
    except termios.error as error:  # not an OSError
        raise OSError(*error.args) from None
    speed = termios.B38400
    control = termios.CS8 | termios.CREAD | termios.CLOCAL
    characters = attributes[6]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, control, 0, speed, speed, characters])
    termios.tcflush(fd, termios.TCIFLUSH)


class Listener:
    """A listening socket, and the clients that are connected to it.

    Args:
        loop: the event loop.
        dispatcher: answers the requests.
        log: for what happens to clients.
        listening: the socket; its path is removed in the end if it is `path`.
        path: the file of a unix socket that the agent has made itself.
    """

    def __init__(
        self,
        loop: "Loop",
        dispatcher: "Dispatcher",
        log: "Log",
        listening: "socket.socket",
        path: "str | None" = None,
    ) -> None:
        self._loop = loop
        self._dispatcher = dispatcher
        self._log = log
        self._listening = listening
        self._path = path
        self._file = None if path is None else _identity(path)
        self._clients: set[Connection] = set()

    def open(self) -> None:
        """Begin to accept clients."""
        self._listening.setblocking(False)
        self._listening.listen(_BACKLOG)
        self._loop.watch(self._listening.fileno(), READ, self._accept)

    def _accept(self, _: int) -> None:
        try:
            fd, _address = self._listening._accept()  # type: ignore[attr-defined] # noqa: SLF001
        except BlockingIOError:
            return
        except OSError as error:
            # Out of descriptors, most likely. Let those who are served go on, and try again.
            self._log.error(f"cannot accept a client: {error.strerror}")
            self._loop.forget(self._listening.fileno())
            self._loop.later(1.0, self._accept_again)
            return
        os.set_blocking(fd, False)
        if self._listening.family == socket.AF_UNIX:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            client.detach()
        self._clients.add(Connection(self._loop, fd, self._dispatcher, self._on_end))
        self._log.info("client connected")

    def _accept_again(self) -> None:
        self._loop.watch(self._listening.fileno(), READ, self._accept)

    def _on_end(self, client: Connection, _: "OSError | None") -> None:
        self._clients.discard(client)
        self._log.info("client disconnected")

    def close(self) -> None:
        """Disconnect the clients, and listen no more."""
        for client in list(self._clients):
            client.close()
        self._loop.forget(self._listening.fileno())
        self._listening.close()
        # By now it may be the socket of an agent that was started after this one.
        if self._path is not None and _identity(self._path) == self._file:
            os.unlink(self._path)


def _identity(path: str) -> "tuple[int, int] | None":
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def unix_socket(path: str) -> "socket.socket":
    """A socket bound to *path*, for the agent's user only.

    Raises:
        ChannelError: it cannot be, or the path is something else than a socket.
    """
    try:
        if not stat.S_ISSOCK(os.stat(path, follow_symlinks=False).st_mode):
            raise ChannelError(f"cannot listen on {path}: it is there, and is no socket")
        os.unlink(path)
    except FileNotFoundError:
        pass
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(path)
    except OSError as error:
        listening.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ChannelError(f"cannot listen on {path}: {reason}") from error
    finally:
        os.umask(mask)
    return listening


def vsock_socket(address: str) -> "socket.socket":
    """A socket bound to *address*, `CID:PORT` in decimal; CID 4294967295 is any.

    Raises:
        ChannelError: it cannot be.
    """
    cid, colon, port = address.partition(":")
    for name, number in (("cid", cid), ("port", port)):
        if not (number.isascii() and number.isdecimal() and int(number) < 1 << 32):
            raise ChannelError(
                f"Failed to parse {name} '{number}': the path of vsock-listen is CID:PORT"
                if colon
                else f"'{address}' is not a vsock address: it is CID:PORT"
            )
    try:
        listening = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listening.bind((int(cid), int(port)))
    except OSError as error:
        raise ChannelError(f"cannot listen on vsock {address}: {error.strerror}") from error
    return listening


def activated_socket() -> "socket.socket | None":
    """The listening socket that systemd has handed over; None when it has not.

    Raises:
        ChannelError: there are several, or it is of a kind that the agent does not serve.
    """
    # Not for the programs that the agent runs, whomever they were for.
    pid, count, _ = (os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()):
        return None
    if count == "0" or not count.isdecimal():
        return None
    if count != "1":
        raise ChannelError("qga-agent only supports listening on one socket")
    try:
        listening = socket.socket(fileno=_LISTEN_FDS_START)
    except OSError as error:
        raise ChannelError(
            f"unsupported listen fd: {os.strerror(error.errno or errno.EBADF)}"
        ) from error
    if listening.family not in (socket.AF_UNIX, getattr(socket, "AF_VSOCK", None)):
        raise ChannelError("unsupported listen fd type")
    return listening
