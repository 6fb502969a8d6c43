"""What the kernel counts: processors' times and the load."""

import os
from pathlib import Path

import pytest

from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux import LinuxSystem, counters
from qga.agent.system.linux.counters import LinuxCounters
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call, refusal

STAT = """\
cpu  100 20 30 4000 50 6 7 8 9 10
cpu0 10 2 3 400 5 6 7 8 9 10
cpu12 11 3 4 18446744073709550 6 7 8 9 10 11 12 13
cpu3 1 2 3 4 5
cpu4 1 2 3
intr 12345 0 0 cpu
ctxt 99
"""


def test_times_of_processors(
    tmp_path: Path, make: AgentFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "_TICKS_PER_SECOND", 250)
    (tmp_path / "stat").write_text(STAT)
    agent = make(FakeSystem(counters=LinuxCounters(str(tmp_path))))
    first, second, old = call(agent, "guest-get-cpustats")
    assert first == {
        "type": "linux",
        "cpu": 0,
        "user": 40,
        "nice": 8,
        "system": 12,
        "idle": 1600,
        "iowait": 20,
        "irq": 24,
        "softirq": 28,
        "steal": 32,
        "guest": 36,
        "guestnice": 40,
    }
    # Columns that only newer kernels have.
    assert (second["cpu"], second["guestnice"], len(second)) == (12, 44, len(first))
    assert second["idle"] == 18446744073709550 * 4
    # And an older one.
    assert old == {
        "type": "linux", "cpu": 3, "user": 4, "nice": 8, "system": 12, "idle": 16, "iowait": 20,
    }  # fmt: skip


def test_ticks_that_are_no_whole_milliseconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "_TICKS_PER_SECOND", 1024)
    (tmp_path / "stat").write_text("cpu0 1 2 3 1025\n")
    assert LinuxCounters(str(tmp_path)).cpus() == [[0, 0, 1, 2, 1000]]


def test_thousands_of_processors(tmp_path: Path) -> None:
    lines = (f"cpu{number} 1 2 3 4 5 6 7 8 9 10\n" for number in range(4096))
    (tmp_path / "stat").write_text("cpu  1 2 3 4\n" + "".join(lines) + "intr 0\n")
    assert len(LinuxCounters(str(tmp_path)).cpus()) == 4096


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: AgentFactory) -> None:
    agent = make(FakeSystem(counters=LinuxCounters(str(tmp_path))))
    assert refusal(agent, "guest-get-cpustats") == (
        f'open("{tmp_path}/stat"): No such file or directory'
    )


def test_the_counters_of_this_machine(make: AgentFactory) -> None:
    agent = make(LinuxSystem())
    online = Path("/sys/devices/system/cpu/online").read_text(encoding="ascii")
    found = [entry["cpu"] for entry in call(agent, "guest-get-cpustats")]
    assert str(found[0]) == online.replace(",", "-").split("-")[0].strip()
    assert len(found) == os.cpu_count()
    load = call(agent, "guest-get-load")
    assert set(load) == {"load1m", "load5m", "load15m"}
    assert all(isinstance(value, float) and value >= 0 for value in load.values())
