"""The guest agent protocol, declared once.

Each command is a class in the module of its topic. The agent's dispatcher, the client, the command
line and the emitted schema all derive from `COMMANDS`, which is in upstream's order, our own at
the end.

Declarations are loaded when they are first used: a guest is sent few of the commands, and who only
pings an agent needs no other. `PLACES` says where they are; the rest here, what an agent has to
tell of commands, or to decide by, that nobody has used yet. A test compares it with the
declarations.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .accounts import (
        GetUsers,
        SetUserPassword,
        SshAddAuthorizedKeys,
        SshGetAuthorizedKeys,
        SshRemoveAuthorizedKeys,
    )
    from .clock import GetTime, GetTimezone, SetTime
    from .cpu import GetVcpus, SetVcpus
    from .exec import Exec, ExecGetStatus
    from .files import FileClose, FileFlush, FileOpen, FileRead, FileSeek, FileWrite
    from .fsfreeze import (
        FsfreezeFreeze,
        FsfreezeFreezeList,
        FsfreezeStatus,
        FsfreezeThaw,
        QgaFsfreezeFreeze,
        QgaFsfreezeRenew,
        QgaFsfreezeReport,
        QgaFsfreezeThaw,
    )
    from .memory import GetMemoryBlockInfo, GetMemoryBlocks, SetMemoryBlocks
    from .model import Command
    from .network import GetInterfaces, GetRoute
    from .power import Shutdown, SuspendDisk, SuspendHybrid, SuspendRam
    from .session import Info, Ping, Sync, SyncDelimited
    from .stats import GetCpuStats, GetDiskStats, GetLoad
    from .storage import Fstrim, GetDisks, GetFsinfo
    from .system import GetDevices, GetHostName, GetOsInfo

    COMMANDS: tuple[type[Command[Any]], ...]

__all__ = [
    "COMMANDS",
    "OWN",
    "PLACES",
    "PLATFORMS",
    "SILENT",
    "UPSTREAM_VERSION",
    "WHILE_FROZEN",
    "Exec",
    "ExecGetStatus",
    "FileClose",
    "FileFlush",
    "FileOpen",
    "FileRead",
    "FileSeek",
    "FileWrite",
    "FsfreezeFreeze",
    "FsfreezeFreezeList",
    "FsfreezeStatus",
    "FsfreezeThaw",
    "Fstrim",
    "GetCpuStats",
    "GetDevices",
    "GetDiskStats",
    "GetDisks",
    "GetFsinfo",
    "GetHostName",
    "GetInterfaces",
    "GetLoad",
    "GetMemoryBlockInfo",
    "GetMemoryBlocks",
    "GetOsInfo",
    "GetRoute",
    "GetTime",
    "GetTimezone",
    "GetUsers",
    "GetVcpus",
    "Info",
    "Ping",
    "QgaFsfreezeFreeze",
    "QgaFsfreezeRenew",
    "QgaFsfreezeReport",
    "QgaFsfreezeThaw",
    "SetMemoryBlocks",
    "SetTime",
    "SetUserPassword",
    "SetVcpus",
    "Shutdown",
    "SshAddAuthorizedKeys",
    "SshGetAuthorizedKeys",
    "SshRemoveAuthorizedKeys",
    "SuspendDisk",
    "SuspendHybrid",
    "SuspendRam",
    "Sync",
    "SyncDelimited",
]

# The version of upstream's schema that is implemented here; clients compare it.
UPSTREAM_VERSION = "10.2.0"

# Where each command is declared, in upstream's order; our own at the end.
PLACES = {
    "guest-sync-delimited": "session.SyncDelimited",
    "guest-sync": "session.Sync",
    "guest-ping": "session.Ping",
    "guest-get-time": "clock.GetTime",
    "guest-set-time": "clock.SetTime",
    "guest-info": "session.Info",
    "guest-shutdown": "power.Shutdown",
    "guest-file-open": "files.FileOpen",
    "guest-file-close": "files.FileClose",
    "guest-file-read": "files.FileRead",
    "guest-file-write": "files.FileWrite",
    "guest-file-seek": "files.FileSeek",
    "guest-file-flush": "files.FileFlush",
    "guest-fsfreeze-status": "fsfreeze.FsfreezeStatus",
    "guest-fsfreeze-freeze": "fsfreeze.FsfreezeFreeze",
    "guest-fsfreeze-freeze-list": "fsfreeze.FsfreezeFreezeList",
    "guest-fsfreeze-thaw": "fsfreeze.FsfreezeThaw",
    "guest-fstrim": "storage.Fstrim",
    "guest-suspend-disk": "power.SuspendDisk",
    "guest-suspend-ram": "power.SuspendRam",
    "guest-suspend-hybrid": "power.SuspendHybrid",
    "guest-network-get-interfaces": "network.GetInterfaces",
    "guest-get-vcpus": "cpu.GetVcpus",
    "guest-set-vcpus": "cpu.SetVcpus",
    "guest-get-disks": "storage.GetDisks",
    "guest-get-fsinfo": "storage.GetFsinfo",
    "guest-set-user-password": "accounts.SetUserPassword",
    "guest-get-memory-blocks": "memory.GetMemoryBlocks",
    "guest-set-memory-blocks": "memory.SetMemoryBlocks",
    "guest-get-memory-block-info": "memory.GetMemoryBlockInfo",
    "guest-exec-status": "exec.ExecGetStatus",
    "guest-exec": "exec.Exec",
    "guest-get-host-name": "system.GetHostName",
    "guest-get-users": "accounts.GetUsers",
    "guest-get-timezone": "clock.GetTimezone",
    "guest-get-osinfo": "system.GetOsInfo",
    "guest-get-devices": "system.GetDevices",
    "guest-ssh-get-authorized-keys": "accounts.SshGetAuthorizedKeys",
    "guest-ssh-add-authorized-keys": "accounts.SshAddAuthorizedKeys",
    "guest-ssh-remove-authorized-keys": "accounts.SshRemoveAuthorizedKeys",
    "guest-get-diskstats": "stats.GetDiskStats",
    "guest-get-cpustats": "stats.GetCpuStats",
    "guest-get-load": "stats.GetLoad",
    "guest-network-get-route": "network.GetRoute",
    # Our own.
    "qga-fsfreeze-freeze": "fsfreeze.QgaFsfreezeFreeze",
    "qga-fsfreeze-renew": "fsfreeze.QgaFsfreezeRenew",
    "qga-fsfreeze-thaw": "fsfreeze.QgaFsfreezeThaw",
    "qga-fsfreeze-report": "fsfreeze.QgaFsfreezeReport",
}

# What the names of our own commands begin with; upstream's all begin with another word.
OWN = "qga-"

# `Command.WHILE_FROZEN`: what may be used while file systems are frozen.
WHILE_FROZEN = frozenset(
    (
        "guest-sync-delimited",
        "guest-sync",
        "guest-ping",
        "guest-info",
        "guest-fsfreeze-status",
        "guest-fsfreeze-thaw",
        "qga-fsfreeze-renew",
        "qga-fsfreeze-thaw",
        "qga-fsfreeze-report",
    )
)

# `Command.SUCCESS_RESPONSE`: what is answered only when it fails.
SILENT = frozenset(
    (
        "guest-shutdown",
        "guest-suspend-disk",
        "guest-suspend-ram",
        "guest-suspend-hybrid",
    )
)

# `Command.PLATFORM`: what is not for Linux.
PLATFORMS = {
    "guest-get-devices": "windows",
}


def load(name: str) -> "type[Command[Any]]":
    """The declaration of the command *name*.

    Raises:
        KeyError: there is no such command.
    """
    module, _, cls = PLACES[name].partition(".")
    # As `import_module` does; that comes with a module of its own.
    declared: type[Command[Any]] = getattr(__import__(f"{__name__}.{module}", fromlist=[cls]), cls)
    return declared


if not TYPE_CHECKING:  # which would take every name for one of these

    def __getattr__(name: str) -> object:
        if name == "COMMANDS":
            value = tuple(map(load, PLACES))
        else:
            found = [command for command, place in PLACES.items() if place.endswith("." + name)]
            if not found:
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
            value = load(found[0])
        globals()[name] = value
        return value
