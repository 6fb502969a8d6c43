"""The platform as it is on Linux: facts from /proc and /sys, actions by ioctl.

A topic is loaded when it is first asked for, except for what has to work while file systems are
frozen.
"""

from .freezer import LinuxFreezer
from .power import LinuxPower


class LinuxSystem:
    """See `qga.agent.system.System`."""

    def __init__(self) -> None:
        self.freezer = LinuxFreezer()
        self.power = LinuxPower()
