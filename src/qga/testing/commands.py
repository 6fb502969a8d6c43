"""What a fake agent makes of a command: whether it has it and may use it, and what it returns."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from qga import protocol
from qga.client.results import plain
from qga.errors import AgentFrozen, CommandDisabled, CommandError, CommandNotFound
from qga.protocol.codec import Mismatch, decoder
from qga.protocol.fsfreeze import FsfreezeState
from qga.protocol.model import version
from qga.protocol.session import AgentCommandInfo, AgentInfo

from .files import Files
from .freezing import Freezing
from .programs import Programs
from .record import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from qga.protocol.model import Command

    from .guest import Guest

SYNCHRONISATIONS = frozenset(("guest-sync", "guest-sync-delimited"))
_MODES = frozenset(("powerdown", "halt", "reboot"))


class Commands:
    """The commands of a fake agent. `FakeAgent` says what the arguments and attributes are."""

    def __init__(
        self, version: str, blocked: Iterable[str], unknown: Iterable[str], guest: Guest
    ) -> None:
        self.version = version
        self.blocked = set(blocked)
        self.unknown = set(unknown)
        self.guest = guest
        self.files = Files()
        self.guest._furnish(self.files)  # noqa: SLF001 - parts of one thing
        self.programs = Programs()
        self.requests: list[Request] = []
        self.synchronisations = 0
        self.freezing = Freezing(lambda: self.guest.filesystems)
        self._replies: dict[str, Callable[[Any], Any]] = {}
        self._answers: dict[type[Command[Any]], Callable[[Any], Any]] = {
            protocol.Sync: lambda command: command.id,
            protocol.SyncDelimited: lambda command: command.id,
            protocol.Ping: lambda _: None,
            protocol.Info: lambda _: self._info(),
            protocol.Shutdown: self._on_shutdown,
            **self.freezing.answers(),
            **self.files._answers(lambda: self._age),  # noqa: SLF001
            **self.programs._answers(),  # noqa: SLF001
            **self.guest._answers(self.files),  # noqa: SLF001
        }

    @property
    def state(self) -> FsfreezeState:
        """The freeze state."""
        self.freezing.expire()
        return self.freezing.state

    @state.setter
    def state(self, state: str) -> None:
        self.freezing.state = FsfreezeState(state)

    @property
    def frozen(self) -> int:
        """How many file systems are frozen."""
        self.freezing.expire()
        return self.freezing.frozen

    @property
    def _age(self) -> tuple[int, ...]:
        return version(self.version)

    def _execute(self, name: str, arguments: dict[str, Any]) -> tuple[Any, bool]:
        """The result of a command, and whether it is told by silence."""
        self.freezing.expire()
        declared = self._known().get(name)
        command = wrong = None
        if declared is not None:
            try:
                command = decoder(declared, self._age)(arguments)
            except Mismatch as mismatch:
                wrong = mismatch.error()
            except CommandError as error:
                wrong = error
        if name in SYNCHRONISATIONS:
            self.synchronisations += 1
        else:
            self.requests.append(Request(name, plain(arguments), command))
        override = self._replies.get(name)
        if declared is None:
            if override is None or name in self.unknown:
                raise CommandNotFound.named(name)
            return override(plain(arguments)), False
        self._check_allowed(declared)
        if wrong is not None:
            raise wrong
        silent = not declared.SUCCESS_RESPONSE and self._age >= (1, 1)
        return (override or self._answers[declared])(command), silent

    def _known(self) -> dict[str, type[Command[Any]]]:
        return {
            command.NAME: command
            for command in protocol.COMMANDS
            if version(command.SINCE) <= self._age
            # Agents before 9.1 had those of other platforms too, as disabled ones.
            and (not command.PLATFORM or self._age < (9, 1))
            and command.NAME not in self.unknown
        }

    def _allows(self, command: type[Command[Any]]) -> bool:
        if self.state != FsfreezeState.THAWED:
            return command.WHILE_FROZEN
        return not command.PLATFORM and command.NAME not in self.blocked

    def _check_allowed(self, command: type[Command[Any]]) -> None:
        if self._allows(command):
            return
        if self.state == FsfreezeState.THAWED:
            raise CommandDisabled.named(command.NAME)
        if (6, 0) <= self._age < (9, 1):
            raise AgentFrozen(
                f"Command {command.NAME} has been disabled: the agent is in frozen state"
            )
        raise AgentFrozen.named(command.NAME)

    def _info(self) -> AgentInfo:
        return AgentInfo(
            version=self.version,
            supported_commands=[
                AgentCommandInfo(
                    name=name,
                    enabled=self._allows(command),
                    success_response=command.SUCCESS_RESPONSE,
                )
                for name, command in self._known().items()
            ],
        )

    def _on_shutdown(self, command: protocol.Shutdown) -> None:
        mode = command.mode or "powerdown"
        if mode not in _MODES:
            raise CommandError(
                "mode is invalid (valid values are: halt|powerdown|reboot",
                legacy=("InvalidParameter", {"name": "mode"}),
            )
        self.guest.shut_down.append(mode)
        self._go_down(mode)

    @abstractmethod
    def _go_down(self, mode: str) -> None:
        """End the agent, as the guest's shutdown does."""
