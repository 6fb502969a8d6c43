"""A port whose host comes and goes: how long a reply that nobody fetches is kept.

The kernel tells of the host on another way than it hands over its bytes, so that a reply can be
due before the host is there. Here a socket that is full stands for a port whose host is away, and
the test is the loop: it says what happens, and when.
"""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.agent.connection import Connection
from qga.agent.loop import HANGUP, READ, WRITE
from tests.agent.harness import make_agent

FILLING = b"x"


class Loop:
    """Calls back when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.happens: Callable[[int], None]
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def watch(self, _: int, __: int, callback: Callable[[int], None]) -> None:
        self.happens = callback

    def change(self, fd: int, events: int) -> None:
        pass

    def forget(self, fd: int) -> None:
        pass

    def later(self, seconds: float, callback: Callable[[], None]) -> Any:
        self._timers.append((self.now + seconds, callback))
        return self._timers[-1]

    def cancel(self, timer: Any) -> None:
        self._timers.remove(timer)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self._timers if timer[0] <= self.now]
        self._timers = [timer for timer in self._timers if timer[0] > self.now]
        for _, callback in due:
            callback()


class Port:
    """The agent's port and its host."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = Loop()
        self.host, guest = socket.socketpair()
        self._fd = os.dup(guest.fileno())
        guest.setblocking(False)
        self._leave()
        monkeypatch.setattr("qga.agent.connection.hung_up", lambda _: self._away)
        self.agent = make_agent(folder)
        loop: Any = self.loop
        self.connection = Connection(
            loop, guest.detach(), self.agent.dispatcher, lambda _, __: None, is_port=True
        )

    def _leave(self) -> None:
        self._away = True
        try:
            while True:
                os.write(self._fd, FILLING)
        except BlockingIOError:
            pass

    def leave(self) -> None:
        """The host goes away, and the kernel says so."""
        self._leave()
        self.loop.happens(READ | HANGUP)

    def ask(self, number: int) -> None:
        """A request of a host comes, and then the kernel says that nobody is there."""
        self.host.sendall(b'{"execute": "guest-sync", "arguments": {"id": %d}}' % number)
        self.loop.happens(READ | HANGUP)
        self.loop.happens(HANGUP)

    def come(self) -> bytes:
        """The kernel learns that the host is there; return what that receives."""
        self._away = False
        self._drain()
        self.loop.happens(WRITE)
        return self._drain()

    def _drain(self) -> bytes:
        data = b""
        try:
            while True:
                data += self.host.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return data.lstrip(FILLING)

    def close(self) -> None:
        self.connection.close()
        self.agent.close()
        self.host.close()
        os.close(self._fd)


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Port]:
    made = Port(tmp_path, monkeypatch)
    yield made
    made.close()


def test_a_reply_waits_for_its_host(port: Port) -> None:
    port.ask(1)
    port.loop.pass_time(0.9)
    assert port.come() == b'{"return": 1}\n'


def test_a_reply_that_nobody_fetches_is_dropped(port: Port) -> None:
    port.ask(1)
    port.loop.pass_time(1.1)
    port.ask(2)
    assert port.come() == b'{"return": 2}\n'


def test_each_reply_has_its_own_time(port: Port) -> None:
    for number in range(10):
        port.ask(number)
        port.loop.pass_time(0.6)
        assert port.come() == b'{"return": %d}\n' % number
        port.leave()
