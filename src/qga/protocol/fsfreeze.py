"""Freezing file systems for consistent snapshots: guest-fsfreeze-status, -freeze, -thaw, ..."""

from .model import Command, Enum, Value


class FsfreezeState(Enum):
    """The freeze state of the guest's file systems.

    Values:
        thawed: all file systems are thawed and writable
        frozen: all non-network file systems are frozen
        error: one or more frozen file systems could not be thawed, or one that was frozen can no
            longer be opened
    """

    NAME = "GuestFsfreezeStatus"
    SINCE = "0.15"

    THAWED = Value("thawed")
    FROZEN = Value("frozen")
    # Upstream agents since 1.1 never answer this one.
    ERROR = Value("error")


class FsfreezeStatus(Command[FsfreezeState]):
    """Get the freeze state of the guest's file systems.

    Returns: `GuestFsfreezeStatus`
    """

    NAME = "guest-fsfreeze-status"
    SINCE = "0.15"
    WHILE_FROZEN = True


class FsfreezeFreeze(Command[int]):
    """Sync and freeze all freezable file systems that are local to the guest.

    Until they are thawed, processes that write to them wait, and most commands of the agent are
    refused. This agent thaws them by itself after its deadline.

    Returns: the number of file systems now frozen
    """

    NAME = "guest-fsfreeze-freeze"
    SINCE = "0.15"


class FsfreezeFreezeList(Command[int]):
    """Sync and freeze the file systems at some mount points.

    Members:
        mountpoints: where they are mounted; all freezable local ones if this is absent, and none
            if it is empty. What is no mount point of such a file system is ignored.

    Returns: the number of file systems now frozen
    """

    NAME = "guest-fsfreeze-freeze-list"
    SINCE = "2.2"

    mountpoints: list[str] | None = None


class FsfreezeThaw(Command[int]):
    """Thaw all frozen file systems of the guest.

    May be repeated, also after a failure: whatever is thawed already stays so.

    Returns: the number of file systems that this call thawed. On failure agents of version 1.0
        return -1 or a negated errno; later ones answer with an error.
    """

    NAME = "guest-fsfreeze-thaw"
    SINCE = "0.15"
    WHILE_FROZEN = True
