"""TCP and descriptors that are open already, to both agents."""

import asyncio
import os
import pty
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import qga
from qga.client import Deadline, Target
from qga.client.ways import Attempts
from tests.support.need import missing
from tests.support.stock import RunningAgent


class Forwarder:
    """Listens on TCP and passes connections on to an agent's socket."""

    def __init__(self, agent: RunningAgent, host: str) -> None:
        self._agent = agent
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family)
        self.port = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return  # closed
            with near, socket.socket(socket.AF_UNIX) as far:
                far.connect(str(self._agent.socket))
                other = threading.Thread(target=self._pump, args=(far, near), daemon=True)
                other.start()
                self._pump(near, far)
                other.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self.listener.close()


@pytest.fixture(params=["127.0.0.1", "::1"])
def forwarder(request: pytest.FixtureRequest, agent: RunningAgent) -> Iterator[Forwarder]:
    try:
        found = Forwarder(agent, request.param)
    except OSError:
        missing(f"the address {request.param}", "bring up IPv6 on the loopback interface")
    yield found
    found.close()


def test_tcp(forwarder: Forwarder) -> None:
    host = forwarder.host
    target = f"tcp:[{host}]:{forwarder.port}" if ":" in host else f"tcp:{host}:{forwarder.port}"
    with qga.connect(target) as client:
        assert client.info().version

    async def main() -> None:
        async with await qga.aconnect(target) as client:
            assert (await client.info()).version

    asyncio.run(main())


def test_a_name_with_several_addresses(
    agent: RunningAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarder = Forwarder(agent, "127.0.0.1")
    # Nobody listens on the first one.
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, forwarder.port))
        for host in ("127.0.0.2", "127.0.0.1", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with qga.connect(f"tcp:vm.example:{forwarder.port}") as client:
        client.ping()

    async def main() -> None:
        async with await qga.aconnect(f"tcp:vm.example:{forwarder.port}") as client:
            await client.ping()

    asyncio.run(main())
    forwarder.close()
    both = r"Connection refused \(127\.0\.0\.2\); Connection refused \(127\.0\.0\.1\)"
    with pytest.raises(qga.NoChannel, match=both):
        qga.connect(f"tcp:vm.example:{forwarder.port}")
    with pytest.raises(qga.NoChannel, match=both):
        asyncio.run(Target(f"tcp:vm.example:{forwarder.port}").aopen(Deadline(20)))


def test_an_address_that_is_silent_gets_its_share_of_the_time() -> None:
    attempts = Attempts([(2, ("a", 1)), (2, ("b", 1))], Deadline(1000))
    shares = []
    for _, address, share in attempts:
        shares.append(share.remaining())
        attempts.failed(address, qga.AgentTimeout("late"))
    assert 400 < shares[0] <= 500 < shares[1] <= 1000
    assert isinstance(attempts.verdict(), qga.AgentTimeout)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b"])
def test_a_host_that_is_not_known(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> object:
        if host == "a..b":
            raise UnicodeError("label empty or too long")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    why = f"cannot open tcp:{host}:1: no address of '{host}' is known: Name or service not known"
    with pytest.raises(qga.NoChannel, match=why):
        qga.connect(f"tcp:{host}:1")
    with pytest.raises(qga.NoChannel, match=why):
        asyncio.run(qga.aconnect(f"tcp:{host}:1"))


def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()

    def resolve(*_: object, **__: object) -> list[object]:
        going_on.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(qga.AgentNotResponding, match=r"0\.1 s"):
        qga.connect("tcp:vm.example:1", timeout=0.1)
    going_on.set()


def test_a_descriptor(agent: RunningAgent) -> None:
    with socket.socket(socket.AF_UNIX) as mine:
        mine.connect(str(agent.socket))
        target = f"fd:{mine.fileno()}"
        for _ in range(2):  # the caller's own stays open
            with qga.connect(target) as client:
                client.ping()

        async def main() -> None:
            async with await qga.aconnect(target) as client:
                await client.ping()

        asyncio.run(main())
        with qga.connect(target) as client:
            client.ping()
            agent.process.kill()
            agent.process.wait()
            with pytest.raises(qga.NoChannel, match="cannot be opened again: pass a new one"):
                client.ping()
        with pytest.raises(qga.NoChannel, match="its other side has closed it"):
            asyncio.run(qga.aconnect(target))


def test_a_terminal_as_a_descriptor() -> None:
    ours, theirs = pty.openpty()
    with qga.connect(f"fd:{theirs}"):
        os.write(ours, b"\x03\r")
        assert os.read(theirs, 2) == b"\x03\r"  # raw
    os.close(ours)
    os.close(theirs)


def test_descriptors_that_are_no_channel() -> None:
    with ExitStack() as stack:
        reader, writer = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        for descriptor in (reader, writer, null):
            stack.callback(os.close, descriptor)
        datagrams = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        unconnected = stack.enter_context(socket.socket(socket.AF_UNIX))
        with open(__file__, "rb") as file:  # noqa: PTH123 - for its descriptor
            cases = [
                (reader, "neither a stream socket nor a terminal nor a character device"),
                (file.fileno(), "neither a stream socket"),
                (null, "not open for both reading and writing"),
                (datagrams.fileno(), "not one of streams"),
                (unconnected.fileno(), "a socket without a peer"),
            ]
            before = len(list(Path("/proc/self/fd").iterdir()))
            for number, why in cases:
                with pytest.raises(qga.NoChannel, match=why):
                    qga.connect(f"fd:{number}")
            assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(qga.NoChannel, match=r"no such open descriptor.*leave it open"):
        qga.connect("fd:999999")


def test_a_device_that_no_event_loop_waits_for() -> None:
    with pytest.raises(qga.NoChannel, match="cannot be waited for"):
        asyncio.run(qga.aconnect("serial:/dev/null"))
