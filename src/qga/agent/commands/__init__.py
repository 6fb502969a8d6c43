"""The handlers, one module for each module of `qga.protocol`, with the same name.

A topic is loaded when it is first asked for (`load_for`), which keeps an idle agent small. Sooner
come what every client needs, however little the guest has left (`load`), and what may be asked of
a frozen one, which can load nothing (`load_for_freeze`).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from qga.protocol.model import Command


def load() -> None:
    """Load the handlers of what clients begin with."""
    from . import session  # noqa: F401 - it registers its handlers


def load_for_freeze() -> None:
    """Load all that a frozen guest may need."""
    # Each topic registers its handlers; what is large goes to a mapping, and may be base64.
    import mmap  # noqa: F401

    from qga.agent import (  # noqa: F401
        aftermath,
        apart,
        guardian,
        hold,
        hookfiles,
        impatience,
        takeover,
        thawing,
    )
    from qga.wire import base64

    from . import fsfreeze, session  # noqa: F401

    base64.load()


def load_for(command: "type[Command[Any]]") -> "Callable[[Any, Any], Any]":
    """The handler of *command*, loaded if it is not yet."""
    if command.HANDLER is None:
        __import__(f"{__name__}.{command.__module__.rpartition('.')[2]}")
    if command.HANDLER is None:
        raise LookupError(f"{command.NAME} has no handler")
    return command.HANDLER
