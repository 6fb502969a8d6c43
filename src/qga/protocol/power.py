"""Turning the guest off and having it sleep: guest-shutdown, -suspend-disk, -ram and -hybrid."""

from .model import Command


class Shutdown(Command[None]):
    """Begin a shutdown of the guest from inside.

    Asynchronous, and no guarantee: there is no reply on success, since the agent is among what is
    shut down; that it worked shows in the guest's going away. Failures to begin are reported.

    Members:
        mode: "halt", "powerdown" (the default) or "reboot"
    """

    NAME = "guest-shutdown"
    SINCE = "0.15"
    SUCCESS_RESPONSE = False

    mode: str | None = None


class SuspendDisk(Command[None]):
    """Suspend the guest to disk (hibernate).

    There is no reply on success: the guest is away, and what comes after it wakes up is not known.
    Whether it is supported and begun is checked, and reported if not.
    """

    NAME = "guest-suspend-disk"
    SINCE = "1.1"
    SUCCESS_RESPONSE = False


class SuspendRam(Command[None]):
    """Suspend the guest to memory; the host wakes it up, as by `system_wakeup`.

    There is no reply on success.
    """

    NAME = "guest-suspend-ram"
    SINCE = "1.1"
    SUCCESS_RESPONSE = False


class SuspendHybrid(Command[None]):
    """Save the guest to disk, then suspend it to memory.

    There is no reply on success.
    """

    NAME = "guest-suspend-hybrid"
    SINCE = "1.1"
    SUCCESS_RESPONSE = False
