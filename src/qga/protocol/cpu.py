"""The guest's processors: guest-get-vcpus and guest-set-vcpus."""

from .model import Command, Struct


class LogicalProcessor(Struct):
    """One processor as the guest numbers it.

    Members:
        logical-id: the guest's number for it
        online: whether the guest uses it
        can-offline: whether it can be taken offline; in replies only, ignored in arguments
    """

    NAME = "GuestLogicalProcessor"
    SINCE = "1.5"

    logical_id: int
    online: bool
    can_offline: bool | None = None


class GetVcpus(Command[list[LogicalProcessor]]):
    """List the guest's processors.

    Returns: all of them, online or not
    """

    NAME = "guest-get-vcpus"
    SINCE = "1.5"


class SetVcpus(Command[int]):
    """Take processors online or offline, one after the other.

    Members:
        vcpus: the processors and the state that each is to have; others stay as they are

    Returns: how many of the list were handled before one failed; less than the length of the list
        if one did. An error is the answer only when the first one failed.
    """

    NAME = "guest-set-vcpus"
    SINCE = "1.5"

    vcpus: list[LogicalProcessor]
