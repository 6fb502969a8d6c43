"""What the agent tells systemd; here the test is systemd."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.agent.loop import Loop
from qga.agent.notify import Notifier
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import PATIENCE, call

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")


class Manager:
    """Receives what services tell, as systemd does."""

    def __init__(self, name: str) -> None:
        self.variable = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(name.replace("@", "\0"))

    def message(self) -> str:
        return self.socket.recv(4096).decode()

    def messages(self, last: str) -> list[str]:
        """All up to and including *last*."""
        found: list[str] = []
        while not found or found[-1] != last:
            found.append(self.message())
        return found

    def pending(self) -> list[str]:
        """Those that have arrived."""
        found: list[str] = []
        self.socket.setblocking(False)
        try:
            while True:
                found.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return found
        finally:
            self.socket.settimeout(PATIENCE)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    abstract = f"@qga-test-{os.getpid()}"
    made = Manager(abstract if request.param == "abstract" else str(tmp_path / "notify"))
    with made.socket:
        yield made


def wanted(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_an_agent_from_start_to_end(start: Starter, manager: Manager) -> None:
    running = start(env={"NOTIFY_SOCKET": manager.variable})
    assert manager.message() == "READY=1"
    assert running.call("guest-ping") == {}
    assert manager.pending() == []
    assert running.end() == 0
    assert manager.pending() == ["STOPPING=1"]


def test_an_agent_whose_port_comes_later(start: Starter, manager: Manager) -> None:
    """It is ready, since the start of the machine is not to wait for the host."""
    absent = start.folder / "absent"
    options = ("-m", "virtio-serial", "-p", str(absent), "-r")
    running = start(*options, listening=False, env={"NOTIFY_SOCKET": manager.variable})
    assert manager.messages("READY=1") == [
        f"STATUS=waiting for {absent}: No such file or directory",
        "READY=1",
    ]
    assert running.end() == 0


def test_signs_of_life(start: Starter, manager: Manager) -> None:
    running = start(env={"NOTIFY_SOCKET": manager.variable, "WATCHDOG_USEC": "20000"})
    assert manager.messages("READY=1") == ["READY=1"]
    for _ in range(5):
        assert manager.message() == "WATCHDOG=1"
    running.process.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    manager.pending()
    time.sleep(0.1)
    assert manager.pending() == []
    running.process.send_signal(signal.SIGCONT)
    assert manager.message() == "WATCHDOG=1"
    assert running.end() == 0
    assert manager.messages("STOPPING=1")


@pytest.mark.parametrize(
    ("pid", "usec"), [("1", "20000"), ("", "0"), ("", "soon"), ("", ""), ("x", "20000")]
)
def test_no_watchdog_is_wanted(
    make: AgentFactory, manager: Manager, monkeypatch: pytest.MonkeyPatch, pid: str, usec: str
) -> None:
    wanted(monkeypatch, NOTIFY_SOCKET=manager.variable, WATCHDOG_PID=pid, WATCHDOG_USEC=usec)
    agent = make()
    agent.notifier.ready()
    agent.notifier.patience(600)
    assert manager.pending() == ["READY=1"]
    assert agent.loop._timers == []


def test_a_freeze_has_time(
    make: AgentFactory, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = str(os.getpid())
    wanted(monkeypatch, NOTIFY_SOCKET=manager.variable, WATCHDOG_PID=pid, WATCHDOG_USEC="60000000")
    agent = make(fsfreeze_timeout=300.0)
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert manager.pending() == ["WATCHDOG_USEC=360000000"]
    assert call(agent, "guest-fsfreeze-thaw") == 2
    assert manager.pending() == ["WATCHDOG_USEC=60000000"]


def test_an_agent_that_starts_frozen_has_time(
    make: AgentFactory, manager: Manager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = make()
    assert call(first, "guest-fsfreeze-freeze") == 2
    wanted(monkeypatch, NOTIFY_SOCKET=manager.variable, WATCHDOG_USEC="1000000")
    second = make()
    assert second.freeze.resume()
    assert manager.pending() == ["WATCHDOG_USEC=601000000"]
    assert call(second, "guest-fsfreeze-thaw") == 2
    assert manager.pending() == ["WATCHDOG_USEC=1000000"]


def test_the_variables_are_gone(make: AgentFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted(monkeypatch, NOTIFY_SOCKET="vsock:2:1", WATCHDOG_PID="1", WATCHDOG_USEC="1")
    agent = make()
    assert not set(VARIABLES) & set(os.environ)
    agent.notifier.ready()
    assert agent.loop._timers == []


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted(monkeypatch, NOTIFY_SOCKET=str(tmp_path / "absent"))
    loop = Loop()
    notifier = Notifier(loop)
    notifier.ready()
    notifier.close()
    notifier.stopping()
    loop.close()


def test_a_message_that_finds_no_room_is_sent_later(
    monkeypatch: pytest.MonkeyPatch, manager: Manager
) -> None:
    wanted(monkeypatch, NOTIFY_SOCKET=manager.variable)
    monkeypatch.setattr("qga.agent.notify._AGAIN", 0.01)
    loop = Loop()
    notifier = Notifier(loop)
    while not loop._timers:
        notifier.status("busy")
    assert set(manager.pending()) == {"STATUS=busy"}
    loop.later(0.1, loop.stop)
    loop.run()
    assert manager.pending() == ["STATUS=busy"]
    notifier.close()
    loop.close()
