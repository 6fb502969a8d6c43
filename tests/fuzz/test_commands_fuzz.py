"""Random and hostile arguments for every command that a running agent on this machine allows.

Programs are started too, harmless ones by their full paths. What could harm this machine is blocked
(`tests.support.stock`), and no file is opened but those of the test: random names might be
somebody's.
"""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from qga.testing import HARMLESS
from tests.agent.harness import RunningAgent, request
from tests.fuzz.test_agent_fuzz import MEMORY_LIMIT, converse, memory
from tests.support.stock import BLOCKED, BLOCKED_BUT_EXEC

pytestmark = pytest.mark.fuzz

SECONDS = 30.0
# By which something could be opened or started that the test does not know.
GUARDED = ("guest-exec", "guest-file-open")
PROGRAMS: list[dict[str, Any]] = [
    {"path": "/bin/true"},
    {"path": "/bin/false", "capture-output": True},
    {"path": "/bin/cat", "input-data": "QUJD" * 50_000, "capture-output": "merged"},
    {"path": "/bin/true", "input-data": "QUJD" * 50_000},
    {"path": "/bin/echo", "arg": ["\u00e9\x00", "b"]},
    {"path": "/bin/echo", "arg": ["x" * 1000] * 200, "capture-output": "stdout"},
    {"path": "/bin/true", "env": ["A", "=", "B=C", "B=D", "\u20ac=\u20ac"]},
    {"path": "", "arg": []},
    {"path": "/"},
    {"path": "/bin/true", "arg": "no list"},
    {"path": "/bin/true", "capture-output": "all"},
]
NAMES = (
    "path",
    "pid",
    "handle",
    "username",
    "minimum",
    "vcpus",
    "mode",
    "x",
    "count",
    "id",
    "time",
)
VALUES: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 1.5, 1e300, "", "root",
    "../root", "root\x00", "-r", "\u20ac\U0001f600", "x" * 70_000, [], [[]], [1] * 500, {},
    {"a": {}},
]  # fmt: skip


def one(rng: random.Random, pids: list[int]) -> dict[str, Any]:
    chance = rng.random()
    if chance < 0.15:
        return request("guest-exec", rng.choice(PROGRAMS))
    if chance < 0.3:
        pid = rng.choice([*pids[-5:], 0, 1, -1, 2**63 - 1])
        return request("guest-exec-status", {"pid": pid})
    name = rng.choice([n for n in (*HARMLESS, *BLOCKED) if n not in GUARDED])
    if chance < 0.6:
        return request(name)
    members = {rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.randint(0, 3))}
    return request(name, members, **rng.choice([{}, {"id": rng.choice(VALUES)}]))


def test_no_arguments_upset_the_agent(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    agent = RunningAgent(tmp_path, blocked=",".join(BLOCKED_BUT_EXEC))
    try:
        for name in HARMLESS:  # what they keep open is open now
            if name not in GUARDED:
                with agent.connect() as peer:
                    peer.ask(name)
        before = agent.descriptors()
        pids: list[int] = []
        end = time.monotonic() + SECONDS
        rounds = 0
        with agent.connect() as first, agent.connect() as second:
            while time.monotonic() < end:
                requests = [one(rng, pids) for _ in range(rng.randint(1, 20))]
                data = b"".join(json.dumps(each).encode() + b"\n" for each in requests)
                print(rounds, data[:2000])
                if rng.random() < 0.3:
                    with agent.connect() as peer:  # which leaves without a word
                        peer.socket.setblocking(False)
                        peer.socket.send(data)
                found = converse(rng, rng.choice([first, second]), data)
                # One more: what comes before the sync resets the parser, which is told.
                assert len(found) == len(requests) + 1
                for reply in found:
                    returned = reply.get("return")
                    if isinstance(returned, dict) and set(returned) == {"pid"}:
                        pids.append(returned["pid"])
                    desc = reply.get("error", {}).get("desc", "")
                    assert "internal error" not in desc, reply
                assert agent.process.poll() is None
                assert memory(agent) < MEMORY_LIMIT
                rounds += 1
            converse(rng, first, b"\n")
        assert rounds > 20
        deadline = time.monotonic() + 60
        while agent.descriptors() > before:
            assert time.monotonic() < deadline, "descriptors stay open"
            time.sleep(0.05)
        assert agent.end() == 0
        assert agent.errors() == ""
    except BaseException:
        print("the agent had ended" if agent.process.poll() is not None else "the agent lives")
        agent.process.kill()
        print(agent.errors())
        raise
    finally:
        agent.close()
