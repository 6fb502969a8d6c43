"""The way through libvirt with a module that only pretends: what the real one hardly ever does."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import qga
from qga.client import libvirt, libvirthost
from qga.client.libvirterrors import explained
from tests.support.pretended_libvirt import Failure, Library


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    made = Library()
    monkeypatch.setattr(libvirthost, "_library", made)
    yield made
    assert libvirthost._shared == {}


@pytest.mark.parametrize(
    ("uri", "rest", "domain"),
    [
        ("qemu:///system?domain=a%20b%26", "qemu:///system", "a b&"),
        ("qemu:///system?a=%20&domain=x&b=1", "qemu:///system?a=%20&b=1", "x"),
        ("qemu:///system?a=1", "qemu:///system?a=1", ""),
    ],
)
def test_the_domain_is_taken_out_of_the_uri(uri: str, rest: str, domain: str) -> None:
    assert libvirt.split_domain(uri) == (rest, domain)


REFUSED = "unable to execute QEMU agent command 'guest-x': "


@pytest.mark.parametrize(
    ("code", "detail", "sent", "kind", "text"),
    [
        (1, REFUSED + "failed: No such file or directory", False, qga.GuestOSError, "failed: No"),
        (113, REFUSED + "Command guest-x has been disabled", False, qga.CommandDisabled, "Command"),
        (113, REFUSED + "Command guest-x has been disabled: the agent is in frozen state", False,
         qga.AgentFrozen, "Command guest-x"),
        (113, "QEMU-Agent-Befehl 'guest-x' schlug fehl: Parameter 'a' is missing", False,
         qga.BadArgument, "Parameter 'a'"),
        (113, "of another form", False, qga.CommandError, "of another form"),
        (1, REFUSED.replace("-x", "-y") + "z", False, qga.ConnectionLost, "guest-x: prefix"),
        (1, "End of file from agent socket", False, qga.ConnectionLost, "guest-x: prefix"),
        (86, "Guest agent not available for now", True, qga.AgentTimeout, "guest-x: no answer"),
        (86, "Guest agent not available for now", False, qga.AgentNotResponding, "does not answer"),
        (86, "QEMU guest agent is not available due to an error", True, qga.AgentNotResponding,
         "until it is restarted"),
        (97, "guest agent replied with wrong id", True, qga.AgentNotResponding, "not answer"),
        (112, "timed out", False, qga.AgentTimeout, "guest-x: no answer"),
        (68, "cannot acquire state change lock", False, qga.AgentBusy, "another client"),
        (45, "no agent to ask", False, qga.NoChannel, "does not allow it: no agent to ask"),
        (38, "No complete agent response found in 10485760 bytes", False, qga.ProtocolError,
         "until it is restarted"),
        (1, "cannot parse json x", False, qga.ProtocolError, "does not understand the reply"),
    ],
)  # fmt: skip
def test_errors(code: int, detail: str, sent: bool, kind: type[qga.QgaError], text: str) -> None:
    made = explained(Failure(code, detail), "guest-x", sent=sent)
    assert type(made) is kind
    assert text in str(made)


def test_timeouts_are_whole_seconds_and_always_set(library: Library) -> None:
    with qga.connect("libvirt:x") as client:
        for seconds in (0.2, 3.3, 4.5, float("inf")):
            client.ping(timeout=seconds)
    assert [seconds for _, seconds in library.asked] == [1, 4, 6, 1_000_000]


def test_what_is_silent(library: Library) -> None:
    outcomes: list[Exception] = []

    def answer(name: str) -> str:
        if name == "guest-ping":
            return '{"return": {}}'
        raise outcomes.pop()

    library.answer = answer
    with qga.connect("libvirt:x") as client:
        for outcome in (Failure(112, "timed out"), Failure(1, "End of file from agent socket")):
            outcomes.append(outcome)
            client.shutdown()
        outcomes.append(Failure(113, "'guest-shutdown': mode is invalid"))
        with pytest.raises(qga.BadArgument):
            client.shutdown("x")
    assert library.asked == [("guest-ping", 30), ("guest-shutdown", 3)] * 3


@pytest.mark.parametrize("reply", ["[", "[]", '{"result": 1}'])
def test_replies_that_are_none(library: Library, reply: str) -> None:
    library.answer = lambda _: reply
    with qga.connect("libvirt:x") as client, pytest.raises(qga.ProtocolError, match="guest-x: "):
        client.call("guest-x")


def test_a_reply_that_is_not_utf_8(library: Library) -> None:
    library.answer = lambda _: b"\xff".decode()
    with qga.connect("libvirt:x") as client, pytest.raises(qga.ProtocolError, match="not UTF-8"):
        client.call("guest-x")


def test_a_connection_that_breaks_is_opened_again(library: Library) -> None:
    def answer(_: str) -> str:
        library.opened[0].alive = 0
        raise Failure(38, "Cannot write data: Broken pipe")

    library.answer = answer
    with qga.connect("libvirt:x") as client:
        with pytest.raises(qga.ConnectionLost, match="the connection to libvirt broke"):
            client.shutdown()
        library.answer = lambda _: '{"return": {}}'
        client.ping()
    assert len(library.opened) == 2


def test_connections_are_shared_but_not_at_the_same_time(library: Library) -> None:
    arrived, going_on = threading.Semaphore(0), threading.Event()

    def answer(_: str) -> str:
        arrived.release()
        going_on.wait(60)
        return '{"return": {}}'

    async def main() -> None:
        clients = [await qga.aconnect("libvirt:x") for _ in range(10)]
        assert len(library.opened) == 1
        library.answer = answer
        calls = [asyncio.create_task(client.ping()) for client in clients]
        for _ in clients:
            await asyncio.to_thread(arrived.acquire)
        assert len(library.opened) == 10
        going_on.set()
        await asyncio.gather(*calls)
        await asyncio.gather(*(client.ping() for client in clients))
        assert len(library.opened) == 10
        for client in clients:
            await client.close()

    asyncio.run(main())


def test_a_libvirt_that_does_not_answer(library: Library) -> None:
    going_on = threading.Event()

    def hang(uri: str | None) -> Any:
        going_on.wait(60)
        raise Failure(38, "at last")

    library.open = hang  # type: ignore[method-assign]
    with pytest.raises(qga.AgentNotResponding, match=r"libvirt: no answer within 0\.1 s"):
        qga.connect("libvirt:x", timeout=0.1)
    # The one that opens the connection is not waited for either.
    with pytest.raises(qga.AgentNotResponding):
        qga.connect("libvirt:x", timeout=0.1)
    going_on.set()


def test_without_the_module_it_says_what_to_install() -> None:
    program = """if True:
        import sys
        sys.modules["libvirt_qemu"] = None
        import qga
        try:
            qga.connect("libvirt:x")
        except qga.NoChannel as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("cannot open libvirt:x: libvirt's Python module is missing")
    assert "pip install 'qga[libvirt]'" in done.stdout
    assert "python3-libvirt" in done.stdout
