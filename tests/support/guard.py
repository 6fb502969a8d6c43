"""Keeps this process from harming the machine, whatever a test has forgotten to replace.

`tests/conftest` runs it for the tests themselves, and `tests.agent.harness` in each agent that a
test starts with changes of its own: there the commands may be allowed, on a made-up platform. So
it stands alone. Where a test really freezes, in a guest or on an image of its own, it is not run.
"""

import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # an agent is to load no more for it
    from collections.abc import Callable
    from typing import Any

# From linux/fs.h, linux/rtc.h: FIFREEZE, FITHAW, FITRIM and RTC_SET_TIME.
OF_FILE_SYSTEMS = frozenset((0xC0045877, 0xC0045878, 0xC0185879))
SET_RTC = 0x4024700A
PROGRAMS = frozenset((
    "chpasswd", "halt", "hwclock", "pm-hibernate", "pm-suspend", "pm-suspend-hybrid", "poweroff",
    "reboot", "shutdown", "systemctl",
))  # fmt: skip


class Forbidden(BaseException):
    """Something that no test does to the machine it runs on. Not for handlers to catch."""


def install() -> None:
    """Make the calls that could do harm raise `Forbidden`."""

    def guarded(
        function: "Callable[..., Any]", harmful: "Callable[..., bool]"
    ) -> "Callable[..., Any]":
        def call(first: "Any", *rest: "Any", **named: "Any") -> "Any":
            if harmful(first, *rest):
                raise Forbidden(f"{function.__name__}({first!r}, ...) on this machine")
            return function(first, *rest, **named)

        return call

    def controls(fd: int, code: int, *_: "Any") -> bool:
        # What the kernel says to those who have no such thing does no harm.
        if code & 0xFFFFFFFF in OF_FILE_SYSTEMS:
            return not leads_to(fd).startswith("/proc")
        if code & 0xFFFFFFFF == SET_RTC:
            return not os.path.isfile(leads_to(fd))  # noqa: PTH113 - likewise
        return False

    def leads_to(fd: int) -> str:
        try:
            return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - no pathlib in agents
        except OSError:
            return ""

    def always(*_: "Any") -> bool:
        return True

    def runs(program: "Any", *_: "Any") -> bool:
        # A made-up program of a test's own may have any name.
        folder, base = os.path.split(os.fsdecode(program))
        return base in PROGRAMS and folder in {"", "/sbin", "/usr/sbin", "/bin", "/usr/bin"}

    for module, name, harmful in (
        (fcntl, "ioctl", controls),
        (time, "clock_settime", always),
        (time, "clock_settime_ns", always),
        (os, "posix_spawn", runs),
        (os, "posix_spawnp", runs),
    ):
        setattr(module, name, guarded(getattr(module, name), harmful))
