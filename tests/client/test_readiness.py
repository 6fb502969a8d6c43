"""`state`, `wait_ready` and `wait_for`: what they say of agents of all kinds, and when they end."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.client.flows import readiness
from qga.client.flows.steps import Flow
from qga.client.state import State, Word
from qga.protocol import Ping
from tests.support.stock import BLOCKED, BLOCKED_BUT_EXEC, RunningAgent, running

from .peer import Gone, Peer, Peers

NOT_ALLOWED = {"class": "CommandNotFound", "desc": "Command x has been disabled: not allowed"}
PATIENCE = 60.0


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qga-") as name:
        yield Path(name)


def client_of(path: Path) -> qga.Client:
    """A client whose channel has not been opened."""
    return qga.Client(qga.Target(f"unix:{path}").open, timeout=10)


def listed(**enabled: bool) -> dict[str, Any]:
    """What guest-info returns, for commands with `_` for `-`."""
    commands = [
        {"name": name.replace("_", "-"), "enabled": value, "success-response": True}
        for name, value in enabled.items()
    ]
    return {"version": "7.2.0", "supported_commands": commands}


def answering(state: Any, info: Any) -> Callable[[Peer], None]:
    """A peer that answers what `state` asks."""

    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-ping")
        peer.answer({})
        peer.expect("guest-fsfreeze-status")
        if state is None:
            peer.refuse(**NOT_ALLOWED)
        else:
            peer.answer(state)
        if info is not None:
            peer.expect("guest-info")
            peer.answer(info)

    return script


ALL = {name.replace("-", "_"): True for name in readiness.ESSENTIAL}


@pytest.mark.parametrize(
    ("script", "needs", "word", "why"),
    [
        (answering("thawed", listed(**ALL)), None, "ready", "it is of version 7.2.0"),
        (answering(None, listed(**ALL)), None, "ready", "it is of version 7.2.0"),
        (answering("frozen", None), None, "frozen", "until somebody calls thaw()"),
        (answering("error", None), None, "frozen", "could not be thawed"),
        (
            answering("thawed", listed(**ALL | {"guest_exec": False})),
            None,
            "blocked",
            "configuration in the guest (block-rpcs, allow-rpcs) disables guest-exec",
        ),
        (
            answering("thawed", listed(guest_ping=True)),
            ["guest-exec", "guest-ping"],
            "blocked",
            "of version 7.2.0, does not have guest-exec",
        ),
        (answering("thawed", listed(**ALL | {"guest_exec": False})), [], "ready", "answers"),
        # The first agents did not list their commands.
        (answering("thawed", {"version": "0.15"}), None, "ready", "answers"),
    ],
)
def test_words(peers: Peers, script: Any, needs: list[str] | None, word: str, why: str) -> None:
    found = peers(script).state(needs=needs, timeout=PATIENCE)
    assert found.word == word
    assert why in found.sentence
    assert str(found) == f"{word}: {found.sentence}"
    assert found.ready is (word == "ready")


def test_an_agent_that_refuses_even_its_list(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        answering("thawed", None)(peer)
        peer.expect("guest-info")
        peer.refuse(**NOT_ALLOWED)

    found = peers(script).state(timeout=PATIENCE)
    assert (found.word, "refuses even this" in found.sentence) == (Word.BLOCKED, True)


def test_no_channel(directory: Path) -> None:
    path = directory / "s"
    found = client_of(path).state()
    assert found.word is Word.NO_CHANNEL
    assert "the path of its agent's channel?" in found.sentence
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    assert "nobody listens on it" in client_of(path).state().sentence


def test_others_are_before_us(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "s"))
        listener.listen(0)
        # Nobody accepts us, although there is room to wait.
        with client_of(directory / "s") as client:
            found = client.state(timeout=0.3)
            assert (found.word, "another client holds it" in found.sentence) == ("busy", True)
            # Nor is there room.
            found = client_of(directory / "s").state(timeout=0.3)
            assert (found.word, "cannot open" in found.sentence) == ("busy", True)


def test_nobody_takes_what_is_sent(peers: Peers) -> None:
    over = threading.Event()

    def script(_: Peer) -> None:
        over.wait(PATIENCE)

    found = peers(script).state(timeout=0.3)
    over.set()
    assert (found.word, "nobody takes what is sent" in found.sentence) == ("no-agent", True)


def test_taken_and_not_answered(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        while True:
            peer.request()

    found = peers(script).state(timeout=1)
    assert (found.word, "the request was taken" in found.sentence) == ("busy", True)


def test_in_step_and_then_silent(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        while True:
            if peer.request()["execute"] == "guest-sync-delimited":
                raise Gone

    def silent(peer: Peer) -> None:
        for _ in range(2):
            peer.sync()
            peer.expect("guest-ping")
        with pytest.raises(Gone):
            peer.request()

    found = peers(silent).state(timeout=2)
    assert (found.word, "has answered before" in found.sentence) == ("busy", True)
    found = peers(script).state(timeout=PATIENCE)
    assert (found.word, "stopped?" in found.sentence) == ("no-channel", True)


def test_slow_is_ready_all_the_same(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-ping")  # lost
        answering("thawed", listed(**ALL))(peer)

    client = peers(script)
    assert client.state(timeout=3).ready


def test_something_else_answers(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-ping")
        peer.send(b"login: \n")

    found = peers(script).state(timeout=PATIENCE)
    assert (found.word, "no guest agent" in found.sentence) == ("no-agent", True)


# Waiting.


def test_a_channel_that_comes_later(directory: Path) -> None:
    path, clients = directory / "s", []

    def connect() -> None:
        clients.append(qga.connect(f"unix:{path}", wait=PATIENCE))

    waiter = threading.Thread(target=connect)
    waiter.start()
    options = ["-m", "unix-listen", "-p", path, "-t", directory, "-b", ",".join(BLOCKED)]
    command = [sys.executable, "-m", "qga.agent", *map(str, options)]
    with subprocess.Popen(command) as process:
        try:
            waiter.join(PATIENCE)
            (client,) = clients
            with client:
                client.ping()
        finally:
            process.kill()


def test_waiting_ends(directory: Path) -> None:
    with pytest.raises(qga.WaitTimeout, match=r"not ready after 0\.2 s: no-channel: cannot open"):
        qga.connect(f"unix:{directory}/s", wait=0.2)

    async def wait() -> None:
        with pytest.raises(TimeoutError, match=r"not ready after 0\.2 s: no-channel"):
            await qga.aconnect(f"unix:{directory}/s", wait=0.2)

    asyncio.run(wait())


def test_what_is_needed_is_waited_for(agent: RunningAgent) -> None:
    with qga.connect(agent.target) as client:
        assert client.wait_ready(PATIENCE).ready
        with pytest.raises(qga.WaitTimeout, match=r"blocked: .* disables guest-exec"):
            client.wait_ready(0.2, needs=["guest-exec"])
        assert client.state(needs="guest-exec") == client.state(needs=["guest-exec"])
        with pytest.raises(qga.WaitTimeout, match=r"blocked: .* disables guest-exec$"):
            client.wait_ready(0.2, needs="guest-exec")
        assert client.state().word == "blocked"


def test_waiting_for_things(exec_agent: RunningAgent) -> None:
    there = exec_agent.directory / "there"
    looks = []

    def third() -> Flow[int]:
        yield Ping()
        looks.append(1)
        return 0 if len(looks) < 3 else 7

    with qga.connect(exec_agent.target) as client:
        threading.Timer(0.3, there.touch).start()
        assert client.wait_for(file=str(there), timeout=PATIENCE) is True
        assert client.wait_for(file=os.fsencode(there), timeout=PATIENCE) is True
        done = client.wait_for(command=["sh", "-c", "echo out"], timeout=PATIENCE)
        assert (done.code, done.out) == (0, b"out\n")
        assert client.wait_for(command="true", timeout=PATIENCE).code == 0
        assert client.wait_for(condition=third, timeout=PATIENCE) == 7
        assert client.wait_for(condition=lambda: client.read_file(str(there)) or "x") == "x"
        for wanted, why, seconds in (
            ({"command": ["sh", "-c", "echo a; echo b >&2; exit 9"]}, "exit code 9: b", 1.5),
            ({"command": ["/nonexistent/program"]}, "No such file or directory", 0.3),
            ({"command": ["sleep", "2"]}, "no answer within", 0.3),
            ({"file": "/nonexistent"}, "it is not there", 1.5),
            ({"file": b"/\xff"}, "it is not there", 1.5),
            ({"condition": lambda: None}, "it returned None", 0.3),
        ):
            with pytest.raises(qga.WaitTimeout, match=f"after {seconds} s: .*{why}"):
                client.wait_for(**wanted, timeout=seconds)
        with pytest.raises(ValueError, match="one thing"):
            client.wait_for()
        with pytest.raises(ValueError, match="one thing"):
            client.wait_for(address=True, file="/")
        with pytest.raises(ValueError, match="not 5"):
            client.wait_for(address=5)
        with pytest.raises(ValueError, match="no command"):
            client.wait_for(command=[])
        client.ping()

    async def work() -> None:
        async with await qga.aconnect(exec_agent.target, wait=PATIENCE) as client:
            assert await client.state(timeout=PATIENCE, needs=["guest-exec"]) == State(
                Word.READY, f"the agent answers; it is of version {(await client.info()).version}"
            )
            assert (await client.wait_for(command=["true"], timeout=PATIENCE)).code == 0

    asyncio.run(work())


@pytest.mark.parametrize(
    ("missing", "said"),
    [("guest-file-open", "it is not there"), ("guest-exec", "No such file or directory")],
)
def test_files_are_looked_for_by_what_is_allowed(missing: str, said: str) -> None:
    with (
        running([sys.executable, "-m", "qga.agent"], [*BLOCKED_BUT_EXEC, missing]) as agent,
        qga.connect(agent.target) as client,
    ):
        assert client.wait_for(file="/", timeout=PATIENCE) is True
        with pytest.raises(qga.WaitTimeout, match=said):
            client.wait_for(file="/nonexistent", timeout=1.5)


def test_a_fifo_is_not_opened_to_see_whether_it_is_there(exec_agent: RunningAgent) -> None:
    fifo = exec_agent.directory / "fifo"
    os.mkfifo(fifo)
    with qga.connect(exec_agent.target) as client:
        assert client.wait_for(file=str(fifo), timeout=PATIENCE) is True
        writer = client.popen(["sh", "-c", 'echo x >"$1"', "sh", str(fifo)])
        assert client.wait_for(file=str(fifo), timeout=PATIENCE) is True
        assert fifo.read_bytes() == b"x\n"  # which nobody else has taken
        assert writer.wait(PATIENCE) == 0


def test_an_error_that_is_none_of_the_agents_is_raised(peers: Peers) -> None:
    def broken() -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        peers().wait_for(condition=broken)
