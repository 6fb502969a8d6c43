"""The guest agent protocol, declared once.

Each command is a class in the module of its topic. The agent's dispatcher, the client, the command
line and the emitted schema all derive from `COMMANDS`, which is in upstream's order.
"""

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
from .fsfreeze import FsfreezeFreeze, FsfreezeFreezeList, FsfreezeStatus, FsfreezeThaw
from .memory import GetMemoryBlockInfo, GetMemoryBlocks, SetMemoryBlocks
from .model import TYPE_CHECKING
from .network import GetInterfaces, GetRoute
from .power import Shutdown, SuspendDisk, SuspendHybrid, SuspendRam
from .session import Info, Ping, Sync, SyncDelimited
from .stats import GetCpuStats, GetDiskStats, GetLoad
from .storage import Fstrim, GetDisks, GetFsinfo
from .system import GetDevices, GetHostName, GetOsInfo

if TYPE_CHECKING:
    from typing import Any

    from .model import Command

__all__ = [
    "COMMANDS",
    "UPSTREAM_VERSION",
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

COMMANDS: "tuple[type[Command[Any]], ...]" = (
    SyncDelimited,
    Sync,
    Ping,
    GetTime,
    SetTime,
    Info,
    Shutdown,
    FileOpen,
    FileClose,
    FileRead,
    FileWrite,
    FileSeek,
    FileFlush,
    FsfreezeStatus,
    FsfreezeFreeze,
    FsfreezeFreezeList,
    FsfreezeThaw,
    Fstrim,
    SuspendDisk,
    SuspendRam,
    SuspendHybrid,
    GetInterfaces,
    GetVcpus,
    SetVcpus,
    GetDisks,
    GetFsinfo,
    SetUserPassword,
    GetMemoryBlocks,
    SetMemoryBlocks,
    GetMemoryBlockInfo,
    ExecGetStatus,
    Exec,
    GetHostName,
    GetUsers,
    GetTimezone,
    GetOsInfo,
    GetDevices,
    SshGetAuthorizedKeys,
    SshAddAuthorizedKeys,
    SshRemoveAuthorizedKeys,
    GetDiskStats,
    GetCpuStats,
    GetLoad,
    GetRoute,
)
