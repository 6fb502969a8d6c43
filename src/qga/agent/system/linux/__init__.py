"""The platform as it is on Linux: facts from /proc and /sys, actions by ioctl.

A topic is loaded when it is first asked for, except for what has to work while file systems are
frozen.
"""

from .freezer import LinuxFreezer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import property as kept
    from collections.abc import Callable
    from typing import Any

    from .accounts import LinuxAccounts
    from .clock import LinuxClock
    from .counters import LinuxCounters
    from .identity import LinuxIdentity
    from .logins import LinuxLogins
    from .memory import LinuxMemory
    from .network import LinuxNetwork
    from .power import LinuxPower
    from .processors import LinuxProcessors
    from .storage import LinuxStorage
    from .timezone import LinuxTimezone
else:

    class kept:  # noqa: N801 - in place of `property`
        """A property that is made when first asked for, and kept."""

        def __init__(self, make: "Callable[[Any], Any]") -> None:
            self._make = make

        def __get__(self, system: "Any", _: type) -> "Any":
            made = system.__dict__[self._make.__name__] = self._make(system)
            return made


class LinuxSystem:
    """See `qga.agent.system.asked.System`."""

    def __init__(self) -> None:
        self.freezer = LinuxFreezer()

    @kept
    def power(self) -> "LinuxPower":
        from .power import LinuxPower

        return LinuxPower()

    @kept
    def network(self) -> "LinuxNetwork":
        from .network import LinuxNetwork

        return LinuxNetwork()

    @kept
    def counters(self) -> "LinuxCounters":
        from .counters import LinuxCounters

        return LinuxCounters()

    @kept
    def identity(self) -> "LinuxIdentity":
        from .identity import LinuxIdentity

        return LinuxIdentity()

    @kept
    def logins(self) -> "LinuxLogins":
        from .logins import LinuxLogins

        return LinuxLogins()

    @kept
    def timezone(self) -> "LinuxTimezone":
        from .timezone import LinuxTimezone

        return LinuxTimezone()

    @kept
    def storage(self) -> "LinuxStorage":
        from .storage import LinuxStorage

        return LinuxStorage()

    @kept
    def accounts(self) -> "LinuxAccounts":
        from .accounts import LinuxAccounts

        return LinuxAccounts()

    @kept
    def clock(self) -> "LinuxClock":
        from .clock import LinuxClock

        return LinuxClock()

    @kept
    def processors(self) -> "LinuxProcessors":
        from .processors import LinuxProcessors

        return LinuxProcessors()

    @kept
    def memory(self) -> "LinuxMemory":
        from .memory import LinuxMemory

        return LinuxMemory()
