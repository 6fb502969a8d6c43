"""The platform as it is on Linux: facts from /proc and /sys, actions by ioctl.

A topic is loaded when it is first asked for, except for what has to work while file systems are
frozen.
"""

from .freezer import LinuxFreezer
from .power import LinuxPower

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .storage import LinuxStorage


class LinuxSystem:
    """See `qga.agent.system.System`."""

    def __init__(self) -> None:
        self.freezer = LinuxFreezer()
        self.power = LinuxPower()
        self._storage: LinuxStorage | None = None

    @property
    def storage(self) -> "LinuxStorage":
        if self._storage is None:
            from .storage import LinuxStorage

            self._storage = LinuxStorage()
        return self._storage
