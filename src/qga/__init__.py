"""A complete QEMU Guest Agent stack: the daemon for the guest, and the host side.

    import qga

    with qga.connect("unix:/run/vm.sock") as client:
        print(client.read_file("/etc/os-release").decode())

The names below are loaded when they are first used: every guest imports this package.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._version import VERSION
    from .client.aio import AsyncClient, aconnect
    from .client.aiofrozen import AsyncFreeze
    from .client.aiogroup import AsyncGroupFreeze, AsyncGroupMember, afreeze_group
    from .client.aioprocess import AsyncPopen
    from .client.aiosnapshot import asnapshot
    from .client.completed import (
        Completed,
        ProgramFailed,
        ProgramTimeout,
        SpoolLost,
        StdinClosed,
    )
    from .client.deadline import deadline
    from .client.domainsnapshot import Snapshot, SnapshotDisk, SnapshotFailed, snapshot
    from .client.files import AsyncFiles, Files
    from .client.filestat import DiskUsage, FileEntry, FileStat, Mount
    from .client.flows.moving import TransferProgress
    from .client.flows.sending import Transferred
    from .client.flows.trees import TreeTransferred
    from .client.following import AsyncFollower, Follower
    from .client.frozen import Freeze
    from .client.group import GroupFreeze, GroupFreezeFailed, GroupMember, freeze_group
    from .client.guestfile import AsyncGuestFile, GuestFile
    from .client.listing import targets
    from .client.process import Popen
    from .client.shell import AsyncShell, Shell
    from .client.state import State
    from .client.sync import Client, connect
    from .client.target import Target
    from .errors import (
        AgentBusy,
        AgentFrozen,
        AgentNotResponding,
        AgentTimeout,
        BadArgument,
        CommandDisabled,
        CommandError,
        CommandNotFound,
        ConnectionLost,
        GuestOSError,
        InvalidTarget,
        NoChannel,
        ProtocolError,
        QgaError,
        TransportError,
        Unsupported,
        WaitTimeout,
    )

    __version__ = VERSION

__all__ = [
    "AgentBusy",
    "AgentFrozen",
    "AgentNotResponding",
    "AgentTimeout",
    "AsyncClient",
    "AsyncFiles",
    "AsyncFollower",
    "AsyncFreeze",
    "AsyncGroupFreeze",
    "AsyncGroupMember",
    "AsyncGuestFile",
    "AsyncPopen",
    "AsyncShell",
    "BadArgument",
    "CannotExecute",
    "Client",
    "CommandDisabled",
    "CommandError",
    "CommandNotFound",
    "Completed",
    "ConnectionLost",
    "DiskUsage",
    "FileEntry",
    "FileStat",
    "Files",
    "Follower",
    "Freeze",
    "GroupFreeze",
    "GroupFreezeFailed",
    "GroupMember",
    "GuestFile",
    "GuestOSError",
    "InvalidTarget",
    "Mount",
    "NoChannel",
    "Popen",
    "ProgramFailed",
    "ProgramTimeout",
    "ProtocolError",
    "QgaError",
    "Shell",
    "Snapshot",
    "SnapshotDisk",
    "SnapshotFailed",
    "SpoolLost",
    "State",
    "StdinClosed",
    "Target",
    "TransferProgress",
    "Transferred",
    "TransportError",
    "TreeTransferred",
    "Unsupported",
    "WaitTimeout",
    "__version__",
    "aconnect",
    "afreeze_group",
    "asnapshot",
    "connect",
    "deadline",
    "freeze_group",
    "snapshot",
    "targets",
]

# Where a name comes from that is none of `errors`.
_ELSEWHERE = {
    "AsyncClient": ("client.aio", "AsyncClient"),
    "AsyncFiles": ("client.files", "AsyncFiles"),
    "AsyncFollower": ("client.following", "AsyncFollower"),
    "AsyncFreeze": ("client.aiofrozen", "AsyncFreeze"),
    "AsyncGroupFreeze": ("client.aiogroup", "AsyncGroupFreeze"),
    "AsyncGroupMember": ("client.aiogroup", "AsyncGroupMember"),
    "AsyncGuestFile": ("client.guestfile", "AsyncGuestFile"),
    "AsyncPopen": ("client.aioprocess", "AsyncPopen"),
    "AsyncShell": ("client.shell", "AsyncShell"),
    "CannotExecute": ("client.completed", "CannotExecute"),
    "Client": ("client.sync", "Client"),
    "Completed": ("client.completed", "Completed"),
    "DiskUsage": ("client.filestat", "DiskUsage"),
    "FileEntry": ("client.filestat", "FileEntry"),
    "FileStat": ("client.filestat", "FileStat"),
    "Files": ("client.files", "Files"),
    "Follower": ("client.following", "Follower"),
    "Freeze": ("client.frozen", "Freeze"),
    "GroupFreeze": ("client.group", "GroupFreeze"),
    "GroupFreezeFailed": ("client.group", "GroupFreezeFailed"),
    "GroupMember": ("client.group", "GroupMember"),
    "GuestFile": ("client.guestfile", "GuestFile"),
    "Mount": ("client.filestat", "Mount"),
    "Popen": ("client.process", "Popen"),
    "ProgramFailed": ("client.completed", "ProgramFailed"),
    "ProgramTimeout": ("client.completed", "ProgramTimeout"),
    "Shell": ("client.shell", "Shell"),
    "Snapshot": ("client.domainsnapshot", "Snapshot"),
    "SnapshotDisk": ("client.domainsnapshot", "SnapshotDisk"),
    "SnapshotFailed": ("client.domainsnapshot", "SnapshotFailed"),
    "SpoolLost": ("client.completed", "SpoolLost"),
    "State": ("client.state", "State"),
    "StdinClosed": ("client.completed", "StdinClosed"),
    "Target": ("client.target", "Target"),
    "TransferProgress": ("client.flows.moving", "TransferProgress"),
    "Transferred": ("client.flows.sending", "Transferred"),
    "TreeTransferred": ("client.flows.trees", "TreeTransferred"),
    "__version__": ("_version", "VERSION"),
    "aconnect": ("client.aio", "aconnect"),
    "afreeze_group": ("client.aiogroup", "afreeze_group"),
    "asnapshot": ("client.aiosnapshot", "asnapshot"),
    "connect": ("client.sync", "connect"),
    "deadline": ("client.deadline", "deadline"),
    "freeze_group": ("client.group", "freeze_group"),
    "snapshot": ("client.domainsnapshot", "snapshot"),
    "targets": ("client.listing", "targets"),
}

if not TYPE_CHECKING:  # which would take every name for one of these

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, attribute = _ELSEWHERE.get(name, ("errors", name))
        value = getattr(__import__(f"{__name__}.{module}", fromlist=[attribute]), attribute)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
