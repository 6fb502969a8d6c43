"""What is told of what goes over the way to an agent, and what is not."""

import asyncio
import json
from typing import Any

import pytest

import qga
from qga.client import Limits, Target, TraceEvent
from qga.client.masking import shown
from qga.client.trace import traced
from qga.protocol import SetUserPassword
from qga.testing import FakeAgent
from qga.wire.splitter import Splitter
from tests.support.stock import RunningAgent

from .peer import Peer, Peers

Events = list[TraceEvent]


def texts(events: Events, kind: str = "") -> list[str]:
    return [event.text for event in events if kind in ("", event.kind)]


def test_a_real_agent(agent: RunningAgent) -> None:
    events: Events = []
    path = agent.directory / "file"
    with qga.connect(agent.target, trace=events.append) as client:
        client.write_file(str(path), b"the secret of this file")
        assert client.read_file(str(path)) == b"the secret of this file"
        with pytest.raises(qga.GuestOSError):
            client.read_file("/nonexistent")
    assert [event.kind for event in events][:3] == ["open", "request", "reply"]
    assert events[0].text == f"open {agent.target}"
    assert events[-1].kind == "close"
    assert events[1].text.startswith('0xFF guest-sync-delimited {"id": ')
    replies = texts(events, "reply")
    assert replies[0].startswith("before the synchronisation: error {")  # for the 0xFF
    assert replies[1].startswith("guest-sync-delimited ")
    (write,) = (text for text in texts(events, "request") if "guest-file-write" in text)
    assert write.endswith('"buf-b64": <23 bytes>}')
    assert 'guest-file-read {"count": 23, "buf-b64": <23 bytes>, "eof": true}' in texts(
        events, "reply"
    )
    assert any(text.startswith("guest-file-open error {") for text in texts(events, "reply"))
    assert "the secret" not in "\n".join(map(str, events))
    assert all(event.seconds is not None for event in events[3:] if event.kind == "reply")
    assert str(events[0]).partition(" ")[2].startswith(f"{agent.target} = open {agent.target}  (")


def test_in_an_event_loop(agent: RunningAgent) -> None:
    events: Events = []

    async def main() -> None:
        async with await qga.aconnect(agent.target, trace=events.append) as client:
            await client.ping()
        with pytest.raises(qga.NoChannel):
            await qga.aconnect("unix:/nonexistent", trace=events.append)

    asyncio.run(main())
    assert "guest-ping {}" in texts(events, "reply")
    assert texts(events, "error")[0].startswith("open: NoChannel: cannot open unix:/nonexistent")


def test_what_does_not_come(peers: Peers) -> None:
    events: Events = []

    def script(peer: Peer) -> None:
        number = peer.expect("guest-sync-delimited")["id"]
        peer.refuse(desc="Invalid JSON syntax")
        peer.answer({"left": "over"})
        peer.answer(number)
        peer.expect("guest-ping")
        peer.send(b'{"return": {}}\n{"return": {"nobody": "asked"}}\n')
        peer.answer(peer.expect("guest-sync-delimited")["id"])
        peer.expect("guest-info")
        peer.send(b"# noise\n")

    client = peers(script)
    client._dial = traced_dial(client._dial, events)
    client.ping()
    with pytest.raises(qga.QgaError):
        client.info(timeout=0.5)
    told = texts(events)
    assert 'before the synchronisation: error {"error": {"desc": "Invalid JSON syntax"}}' in told
    assert 'before the synchronisation: {"left": "over"}' in told
    assert any(text.startswith("guest-ping {}") for text in told)
    assert any("unasked for" in text or "before the sync" in text for text in told)


def traced_dial(dial: Any, events: Events) -> Any:
    class Made(Target):
        def open(self, deadline: Any) -> Any:
            return dial(deadline)

    return traced(Made("unix:/made"), events.append).open


def test_errors_of_the_way(fake_agent: FakeAgent) -> None:
    events: Events = []
    with fake_agent.serve() as target, qga.connect(target, trace=events.append) as client:
        client.ping()
        fake_agent.disturb("guest-ping", cut=0)
        with pytest.raises(qga.ConnectionLost):
            client.ping()
        client.ping()
        fake_agent.disturb("guest-ping", delay=60)
        with pytest.raises(qga.AgentTimeout):
            client.ping(timeout=0.3)
    errors = texts(events, "error")
    assert errors[0].startswith("guest-ping: ConnectionLost: ")
    assert errors[1] == "guest-ping: AgentTimeout: no answer within 0.3 s"


