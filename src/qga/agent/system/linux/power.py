"""Turning a Linux guest off, and having it sleep."""

import os

from .reading import read_short

# A program of its own for each mode where there is one, as upstream does since 10.2; shutdown,
# with its option for the mode, otherwise.
_PROGRAMS = {
    "powerdown": ("/sbin/poweroff", "-P"),
    "halt": ("/sbin/halt", "-H"),
    "reboot": ("/sbin/reboot", "-r"),
}

# By systemd (the verb of systemctl is a part of the unit's name but for one), by pm-utils, and what
# the kernel is told.
_SYSTEMD = {"disk": "hibernate", "ram": "suspend", "hybrid": "hybrid-sleep"}
_PM_UTILS = {"disk": "hibernate", "ram": "suspend", "hybrid": "suspend-hybrid"}
_KERNEL = {"disk": "disk", "ram": "mem"}

_STATE = "/sys/power/state"

# systemctl's exit codes for a unit that is there and does not run; 0 is for one that runs, 4 for
# one that is not there.
_NOT_RUNNING = (1, 2, 3)


class LinuxPower:
    """See `qga.agent.system.asked.Power`.

    Args:
        state: the kernel's file of sleep states.
    """

    def __init__(self, state: str = _STATE) -> None:
        self._state = state

    def shutdown_command(self, mode: str) -> list[str]:
        """The program and its arguments for *mode*: halt, powerdown or reboot."""
        program, option = _PROGRAMS[mode]
        if os.access(program, os.X_OK):
            return [program]
        return ["/sbin/shutdown", "-h", option, "+0", "hypervisor initiated shutdown"]

    def suspend_commands(self, mode: str) -> list[tuple[list[str], tuple[int, ...], list[str]]]:
        """The programs that may suspend, in the order in which to try them."""
        verb, action = _SYSTEMD[mode], _PM_UTILS[mode]
        return [
            (["systemctl", "status", f"systemd-{verb}"], _NOT_RUNNING, ["systemctl", verb]),
            (["pm-is-supported", f"--{action}"], (0,), [f"pm-{action}"]),
        ]

    def can_suspend(self, mode: str) -> bool:
        """Whether `suspend` could, without any program."""
        try:
            return _KERNEL.get(mode, "").encode() in read_short(self._state).split()
        except OSError:
            return False

    def suspend(self, mode: str) -> None:
        """Suspend, and return when the guest is awake again."""
        fd = os.open(self._state, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, _KERNEL[mode].encode())
        finally:
            os.close(fd)
