"""The ways to the host: sockets, sockets handed over, serial lines."""

import os
import pty
import select
import signal
import socket
import stat
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from qga.agent import channels
from tests.agent.conftest import Starter
from tests.agent.harness import PATIENCE, Peer, RunningAgent, spins, until
from tests.support.stock import listens

PING = b'{"execute": "guest-ping"}\n'
PONG = b'{"return": {}}\n'
RETRY_SOON = "import qga.agent.channels as c; c._RETRY = 0.05"


# Unix sockets.


def test_the_socket_is_for_the_agents_user_only(running: RunningAgent) -> None:
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o600


def test_the_socket_of_an_agent_that_was_killed_is_replaced(start: Starter) -> None:
    first = start()
    first.end(signal.SIGKILL)
    assert first.path.is_socket()
    assert start().call("guest-ping") == {}


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_stays_where_it_is(start: Starter, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "something"
    if kind == "file":
        path.write_bytes(b"precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    agent = start("-m", "unix-listen", "-p", str(path), listening=False)
    assert agent.process.wait(PATIENCE) == 1
    assert agent.errors() == (
        f"qga-agent: cannot listen on {path}: it is there, and is no socket\n"
    )
    assert path.is_symlink() or path.is_dir() or path.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("path", "reason"),
    [("absent/socket", "No such file or directory"), ("x" * 200, "AF_UNIX path too long")],
)
def test_sockets_that_cannot_be_made(start: Starter, path: str, reason: str) -> None:
    agent = start("-m", "unix-listen", "-p", path, listening=False)
    assert agent.process.wait(PATIENCE) == 1
    assert agent.errors() == f"qga-agent: cannot listen on {path}: {reason}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_socket_goes_with_the_agent(running: RunningAgent, number: int) -> None:
    assert running.end(number) == 0
    assert not running.path.exists()
    assert running.errors() == ""


def test_an_agent_that_ends_leaves_the_socket_of_a_later_one(start: Starter) -> None:
    first = start()
    first.path.unlink()
    second = start()
    assert first.end() == 0
    assert second.call("guest-ping") == {}


def test_no_more_descriptors_for_clients(start: Starter) -> None:
    agent = start(files=24)
    peers = [agent.connect() for _ in range(40)]
    for peer in peers:
        peer.send(PING)
    # Those who came first are served; the others wait, and nothing is lost or burnt.
    assert not spins(agent)
    for peer in peers:
        assert peer.line() + b"\n" == PONG
        peer.close()
    assert agent.process.poll() is None


# Sockets that are handed over.

_HAND_OVER = """
import os, sys
pid, count = sys.argv[1:3]
os.environ["LISTEN_PID"] = pid.replace("SELF", str(os.getpid()))
os.environ["LISTEN_FDS"] = count
os.execv(sys.executable, [sys.executable, "-I", "-m", "qga.agent", *sys.argv[3:]])
"""


class HandedOver:
    """An agent started as systemd would, with *sockets* from descriptor 3 on."""

    def __init__(
        self, folder: Path, sockets: list[socket.socket], *options: str, pid: str = "SELF"
    ) -> None:
        count = len(sockets)
        # A shell puts them where they belong.
        moves = " ".join(f"{3 + at}<&{s.fileno()}" for at, s in enumerate(sockets))
        script = f'exec "$@" {moves}'
        command = [sys.executable, "-I", "-c", _HAND_OVER, pid, str(count)]
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", script, "bash", *command, "-t", str(folder), *options],
            pass_fds=[s.fileno() for s in sockets],
            stderr=subprocess.PIPE,
            env={**os.environ, "QGA_CONF": str(folder / "absent")},
        )

    def end(self, number: int | None = signal.SIGTERM) -> tuple[int, str]:
        if number is not None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors.decode()


