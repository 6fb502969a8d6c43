"""Which commands may be used: the configuration's lists, and what is safe while frozen."""

from qga.protocol import PLATFORMS, WHILE_FROZEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from qga.protocol.model import Command

    from .later import Pending


class Policy:
    """Decides on commands.

    Args:
        allowed: names of the commands that may be used; empty for all.
        blocked: names of the commands that may not be used; they win over *allowed*.
    """

    def __init__(self, allowed: "Collection[str]" = (), blocked: "Collection[str]" = ()) -> None:
        self._allowed = frozenset(allowed)
        self._blocked = frozenset(blocked)
        # While file systems are frozen only what cannot touch them may run, and that even if it is
        # blocked: a guest that nobody may thaw would be lost. As upstream since 9.1.
        self.frozen = False
        self._under_way: list[tuple[str, Pending[Any]]] = []

    def allows(self, name: str) -> bool:
        """Whether the command *name* may be used now."""
        if self.frozen:
            return name in WHILE_FROZEN
        return self.usable(name)

    def usable(self, name: str) -> bool:
        """Whether it may be used while nothing is frozen; that never changes."""
        return (
            name not in PLATFORMS
            and name not in self._blocked
            and (not self._allowed or name in self._allowed)
        )

    def begins(self, command: "type[Command[Any]]", pending: "Pending[Any]") -> None:
        """*command* is under way until *pending* has ended."""
        self._under_way = [each for each in self._under_way if not each[1].ended]
        # Freezes are kept from each other by `hook`.
        if not (command.WHILE_FROZEN or "-fsfreeze-" in command.NAME):
            self._under_way.append((command.NAME, pending))

    def in_the_way(self) -> "str | None":
        """The name of a command that is under way and may not run while frozen."""
        return next((name for name, pending in self._under_way if not pending.ended), None)
