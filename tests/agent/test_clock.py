"""guest-get-time and guest-set-time, on clocks that set nothing."""

import calendar
import random
import time
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.commands import clock as handlers
from qga.agent.later import Pending
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux import LinuxSystem
from qga.agent.system.linux.clock import LinuxClock, from_fields, to_fields
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call, refusal
from tests.agent.pending import desc, finish

SECOND = 1_000_000_000


class FakeHardware:
    """A clock that shows the next of *shows* at each look, and the last one for ever."""

    path = "/dev/rtc0"

    def __init__(self, *shows: int, tick_delay: float = 0.5) -> None:
        self.tick_delay = tick_delay
        self.shows = list(shows)
        self.written: list[int] = []
        self.fails: OSError | None = None
        self.closed = 0

    def read(self) -> int:
        if self.fails:
            raise self.fails
        return self.shows.pop(0) if len(self.shows) > 1 else self.shows[0]

    def write(self, seconds: int) -> None:
        if self.fails:
            raise self.fails
        self.written.append(seconds)

    def close(self) -> None:
        self.closed += 1


class FakeClock:
    """A clock that goes on from what it is set to, from 2020 at first."""

    def __init__(self, hardware: FakeHardware | OSError) -> None:
        self.found = hardware
        self.ahead = 1_577_836_800 * SECOND - time.monotonic_ns()
        self.settings: list[int] = []
        self.fails: OSError | None = None

    def now(self) -> int:
        return time.monotonic_ns() + self.ahead

    def set(self, time_: int) -> None:
        if self.fails:
            raise self.fails
        self.settings.append(time_)
        self.ahead = time_ - time.monotonic_ns()

    def hardware(self) -> FakeHardware:
        if isinstance(self.found, OSError):
            raise self.found
        return self.found


def make_agent(make: AgentFactory, hardware: Any) -> tuple[Agent, FakeClock]:
    clock = FakeClock(hardware)
    return make(FakeSystem(clock=clock)), clock


def test_the_time(make: AgentFactory) -> None:
    agent = make(LinuxSystem())
    before = time.time_ns()
    assert before <= call(agent, "guest-get-time") <= time.time_ns()


@pytest.mark.parametrize("tick_delay", [0.5, 1.0])
def test_both_clocks_are_set(make: AgentFactory, tick_delay: float) -> None:
    hardware = FakeHardware(0, tick_delay=tick_delay)
    agent, clock = make_agent(make, hardware)
    wanted = 1_500_000_000 * SECOND + 123_456_789
    assert finish(agent, "guest-set-time", time=wanted) == {"return": {}}
    assert clock.settings == [wanted]
    # At the moment after which it ticks when the system's clock does, give or take.
    (written,) = hardware.written
    assert 1_500_000_000 <= written <= clock.now() // SECOND
    assert hardware.closed == 1


