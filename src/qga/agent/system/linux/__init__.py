"""The platform as it is on Linux: facts from /proc and /sys, actions by ioctl."""

from .freezer import LinuxFreezer
from .power import LinuxPower


class LinuxSystem:
    """See `qga.agent.system.System`."""

    def __init__(self) -> None:
        self.freezer = LinuxFreezer()
        self.power = LinuxPower()
