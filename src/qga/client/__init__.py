"""The host side: clients for any guest agent that speaks qemu-ga's protocol.

- `sync` is the blocking `Client`, `aio` the `AsyncClient`: two small drivers of
- `flows`, the operations of several commands, written once for both; `operations` lists them;
- `guestfile` makes a file of the guest a Python file; `files` has what is done with files by name;
- `target` understands what the user calls an agent, `transports` and `aiotransports` open the way
  to it, `channel` and `aiochannel` carry exchanges over it.

The conversation itself, without I/O, is `qga.wire.handshake`. The names below are loaded when they
are first used: who only pings an agent waits for no more than that takes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .deadline import Deadline, deadline
    from .files import Files
    from .filestat import DiskUsage, FileEntry, FileStat, Mount
    from .flows.steps import Limits
    from .following import Follower
    from .frozen import Freeze
    from .guestfile import GuestFile
    from .sync import Client, connect
    from .target import Target
    from .trace import TraceEvent
    from .transports import RequestTransport, Transport

__all__ = [
    "Client",
    "Deadline",
    "DiskUsage",
    "FileEntry",
    "FileStat",
    "Files",
    "Follower",
    "Freeze",
    "GuestFile",
    "Limits",
    "Mount",
    "RequestTransport",
    "Target",
    "TraceEvent",
    "Transport",
    "connect",
    "deadline",
]

# Where a name comes from that is none of `sync`.
_ELSEWHERE = {
    "Deadline": "deadline",
    "DiskUsage": "filestat",
    "FileEntry": "filestat",
    "FileStat": "filestat",
    "Files": "files",
    "Follower": "following",
    "Freeze": "frozen",
    "GuestFile": "guestfile",
    "Limits": "flows.steps",
    "Mount": "filestat",
    "RequestTransport": "transports",
    "Target": "target",
    "TraceEvent": "trace",
    "Transport": "transports",
    "deadline": "deadline",
}

if not TYPE_CHECKING:  # which would take every name for one of these

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = f"{__name__}.{_ELSEWHERE.get(name, 'sync')}"
        value = getattr(__import__(module, fromlist=[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