def test_the_moment_of_setting(make: AgentFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that goes on with the pauses alone, so that no time is lost in between."""
    hardware = FakeHardware(0)
    agent, clock = make_agent(make, hardware)
    pauses: list[float] = []

    def pause(_: object, seconds: float) -> Pending[None]:
        pauses.append(seconds)
        now[0] += int(seconds * SECOND)
        pending: Pending[None] = Pending()
        pending.resolve(lambda: None)
        return pending

    monkeypatch.setattr(handlers, "_pause", pause)
    now = [0]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    for delay, fraction, expected, written in (
        (0.5, 0.25, 0.25, 1000),
        (0.5, 0.5, 0.0, 1000),
        (0.5, 0.75, 0.75, 1001),
        (1.0, 0.25, 0.75, 1001),
        (1.0, 0.0, 0.0, 1000),
    ):
        hardware.tick_delay = delay
        now[0] = 1000 * SECOND + int(fraction * SECOND)
        finish(agent, "guest-set-time", time=now[0])
        assert pauses.pop() == pytest.approx(expected)
        assert hardware.written.pop() == written


@pytest.mark.parametrize("when", [-1, -SECOND, 3_155_760_000 * SECOND, 2**63 - 1, -(2**63)])
def test_times_out_of_range(make: AgentFactory, when: int) -> None:
    agent, clock = make_agent(make, FakeHardware(0))
    assert refusal(agent, "guest-set-time", time=when) == "Invalid time"
    assert clock.settings == []


def test_times_at_the_edges(make: AgentFactory) -> None:
    agent, clock = make_agent(make, FileNotFoundError())
    last = 3_155_760_000 * SECOND - 1
    assert time.gmtime(last // SECOND).tm_year == 2069
    assert call(agent, "guest-set-time", time=0) == {}
    assert call(agent, "guest-set-time", time=last) == {}
    assert clock.settings == [0, last]


def test_a_clock_that_cannot_be_set(make: AgentFactory) -> None:
    hardware = FakeHardware(1, 2)
    agent, clock = make_agent(make, hardware)
    clock.fails = PermissionError(1, "Operation not permitted")
    text = "Failed to set time to guest: Operation not permitted"
    assert refusal(agent, "guest-set-time", time=SECOND) == text
    assert hardware.written == []
    assert desc(finish(agent, "guest-set-time")) == text
    assert hardware.closed == 1


def test_from_the_hardware_when_it_ticks(make: AgentFactory) -> None:
    hardware = FakeHardware(5, 5, 5, 5, 6)
    agent, clock = make_agent(make, hardware)
    assert finish(agent, "guest-set-time") == {"return": {}}
    assert clock.settings == [6 * SECOND]
    assert hardware.written == []
    assert hardware.closed == 1


def test_hardware_that_stands_still(make: AgentFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "_STANDS_STILL", 0.02)
    hardware = FakeHardware(5)
    agent, clock = make_agent(make, hardware)
    text = "the hardware clock /dev/rtc0 stands still"
    assert desc(finish(agent, "guest-set-time")) == text
    assert clock.settings == []
    assert hardware.closed == 1


def test_no_hardware(make: AgentFactory) -> None:
    agent, clock = make_agent(make, FileNotFoundError(2, "No such file or directory"))
    # The host has said what time it is; there is nothing else to set.
    assert call(agent, "guest-set-time", time=SECOND) == {}
    text = "failed to open the hardware clock: No such file or directory"
    assert refusal(agent, "guest-set-time") == text
    clock.found = PermissionError(13, "Permission denied")
    for arguments in ({}, {"time": SECOND}):
        text = "failed to open the hardware clock: Permission denied"
        assert refusal(agent, "guest-set-time", **arguments) == text


def test_hardware_in_trouble(make: AgentFactory) -> None:
    hardware = FakeHardware(5)
    agent, _ = make_agent(make, hardware)
    hardware.fails = OSError(22, "Invalid argument")  # what is in it is no time
    text = "failed to read the hardware clock: Invalid argument"
    assert desc(finish(agent, "guest-set-time")) == text
    text = "failed to set the hardware clock: Invalid argument"
    assert desc(finish(agent, "guest-set-time", time=SECOND)) == text
    assert hardware.closed == 2


def test_the_kernels_way_to_write_a_time() -> None:
    assert to_fields(1_500_000_000, local=False)[:6] == (0, 40, 2, 14, 6, 117)
    dice = random.Random(1)
    days = [day * 86400 for day in range(36525)]  # each day from 1970 to 2069
    for seconds in days + [dice.randrange(1 << 37) for _ in range(1000)]:
        fields = to_fields(seconds, local=False)
        assert from_fields(fields, local=False) == seconds
        moment = (fields[5] + 1900, fields[4] + 1, *reversed(fields[:4]))
        assert calendar.timegm(moment) == seconds


def test_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-3")
    assert to_fields(1_500_000_000, local=True)[:6] == (0, 40, 5, 14, 6, 117)
    assert from_fields((0, 40, 5, 14, 6, 117, 0, 0, 0), local=True) == 1_500_000_000
    # It may change while the agent runs.
    monkeypatch.setenv("TZ", "XYZ+3")
    assert to_fields(1_500_000_000, local=True)[:6] == (0, 40, 23, 13, 6, 117)
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("adjtime", "local"),
    [
        (None, False),
        ("", False),
        ("0.0 0 0.0\n0\nUTC\n", False),
        ("0.0 0 0.0\n0\nLOCAL\n", True),
        ("0.0 0 0.0\n0\nLOCAL", True),
        ("LOCAL\n", False),
    ],
)
def test_hardware_of_linux(tmp_path: Path, adjtime: str | None, local: bool) -> None:
    for name, kind in (("rtc0", "rtc_cmos 00:04"), ("rtc1", "pl031")):
        (tmp_path / "names" / name).mkdir(parents=True)
        (tmp_path / "names" / name / "name").write_text(f"{kind}\n")
    if adjtime is not None:
        (tmp_path / "adjtime").write_text(adjtime)
    devices = tuple(str(tmp_path / name) for name in ("rtc0", "rtc", "rtc1"))
    clock = LinuxClock(devices, str(tmp_path / "names"), str(tmp_path / "adjtime"))
    with pytest.raises(FileNotFoundError):
        clock.hardware()
    (tmp_path / "rtc1").touch()
    hardware = clock.hardware()
    assert (hardware.path, hardware.tick_delay) == (devices[2], 1.0)
    hardware.close()
    (tmp_path / "rtc0").touch()
    (tmp_path / "rtc").symlink_to("rtc0")
    for path in devices[:2]:
        hardware = LinuxClock(
            (path,), str(tmp_path / "names"), str(tmp_path / "adjtime")
        ).hardware()
        assert (hardware.path, hardware.tick_delay) == (path, 0.5)
        assert hardware._local is local
        with pytest.raises(OSError, match="Inappropriate ioctl"):
            hardware.read()
        with pytest.raises(OSError, match="Inappropriate ioctl"):
            hardware.write(0)
        hardware.close()