class Canned:
    """A way that carries whole requests."""

    limits = Limits()

    def request(self, name: str, arguments: Any, deadline: Any, *, silent: bool = False) -> Any:
        if name == "guest-ping":
            raise qga.AgentTimeout("no")
        return {"data": b"12"}

    def close(self) -> None:
        pass


class AsyncCanned(Canned):
    async def request(
        self, name: str, arguments: Any, deadline: Any, *, silent: bool = False
    ) -> Any:
        return super().request(name, arguments, deadline, silent=silent)


def test_whole_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    events: Events = []

    async def aopen(self: Target, deadline: Any) -> Any:
        return AsyncCanned()

    monkeypatch.setattr(Target, "open", lambda self, deadline: Canned())
    monkeypatch.setattr(Target, "aopen", aopen)
    with qga.connect("unix:/x", trace=events.append) as client:
        client.call("guest-x", {"password": "geheim", "user": "me"})
        with pytest.raises(qga.AgentTimeout):
            client.ping()
    expected = [
        "open unix:/x",
        'guest-x {"password": ***, "user": "me"}',
        'guest-x {"data": <2 bytes>}',
        "guest-ping",
        "guest-ping: AgentTimeout: no",
        "close",
    ]
    assert texts(events) == expected
    events.clear()

    async def main() -> None:
        async with await qga.aconnect("unix:/x", trace=events.append) as client:
            await client.call("guest-x", {"password": "geheim", "user": "me"})
            with pytest.raises(qga.AgentTimeout):
                await client.ping()

    asyncio.run(main())
    assert texts(events) == expected


def test_a_password_is_not_told(fake_agent: FakeAgent) -> None:
    events: Events = []
    with fake_agent.serve() as target, qga.connect(target, trace=events.append) as client:
        client.execute(SetUserPassword(username="root", password=b"geheim", crypted=False))
    (request,) = (text for text in texts(events, "request") if "set-user-password" in text)
    assert '"password": ***' in request
    assert '"username": "root"' in request


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJabcdefghijklmnopqrstuvwxyz me@home"


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ({"env": ["PATH=/bin", "DB_PASSWORD=a b", "API_TOKEN=x", "SSHKEY=y", "my_pwd=z"]}, "",
         '{"env": ["PATH=/bin", "DB_PASSWORD=***", "API_TOKEN=***", "SSHKEY=***", "my_pwd=***"]}'),
        ({"arg": ["-c", "export TOKEN=a; A=b KEY='c d' run"]}, "",
         '{"arg": ["-c", "export TOKEN=***; A=b KEY=*** run"]}'),
        ({"arg": ["--password", "x", "--name", "y", "--api-key=z"]}, "",
         '{"arg": ["--password", ***, "--name", "y", "--api-key=***"]}'),
        ({"keys": [KEY], "reset": True}, "",
         '{"keys": ["ssh-ed25519 ...stuvwxyz me@home"], "reset": true}'),
        ({"input-data": "c2VjcmV0", "path": "/bin/sh"}, "",
         '{"input-data": <6 bytes>, "path": "/bin/sh"}'),
        ({"buf-b64": b"secret"}, "", '{"buf-b64": <6 bytes>}'),
        ({"buf-b64": "not base64"}, "", '{"buf-b64": ***}'),
        ({"out-data": "aGkgVE9LRU49eA=="}, "", '{"out-data": <10 bytes: "hi TOKEN=***">}'),
        ({"out-data": "?", "err-data": None}, "", '{"out-data": "?", "err-data": null}'),
        ({"token": "x", "a": 1.5, "b": None}, "", '{"token": ***, "a": 1.5, "b": null}'),
        ("x" * 200, "", '"' + "x" * 160 + '"... 200 characters'),
        (list(range(20)), "", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... 8 more]"),
        ("PWD=/home", "", '"PWD=/home"'),
    ],
)  # fmt: skip
def test_what_is_shown(value: Any, name: str, expected: str) -> None:
    assert shown(value, name) == expected


def test_long_data_is_told_by_its_size() -> None:
    text = json.dumps({"return": {"buf-b64": "QUJD" * 5000, "out-data": "QUJD" * 5000}})
    (message,) = Splitter().feed(text.encode())
    found = shown(message["return"])
    assert found.startswith('{"buf-b64": <15000 bytes>, "out-data": <15000 bytes: "ABCABC')
    assert len(found) < 300
