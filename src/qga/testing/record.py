"""What a fake agent has been asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from qga.protocol.model import Command


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a fake agent has got.

        >>> client.call("guest-file-open", {"path": "/etc/hostname"})
        1000
        >>> agent.requests[-1].name
        'guest-file-open'
        >>> agent.requests[-1].command
        FileOpen(path='/etc/hostname', mode=None)

    Attributes:
        name: the command's name.
        arguments: its arguments as JSON has them.
        command: the command with its arguments; None if there is no such command, or the arguments
            are wrong.
    """

    name: str
    arguments: dict[str, Any]
    command: Command[Any] | None
