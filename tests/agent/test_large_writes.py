"""Writes of megabytes: what arrives, and how much memory it takes meanwhile."""

import base64
import os

import pytest

from tests.agent.harness import RunningAgent
from tests.agent.programs import memory

KIB, MIB = 1 << 10, 1 << 20


@pytest.mark.parametrize("size", [3 * MIB // 4, MIB, 5 * MIB + 1])
def test_what_is_sent_is_written(running: RunningAgent, size: int) -> None:
    data = os.urandom(size)
    with running.connect() as peer:
        handle = peer.call("guest-file-open", path=str(running.folder / "file"), mode="w")
        for _ in range(2):
            buf_b64 = base64.b64encode(data).decode()
            result = peer.call("guest-file-write", handle=handle, buf_b64=buf_b64)
            assert result == {"count": size, "eof": False}
    assert (running.folder / "file").read_bytes() == 2 * data


def test_48_mib_at_once_and_the_memory_for_it(running: RunningAgent) -> None:
    # As much as can be read at once; the stock agent refuses to write that much.
    data = os.urandom(MIB) * 48
    with running.connect() as peer:
        handle = peer.call("guest-file-open", path=str(running.folder / "file"), mode="w")
        before = memory(running.process.pid, "VmRSS")
        buf_b64 = base64.b64encode(data).decode()
        assert peer.call("guest-file-write", handle=handle, buf_b64=buf_b64)["count"] == 48 * MIB
        assert peer.call("guest-file-close", handle=handle) == {}
        # The data once, and never its text.
        assert memory(running.process.pid, "VmHWM") < before + 60 * KIB
        assert memory(running.process.pid, "VmRSS") < before + 6 * KIB
    assert (running.folder / "file").read_bytes() == data
