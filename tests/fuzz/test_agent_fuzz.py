"""Looks for bytes that a running agent does not survive, or that make it forget the protocol.

The agent may only answer, and read and write files that the test has opened: there is no command
among those that it allows by which random input could harm this machine.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.harness import Peer, RunningAgent, request

pytestmark = pytest.mark.fuzz

SECONDS = 40.0
ALLOWED = (
    "guest-sync,guest-sync-delimited,guest-ping,guest-info,guest-file-read,guest-file-write,"
    "guest-file-seek,guest-file-flush,guest-fsfreeze-status"
)
HANDLES = (1000, 1001)
# What an agent may grow to that was sent all this: a message under way, and its reply.
MEMORY_LIMIT = 400 << 20

Mutation = Callable[[random.Random, bytes], bytes]


def valid_requests(rng: random.Random) -> bytes:
    handle = rng.choice([*HANDLES, 0, 2**63 - 1])
    arguments: dict[str, Any] = rng.choice([
        {"handle": handle, "count": rng.choice([0, 1, 4096, 200_000, 48 << 20, -1, 1 << 40])},
        {"handle": handle, "buf-b64": "QUJD" * rng.choice([0, 1, 1000, 5000, 40_000])},
        {"handle": handle, "offset": rng.randrange(-9, 99), "whence": rng.choice([0, 1, 2, "end"])},
        {"id": rng.randrange(-(2**64), 2**64)},
        {},
    ])  # fmt: skip
    name = rng.choice([*ALLOWED.split(","), "guest-shutdown", "guest-exec", "x" * 5000])
    more: dict[str, Any] = rng.choice(
        [{}, {}, {"id": rng.choice([None, [], {"a": "\u00e9"}, "y" * 9000])}]
    )
    text = json.dumps(request(name, arguments, **more), ensure_ascii=rng.random() < 0.5)
    return text.encode() + rng.choice([b"", b"\n", b"\r\n", b" "])


def flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    inserted = [
        b"\xff", b"\xff" * 99, b"\x00", b"\xc3", b"\xed\xa0\x80", b'"', b"'", b"\\", b"\\u", b"{",
        b"}", b"[" * 1100, b"]" * 50, b",", b":", b"\n", b"\\ud800", b"\xef\xbb\xbf", b"NaN",
        b"1e999", b"9" * 5000, b"-", b"\\udc00", b'{"a":' * 600,
    ]  # fmt: skip
    return data[:at] + rng.choice(inserted) + data[at:]


def repeat(rng: random.Random, data: bytes) -> bytes:
    return data * rng.randint(2, 60)


def noise(rng: random.Random, data: bytes) -> bytes:
    return rng.randbytes(rng.choice([1, 30, 3000, 70_000]))


def structure(rng: random.Random, data: bytes) -> bytes:
    return bytes(rng.choices(b"{}[]:,\"'\\ \nua1", k=rng.choice([5, 50, 5000])))


def unchanged(rng: random.Random, data: bytes) -> bytes:
    return data


MUTATIONS: list[Mutation] = [flip, cut, insert, repeat, noise, structure, unchanged]


def stream(rng: random.Random) -> bytes:
    data = b"".join(valid_requests(rng) for _ in range(rng.randint(1, 4)))
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(MUTATIONS)(rng, data) or b" "
    return data[: 8 << 20]


def pieces(rng: random.Random, data: bytes) -> Iterator[bytes]:
    size = rng.choice([1, 7, 4096, 65536, len(data)]) if len(data) < 2000 else 65536
    for at in range(0, len(data), size):
        yield data[at : at + size]


def converse(rng: random.Random, peer: Peer, data: bytes) -> list[Any]:
    """Send *data*, then find the way back as any client does; the replies, all of them JSON."""
    identity = rng.randrange(1 << 40)
    sync = b"\xff" + json.dumps(request("guest-sync-delimited", {"id": identity})).encode() + b"\n"
    peer.socket.setblocking(False)
    todo = [*pieces(rng, data), sync]
    got = bytearray()
    wanted = b'\xff{"return": %d}\n' % identity
    deadline = time.monotonic() + 60
    while not got.endswith(wanted):
        assert time.monotonic() < deadline, "not answered"
        try:
            while todo:
                sent = peer.socket.send(todo[0])
                todo[0] = todo[0][sent:]
                if not todo[0]:
                    del todo[0]
        except BlockingIOError:
            pass
        try:
            piece = peer.socket.recv(1 << 20)
            assert piece, "the agent has closed the connection"
            got += piece
        except BlockingIOError:
            time.sleep(0.0005)
    replies = []
    for line in got.removesuffix(wanted).split(b"\n"):
        if line:
            reply = json.loads(line.removeprefix(b"\xff"), parse_constant=pytest.fail)
            json.dumps(reply, ensure_ascii=False).encode()  # fails for lone surrogates
            assert set(reply) - {"id"} in ({"return"}, {"error"}), line[:200]
            replies.append(reply)
    return replies


def memory(agent: RunningAgent) -> int:
    status = Path(f"/proc/{agent.process.pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


def test_no_bytes_upset_the_agent(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    agent = RunningAgent(tmp_path, ["-a", f"{ALLOWED},guest-file-open"])
    try:
        # Opened by hand: random names might be those of somebody's files.
        for handle, name in zip(HANDLES, ("one", "two"), strict=True):
            (tmp_path / name).write_bytes(rng.randbytes(300_000))
            found = agent.call("guest-file-open", path=str(tmp_path / name), mode="r+")
            assert found == handle
        before = agent.descriptors()
        end = time.monotonic() + SECONDS
        rounds = 0
        with agent.connect() as lasting:
            while time.monotonic() < end:
                data = stream(rng)
                print(rounds, data[:2000])
                if rng.random() < 0.5:
                    converse(rng, lasting, data)
                elif rng.random() < 0.5:
                    with agent.connect() as peer:
                        converse(rng, peer, data)
                else:
                    with agent.connect() as peer:  # which leaves without a word
                        peer.socket.send(data)
                assert agent.process.poll() is None
                assert memory(agent) < MEMORY_LIMIT
                rounds += 1
            converse(rng, lasting, b"\n")
        assert rounds > 100
        assert agent.call("guest-ping") == {}
        assert agent.descriptors() <= before + 2
        assert agent.end() == 0
        assert agent.errors() == ""
    except BaseException:
        print("the agent had ended" if agent.process.poll() is not None else "the agent lives")
        agent.process.kill()
        print(agent.errors())
        raise
    finally:
        agent.close()
