"""A stream of requests and replies: fairness, clients that leave or do not read, any split."""

import base64
import json
import resource
import signal
import socket
from pathlib import Path

import pytest

from tests.agent.conftest import Starter
from tests.agent.harness import RunningAgent, closing, lift_file_limit, request, spins, until

PING = b'{"execute": "guest-ping"}\n'
PONG = b'{"return": {}}'


def big_file(running: RunningAgent, size: int) -> Path:
    path = running.folder / "big"
    path.write_bytes(bytes(range(256)) * (size // 256))
    return path


def open_file(running: RunningAgent, path: Path, mode: str) -> int:
    handle = running.call("guest-file-open", path=str(path), mode=mode)
    assert isinstance(handle, int)
    return handle


def wait_for_size(path: Path, size: int) -> None:
    until(lambda: path.stat().st_size >= size, f"{size} bytes in {path}")


def test_requests_in_one_piece_are_answered_in_order(running: RunningAgent) -> None:
    with running.connect() as peer:
        peer.send(*(request("guest-sync", {"id": number}) for number in range(1000)))
        assert [peer.reply()["return"] for _ in range(1000)] == list(range(1000))


def test_a_message_may_be_split_at_any_byte(running: RunningAgent) -> None:
    message = json.dumps(request("guest-sync", {"id": 77}, id='h\u00e9 \\ " {')).encode()
    expected = {"return": 77, "id": 'h\u00e9 \\ " {'}
    with running.connect() as peer:
        for at in range(1, len(message)):
            peer.send(message[:at])
            peer.send(message[at:])
            assert peer.reply() == expected
        for at in range(len(message)):
            peer.send(message[at : at + 1])
        assert peer.reply() == expected


@pytest.mark.parametrize("step", [1, 5, 26, 27, 100, 4096])
def test_a_row_of_requests_may_be_cut_anywhere(running: RunningAgent, step: int) -> None:
    sync = b'{"execute": "guest-sync", "arguments": {"id": %d}}'
    row = b"".join(
        PING[: 26 - number % 2] * (number % 3) + b" " * (number % 5) + sync % number
        for number in range(100)
    )
    expected: list[object] = []
    for number in range(100):
        expected += [{"return": {}}] * (number % 3)
        expected.append({"return": number})
    with running.connect() as peer:
        peer.ask("guest-ping")
        for at in range(0, len(row), step):
            peer.send(row[at : at + step])
        assert [peer.reply() for _ in expected] == expected


def test_ten_thousand_requests_of_one_client_do_not_hold_up_another(running: RunningAgent) -> None:
    with running.connect() as greedy, running.connect() as modest:
        greedy.socket.setblocking(False)
        sent = greedy.socket.send(PING * 10_000)
        # Answered although the other's replies are not even read.
        assert modest.ask("guest-ping") == {"return": {}}
        greedy.socket.settimeout(30)
        replies = 0
        for _ in range(sent // len(PING)):
            replies += greedy.line() == PONG
        assert replies == sent // len(PING)


def test_many_clients_are_served_at_once(running: RunningAgent) -> None:
    peers = [running.connect() for _ in range(50)]
    for number, peer in enumerate(peers):
        peer.send(request("guest-sync", {"id": number}))
    assert [peer.reply()["return"] for peer in reversed(peers)] == list(reversed(range(50)))
    closing(peers)


def test_a_thousand_clients(start: Starter) -> None:
    count = 1000 if lift_file_limit(2500) else 100
    running = start(files=2500)
    before = running.descriptors()
    peers = [running.connect() for _ in range(count)]
    for number, peer in enumerate(peers):
        peer.send(request("guest-sync", {"id": number}))
    assert [peer.reply()["return"] for peer in peers] == list(range(count))
    closing(peers)
    until(lambda: running.descriptors() <= before, "the agent to forget its clients")


def test_a_client_that_does_not_read_holds_up_nobody(running: RunningAgent) -> None:
    handle = open_file(running, big_file(running, 16 << 20), "r")
    with running.connect() as deaf:
        deaf.send(request("guest-file-read", {"handle": handle, "count": 16 << 20}))
        with running.connect() as other:
            for _ in range(10):
                assert other.ask("guest-ping") == {"return": {}}
        assert not spins(running)
        reply = deaf.reply()["return"]
    assert reply["count"] == 16 << 20
    assert base64.b64decode(reply["buf-b64"]) == (running.folder / "big").read_bytes()


def test_replies_that_are_not_read_stop_the_agent_from_reading_more(running: RunningAgent) -> None:
    with running.connect() as deaf:
        deaf.socket.setblocking(False)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += deaf.socket.send(PING * 1000)
        except BlockingIOError:
            pass
        assert sent < 64 << 20
        assert running.call("guest-ping") == {}
        assert not spins(running)


def test_sigterm_ends_the_agent_although_a_client_does_not_read(running: RunningAgent) -> None:
    handle = open_file(running, big_file(running, 16 << 20), "r")
    with running.connect() as deaf:
        deaf.send(request("guest-file-read", {"handle": handle, "count": 16 << 20}))
        assert deaf.socket.recv(1)
        assert running.end(signal.SIGTERM) == 0


def test_a_client_that_sends_no_more_still_gets_its_replies(running: RunningAgent) -> None:
    handle = open_file(running, big_file(running, 4 << 20), "r")
    with running.connect() as peer:
        peer.send(
            PING * 500,
            request("guest-file-read", {"handle": handle, "count": 4 << 20}),
            request("guest-sync", {"id": 5}),
        )
        peer.socket.shutdown(socket.SHUT_WR)
        assert [peer.line() for _ in range(500)] == [PONG] * 500
        assert peer.reply()["return"]["count"] == 4 << 20
        assert peer.reply() == {"return": 5}
        assert peer.line() == b""


def test_what_a_client_sent_before_it_left_is_carried_out(running: RunningAgent) -> None:
    for size in (1, 100, 2000):  # bytes of a write; the last ones fill several reads of the agent
        path = running.folder / f"written-{size}"
        handle = open_file(running, path, "w")
        pieces = [bytes([number % 256]) * size for number in range(200)]
        with running.connect() as peer:
            peer.send(
                *(
                    request(
                        "guest-file-write",
                        {"handle": handle, "buf-b64": base64.b64encode(piece).decode()},
                    )
                    for piece in pieces
                )
            )
        wait_for_size(path, 200 * size)
        assert path.read_bytes() == b"".join(pieces)


def test_nothing_of_a_long_stream_is_lost_when_its_client_leaves(running: RunningAgent) -> None:
    """Several reads' worth of small requests: more than one turn of answering for each read."""
    path = running.folder / "counted"
    handle = open_file(running, path, "w")
    write = json.dumps(request("guest-file-write", {"handle": handle, "buf-b64": "eA=="})).encode()
    count = 0
    for _ in range(10):
        with running.connect() as peer:
            # As much as the socket takes at once, so that the client is gone while it is read.
            sent = peer.socket.send(write * 2500, socket.MSG_DONTWAIT)
            count += sent // len(write)
            assert peer.socket.recv(1)
    wait_for_size(path, count)
    assert path.stat().st_size == count


def test_half_a_message_dies_with_its_connection(running: RunningAgent) -> None:
    with running.connect() as peer:
        peer.send(b'{"execute": "guest-pi')
    assert running.call("guest-ping") == {}


def test_a_client_that_leaves_amid_a_large_reply_harms_nobody(running: RunningAgent) -> None:
    handle = open_file(running, big_file(running, 16 << 20), "r")
    before = running.descriptors()
    for _ in range(3):
        with running.connect() as peer:
            peer.send(request("guest-file-read", {"handle": handle, "count": 16 << 20}))
            peer.socket.recv(1000)
    until(lambda: running.descriptors() <= before, "the agent to forget its clients")
    assert running.call("guest-file-seek", handle=handle, offset=0, whence=0)["position"] == 0
    assert running.call("guest-file-read", handle=handle, count=3)["buf-b64"] == "AAEC"
    assert not spins(running)


def test_garbage_is_answered_and_the_connection_goes_on(running: RunningAgent) -> None:
    with running.connect() as peer:
        peer.send(b"\xff", request("guest-sync-delimited", {"id": 3}))
        assert "error" in peer.reply()
        assert peer.line() == b'\xff{"return": 3}'
        peer.send(b"[1, 2]\n")
        assert peer.reply()["error"]["desc"] == "QMP input must be a JSON object"


def test_a_long_id_is_echoed(running: RunningAgent) -> None:
    for identity in ("A" * 9000, {"deep": ["A" * 9000, "\u00e9" * 9000]}):
        with running.connect() as peer:
            peer.send(request("guest-ping", id=identity))
            assert peer.reply() == {"return": {}, "id": identity}
            peer.send(request("guest-nonsense", id=identity))
            assert peer.reply()["id"] == identity


def test_a_message_beyond_the_memory_costs_an_error_not_the_agent(running: RunningAgent) -> None:
    with running.connect() as peer:
        assert peer.ask("guest-ping") == {"return": {}}
        pid = running.process.pid
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        # Room for what the agent does, not for 60 MiB of text.
        limit = pages * resource.getpagesize() + (24 << 20)
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
        peer.send(b'{"execute": "guest-ping", "id": "' + b"-" * (60 << 20) + b'"}\n')
        # What comes in one piece with the end of the garbage is not lost with it.
        peer.send(b"\xff", request("guest-sync-delimited", {"id": 7}))
        assert "not enough memory" in peer.reply()["error"]["desc"]
        while b'"return": 7}' not in (line := peer.line()):
            assert line
