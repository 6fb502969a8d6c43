"""Turning a Linux guest off."""

import os

# A program of its own for each mode where there is one, as upstream does since 10.2; shutdown,
# with its option for the mode, otherwise.
_PROGRAMS = {
    "powerdown": ("/sbin/poweroff", "-P"),
    "halt": ("/sbin/halt", "-H"),
    "reboot": ("/sbin/reboot", "-r"),
}


class LinuxPower:
    """See `qga.agent.system.Power`."""

    def shutdown_command(self, mode: str) -> list[str]:
        """The program and its arguments for *mode*: halt, powerdown or reboot."""
        program, option = _PROGRAMS[mode]
        if os.access(program, os.X_OK):
            return [program]
        return ["/sbin/shutdown", "-h", option, "+0", "hypervisor initiated shutdown"]
