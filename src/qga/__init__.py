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
    from .client.aioprocess import AsyncPopen
    from .client.completed import Completed, ProgramFailed, ProgramTimeout
    from .client.deadline import deadline
    from .client.guestfile import GuestFile
    from .client.process import Popen
    from .client.shell import AsyncShell, Shell
    from .client.sync import Client, Freeze, connect
    from .client.target import Target
    from .errors import (
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
    )

    __version__ = VERSION

__all__ = [
    "AgentFrozen",
    "AgentNotResponding",
    "AgentTimeout",
    "AsyncClient",
    "AsyncPopen",
    "AsyncShell",
    "BadArgument",
    "Client",
    "CommandDisabled",
    "CommandError",
    "CommandNotFound",
    "Completed",
    "ConnectionLost",
    "Freeze",
    "GuestFile",
    "GuestOSError",
    "InvalidTarget",
    "NoChannel",
    "Popen",
    "ProgramFailed",
    "ProgramTimeout",
    "ProtocolError",
    "QgaError",
    "Shell",
    "Target",
    "TransportError",
    "Unsupported",
    "__version__",
    "aconnect",
    "connect",
    "deadline",
]

# Where a name comes from that is none of `errors`.
_ELSEWHERE = {
    "AsyncClient": ("client.aio", "AsyncClient"),
    "AsyncShell": ("client.shell", "AsyncShell"),
    "AsyncPopen": ("client.aioprocess", "AsyncPopen"),
    "Client": ("client.sync", "Client"),
    "Completed": ("client.completed", "Completed"),
    "Freeze": ("client.sync", "Freeze"),
    "GuestFile": ("client.guestfile", "GuestFile"),
    "Popen": ("client.process", "Popen"),
    "ProgramFailed": ("client.completed", "ProgramFailed"),
    "ProgramTimeout": ("client.completed", "ProgramTimeout"),
    "Shell": ("client.shell", "Shell"),
    "Target": ("client.target", "Target"),
    "__version__": ("_version", "VERSION"),
    "aconnect": ("client.aio", "aconnect"),
    "connect": ("client.sync", "connect"),
    "deadline": ("client.deadline", "deadline"),
}

if not TYPE_CHECKING:  # which would take every name for one of these

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module, attribute = _ELSEWHERE.get(name, ("errors", name))
        value = getattr(import_module(f"{__name__}.{module}"), attribute)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
