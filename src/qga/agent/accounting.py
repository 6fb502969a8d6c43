"""What is told to the guest's log daemon when the host has the agent do something.

One table, used by `dispatch`: the same events as of upstream's agent. Nothing of a request is in
them but what is named here; contents, passwords and keys never are.
"""

from .journal import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Account:
    """How the uses of one command are told.

    Args:
        called: from the command, before it is carried out.
        returned: from the command and its result.
        failed: from the command, after an error of the operating system.
    """

    __slots__ = ("called", "failed", "returned")

    def __init__(
        self,
        called: "Callable[[Any], Event] | None" = None,
        returned: "Callable[[Any, Any], Event] | None" = None,
        failed: "Callable[[Any], Event] | None" = None,
    ) -> None:
        self.called = called
        self.returned = returned
        self.failed = failed


# Of most commands nothing is told.
NOTHING = Account()


def _constant(name: str, text: str) -> Account:
    event = Event(text, QGA_COMMAND=name)
    return Account(lambda _: event)


def _exec(command: "Any") -> Event:
    words = " ".join([command.path, *(command.arg or ())])
    return Event(f'guest-exec called: "{words}"', QGA_COMMAND="guest-exec", QGA_EXEC=words)


def _exec_status(command: "Any") -> Event:
    text = f"guest-exec-status called, pid: {command.pid}"
    return Event(text, QGA_COMMAND="guest-exec-status", QGA_PID=command.pid)


def _opening(command: "Any") -> Event:
    path, mode = command.path, command.mode or "r"
    text = f"guest-file-open called, filepath: {path}, mode: {mode}"
    return Event(text, QGA_COMMAND="guest-file-open", QGA_PATH=path, QGA_MODE=mode)


def _opened(_: "Any", handle: int) -> Event:
    text = f"guest-file-open, handle: {handle}"
    return Event(text, QGA_COMMAND="guest-file-open", QGA_HANDLE=handle)


def _of_handle(name: str, what: str) -> "Callable[[Any], Event]":
    def event(command: "Any") -> Event:
        text = f"{name} {what}, handle: {command.handle}"
        return Event(text, QGA_COMMAND=name, QGA_HANDLE=command.handle)

    return event


def _shutdown(command: "Any") -> Event:
    mode = command.mode or "powerdown"
    text = f"guest-shutdown called, mode: {mode}"
    return Event(text, QGA_COMMAND="guest-shutdown", QGA_MODE=mode)


def hook_started(action: str, name: str = "") -> Event:
    """A fsfreeze hook is run, which is no command of the host's; *name*: of one in a directory."""
    if not name:
        return Event(f"executing fsfreeze hook with arg '{action}'", QGA_HOOK=action)
    text = f"executing fsfreeze hook {name} with arg '{action}'"
    return Event(text, QGA_HOOK=action, QGA_HOOK_NAME=name)


ACCOUNTS: "dict[str, Account]" = {
    "guest-ping": _constant("guest-ping", "guest-ping called"),
    "guest-exec": Account(_exec),
    "guest-exec-status": Account(_exec_status),
    "guest-file-open": Account(_opening, returned=_opened),
    "guest-file-close": Account(_of_handle("guest-file-close", "called")),
    "guest-file-read": Account(failed=_of_handle("guest-file-read", "failed")),
    "guest-file-write": Account(failed=_of_handle("guest-file-write", "failed")),
    "guest-shutdown": Account(_shutdown),
    "guest-fsfreeze-freeze": _constant("guest-fsfreeze-freeze", "guest-fsfreeze called"),
    "guest-fsfreeze-freeze-list": _constant("guest-fsfreeze-freeze-list", "guest-fsfreeze called"),
    "guest-fsfreeze-thaw": _constant("guest-fsfreeze-thaw", "guest-fsthaw called"),
    "qga-fsfreeze-freeze": _constant("qga-fsfreeze-freeze", "guest-fsfreeze called"),
    "qga-fsfreeze-thaw": _constant("qga-fsfreeze-thaw", "guest-fsthaw called"),
    "guest-fstrim": _constant("guest-fstrim", "guest-fstrim called"),
}
