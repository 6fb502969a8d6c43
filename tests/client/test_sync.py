"""The blocking client's own: helpers, files by pieces, silence, threads, time."""

import gc
import io
import socket
import subprocess
import sys
import threading
import time
import warnings
from math import inf

import pytest

import qga
from qga.client.flows import transfer
from qga.client.flows.steps import Leave
from qga.client.transports import DescriptorTransport
from qga.protocol import FileClose, FileRead, Shutdown
from qga.protocol.files import FileChunk
from qga.testing import FakeAgent
from qga.wire import handshake

from .driven import Driven
from .peer import Peer, Peers


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "SILENCE", 0.1)


def seen(agent: FakeAgent) -> list[str]:
    """What it was asked, in short."""
    return [request.name.removeprefix("guest-file-") for request in agent.requests]


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
def test_files_are_read_to_their_end(fake_agent: FakeAgent, early_eof: bool) -> None:
    content = bytes(range(256)) * 20
    fake_agent.files["/f"] = content
    fake_agent.files.most = 1000
    if not early_eof:

        def read(command: FileRead) -> FileChunk:
            chunk = fake_agent.files._on_read(command)
            return FileChunk(count=chunk.count, data=chunk.data, eof=not chunk.count)

        fake_agent.reply(FileRead, read)
    client = fake_agent.connect()
    progress: list[int] = []
    assert client.read_file("/f", progress=progress.append) == content
    assert progress == [1000, 2000, 3000, 4000, 5000, 5120]
    assert client.read_file("/f", limit=1500) == content[:1500]
    assert fake_agent.files.open_handles == 0
    pieces: list[bytes] = []
    assert client.download("/f", pieces.append) == 5120
    assert b"".join(pieces) == content


def test_short_writes_are_continued(fake_agent: FakeAgent) -> None:
    fake_agent.files.most = 7
    client = fake_agent.connect()
    progress: list[int] = []
    assert client.write_file("/f", b"0123456789" * 3, progress=progress.append) == 30
    assert fake_agent.files["/f"] == b"0123456789" * 3
    assert progress == [7, 14, 21, 28, 30]
    assert client.upload("/f", [b"ab", b"", b"cdefghijk"]) == 11
    assert fake_agent.files["/f"] == b"abcdefghijk"


def test_large_data_goes_in_pieces(fake_agent: FakeAgent) -> None:
    fake_agent.connect().write_file("/f", memoryview(bytes(3 << 19)))
    assert seen(fake_agent) == ["open", "write", "write", "write", "close"]


def test_a_write_that_takes_nothing_is_an_error_and_the_file_is_closed(
    fake_agent: FakeAgent,
) -> None:
    fake_agent.files.most = 0
    with pytest.raises(qga.GuestOSError, match="no byte could be written"):
        fake_agent.connect().write_file("/f", b"data")
    assert seen(fake_agent) == ["open", "write", "close"]


def test_a_sink_that_fails_leaves_no_open_file_behind(fake_agent: FakeAgent) -> None:
    def sink(_: bytes) -> None:
        raise KeyboardInterrupt

    client = fake_agent.connect()
    with pytest.raises(KeyboardInterrupt):
        client.download("/etc/hostname", sink)
    assert seen(fake_agent) == ["open", "read"]
    client.ping()
    assert seen(fake_agent) == ["open", "read", "close", "guest-ping"]


def test_when_nobody_answers_the_file_is_closed_later() -> None:
    flow = Driven(transfer.read_file("/f"))
    flow.begin()
    flow.send(1000)
    left = flow.throw(qga.AgentTimeout("no answer"))
    assert isinstance(left, Leave)
    assert left.command == FileClose(handle=1000)
    with pytest.raises(qga.AgentTimeout):
        flow.send(None)


def test_a_close_that_nobody_waited_for_is_done_later() -> None:
    flow = Driven(transfer.read_file("/f"))
    flow.begin()
    flow.send(1000)
    assert flow.send(FileChunk(count=0, data=b"", eof=True)) == FileClose(handle=1000)
    left = flow.throw(KeyboardInterrupt())  # it may not even have been sent
    assert left.command == FileClose(handle=1000)
    with pytest.raises(KeyboardInterrupt):
        flow.send(None)


def test_a_failing_close_does_not_hide_the_first_error() -> None:
    flow = Driven(transfer.read_file("/f"))
    flow.begin()
    flow.send(1000)
    flow.throw(qga.CommandError("first"))
    with pytest.raises(qga.CommandError, match="first"):
        flow.throw(qga.CommandError("second"))


# The file object.


def test_files_are_python_files(fake_agent: FakeAgent) -> None:
    fake_agent.files["/f"] = "äöü\nline\n".encode() * 1000
    client = fake_agent.connect()
    with client.open("/f") as raw:
        text = io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8")
        assert text.readline() == "äöü\n"
        assert text.read().startswith("line\näöü\n")
        text.detach().detach()
    with io.TextIOWrapper(io.BufferedWriter(client.open("/f", "w")), encoding="utf-8") as writer:
        writer.write("ü" * 10)
    assert fake_agent.files["/f"].decode() == "ü" * 10
    assert fake_agent.files.open_handles == 0


def test_what_a_raw_file_can_do(fake_agent: FakeAgent) -> None:
    fake_agent.files["/f"] = b"0123456789"
    fake_agent.files.most = 4
    client = fake_agent.connect()
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
    assert fake_agent.files["/f"] == b"012abcd789"
    assert seen(fake_agent).count("close") == 1
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


def test_a_forgotten_file_warns_and_does_not_talk_to_the_agent(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    file = client.open("/etc/hostname")
    with pytest.warns(ResourceWarning, match="unclosed <GuestFile '/etc/hostname'"):
        del file
    assert seen(fake_agent) == ["open"]


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


def test_a_call_may_take_for_ever(fake_agent: FakeAgent) -> None:
    with fake_agent.serve() as target, qga.connect(target, timeout=inf) as client:
        assert client.read_file("/etc/hostname") == b"fake\n"


def test_a_closed_client_says_so(fake_agent: FakeAgent) -> None:
    with fake_agent.connect() as client:
        client.sync()
    client.close()
    with pytest.raises(qga.TransportError, match="has been closed"):
        client.ping()


# The package.


def test_a_forgotten_client_leaves_the_channel() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what other tests have left
        gc.collect()
    theirs, ours = socket.socketpair()
    with theirs:
        theirs.settimeout(30)
        client = qga.Client(lambda _: DescriptorTransport(ours.detach()))
        client.open_channel()
        del client
        gc.collect()
        assert theirs.recv(1) == b""


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


def test_a_client_loads_nothing_heavy_and_an_operation_what_it_needs() -> None:
    program = """import qga, sys
heavy = {"asyncio", "subprocess", "dataclasses", "inspect", "hashlib", "httpx", "libvirt"}
with qga.Client(None) as client:
    print(sorted(heavy & set(sys.modules)), "qga.client.flows.session" in sys.modules)
    client.ping
    print("asyncio" in sys.modules, "qga.client.flows.session" in sys.modules)
    print("qga.client.flows.process" in sys.modules, "run" in dir(client))
    print(qga.Client.run.__name__, "qga.client.flows.process" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n") == [
        "[] False", "False True", "False True", "run True", "",
    ]  # fmt: skip


def test_every_public_name_is_there() -> None:
    assert set(qga.__all__) <= set(dir(qga))
    for name in qga.__all__:
        assert getattr(qga, name) is not None
    assert "Gone" not in dir(qga)
    with pytest.raises(AttributeError, match="has no attribute 'Gone'"):
        _ = qga.Gone  # type: ignore[attr-defined]
