"""The time zone, as the C library of this machine has it."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux import timezone
from qga.agent.system.linux.timezone import LinuxTimezone
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call

WINTER, SUMMER = 1_705_000_000, 1_720_000_000  # of 2024, in the north


@pytest.fixture(autouse=True)
def own_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.delenv("TZDIR", raising=False)
        yield
    time.tzset()


def zone(make: AgentFactory) -> tuple[str, int]:
    """What an agent says that was started with this environment."""
    time.tzset()
    found = call(make(FakeSystem(timezone=LinuxTimezone())), "guest-get-timezone")
    return found["zone"], found["offset"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("EST5", ("EST", -18000)),
        ("JST-9", ("JST", 32400)),
        ("<+0530>-5:30", ("+0530", 19800)),
        (":IST-5:30", ("IST", 19800)),
        ("UTC", ("UTC", 0)),
        ("", ("UTC", 0)),
        ("Nowhere/City", ("UTC", 0)),
        ("Foo", ("UTC", 0)),
        ("A+1", ("UTC", 0)),
        ("/absent", ("UTC", 0)),
        ("+05:30", ("UTC", 0)),
    ],
)
def test_zones_that_need_no_file(
    make: AgentFactory, monkeypatch: pytest.MonkeyPatch, name: str, expected: tuple[str, int]
) -> None:
    monkeypatch.setenv("TZ", name)
    assert zone(make) == expected


def test_summer_time(make: AgentFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    localtime = time.localtime
    for moment, expected in ((WINTER, ("CET", 3600)), (SUMMER, ("CEST", 7200))):
        monkeypatch.setattr("time.localtime", lambda moment=moment: localtime(moment))
        assert zone(make) == expected


def test_a_file_of_its_own(
    make: AgentFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The smallest there is: no transitions, one kind of local time, its abbreviation.
    one = (7200).to_bytes(4, "big") + bytes(2) + b"XYZ\0"
    table = b"TZif2" + bytes(15) + struct.pack(">6i", 0, 0, 0, 0, 1, 4) + one
    (tmp_path / "Zone").write_bytes(table + table + b"\nXYZ-2\n")
    monkeypatch.setenv("TZ", str(tmp_path / "Zone"))
    assert zone(make) == ("XYZ", 7200)
    monkeypatch.setenv("TZDIR", str(tmp_path))
    monkeypatch.setenv("TZ", "Zone")
    assert zone(make) == ("XYZ", 7200)


def test_without_a_name_local_time_is_that_of_the_machine(
    make: AgentFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    time.tzset()
    expected = time.localtime().tm_zone, time.localtime().tm_gmtoff
    agent = make(FakeSystem(timezone=LinuxTimezone()))
    for _ in range(3):
        found = call(agent, "guest-get-timezone")
        assert (found["zone"], found["offset"]) == expected


def test_another_local_time_is_noticed(
    make: AgentFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """How often the C library is told to look again; that it does is tested in a guest."""
    monkeypatch.delenv("TZ", raising=False)
    local = tmp_path / "localtime"
    monkeypatch.setattr(timezone, "_LOCAL", str(local))
    looked: list[None] = []
    monkeypatch.setattr("time.tzset", lambda: looked.append(None))
    agent = make(FakeSystem(timezone=LinuxTimezone()))
    call(agent, "guest-get-timezone")
    once = len(looked)
    call(agent, "guest-get-timezone")
    assert len(looked) == once
    local.symlink_to("/etc/passwd")
    call(agent, "guest-get-timezone")
    assert len(looked) == 2 * once
    call(agent, "guest-get-timezone")
    local.unlink()
    local.write_bytes(b"")
    call(agent, "guest-get-timezone")
    assert len(looked) == 3 * once
