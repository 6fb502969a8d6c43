"""What a quick look says of a target: one word or two."""

from __future__ import annotations

from enum import StrEnum


class Reach(StrEnum):
    """How a target is, as far as a quick look tells.

    Attributes:
        READY: an agent answers.
        SILENT: the channel is there, and no agent answers.
        BUSY: another client holds the channel, or the agent is at a long command.
        REFUSED: nobody listens on the channel.
        DENIED: this user may not use it.
        OFF: the virtual machine does not run, or there is no such channel now.
        PAUSED: the virtual machine is paused or asleep.
        UNKNOWN: not looked at, because that would disturb somebody; or there was no way to tell.
    """

    READY = "ready"
    SILENT = "not answering"
    BUSY = "busy"
    REFUSED = "refused"
    DENIED = "no permission"
    OFF = "not running"
    PAUSED = "paused"
    UNKNOWN = "unknown"
