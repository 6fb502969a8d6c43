"""The blocking client's own: helpers, files by pieces, silence, threads, time."""

import io
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from math import inf
from typing import Any

import pytest

import qga
from qga.client.flows import transfer
from qga.client.flows.steps import Leave
from qga.protocol import FileClose, FileRead, Shutdown
from qga.wire import handshake

from .driven import Driven
from .peer import Peer, Peers


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "SILENCE", 0.1)


class Disk:
    """Plays an agent that has one file, and takes or gives at most *most* bytes at once."""

    def __init__(
        self, content: bytes = b"", most: int = 1 << 30, *, early_eof: bool = True
    ) -> None:
        self.content = bytearray(content)
        self.most = most
        self.early_eof = early_eof
        self.position = 0
        self.seen: list[str] = []

    def __call__(self, peer: Peer) -> None:
        peer.sync()
        while True:
            request = peer.request()
            self.seen.append(request["execute"].removeprefix("guest-file-"))
            answer = self.execute(self.seen[-1], request.get("arguments", {}))
            peer.answer(answer)

    def execute(self, name: str, given: dict[str, Any]) -> Any:
        if name == "open":
            self.position = 0
            if given["mode"].startswith("w"):
                self.content.clear()
            return 1000
        if name == "read":
            end = self.position + min(given["count"], self.most)
            data = bytes(self.content[self.position : end])
            self.position += len(data)
            eof = end > len(self.content) and (self.early_eof or not data)
            return {"count": len(data), "buf-b64": b64encode(data).decode(), "eof": eof}
        if name == "write":
            data = b64decode(given["buf-b64"])[: self.most]
            self.content[self.position : self.position + len(data)] = data
            self.position += len(data)
            return {"count": len(data), "eof": False}
        if name == "seek":
            base = (0, self.position, len(self.content))[given["whence"]]
            self.position = base + given["offset"]
            return {"position": self.position, "eof": False}
        return {}


