"""The clocks of a guest, set by both agents."""

from functools import partial

import pytest

from tests.vm.observe import connect
from tests.vm.qemu import AGENT, Guest
from tests.vm.sides import Refusal, Sides, ask, ask_stock

RTC = "/sys/class/rtc/rtc0/since_epoch"
SECOND = 1_000_000_000
NEW_YEAR_2030 = 1893456000
SOMETIME = 1_500_000_000_123_456_789
# For what comes between setting a clock and reading it, on a slow machine.
SLACK = 30

SET_SYSTEM = "import sys, time; time.clock_settime(time.CLOCK_REALTIME, int(sys.argv[1]))"


def system_clock(guest: Guest) -> int:
    return int(guest.sh("date +%s").out)


def hardware_clock(guest: Guest) -> int:
    return int(guest.read(RTC))


def set_system_clock(guest: Guest, seconds: int) -> None:
    assert guest.control.run(["/usr/bin/python3", "-c", SET_SYSTEM, str(seconds)]).code == 0


def shows(clock: int, time: int) -> bool:
    return time - 1 <= clock <= time + SLACK


def test_what_time_it_is(guest: Guest) -> None:
    with connect(guest) as client:
        before = ask_stock(guest, "guest-get-time")
        now = ask(client, "guest-get-time")
        after = ask_stock(guest, "guest-get-time")
        assert before <= now <= after
        assert before % 1000 == 0


def test_set_by_the_host_and_by_the_hardware(guest: Guest) -> None:
    with connect(guest) as client:
        ours = partial(ask, client, "guest-set-time")
        stock = partial(ask_stock, guest, "guest-set-time")
        for setter, other in ((ours, stock), (stock, ours)):
            # Both clocks are set.
            assert setter(time=SOMETIME) == {}
            assert shows(system_clock(guest), SOMETIME // SECOND)
            assert shows(hardware_clock(guest), SOMETIME // SECOND)
            # What one has written, the other reads.
            set_system_clock(guest, NEW_YEAR_2030)
            assert other() == {}
            assert shows(system_clock(guest), SOMETIME // SECOND)
            assert shows(hardware_clock(guest), SOMETIME // SECOND)
            assert abs(system_clock(guest) - hardware_clock(guest)) <= 1
            set_system_clock(guest, NEW_YEAR_2030)
            assert setter() == {}
            assert shows(system_clock(guest), SOMETIME // SECOND)


def test_times_that_cannot_be(guest: Guest) -> None:
    with connect(guest) as client:
        sides = Sides(guest, client)
        end = 3155760000 * SECOND
        for time in (-SECOND, end, 2**63 - 1, -(2**63)):
            assert sides.agreed("guest-set-time", time=time) == Refusal("Invalid time")
        # The kernel's clock cannot be set to before the guest's start.
        assert sides.agreed("guest-set-time", time=0) == Refusal(
            "Failed to set time to guest: Invalid argument"
        )
        for wrong in (1.5, "1", None, True):
            assert isinstance(sides.agreed("guest-set-time", time=wrong), Refusal)
        assert sides.agreed("guest-set-time", time=end - 1) == {}
        assert guest.sh("date -u +%Y").out in {"2069\n", "2070\n"}


def test_hardware_in_local_time(guest: Guest) -> None:
    guest.write("/etc/adjtime", b"0.0 0 0.0\n0\nLOCAL\n")
    guest.restart_agent(env={"TZ": "XYZ-3"})  # three hours ahead of UTC
    with connect(guest) as client:
        assert ask(client, "guest-set-time", time=SOMETIME) == {}
        assert shows(system_clock(guest), SOMETIME // SECOND)
        assert shows(hardware_clock(guest), SOMETIME // SECOND + 3 * 3600)
        set_system_clock(guest, NEW_YEAR_2030)
        assert ask(client, "guest-set-time") == {}
        assert shows(system_clock(guest), SOMETIME // SECOND)
        # As hwclock has it.
        set_system_clock(guest, NEW_YEAR_2030)
        assert guest.sh("TZ=XYZ-3 hwclock -s --localtime").code == 0
        assert shows(system_clock(guest), SOMETIME // SECOND)


@pytest.mark.parametrize("remedy", ["rm /dev/rtc0 /sbin/hwclock", "rm /dev/rtc0"])
def test_a_guest_without_a_hardware_clock(guest: Guest, remedy: str) -> None:
    guest.sh(remedy)
    with connect(guest) as client:
        sides = Sides(guest, client)
        stock, ours = sides("guest-set-time", time=SOMETIME)
        # There is none to be set.
        assert isinstance(stock, Refusal)
        assert ours == {}
        assert shows(system_clock(guest), SOMETIME // SECOND)
        stock, ours = sides("guest-set-time")
        assert isinstance(stock, Refusal)
        assert ours == Refusal("failed to open the hardware clock: No such file or directory")


def test_no_program_is_needed(guest: Guest) -> None:
    guest.sh("rm /sbin/hwclock")
    guest.kill_agent()
    guest.start_agent([*AGENT, "-v"])
    with connect(guest) as client:
        assert ask(client, "guest-set-time", time=SOMETIME) == {}
        assert shows(hardware_clock(guest), SOMETIME // SECOND)
        set_system_clock(guest, NEW_YEAR_2030)
        assert ask(client, "guest-set-time") == {}
        assert shows(system_clock(guest), SOMETIME // SECOND)
    assert "critical" not in guest.agent_output()
