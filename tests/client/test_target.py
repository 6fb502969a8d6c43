"""Targets and guest paths, and the ways that they open."""

import _socket
import os
import pty
import socket
import subprocess
import sys
import tempfile
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

import qga
from qga.client import Deadline, Target, targetsfile
from qga.client.target import names_guest_file, split_path

from .peer import Gone, Peer


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("QGA_TARGET", "QGA_TARGETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(targetsfile, "SYSTEM", tmp_path / "etc" / "targets.toml")


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short enough for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="qga-") as name:
        yield Path(name)


@pytest.mark.parametrize(
    "text",
    [
        "unix:/run/a.sock",
        "unix:a.sock",
        "vsock:3:1234",
        "serial:/dev/pts/3",
        "tcp:localhost:4444",
        "tcp:[::1]:4444",
        "fd:0",
        "libvirt:web",
        "libvirt+qemu:///system?domain=web",
        "libvirt+qemu+ssh://host/system?no_tty=1&domain=web",
    ],
)
def test_targets(text: str) -> None:
    assert str(Target(text)) == text
    assert repr(Target(text)) == f"Target({text!r})"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a target"),
        ("vm1", "is not the name of a target"),
        ("run/a.sock", "there is no socket of that path"),
        ("ftp:host:1", "is not a target"),
        ("unix:", "lacks what follows"),
        ("unix:/a\0b", "NUL"),
        ("vsock:3", "vsock:CID:PORT"),
        ("vsock:3:x", "vsock:CID:PORT"),
        ("vsock:3:-1", "vsock:CID:PORT"),
        ("vsock:3:1:2", "vsock:CID:PORT"),
        ("vsock:4294967295:1", "vsock:CID:PORT"),
        ("vsock:3:99999999999", "vsock:CID:PORT"),
        ("tcp:4444", "tcp:HOST:PORT"),
        ("tcp::4444", "tcp:HOST:PORT"),
        ("tcp:host:x", "tcp:HOST:PORT"),
        ("tcp:host:0", "tcp:HOST:PORT"),
        ("tcp:host:65536", "tcp:HOST:PORT"),
        ("tcp:::1:4444", r"in brackets, as in tcp:\[::1\]:4444"),
        ("fd:x", "fd:N"),
        ("fd:-1", "fd:N"),
        ("fd:2147483648", "fd:N"),
        ("libvirt:", "lacks what follows"),
        ("libvirt+qemu:///system", r"names no domain: add \?domain=NAME"),
        ("libvirt+qemu:///system?domain=", "names no domain"),
        ("unix+ssh:/run/a.sock", "is not a target"),
    ],
)
def test_what_is_no_target(text: str, why: str) -> None:
    with pytest.raises(qga.InvalidTarget, match=why):
        Target(text)


@pytest.mark.parametrize(
    ("text", "target", "path"),
    [
        ("unix:/run/a.sock:/etc/hostname", "unix:/run/a.sock", "/etc/hostname"),
        ("unix:a.sock:/etc/hostname", "unix:a.sock", "/etc/hostname"),
        ("unix:/run/a:b.sock:/x", "unix:/run/a:b.sock", "/x"),
        ("unix:/run/a.sock:/a:b", "unix:/run/a.sock", "/a:b"),
        ("vsock:3:1234:/etc/hosts", "vsock:3:1234", "/etc/hosts"),
        ("serial:/dev/pts/3:/", "serial:/dev/pts/3", "/"),
        ("tcp:[::1]:4444:/x", "tcp:[::1]:4444", "/x"),
        ("fd:3:/x", "fd:3", "/x"),
        ("libvirt:web:/etc/hosts", "libvirt:web", "/etc/hosts"),
        ("libvirt+q:///s?domain=web:/x", "libvirt+q:///s?domain=web", "/x"),
    ],
)
def test_guest_paths(text: str, target: str, path: str) -> None:
    found, found_path = split_path(text)
    assert (str(found), found_path) == (target, path)


@pytest.mark.parametrize(
    "text",
    [
        "unix:/run/a.sock",
        "vsock:3:1234",
        "/etc/hosts",
        "name",
        ":",
        "vsock:3:/x",
        "libvirt+qemu:///system?domain=x",
        "name:x",
        "unknown:/x",
    ],
)
def test_what_is_no_guest_path(text: str) -> None:
    with pytest.raises(qga.InvalidTarget):
        split_path(text)


