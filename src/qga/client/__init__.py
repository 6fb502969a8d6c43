"""The host side: clients for any guest agent that speaks qemu-ga's protocol.

- `sync` is the blocking `Client`, `aio` the `AsyncClient`: two small drivers of
- `flows`, the operations of several commands, written once for both; `operations` lists them;
- `guestfile` makes a file of the guest a Python file; `files` has what is done with files by name;
- `target` understands what the user calls an agent, `transports` and `aiotransports` open the way
  to it, `channel` and `aiochannel` carry exchanges over it.

The conversation itself, without I/O, is `qga.wire.handshake`.
"""

from .deadline import Deadline, deadline
from .files import Files
from .filestat import DiskUsage, FileEntry, FileStat
from .flows.steps import Limits
from .frozen import Freeze
from .guestfile import GuestFile
from .sync import Client, connect
from .target import Target
from .transports import RequestTransport, Transport

__all__ = [
    "Client",
    "Deadline",
    "DiskUsage",
    "FileEntry",
    "FileStat",
    "Files",
    "Freeze",
    "GuestFile",
    "Limits",
    "RequestTransport",
    "Target",
    "Transport",
    "connect",
    "deadline",
]