def listening_at(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    return listening


def test_a_socket_that_was_handed_over_is_served_and_left(tmp_path: Path) -> None:
    path = tmp_path / "given.sock"
    with listening_at(path) as listening:
        # Method and path of the command line do not matter then.
        agent = HandedOver(tmp_path, [listening], "-m", "unix-listen", "-p", str(tmp_path / "own"))
        with Peer(path) as peer:
            assert peer.call("guest-ping") == {}
        assert not (tmp_path / "own").exists()
        assert agent.end() == (0, "")
        assert path.is_socket()


def test_a_socket_that_was_handed_over_is_served_in_the_background(tmp_path: Path) -> None:
    path, pid = tmp_path / "given.sock", tmp_path / "pid"
    with listening_at(path) as listening:
        agent = HandedOver(tmp_path, [listening], "-d", "-f", str(pid))
        assert agent.end(None) == (0, "")
        try:
            with Peer(path) as peer:
                assert peer.call("guest-ping") == {}
        finally:
            os.kill(int(pid.read_text(encoding="ascii")), signal.SIGTERM)
        until(lambda: not pid.exists(), "the daemon to end")


def test_two_sockets_are_one_too_many(tmp_path: Path) -> None:
    with listening_at(tmp_path / "a") as first, listening_at(tmp_path / "b") as second:
        code, errors = HandedOver(tmp_path, [first, second]).end(None)
    assert (code, errors) == (1, "qga-agent: qga-agent only supports listening on one socket\n")


def test_a_socket_of_another_family_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        code, errors = HandedOver(tmp_path, [listening]).end(None)
    assert (code, errors) == (1, "qga-agent: unsupported listen fd type\n")


def test_a_file_in_place_of_a_socket_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        code, errors = HandedOver(tmp_path, [file]).end(None)  # type: ignore[list-item]
    assert code == 1
    assert "unsupported listen fd" in errors


def test_sockets_for_another_process_are_none_of_the_agents(tmp_path: Path) -> None:
    path = tmp_path / "own.sock"
    with listening_at(tmp_path / "given.sock") as listening:
        agent = HandedOver(tmp_path, [listening], "-m", "unix-listen", "-p", str(path), pid="1")
        assert listens(path, agent.process)
        with Peer(path) as peer:
            assert peer.call("guest-ping") == {}
        assert agent.end() == (0, "")


# vsock.


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("3", "'3' is not a vsock address: it is CID:PORT"),
        ("3:abc", "Failed to parse port 'abc': the path of vsock-listen is CID:PORT"),
        (":1", "Failed to parse cid '': the path of vsock-listen is CID:PORT"),
        ("3:", "Failed to parse port '': the path of vsock-listen is CID:PORT"),
        ("3:-1", "Failed to parse port '-1': the path of vsock-listen is CID:PORT"),
        ("4294967296:1", "Failed to parse cid '4294967296': the path of vsock-listen is CID:PORT"),
        ("3:\u0663", "Failed to parse port '\u0663': the path of vsock-listen is CID:PORT"),
    ],
)
def test_bad_vsock_addresses(address: str, text: str) -> None:
    with pytest.raises(channels.ChannelError) as caught:
        channels.vsock_socket(address)
    assert str(caught.value) == text


# Serial lines.


