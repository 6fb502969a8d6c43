"""The handlers, one module for each module of `qga.protocol`, with the same name.

Those of the commands that every client uses, or that have to work while file systems are frozen,
are loaded at the start (`load`); the rest when first asked for (`load_for`), which keeps an idle
agent small.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from qga.protocol.model import Command


def load() -> None:
    """Load the handlers of the commands that may be needed when nothing can be loaded."""
    from . import files, fsfreeze, power, session  # noqa: F401 - each registers its handlers


def load_for(command: "type[Command[Any]]") -> "Callable[[Any, Any], Any]":
    """The handler of *command*, loaded if it is not yet."""
    if command.HANDLER is None:
        __import__(f"{__name__}.{command.__module__.rpartition('.')[2]}")
    if command.HANDLER is None:
        raise LookupError(f"{command.NAME} has no handler")
    return command.HANDLER