def test_helpers(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-info")
        peer.answer({"version": "1.0"})
        peer.expect("guest-info")
        peer.answer({"version": "99", "new": 1, "supported_commands": []})
        peer.expect("guest-fsfreeze-status")
        peer.answer("invented")
        assert peer.expect("guest-new") == {"a": 1, "b": "aGk="}
        peer.answer({"text": "A" * 5000, "list": ["B" * 5000]})

    client = peers(script)
    assert list(client.info().supported_commands) == []
    assert client.info().version == "99"
    assert client.fsfreeze_status() == "invented"
    reply = client.call("guest-new", {"a": 1, "b": b"hi"})
    assert reply == {"text": "A" * 5000, "list": ["B" * 5000]}


# Commands that are silent when they succeed.


def test_shutdown_takes_silence_for_success_and_then_is_out_of_step(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        assert peer.expect("guest-shutdown") == {"mode": "halt"}
        peer.sync()
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    client.shutdown("halt")
    client.ping()


def test_shutdown_takes_the_end_of_the_channel_for_success(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-shutdown")
        peer.close()

    assert peers(script).execute(Shutdown()) is None


def test_shutdown_takes_the_reply_of_2011_for_success(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-shutdown")
        peer.answer({})
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    client.shutdown()
    client.ping()


def test_shutdown_tells_an_error(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-shutdown")
        peer.refuse(**{"class": "GenericError", "desc": "child process has failed to shutdown"})

    with pytest.raises(qga.CommandError, match="failed to shutdown"):
        peers(script).shutdown()


# Files.


@pytest.mark.parametrize("early_eof", [True, False])
def test_files_are_read_to_their_end(peers: Peers, early_eof: bool) -> None:
    content = bytes(range(256)) * 20
    disk = Disk(content, most=1000, early_eof=early_eof)
    client = peers(disk)
    seen: list[int] = []
    assert client.read_file("/f", progress=seen.append) == content
    assert seen == [1000, 2000, 3000, 4000, 5000, 5120]
    assert client.read_file("/f", limit=1500) == content[:1500]
    assert disk.seen[-1] == "close"
    pieces: list[bytes] = []
    assert client.download("/f", pieces.append) == 5120
    assert b"".join(pieces) == content


def test_short_writes_are_continued(peers: Peers) -> None:
    disk = Disk(most=7)
    client = peers(disk)
    seen: list[int] = []
    assert client.write_file("/f", b"0123456789" * 3, progress=seen.append) == 30
    assert disk.content == b"0123456789" * 3
    assert seen == [7, 14, 21, 28, 30]
    assert client.upload("/f", [b"ab", b"", b"cdefghijk"]) == 11
    assert disk.content == b"abcdefghijk"


def test_large_data_goes_in_pieces(peers: Peers) -> None:
    disk = Disk()
    peers(disk).write_file("/f", memoryview(bytes(3 << 20)))
    assert disk.seen == ["open", "write", "write", "write", "close"]


def test_a_write_that_takes_nothing_is_an_error_and_the_file_is_closed(peers: Peers) -> None:
    disk = Disk(most=0)
    with pytest.raises(qga.GuestOSError, match="no byte could be written"):
        peers(disk).write_file("/f", b"data")
    assert disk.seen == ["open", "write", "close"]


def test_a_sink_that_fails_leaves_no_open_file_behind(peers: Peers) -> None:
    def sink(_: bytes) -> None:
        raise KeyboardInterrupt

    disk = Disk(b"data")
    client = peers(disk)
    with pytest.raises(KeyboardInterrupt):
        client.download("/f", sink)
    assert disk.seen == ["open", "read"]
    client.ping()
    assert disk.seen == ["open", "read", "close", "guest-ping"]


def test_when_nobody_answers_the_file_is_closed_later() -> None:
    flow = Driven(transfer.read_file("/f"))
    flow.begin()
    flow.send(1000)
    left = flow.throw(qga.AgentTimeout("no answer"))
    assert isinstance(left, Leave)
    assert left.command == FileClose(handle=1000)
    with pytest.raises(qga.AgentTimeout):
        flow.send(None)


def test_a_failing_close_does_not_hide_the_first_error() -> None:
    flow = Driven(transfer.read_file("/f"))
    flow.begin()
    flow.send(1000)
    flow.throw(qga.CommandError("first"))
    with pytest.raises(qga.CommandError, match="first"):
        flow.throw(qga.CommandError("second"))


# The file object.


def test_files_are_python_files(peers: Peers) -> None:
    disk = Disk("äöü\nline\n".encode() * 1000)
    client = peers(disk)
    with client.open("/f") as raw:
        text = io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8")
        assert text.readline() == "äöü\n"
        assert text.read().startswith("line\näöü\n")
        text.detach().detach()
    with io.TextIOWrapper(io.BufferedWriter(client.open("/f", "w")), encoding="utf-8") as writer:
        writer.write("ü" * 10)
    assert disk.content.decode() == "ü" * 10
    assert disk.seen[-1] == "close"


def test_what_a_raw_file_can_do(peers: Peers) -> None:
    disk = Disk(b"0123456789", most=4)
    client = peers(disk)
    with client.open("/f", "r+") as file:
        assert file.readable()
        assert file.writable()
        assert file.seekable()
        assert file.read(3) == b"012"
        assert file.read(0) == b""
        assert file.write(b"") == 0
        assert file.write(b"abcdefgh") == 4
        assert file.tell() == 7
        assert file.readall() == b"789"
        assert file.read(3) == b""
        assert file.seek(-2, 2) == 8
        file.flush()
        with pytest.raises(io.UnsupportedOperation, match="truncate"):
            file.truncate()
        with pytest.raises(ValueError, match="whence"):
            file.seek(0, 9)
        assert "handle 1000" in repr(file)
    assert file.closed
    file.close()
    assert disk.content == b"012abcd789"
    assert disk.seen.count("close") == 1
    with pytest.raises(ValueError, match="closed"):
        file.read(1)
    with pytest.raises(ValueError, match="closed"):
        file.tell()
    with client.open("/f") as file, pytest.raises(io.UnsupportedOperation, match="writing"):
        file.write(b"x")
    with client.open("/f", "a") as file, pytest.raises(io.UnsupportedOperation, match="reading"):
        file.read(1)
    with pytest.raises(ValueError, match="invalid mode"):
        client.open("/f", "x")


def test_a_forgotten_file_warns_and_does_not_talk_to_the_agent(peers: Peers) -> None:
    disk = Disk()
    client = peers(disk)
    file = client.open("/f")
    with pytest.warns(ResourceWarning, match="unclosed <GuestFile '/f'"):
        del file
    assert disk.seen == ["open"]


# Time and threads.


def test_threads_take_turns(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        while True:
            number = peer.expect("guest-file-read")["handle"]
            time.sleep(0.002)
            peer.answer({"count": number, "buf-b64": "", "eof": False})

    client = peers(script)
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            answer = client.execute(FileRead(handle=number)).count
            wrong.extend({answer} - {number})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_waiting_for_other_threads_is_part_of_a_calls_time(peers: Peers) -> None:
    began = threading.Event()
    release = threading.Event()

    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-ping")
        began.set()
        release.wait(10)
        peer.answer({})

    client = peers(script)
    thread = threading.Thread(target=client.ping)
    thread.start()
    began.wait(10)
    with pytest.raises(qga.AgentNotResponding, match="other threads"):
        client.ping(timeout=0.05)
    release.set()
    thread.join()


def test_a_peer_that_talks_without_end_does_not_prolong_a_call(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        while True:
            peer.send(b'{"return": {}}\n' * 100)

    began = time.monotonic()
    client = peers(script)
    with pytest.raises(qga.AgentNotResponding):
        client.ping(timeout=0.3)
    assert time.monotonic() - began < 5
    client.close()


def test_a_peer_that_does_not_read_does_not_prolong_a_call(peers: Peers) -> None:
    release = threading.Event()

    def script(peer: Peer) -> None:
        peer.sync()
        release.wait(10)

    client = peers(script)
    with pytest.raises(qga.AgentTimeout, match=r"guest-file-write: no answer within 0\.2 s"):
        client.call("guest-file-write", {"handle": 1, "buf-b64": bytes(8 << 20)}, timeout=0.2)
    release.set()


def test_a_call_may_take_for_ever(peers: Peers) -> None:
    client = peers(Disk(b"x"), timeout=inf)
    assert client.read_file("/f") == b"x"


def test_a_closed_client_says_so(peers: Peers) -> None:
    with peers(Disk()) as client:
        client.sync()
    client.close()
    with pytest.raises(qga.TransportError, match="has been closed"):
        client.ping()


# The package.


def test_the_package_alone_loads_nothing_else() -> None:
    loaded = "sorted(m for m in sys.modules if m.startswith('qga') or m == 'typing')"
    program = f"import sys; sys.modules.pop('typing', None); import qga; print({loaded})"
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", f"import sys; sys.path.insert(0, 'src'); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['qga']\n"


def test_every_public_name_is_there() -> None:
    assert set(qga.__all__) <= set(dir(qga))
    for name in qga.__all__:
        assert getattr(qga, name) is not None
    assert "Gone" not in dir(qga)
    with pytest.raises(AttributeError, match="has no attribute 'Gone'"):
        _ = qga.Gone  # type: ignore[attr-defined]
