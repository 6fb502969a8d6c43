"""guest-get-diskstats: lines of /proc/diskstats, of all kernels, and what is made of them."""

from pathlib import Path
from typing import Any

import pytest

from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.counters import LinuxCounters
from qga.protocol.codec import reader
from qga.protocol.stats import DiskStats, DiskStatsInfo, GetDiskStats
from tests.agent.conftest import AgentFactory
from tests.agent.harness import answer, call, request

FIRST = {
    "read_ios": 1, "read_merges": 2, "read_sectors": 3, "read_ticks": 4, "write_ios": 5,
    "write_merges": 6, "write_sectors": 7, "write_ticks": 8, "ios_pgr": 9, "total_ticks": 10,
    "weight_ticks": 11,
}  # fmt: skip
DISCARD = {"discard_ios": 12, "discard_merges": 13, "discard_sectors": 14, "discard_ticks": 15}
FLUSH = {"flush_ios": 16, "flush_ticks": 17}


class Stats:
    """Calls the command with a made-up table."""

    def __init__(self, make: AgentFactory, path: Path) -> None:
        self.path = path
        self.agent = make(FakeSystem(counters=LinuxCounters(str(path.parent))))

    def of(self, table: str) -> list[DiskStatsInfo]:
        self.path.write_text(table)
        found = reader(GetDiskStats.result())(call(self.agent, "guest-get-diskstats"))
        assert isinstance(found, list)
        return found


@pytest.fixture
def stats(make: AgentFactory, tmp_path: Path) -> Stats:
    return Stats(make, tmp_path / "diskstats")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (4, {"read_ios": 1, "read_sectors": 2, "write_ios": 3, "write_sectors": 4}),
        (5, {}),
        (10, {}),
        (11, FIRST),
        (12, FIRST),
        (14, FIRST),
        (15, FIRST | DISCARD),
        (16, FIRST | DISCARD),
        (17, FIRST | DISCARD | FLUSH),
        (25, FIRST | DISCARD | FLUSH),
    ],
)
def test_counters_of_all_kernels(stats: Stats, fields: int, expected: dict[str, Any]) -> None:
    line = " 254       0 vda " + " ".join(str(n + 1) for n in range(fields)) + "\n"
    info = DiskStatsInfo(name="vda", major=254, minor=0, stats=DiskStats(**expected))
    assert stats.of(line) == [info]


def test_the_kernels_order(stats: Stats) -> None:
    line = " ".join("0" * 17)
    table = f"8 16 sdb {line}\n\n8 0 sda {line}\n8 1 sda1 1 2 3\n104 0 cciss/c0d0 {line}\n"
    assert [info.name for info in stats.of(table)] == ["sdb", "sda", "cciss/c0d0"]
    assert stats.of("") == []


def test_odd_names_and_large_numbers(stats: Stats) -> None:
    largest = str(2**64 - 1)
    (info,) = stats.of(f'8 0 a"b\\c\xe9 {largest} 0 0 0 0 0 0 0 0 0 0\n')
    assert (info.name, info.stats.read_ios) == ('a"b\\c\xe9', 2**64 - 1)


def test_with_an_id(stats: Stats) -> None:
    stats.path.write_text("8 1 sda1 1 2 3 4\n")
    reply = answer(stats.agent, request("guest-get-diskstats", id={"a": 1}))
    counters = {"read-ios": 1, "read-sectors": 2, "write-ios": 3, "write-sectors": 4}
    assert reply == {
        "return": [{"name": "sda1", "major": 8, "minor": 1, "stats": counters}],
        "id": {"a": 1},
    }


def test_no_counters(stats: Stats) -> None:
    reply = answer(stats.agent, request("guest-get-diskstats"))
    reason = f'open("{stats.path}"): No such file or directory'
    assert reply["error"]["desc"] == reason


def test_the_counters_of_this_machine(make: AgentFactory) -> None:
    agent = make(FakeSystem(counters=LinuxCounters()))
    names = [info["name"] for info in call(agent, "guest-get-diskstats")]
    table = Path("/proc/diskstats").read_text(encoding="utf-8")
    assert names == [line.split()[2] for line in table.splitlines()]
