"""libvirt's own module, and the connections that all clients of this process share.

For `libvirt`. Everything here is called in threads of `worker`, and may block.
"""

from __future__ import annotations

import atexit
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from qga.errors import AgentNotResponding, NoChannel

from .worker import in_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .deadline import Deadline

    class Domain(Protocol):
        """What is used of a `libvirt.virDomain`."""

        def name(self) -> str: ...
        def UUIDString(self) -> str: ...  # noqa: N802
        def isActive(self) -> int: ...  # noqa: N802
        def state(self) -> list[int]: ...
        def XMLDesc(self, flags: int = 0) -> str: ...  # noqa: N802
        def snapshotCreateXML(self, text: str, flags: int = 0) -> object: ...  # noqa: N802

    class Connection(Protocol):
        """What is used of a `libvirt.virConnect`."""

        def isAlive(self) -> int: ...  # noqa: N802
        def close(self) -> int: ...
        def lookupByName(self, name: str) -> Domain: ...  # noqa: N802
        def lookupByUUIDString(self, uuid: str) -> Domain: ...  # noqa: N802
        def lookupByID(self, number: int) -> Domain: ...  # noqa: N802
        def listAllDomains(self, flags: int = 0) -> list[Domain]: ...  # noqa: N802


_INSTALL = (
    "install it with `pip install 'qga[libvirt]'`, which builds it with gcc, pkg-config and "
    "libvirt's development files, or take your system's package, as Debian's python3-libvirt"
)


class Library:
    """The module, as far as it is used.

    Attributes:
        error: what its functions raise.

    Raises:
        NoChannel: it is not there.
    """

    def __init__(self) -> None:
        # The program may have a handler for libvirt's errors, of which libvirt does not tell.
        ours_alone = "libvirt" not in sys.modules
        try:
            basic, qemu = import_module("libvirt"), import_module("libvirt_qemu")
        except ImportError as error:
            raise NoChannel(f"libvirt's Python module is missing ({error}): {_INSTALL}") from error
        self.error: type[Exception] = basic.libvirtError
        self._open = basic.open
        self._command = qemu.qemuAgentCommand
        atexit.register(_close_all)
        if ours_alone:
            basic.registerErrorHandler(_tell, None)

    def open(self, uri: str | None) -> Connection:
        found: Connection = self._open(uri)
        return found

    def command(self, domain: Domain, text: str, seconds: int) -> str:
        """Have the agent of *domain* execute the request *text*, which may take *seconds*."""
        reply: str = self._command(domain, text, seconds, 0)
        return reply


def _tell(_: Any, error: tuple[Any, ...]) -> None:
    """Do what libvirt does with errors, but for those that are raised by this package instead."""
    if not in_worker():
        print(f"libvirt: error : {error[2]}", file=sys.stderr)  # noqa: T201


_library: Library | None = None
_lock = threading.Lock()


def library() -> Library:
    """The module, loaded once.

    Raises:
        NoChannel: it is not there.
    """
    global _library  # noqa: PLW0603
    with _lock:
        if _library is None:
            _library = Library()
        return _library


class Connections:
    """The connections to one libvirt.

    Shared, because each one costs: a process and a login, where it goes through ssh. But each
    carries one call at a time. A libvirtd takes five at once from one connection, so that agents
    which hang would block the others; and libvirt's own client (seen with 9.0) now and then does
    not send what a second thread asks for while a first one waits.

    Args:
        uri: as libvirt takes it; None for libvirt's default.
    """

    def __init__(self, uri: str | None) -> None:
        self.uri = uri
        self.users = 0
        self._free: list[Connection] = []
        self._closed = False
        self._mutex = threading.Lock()
        self._opening = threading.Lock()

    @contextmanager
    def use(self, deadline: Deadline, preferred: Connection | None = None) -> Iterator[Connection]:
        """A connection for one call: *preferred* if that is free, another, or a new one.

        Raises:
            NoChannel: none can be opened.
            AgentNotResponding: not until the deadline.
        """
        connection = self._taken(preferred) or self._opened(deadline)
        try:
            yield connection
        finally:
            with self._mutex:
                if not self._closed:
                    self._free.append(connection)

    def close(self) -> None:
        """Close all, when their calls are done."""
        with self._mutex:
            self._closed = True
            self._free.clear()  # each is closed when the last reference to it goes

    def _taken(self, preferred: Connection | None) -> Connection | None:
        with self._mutex:
            self._free = [connection for connection in self._free if connection.isAlive()]
            if preferred in self._free:
                self._free.remove(preferred)
                return preferred
            return self._free.pop() if self._free else None

    def _opened(self, deadline: Deadline) -> Connection:
        # One at a time: a server of ssh refuses those who knock all at once, and meanwhile another
        # call may be done with its own.
        if not self._opening.acquire(timeout=min(deadline.remaining(), threading.TIMEOUT_MAX)):
            raise AgentNotResponding("libvirt does not answer")
        try:
            return self._taken(None) or self._open()
        finally:
            self._opening.release()

    def _open(self) -> Connection:
        loaded = library()
        try:
            return loaded.open(self.uri)
        except loaded.error as error:
            where = f"libvirt at {self.uri}" if self.uri else "libvirt"
            failure = NoChannel(f"no connection to {where}: {error}")
            failure.hint = "does libvirt run there, and may this user reach it?"
            raise failure from error


_shared: dict[str | None, Connections] = {}


def shared(uri: str | None) -> Connections:
    """The connections to the libvirt at *uri*, until they are given back."""
    with _lock:
        found = _shared.setdefault(uri, Connections(uri))
        found.users += 1
        return found


def give_back(connections: Connections) -> None:
    """Do without *connections*, which are closed when nobody uses them any more."""
    with _lock:
        connections.users -= 1
        if not connections.users:
            del _shared[connections.uri]
            connections.close()


def _close_all() -> None:
    """Close what is open when the process ends, before the module itself goes."""
    with _lock:
        for connections in _shared.values():
            connections.close()
