"""A fake agent on a unix socket, served by a thread; for `FakeAgent.serve`."""

from __future__ import annotations

import os
import selectors
import socket
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .line import HANGUP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .fake import FakeAgent
    from .line import Line

_READ_SIZE = 1 << 18


@contextmanager
def served(agent: FakeAgent, path: str | Path | None) -> Iterator[str]:
    """Serve *agent* on the socket *path* in a thread; give its target."""
    with ExitStack() as stack:
        if path is None:
            path = stack.enter_context(short_directory()) / "agent.sock"
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(os.fspath(path))
        stack.callback(os.unlink, path)
        listener.listen()
        server = _Server(agent, listener)
        thread = threading.Thread(target=server.run, name="qga fake agent", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.end)
        yield f"unix:{path}"


@contextmanager
def short_directory() -> Iterator[Path]:
    """A temporary directory, by a path that leaves room for a socket's name: it has 107 bytes."""
    usual = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(
        prefix="qga-",
        dir=usual if len(os.fsencode(usual)) < 70 else "/tmp",  # noqa: S108 - with a random name
    ) as name:
        yield Path(name)


class _Connection:
    """A client's socket and the agent's line behind it."""

    def __init__(self, stream: socket.socket, line: Line) -> None:
        self.stream = stream
        self.line = line
        self.waiting = b""  # for the client to read


class _Server:
    """Waits for clients, and for the time at which replies are due."""

    def __init__(self, agent: FakeAgent, listener: socket.socket) -> None:
        self._agent = agent
        self._listener = listener
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._connections: dict[socket.socket, _Connection] = {}
        self._ending = False

    def wake(self) -> None:
        """Look again at what is to be sent; from any thread."""
        try:
            self._waker.send(b"\0")
        except OSError:
            pass  # it is about to look, or has ended

    def end(self) -> None:
        """Close all, soon."""
        self._ending = True
        self.wake()

    def run(self) -> None:
        """Serve until `end` is called."""
        try:
            while not self._ending:
                for key, _ in self._selector.select(self._pause()):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj is self._woken:
                        self._woken.recv(_READ_SIZE)
                    else:
                        self._receive(self._connections[key.fileobj])  # type: ignore[index]
                for connection in list(self._connections.values()):
                    self._send(connection)
        finally:
            for connection in list(self._connections.values()):
                self._drop(connection)
            self._selector.close()
            self._woken.close()
            self._waker.close()

    def _pause(self) -> float | None:
        """How long nothing is due."""
        pauses = [
            due - connection.line.now()
            for connection in self._connections.values()
            if not connection.waiting and (due := connection.line.next_due()) is not None
        ]
        return max(0.0, min(pauses)) if pauses else None

    def _accept(self) -> None:
        stream, _ = self._listener.accept()
        if not self._agent.running:
            stream.close()
            return
        stream.setblocking(False)
        line = self._agent._plug(self.wake)  # noqa: SLF001 - parts of one thing
        self._connections[stream] = _Connection(stream, line)
        self._selector.register(stream, selectors.EVENT_READ)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.stream.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            connection.line.feed(data)
        else:
            self._drop(connection)

    def _send(self, connection: _Connection) -> None:
        line = connection.line
        while connection.stream.fileno() >= 0:
            if not connection.waiting:
                due = line.next_due()
                if due is None or due > line.now():
                    break
                data = line.take()
                if data is HANGUP:
                    self._drop(connection)
                    return
                connection.waiting = data
            try:
                sent = connection.stream.send(connection.waiting)
            except BlockingIOError:
                break
            except OSError:
                self._drop(connection)
                return
            connection.waiting = connection.waiting[sent:]
        if connection.stream in self._connections:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.waiting else 0)
            self._selector.modify(connection.stream, events)

    def _drop(self, connection: _Connection) -> None:
        if self._connections.pop(connection.stream, None) is not None:
            self._selector.unregister(connection.stream)
            connection.stream.close()
            self._agent._unplug(connection.line)  # noqa: SLF001 - parts of one thing
