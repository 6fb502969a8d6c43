"""For the tests of programs that use qga: an agent without a virtual machine.

    >>> from qga.testing import FakeAgent
    >>> agent = FakeAgent()
    >>> with agent.connect() as client:
    ...     client.write_file("/etc/motd", b"hello")
    ...     client.info().version
    5
    '10.2.0'
    >>> agent.files["/etc/motd"]
    b'hello'

- `FakeAgent` speaks the real protocol to real clients, and has a small guest in memory;
- `agent_process` runs the real agent, confined to what does no harm on the machine it runs on;
- `plugin` has fixtures of both for pytest, `fake_agent` and `qga_agent`. It is loaded where qga is
  installed.

The names below are loaded when they are first used: pytest imports this package at its start.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .fake import FakeAgent
    from .files import Files
    from .guest import Guest
    from .hooks import FakeHook
    from .process import HARMLESS, AgentProcess, agent_process
    from .programs import Ended, Programs
    from .record import Request

__all__ = [
    "HARMLESS",
    "AgentProcess",
    "Ended",
    "FakeAgent",
    "FakeHook",
    "Files",
    "Guest",
    "Programs",
    "Request",
    "agent_process",
]

_HOMES = {
    "AgentProcess": "process",
    "Ended": "programs",
    "FakeAgent": "fake",
    "FakeHook": "hooks",
    "Files": "files",
    "Guest": "guest",
    "HARMLESS": "process",
    "Programs": "programs",
    "Request": "record",
    "agent_process": "process",
}

if not TYPE_CHECKING:  # which would take every name for one of these

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
