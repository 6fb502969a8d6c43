"""The guest agent protocol, declared once.

Each command is a class in the module of its topic. The agent's dispatcher, the client, the command
line and the emitted schema all derive from `COMMANDS`, which is in upstream's order.
"""

from .files import FileClose, FileFlush, FileOpen, FileRead, FileSeek, FileWrite
from .fsfreeze import FsfreezeFreeze, FsfreezeStatus, FsfreezeThaw
from .model import TYPE_CHECKING
from .power import Shutdown
from .session import Info, Ping, Sync, SyncDelimited

if TYPE_CHECKING:
    from typing import Any

    from .model import Command

__all__ = [
    "COMMANDS",
    "UPSTREAM_VERSION",
    "FileClose",
    "FileFlush",
    "FileOpen",
    "FileRead",
    "FileSeek",
    "FileWrite",
    "FsfreezeFreeze",
    "FsfreezeStatus",
    "FsfreezeThaw",
    "Info",
    "Ping",
    "Shutdown",
    "Sync",
    "SyncDelimited",
]

# The version of upstream's schema that is implemented here; clients compare it.
UPSTREAM_VERSION = "10.2.0"

COMMANDS: "tuple[type[Command[Any]], ...]" = (
    SyncDelimited,
    Sync,
    Ping,
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
    FsfreezeThaw,
)
