"""Turning the guest off: guest-shutdown."""

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
