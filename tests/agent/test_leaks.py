"""Commands that read, called again and again: neither descriptors nor memory grow."""

import json

import pytest

from tests.agent.harness import RunningAgent, request
from tests.agent.programs import memory

READING = (
    "guest-info", "guest-get-cpustats", "guest-get-disks", "guest-get-diskstats",
    "guest-get-fsinfo", "guest-get-host-name", "guest-get-load", "guest-get-memory-block-info",
    "guest-get-memory-blocks", "guest-get-osinfo", "guest-get-time", "guest-get-timezone",
    "guest-get-users", "guest-get-vcpus", "guest-network-get-interfaces", "guest-network-get-route",
    "guest-fsfreeze-status",
)  # fmt: skip
BATCH = 50
BATCHES = 10
WARM_UP = 3  # batches, until what is kept is kept, and memory has found its shape
MOST_KIB = 512


@pytest.mark.parametrize("name", READING)
def test_nothing_is_left_behind(running: RunningAgent, name: str) -> None:
    batch = json.dumps(request(name)).encode() * BATCH
    with running.connect() as peer:

        def run(times: int) -> None:
            for _ in range(times):
                peer.send(batch)
                for _ in range(BATCH):
                    peer.line()

        run(WARM_UP)
        descriptors, kib = running.descriptors(), memory(running.process.pid, "VmRSS")
        run(BATCHES)
        assert running.descriptors() == descriptors
        assert memory(running.process.pid, "VmRSS") <= kib + MOST_KIB
