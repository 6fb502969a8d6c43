"""A peer that plays an agent by a script: `peers(script)` gives a client that is connected to it.

The script is a function that gets a `Peer` and runs in a thread. It says line by line what a real
agent would hardly ever do.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qga import Client, TransportError
from qga.client import Deadline, Transport
from qga.client.transports import DescriptorTransport

Script = Callable[["Peer"], None]
Peers = Callable[..., Client]


class Gone(Exception):
    """The client has closed the channel."""


class Peer:
    """The agent's end of a channel."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._received = b""

    def request(self) -> dict[str, Any]:
        """The next request. That qga's requests end with a newline helps to keep this short."""
        while b"\n" not in self._received:
            data = self._stream.recv(1 << 20)
            if not data:
                raise Gone
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        found: dict[str, Any] = json.loads(line.rpartition(b"\xff")[2])
        return found

    def expect(self, name: str) -> dict[str, Any]:
        """The arguments of the next request, which must be for the command *name*."""
        request = self.request()
        assert request["execute"] == name, request
        arguments: dict[str, Any] = request.get("arguments", {})
        return arguments

    def send(self, data: bytes) -> None:
        self._stream.sendall(data)

    def answer(self, value: Any) -> None:
        self.send(json.dumps({"return": value}).encode() + b"\n")

    def refuse(self, **error: Any) -> None:
        self.send(json.dumps({"error": error}).encode() + b"\n")

    def sync(self) -> int:
        """Answer a synchronisation as agents do; return its number."""
        number: int = self.expect("guest-sync-delimited")["id"]
        self.send(b"\xff")
        self.answer(number)
        return number

    def close(self) -> None:
        self._stream.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def peers() -> Iterator[Peers]:
    """Makes clients. Each further script is the peer that the client meets when it reconnects."""
    clients: list[Client] = []
    threads: list[threading.Thread] = []
    failures: list[BaseException] = []

    def play(script: Script, stream: socket.socket) -> None:
        with stream:
            try:
                script(Peer(stream))
            except (Gone, ConnectionError):
                pass
            except BaseException as error:  # noqa: BLE001 - told in the test's thread
                failures.append(error)

    def make(*scripts: Script, timeout: float = 10) -> Client:
        waiting = list(scripts)

        def dial(_: Deadline) -> Transport:
            if not waiting:
                raise TransportError("nobody listens")
            ours, theirs = socket.socketpair()
            thread = threading.Thread(target=play, args=(waiting.pop(0), theirs), daemon=True)
            threads.append(thread)
            thread.start()
            return DescriptorTransport(ours.detach())

        client = Client(dial, timeout=timeout)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
