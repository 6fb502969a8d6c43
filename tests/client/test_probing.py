"""How targets are, by a look that disturbs nobody."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest

import qga
from qga.client import Target, crew, probing, unixsockets
from qga.client.listing import Known
from qga.client.reach import Reach
from qga.testing import FakeAgent
from qga.testing.server import short_directory
from tests.support.stock import RunningAgent


def test_an_agent_that_answers(agent: RunningAgent) -> None:
    assert probing.probe(Target(agent.target), 30) == Reach.READY
    with agent.stopped():
        assert probing.probe(Target(agent.target), 0.3) in {Reach.BUSY, Reach.SILENT}


def test_only_a_synchronisation_is_sent() -> None:
    agent = FakeAgent(blocked=["guest-ping"])
    with agent.serve() as target:
        assert probing.probe(Target(target), 30) == Reach.READY
    assert agent.requests == []
    assert agent.synchronisations == 1


def test_a_channel_that_another_client_has_is_left_alone(tmp_path: Path) -> None:
    with short_directory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = folder / "s"
        listener.bind(str(path))
        assert probing.probe(Target(f"unix:{path}")) == Reach.REFUSED
        listener.listen()
        before = unixsockets.look(path)
        assert before is not None
        assert (bool(before.listener), before.clients, before.waiting) == (True, (), ())
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(path))
            seen = unixsockets.look(path)
            assert seen is not None
            assert (len(seen.clients), len(seen.waiting)) == (0, 1)
            assert probing.probe(Target(f"unix:{path}")) == Reach.BUSY
            accepted, _ = listener.accept()
            with accepted:
                seen = unixsockets.look(path)
                assert seen is not None
                assert (len(seen.clients), len(seen.waiting)) == (1, 0)
                number = os.fstat(other.fileno()).st_ino
                assert seen.clients == (number,)
                assert unixsockets.processes([number, 0])[number][0] == os.getpid()
                # By whatever path it is called.
                link = tmp_path / "link"
                link.symlink_to(path)
                assert unixsockets.look(link) == seen
                assert probing.probe(Target(str(link))) == Reach.BUSY
                # Nobody has knocked.
                listener.setblocking(False)
                with pytest.raises(BlockingIOError):
                    listener.accept()


def test_where_the_kernel_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def dump() -> list[bytes]:
        raise OSError

    monkeypatch.setattr(unixsockets, "_dump", dump)
    with FakeAgent().serve() as target:
        assert unixsockets.look(target.removeprefix("unix:")) is None
        assert probing.probe(Target(target), 30) == Reach.READY
    assert unixsockets.processes([]) == {}


@pytest.mark.parametrize(
    ("target", "reach"),
    [
        ("unix:/nonexistent/s", Reach.OFF),
        ("unix:/etc/passwd", Reach.REFUSED),
        ("unix:/etc/passwd/s", Reach.OFF),
        ("serial:/dev/null", Reach.UNKNOWN),
        ("fd:0", Reach.UNKNOWN),
        ("libvirt+qemu+ssh://host/system?domain=x", Reach.UNKNOWN),
        ("libvirt+qemu:///session?socket=/nonexistent&domain=x", Reach.UNKNOWN),
        ("tcp:127.0.0.1:1", Reach.REFUSED),
    ],
)
def test_what_is_not_ready(target: str, reach: Reach) -> None:
    assert probing.probe(Target(target), 20) == reach


def test_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeAgent().serve() as target:
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert probing.probe(Target(target)) == Reach.DENIED


def test_errors_in_a_word() -> None:
    denied = qga.NoChannel("outer")
    denied.__cause__ = qga.NoChannel("inner")
    denied.__cause__.__cause__ = PermissionError(13, "no")
    for error, reach in (
        (qga.AgentBusy(), Reach.BUSY),
        (qga.AgentTimeout(), Reach.SILENT),
        (qga.ConnectionLost(), Reach.SILENT),
        (denied, Reach.DENIED),
        (qga.NoChannel("the domain is not running: x"), Reach.OFF),
    ):
        assert probing._meaning(error) == reach


def test_all_at_once(tmp_path: Path) -> None:
    with FakeAgent().serve() as first, FakeAgent().serve() as second:
        known = [
            Known(first, "a", source="socket"),
            Known(f"unix:{tmp_path}/none", "b", source="socket"),
            Known(second, "c", source="socket"),
            Known("libvirt:x", "d", source="libvirt", state=Reach.PAUSED),
            Known("gone", "e"),
        ]
        found = probing.probed(known, patience=30)
    assert [one.state for one in found] == [
        Reach.READY, Reach.OFF, Reach.READY, Reach.PAUSED, Reach.UNKNOWN,
    ]  # fmt: skip
    assert [one.name for one in found] == list("abcde")
    assert probing.probed([]) == []


def test_what_hangs_is_not_waited_for() -> None:
    going_on = threading.Event()

    def action(item: int) -> int:
        if item == 1:
            going_on.wait(60)
        return item

    try:
        assert crew.all_done(action, [0, 1, 2], forks=2, timeout=1) == [0, None, 2]
    finally:
        going_on.set()
    with pytest.raises(ZeroDivisionError):
        crew.all_done(lambda item: 1 // item, [0], forks=1, timeout=30)


def test_a_crew() -> None:
    begun: list[int] = []
    going_on = threading.Event()

    def action(item: int) -> None:
        begun.append(item)
        if item == 0:
            going_on.wait(60)

    team = crew.Crew(action, range(4), forks=1)
    assert team.next(0.01) is None
    team.replace()
    assert {team.next(30), team.next(30), team.next(30)} == {(1, None), (2, None), (3, None)}
    team.stop()
    going_on.set()
    assert team.next(30) == (0, None)
    assert begun == [0, 1, 2, 3]
    stopped = crew.Crew(time.sleep, [0.2, 0, 0], forks=1)
    stopped.stop()
    assert stopped.next(30) is not None
    assert stopped.next(0.3) is None
