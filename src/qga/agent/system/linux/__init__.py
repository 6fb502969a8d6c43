"""The platform as it is on Linux: facts from /proc and /sys, actions by ioctl.

A topic is loaded when it is first asked for, except for what has to work while file systems are
frozen.
"""

from .freezer import LinuxFreezer
from .power import LinuxPower

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .accounts import LinuxAccounts
    from .clock import LinuxClock
    from .cpu import LinuxProcessors
    from .memory import LinuxMemory


class LinuxSystem:
    """See `qga.agent.system.System`."""

    def __init__(self) -> None:
        self.freezer = LinuxFreezer()
        self.power = LinuxPower()

    @property
    def processors(self) -> "LinuxProcessors":
        from .cpu import LinuxProcessors

        return LinuxProcessors()

    @property
    def memory(self) -> "LinuxMemory":
        from .memory import LinuxMemory

        return LinuxMemory()

    @property
    def clock(self) -> "LinuxClock":
        from .clock import LinuxClock

        return LinuxClock()

    @property
    def accounts(self) -> "LinuxAccounts":
        from .accounts import LinuxAccounts

        return LinuxAccounts()