class Line:
    """The host's end of a serial line, with bytes as they are."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.device = os.ttyname(slave)
        os.set_blocking(self.master, False)
        # Without, the master would see a hang-up until the agent has opened the line.
        self.slave = slave

    def let_go(self) -> None:
        """Leave the agent as the only one that has the line open."""
        os.close(self.slave)
        self.slave = -1

    def exchange(self, data: bytes, end: bytes) -> bytes:
        """Send *data*, and read until *end*."""
        got = bytearray()
        sent = 0
        deadline = time.monotonic() + PATIENCE
        while not got.endswith(end):
            assert time.monotonic() < deadline, bytes(got[-200:])
            wanted = [self.master] if sent < len(data) else []
            readable, writable, _ = select.select([self.master], wanted, [], 1)
            if writable:
                sent += os.write(self.master, data[sent : sent + 1024])
            if readable:
                got += os.read(self.master, 65536)
        return bytes(got)

    def close(self) -> None:
        os.close(self.master)
        if self.slave >= 0:
            self.let_go()


def serial(start: Starter, device: str, *options: str, **more: Any) -> RunningAgent:
    return start("-m", "isa-serial", "-p", device, *options, listening=False, **more)


def wait_until_raw(line: Line) -> None:
    until(lambda: termios.tcgetattr(line.slave)[3] == 0, "the agent to set up the line")


def test_a_serial_line_carries_any_byte(start: Starter) -> None:
    line = Line()
    try:
        serial(start, line.device)
        wait_until_raw(line)
        sync = b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 5}}\r\n'
        assert line.exchange(sync, b"5}\n").endswith(b'\n\xff{"return": 5}\n')
        # Control characters of a terminal that is not raw: interrupt, end of file, stop.
        text = "".join(map(chr, range(256)))
        request = b'{"execute": "guest-ping", "id": "%s"}\x0a' % ascii_json(text)
        assert line.exchange(request, b"}\n").startswith(b'{"return": {}, "id": ')
        garbage = line.exchange(b"\x03\x04\x13\x11\x1a\xff" + PING, PONG)
        assert garbage.endswith(PONG)
    finally:
        line.close()


def ascii_json(text: str) -> bytes:
    return "".join(f"\\u{ord(character):04x}" for character in text).encode()


def test_a_serial_line_carries_64_kib_both_ways(start: Starter) -> None:
    line = Line()
    try:
        serial(start, line.device)
        wait_until_raw(line)
        identity = os.urandom(32768).hex().encode()
        reply = line.exchange(b'{"execute": "guest-ping", "id": "' + identity + b'"}', b"}\n")
        assert reply == b'{"return": {}, "id": "' + identity + b'"}\n'
    finally:
        line.close()


def test_a_line_that_is_hung_up_ends_the_agent(start: Starter) -> None:
    line = Line()
    agent = serial(start, line.device)
    wait_until_raw(line)
    assert line.exchange(PING, PONG) == PONG
    line.close()
    assert agent.process.wait(PATIENCE) == 0
    assert f"lost {line.device}" in agent.errors()


def test_a_line_that_comes_back_is_opened_again(start: Starter, tmp_path: Path) -> None:
    link = tmp_path / "line"
    agent = serial(start, str(link), "--retry-path", changes=RETRY_SOON)
    for _ in range(2):  # missing at first, then gone
        line = Line()
        link.symlink_to(line.device)
        wait_until_raw(line)
        assert line.exchange(PING, PONG) == PONG
        assert not spins(agent)
        link.unlink()
        line.close()
    assert agent.end() == 0


def test_a_device_that_is_missing(start: Starter, tmp_path: Path) -> None:
    for method in ("isa-serial", "virtio-serial"):
        agent = start("-m", method, "-p", str(tmp_path / "absent"), listening=False)
        assert agent.process.wait(PATIENCE) == 1
        expected = f"qga-agent: cannot open {tmp_path}/absent: No such file or directory\n"
        assert agent.errors() == expected


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("isa-serial", "/dev/null", "Inappropriate ioctl for device"),
        ("virtio-serial", "/", "Is a directory"),
        ("virtio-serial", "state/qga.state", "Operation not permitted"),
    ],
)
def test_a_device_of_another_kind(start: Starter, method: str, path: str, reason: str) -> None:
    agent = start("-m", method, "-p", path, listening=False)
    assert agent.process.wait(PATIENCE) == 1
    assert agent.errors() == f"qga-agent: cannot open {path}: {reason}\n"


def test_sigterm_ends_an_agent_that_waits_for_its_device(start: Starter, tmp_path: Path) -> None:
    agent = start("-p", str(tmp_path / "absent"), "-r", "-v", listening=False)
    assert agent.process.stderr is not None
    assert b"trying again" in agent.process.stderr.readline()
    until(lambda: signals_caught(agent) & 1 << signal.SIGTERM - 1, "the agent to serve")
    assert agent.end() == 0


def signals_caught(agent: RunningAgent) -> int:
    status = Path(f"/proc/{agent.process.pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("SigCgt:"))
    return int(line.split()[1], 16)
