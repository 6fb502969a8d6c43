"""What the guest keeps for a program that was started, from its beginning to its end.

That is its spool with who keeps it (`wrapper`), and what the agent has open. Whatever happens,
nothing of it is to be left. For `running`, which is what users do with the program.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qga.errors import BadArgument, CommandError, QgaError
from qga.protocol import Exec, ExecGetStatus

from . import wrapper
from .script import SHELL
from .spool import Control, Output
from .spoolinput import Input
from .steps import GetLimits, Leave, Limits, Timeout, Together, Wait

if TYPE_CHECKING:
    from typing import Any

    from qga.protocol.exec import ExecStatus
    from qga.protocol.model import Command

    from .steps import Flow

# How long the keeper of a program goes on without a sign of the client, in seconds.
LEASE = 60.0
# How long what ends a program may take, when nobody waits for it any more.
ENDING = 5.0
# How long the output of a program that was killed is waited for.
LAST_WORDS = 1.0
# A pause between looks whether a program that was killed has ended.
_PAUSE = 0.01


class Kept:
    """A program that was started, and what the guest keeps for it.

    Attributes:
        args: the program and its arguments.
        pid: its process number in the guest.
        returncode: None while it is not known to have ended.
        out, err: its outputs; None if they are no pipes.
        input: its input; None if that is no pipe.
    """

    def __init__(self, args: Any, pid: int) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self.out: Output | None = None
        self.err: Output | None = None
        self.input: Input | None = None
        self.lease = LEASE
        self._directory = ""
        self._control = Control("", LEASE)
        self._finished = False
        self._forgotten = False  # by the agent, before it has told how the program ended

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left in the guest."""
        return self._finished

    @property
    def directory(self) -> str:
        """Its spool in the guest."""
        return self._directory

    def outputs(self) -> list[Output]:
        return [output for output in (self.out, self.err) if output]

    # Its beginning.

    def begin(self, name: str, place: str) -> None:
        """Its spool's name is known, and then the place."""
        self._directory = name if not place else f"{place}/qga-{name}"

    def open(self, stdin: str, stdout: str, stderr: str) -> Flow[None]:
        """Open what talks to the keeper."""
        limits: Limits = yield GetLimits()
        inner = f"{self._directory}/s"
        self._control = Control(inner, self.lease / wrapper.PERIODS / 2)
        opening: list[Command[int]] = [self._control.opening()]
        outputs = [
            Output(inner, name) for name, how in (("o", stdout), ("e", stderr)) if how == "p"
        ]
        for output in outputs:
            opening += output.opening()
        handles = yield Together(opening)
        self._control.opened(handles.pop(0))
        for output in outputs:
            output.opened(handles.pop(0), handles.pop(0))
            output.limit(limits)
            if output.name == "o":
                self.out = output
            else:
                self.err = output
        if stdin == "p":
            self.input = Input(inner)

    # Its end.

    def note(self, status: ExecStatus) -> None:
        """Take note of how it ended."""
        code = status.exitcode or 0
        self.returncode = code if status.signal is None else -status.signal

    def finish(self) -> Flow[None]:
        """When it has ended, and its outputs have: leave nothing in the guest."""
        over = self._forgotten or self.returncode is not None
        if over and not self._finished and all(output.ended for output in self.outputs()):
            self._finished = True
            commands = self._closing("done")
            try:
                yield from self._close("done", commands)
            except GeneratorExit:
                raise
            except BaseException:
                for command in [*commands, *self._by_name("done")]:
                    yield Leave(command)
                raise

    def abandon(self) -> Flow[None]:
        """Kill it if it still runs, and leave nothing of it in the guest."""
        if self._finished:
            return
        commands = self._ending()
        yield Timeout(ENDING, despite=True)
        end = time.monotonic() + LAST_WORDS
        try:
            yield from self._close("abort", commands)
            while self.returncode is None and time.monotonic() < end:
                status = yield ExecGetStatus(pid=self.pid)
                if status.exited:
                    self.note(status)
                else:
                    yield Wait(_PAUSE)
        except GeneratorExit:
            raise
        except CommandError:
            pass  # forgotten with an agent that has ended
        except BaseException as error:
            for command in [*commands, *self._by_name("abort")]:
                yield Leave(command)
            if not isinstance(error, QgaError):
                raise

    def give_up(self, error: BaseException) -> Flow[None]:
        """End it because of *error*: at once if the agent answers, otherwise when there is time."""
        if isinstance(error, CommandError):
            if self.pid:
                yield from self.abandon()
            return
        for command in self.left():
            yield Leave(command)

    def left(self) -> list[Command[Any]]:
        """What ends it when there is time: for operations that were interrupted."""
        if self._finished:
            return []
        return [*self._ending(), *self._by_name("abort"), ExecGetStatus(pid=self.pid)]

    def _ending(self) -> list[Command[Any]]:
        self._finished = True
        commands = self._closing("abort")
        if not self._control.is_open:
            # Interrupted before it was, and maybe before there was anything: its name is known.
            commands.append(self._named(wrapper.ABORT, "abort"))
        return commands

    def _by_name(self, order: str) -> list[Command[Any]]:
        """The same for another agent than it was started by, which knows none of the handles."""
        return [self._named(wrapper.ORDER_NOW, order)] if self._directory.startswith("/") else []

    def _named(self, text: str, order: str) -> Command[Any]:
        name = self._directory.rpartition("qga-")[2]
        places = [f"{place}/qga-{name}" for place in wrapper.PLACES]
        return Exec(path=SHELL, arg=["-c", text, order, *places])

    def _close(self, order: str, commands: list[Command[Any]]) -> Flow[None]:
        try:
            yield Together(commands)
        except BadArgument:
            # Of an agent that has been restarted: the keeper has not heard it.
            try:
                yield from self._control.order(order)
                yield Together(self._control.closing())
            except CommandError:
                pass  # it is no longer there
        except CommandError:
            pass

    def _closing(self, order: str) -> list[Command[Any]]:
        commands: list[Command[Any]] = []
        for output in self.outputs():
            commands += output.closing()
        if self.input:
            self.input.broken = True
            commands += self.input.closing()
        return [*commands, *self._control.last(order)]
