"""What a host asks for behind a freeze that hangs, on the same channel: it may end the freeze."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.agent.conftest import Starter
from tests.agent.frozenfiles import FileFreezer, on_files
from tests.agent.harness import Peer, RunningAgent, children, request, until
from tests.support.stock import BLOCKED

GIVEN_UP = "failed to freeze: given up, for another request on this channel"
IN_FREEZE = "failed to thaw {}: it is being frozen still, and thawed right after"
FREEZE = request("guest-fsfreeze-freeze")
SYNC = b"\xff" + b'{"execute": "guest-sync-delimited", "arguments": {"id": 7}}\n'
SYNCED = b'\xff{"return": 7}'


class Hanging:
    """An agent that freezes "b", and hangs in the freeze of "a"; and a client of it."""

    def __init__(self, start: Starter, freezer: FileFreezer) -> None:
        self.freezer = freezer
        self._hanging = freezer.hang("a")
        blocked = ",".join(name for name in BLOCKED if "fsfreeze" not in name)
        self.agent: RunningAgent = start(changes=on_files(freezer), blocked=blocked)
        self.peer: Peer = self.agent.connect()

    def freeze(self, name: str = "guest-fsfreeze-freeze", **arguments: Any) -> None:
        """Ask for it, and wait until it hangs."""
        self.peer.send(request(name, arguments))
        self.until_it_hangs()

    def until_it_hangs(self) -> None:
        until(lambda: self.freezer.frozen() == ["b"], "the first to be frozen")
        until(lambda: self._hanging.read_bytes() != b"", "the second to hang")

    def thaws(self) -> None:
        until(lambda: self.freezer.frozen() == [], "all to be thawed")

    def go_on(self) -> None:
        """Let the freeze that hangs come to its end."""
        self._hanging.unlink(missing_ok=True)

    def is_over(self) -> None:
        """Nothing is frozen, and a new freeze works."""
        self.go_on()
        until(lambda: self.agent.call("guest-fsfreeze-status") == "thawed", "the end")
        assert self.freezer.frozen() == []
        # The thaw of a client that has gone may not have ended.
        until(lambda: self.peer.ask("guest-fsfreeze-freeze").get("return") == 2, "a new freeze")
        assert self.peer.call("guest-fsfreeze-thaw") == 2


@pytest.fixture
def hanging(start: Starter, freezer: FileFreezer) -> Hanging:
    return Hanging(start, freezer)


def error(peer: Peer) -> str:
    return str(peer.reply()["error"]["desc"])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("guest-fsfreeze-freeze", {}),
        ("guest-fsfreeze-freeze-list", {}),
        ("qga-fsfreeze-freeze", {"token": "mine"}),
    ],
)
def test_a_host_that_synchronises_is_answered_at_once(
    hanging: Hanging, name: str, arguments: dict[str, str]
) -> None:
    hanging.freeze(name, **arguments)
    hanging.peer.send(SYNC, request("guest-fsfreeze-status"))
    assert error(hanging.peer) == GIVEN_UP
    assert "JSON parse error" in error(hanging.peer)  # what a 0xFF is always answered with
    assert hanging.peer.line() == SYNCED
    assert hanging.peer.reply()["return"] in {"frozen", "error"}  # the kernel has not let go
    hanging.thaws()
    told = hanging.peer.call("qga-fsfreeze-report")
    assert (told["held"], told["reason"]) == (False, "thawed before all was frozen")
    assert hanging.peer.ask("guest-fsfreeze-thaw")["error"]["desc"] == IN_FREEZE.format(
        hanging.freezer.folder / "a"
    )
    hanging.is_over()


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_also_in_pieces_and_behind_other_requests(hanging: Hanging, step: int) -> None:
    hanging.freeze()
    row = b'{"execute": "guest-ping"}\n{"execute": "guest-no' + SYNC
    for at in range(0, len(row), step):
        hanging.peer.send(row[at : at + step])
    assert error(hanging.peer) == GIVEN_UP
    assert hanging.peer.reply() == {"return": {}}
    assert "JSON parse error" in error(hanging.peer)
    assert hanging.peer.line() == SYNCED
    hanging.is_over()


def test_also_if_both_come_at_once(hanging: Hanging) -> None:
    """As when the agent was stopped meanwhile."""
    hanging.peer.send(FREEZE, SYNC)
    assert error(hanging.peer) == GIVEN_UP
    hanging.peer.line()
    assert hanging.peer.line() == SYNCED
    hanging.is_over()


def test_also_if_the_row_was_known_by_its_bytes(hanging: Hanging) -> None:
    hanging.go_on()
    assert hanging.peer.call("guest-fsfreeze-freeze") == 2
    assert hanging.peer.call("guest-fsfreeze-thaw") == 2
    hanging.freezer.hang("a")
    hanging.peer.send(FREEZE, FREEZE, SYNC)
    assert error(hanging.peer) == GIVEN_UP
    second = error(hanging.peer)
    assert second == GIVEN_UP or "has been disabled" in second
    hanging.peer.line()
    assert hanging.peer.line() == SYNCED
    hanging.is_over()


@pytest.mark.parametrize("name", ["guest-fsfreeze-thaw", "qga-fsfreeze-thaw"])
def test_a_thaw_ends_the_freeze_before_it(hanging: Hanging, name: str) -> None:
    hanging.freeze()
    hanging.peer.send(request(name))
    assert error(hanging.peer) == GIVEN_UP
    assert error(hanging.peer) == IN_FREEZE.format(hanging.freezer.folder / "a")
    assert hanging.freezer.frozen() == []
    hanging.is_over()


def test_a_plain_synchronisation_too(hanging: Hanging) -> None:
    hanging.freeze()
    hanging.peer.send(request("guest-sync", {"id": 8}))
    assert error(hanging.peer) == GIVEN_UP
    assert hanging.peer.reply() == {"return": 8}
    hanging.is_over()


def test_a_row_that_nobody_waits_for_is_carried_out(hanging: Hanging) -> None:
    hanging.go_on()
    names = ("guest-fsfreeze-freeze", "guest-fsfreeze-status", "guest-fsfreeze-thaw")
    for _ in range(3):
        hanging.peer.send(*map(request, names), request("guest-sync", {"id": 9}))
        assert [hanging.peer.reply()["return"] for _ in range(4)] == [2, "frozen", 2, 9]


def test_other_requests_wait_for_the_freeze(hanging: Hanging) -> None:
    hanging.freeze()
    hanging.peer.send(
        request("guest-ping"),
        request("guest-fsfreeze-status"),
        request("qga-fsfreeze-thaw", {"token": "of another"}),
        b"[]\n",
        {"execute": []},
        b"garbage\n",
    )
    # Longer than what would end it is waited for.
    with hanging.agent.connect() as other:
        other.send(request("guest-exec", {"path": "/bin/true"}))
        assert "has been disabled" in error(other)
    hanging.peer.socket.settimeout(2)
    with pytest.raises(TimeoutError):
        hanging.peer.line()
    assert hanging.freezer.frozen() == ["b"]
    hanging.go_on()
    hanging.peer.socket.settimeout(30)
    assert [hanging.peer.reply()["return"] for _ in range(3)] == [2, {}, "frozen"]
    assert "another token" in error(hanging.peer)
    for _ in range(2):
        assert "error" in hanging.peer.reply()
    assert "JSON parse error" in error(hanging.peer)
    hanging.peer.call("guest-fsfreeze-thaw")


def test_more_than_there_is_room_for_waits_and_is_answered(hanging: Hanging) -> None:
    hanging.freeze()
    count = 8000
    pings = b'{"execute": "guest-ping"}\n' * count
    hanging.peer.socket.setblocking(False)
    sent = hanging.peer.socket.send(pings)
    hanging.peer.socket.settimeout(30)
    assert hanging.agent.call("guest-ping") == {}
    hanging.go_on()
    hanging.peer.send(pings[sent:])
    assert hanging.peer.reply() == {"return": 2}
    assert [hanging.peer.line() for _ in range(count)] == [b'{"return": {}}'] * count
    assert hanging.peer.call("guest-fsfreeze-thaw") == 2


def test_a_client_that_leaves_behind_its_thaw(hanging: Hanging) -> None:
    hanging.freeze()
    hanging.peer.send(request("guest-fsfreeze-thaw"))
    hanging.peer.close()
    hanging.thaws()
    hanging.peer = hanging.agent.connect()
    hanging.is_over()


def test_a_client_that_only_leaves_has_its_freeze(hanging: Hanging) -> None:
    hanging.freeze()
    hanging.peer.close()
    hanging.go_on()
    until(lambda: hanging.freezer.frozen() == ["a", "b"], "all to be frozen")
    assert hanging.agent.call("guest-fsfreeze-status") == "frozen"
    assert hanging.agent.call("guest-fsfreeze-thaw") == 2


def test_an_agent_that_ends_meanwhile(hanging: Hanging) -> None:
    hanging.freeze()
    hanging.peer.send(request("guest-sync", {"id": 8}))
    assert hanging.agent.end() == 0
    hanging.go_on()
    hanging.thaws()


def test_a_hook_that_hangs(start: Starter, freezer: FileFreezer) -> None:
    hook, events = start.folder / "hook", start.folder / "events"
    lines = "#!/bin/sh", f'echo "$1" >> {events}', f"[ $1 = thaw ] || exec sleep {os.getpid()}"
    hook.write_text("\n".join(lines) + "\n", encoding="utf-8")
    hook.chmod(0o755)
    blocked = ",".join(name for name in BLOCKED if "fsfreeze" not in name)
    agent = start(f"-F{hook}", changes=on_files(freezer), blocked=blocked)
    peer = agent.connect()
    thaw = b'{"execute": "guest-fsfreeze-thaw"}\n'
    for number, ask in enumerate((SYNC, thaw), 1):
        peer.send(FREEZE)
        until(lambda n=number: told(events).count("freeze") == n, "the hook")  # type: ignore[misc]
        peer.send(ask)
        assert error(peer) == GIVEN_UP
        if ask is SYNC:
            peer.line()
            assert peer.line() == SYNCED
        else:
            assert peer.reply() == {"return": 0}
        until(lambda n=number: told(events).count("thaw") >= n, "the hook")  # type: ignore[misc]
        until(lambda: peer.call("guest-fsfreeze-status") == "thawed", "the end")
        # Else the next freeze might be refused, for the hook that has noted the thaw.
        until(lambda: not children(agent.process.pid), "the hook to have ended")
    assert freezer.frozen() == []


def told(events: Path) -> list[str]:
    return events.read_text(encoding="ascii").split() if events.exists() else []
