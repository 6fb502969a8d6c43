"""The platform as it is on Linux: facts from /proc and /sys, actions by ioctl.

A topic is loaded when it is first asked for, except for what has to work while file systems are
frozen.
"""

from .freezer import LinuxFreezer
from .power import LinuxPower

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .counters import LinuxCounters
    from .identity import LinuxIdentity
    from .logins import LinuxLogins
    from .network import LinuxNetwork
    from .timezone import LinuxTimezone


class LinuxSystem:
    """See `qga.agent.system.System`."""

    def __init__(self) -> None:
        self.freezer = LinuxFreezer()
        self.power = LinuxPower()

    @property
    def network(self) -> "LinuxNetwork":
        from .network import LinuxNetwork

        return LinuxNetwork()

    @property
    def counters(self) -> "LinuxCounters":
        from .counters import LinuxCounters

        return LinuxCounters()

    @property
    def identity(self) -> "LinuxIdentity":
        from .identity import LinuxIdentity

        return LinuxIdentity()

    @property
    def logins(self) -> "LinuxLogins":
        from .logins import LinuxLogins

        return LinuxLogins()

    @property
    def timezone(self) -> "LinuxTimezone":
        from .timezone import LinuxTimezone

        return LinuxTimezone()