def test_the_target_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(qga.InvalidTarget, match="no target"):
        split_path(":/etc/hosts")
    monkeypatch.setenv("QGA_TARGET", "vsock:3:1")
    for path in ("/a:/b", "C:\\x", "relative", ":"):
        target, found = split_path(":" + path)
        assert (str(target), found) == ("vsock:3:1", path)
    monkeypatch.setenv("QGA_TARGET", "nonsense")
    with pytest.raises(qga.InvalidTarget, match="QGA_TARGET: 'nonsense'"):
        qga.connect()


def test_which_names_are_meant_in_the_guest() -> None:
    assert names_guest_file(":/x")
    assert names_guest_file("unix:/a:/b")
    assert names_guest_file("libvirt+qemu:///system?domain=a:/b")
    assert names_guest_file("name:/b")
    assert not names_guest_file("name:b")
    assert not names_guest_file("./name:/b")
    assert not names_guest_file("./unix:/a")
    assert not names_guest_file("unix")
    assert not names_guest_file("-")


def test_an_invalid_target_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="is not the name of a target"):
        qga.connect("nonsense")


@pytest.mark.parametrize("target", ["unix:/nonexistent/socket", "serial:/nonexistent/tty"])
def test_what_is_not_there_is_a_transport_error(target: str) -> None:
    with pytest.raises(qga.TransportError, match=f"cannot open {target}: No such file"):
        qga.connect(target)


def test_what_is_no_socket_or_no_terminal(directory: Path) -> None:
    plain = directory / "plain"
    plain.touch()
    with pytest.raises(qga.TransportError, match="neither a terminal"):
        qga.connect(f"serial:{plain}")
    with pytest.raises(qga.TransportError, match="refused"):
        qga.connect(f"unix:{plain}")
    with pytest.raises(qga.TransportError, match="path too long"):
        qga.connect(f"unix:{directory}/{'x' * 200}")


def test_a_socket_that_is_busy_is_tried_again(directory: Path) -> None:
    path = str(directory / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        with qga.connect(f"unix:{path}") as first:
            with pytest.raises(qga.AgentNotResponding, match="cannot open"):
                qga.connect(f"unix:{path}", timeout=0.1)

            def accept() -> None:
                listener.accept()[0].close()

            accepted = threading.Timer(0.1, accept)
            accepted.start()
            with qga.connect(f"unix:{path}", timeout=10):
                accepted.join()
            first.close()


def test_a_vsock_connects_to_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not a real one: it could meet an agent of this very machine.
    asked: list[object] = []

    class Refusing(_socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            asked.append(family)
            super().__init__(socket.AF_UNIX, kind)

        def connect(self, address: object) -> None:
            asked.append(address)
            raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(_socket, "socket", Refusing)
    with pytest.raises(qga.TransportError, match="cannot open vsock:3:1234: Connection reset"):
        Target("vsock:3:1234").open(Deadline(1))
    assert asked == [socket.AF_VSOCK, (3, 1234)]


def test_a_pty() -> None:
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    path = os.ttyname(theirs)
    stream = socket.socketpair()  # the peer speaks by a socket; two threads carry it over

    def out() -> None:
        while data := stream[1].recv(4096):
            os.write(ours, data)

    def back() -> None:
        try:
            while True:
                stream[1].sendall(os.read(ours, 4096))
        except OSError:
            pass

    def play() -> None:
        peer = Peer(stream[0])
        try:
            peer.sync()
            assert peer.expect("guest-x") == {"data": "\r\n\x03\x04" * 1000}
            peer.answer("\r\n\x03\x04" * 1000)
            peer.request()
        except Gone:
            pass

    threads = [threading.Thread(target=target, daemon=True) for target in (out, back, play)]
    for thread in threads:
        thread.start()
    with qga.connect(f"serial:{path}", timeout=10) as client:
        text = "\r\n\x03\x04" * 1000
        assert client.call("guest-x", {"data": text}) == text
    os.close(theirs)  # its last reader: the other side sees the end
    threads[1].join(10)
    stream[1].shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    os.close(ours)
    for end in stream:
        end.close()


def test_a_terminal_whose_other_side_is_gone() -> None:
    ours, theirs = pty.openpty()
    client = qga.connect(f"serial:{os.ttyname(theirs)}", timeout=10)
    os.close(ours)
    os.close(theirs)
    with client, pytest.raises(qga.NoChannel, match="cannot open serial:"):
        client.ping()


def test_a_connection_is_not_inherited(directory: Path) -> None:
    path = directory / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with qga.connect(f"unix:{path}"):
            listing = "import os; print(len(os.listdir('/proc/self/fd')))"
            command = [sys.executable, "-c", listing]
            inside = subprocess.run(command, capture_output=True, check=True, close_fds=False)
        outside = subprocess.run(command, capture_output=True, check=True, close_fds=False)
    assert inside.stdout == outside.stdout
