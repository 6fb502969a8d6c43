"""The programs of a fake agent's guest: Python functions that guest-exec calls."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from qga.errors import CommandError, GuestOSError
from qga.protocol import Exec, ExecGetStatus
from qga.protocol.exec import ExecCaptureMode, ExecStarted, ExecStatus

if TYPE_CHECKING:
    from typing import Any

    from qga.protocol.model import Command

# What an agent keeps of one stream of output.
_KEPT = 16 << 20
_FIRST_PID = 2000

_STDOUT = frozenset(
    (True, ExecCaptureMode.STDOUT, ExecCaptureMode.SEPARATED, ExecCaptureMode.MERGED)
)
_STDERR = frozenset((True, ExecCaptureMode.STDERR, ExecCaptureMode.SEPARATED))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program of the fake guest ended.

        >>> from qga.testing import Ended
        >>> agent.programs["backup"] = Ended(signal=9, err=b"out of memory")
        >>> client.execute(Exec(path="backup", capture_output=True))
        ExecStarted(pid=2000)
        >>> client.execute(ExecGetStatus(pid=2000)).signal
        9

    Attributes:
        code: its exit code.
        out: what it wrote to its standard output.
        err: what it wrote to its standard error.
        signal: the number of the signal that ended it, if one did.
        looks: how often guest-exec-status says first that it still runs.
    """

    code: int = 0
    out: bytes = b""
    err: bytes = b""
    signal: int | None = None
    looks: int = 0


Outcome: TypeAlias = Ended | int | bytes | tuple[int, bytes, bytes]
"""How a program ended: `Ended`, or its exit code, its output, or code, output and error output."""

Action: TypeAlias = Callable[[list[str], bytes, Mapping[str, str]], Outcome]
"""A program: it gets its words (the first is its name), input and environment."""


class Programs:
    r"""What guest-exec can start; a fake agent has it as `programs`.

    No program of this machine is ever run. The guest has none but those that are put here: under
    their full path, or the last part of it.

        >>> def greet(argv, input, env):
        ...     return f"{env['WORD']}, {argv[1]}\n".encode()
        >>> agent.programs["greet"] = greet
        >>> client.execute(Exec(path="greet", arg=["you"], env=["WORD=hi"], capture_output=True))
        ExecStarted(pid=2000)
        >>> client.execute(ExecGetStatus(pid=2000)).out_data.decode()
        'hi, you\n'

    A function gets the program's words, its input and its environment; what it returns, or what is
    put in its place, is an `Ended`, an exit code, the output as bytes, or a tuple of exit code,
    output and error output.
    """

    def __init__(self) -> None:
        self._actions: dict[str, Action | Outcome] = {}
        self._running: dict[int, tuple[Ended, object]] = {}
        self._looks: dict[int, int] = {}
        self._next = _FIRST_PID

    def __setitem__(self, name: str, action: Action | Outcome) -> None:
        self._actions[name] = action

    def __delitem__(self, name: str) -> None:
        del self._actions[name]

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def forget(self) -> None:
        """Forget what has been started, as the end of an agent does.

        >>> agent.programs["true"] = 0
        >>> client.execute(Exec(path="/bin/true"))
        ExecStarted(pid=2000)
        >>> agent.programs.forget()
        >>> client.execute(ExecGetStatus(pid=2000))
        Traceback (most recent call last):
        qga.errors.CommandError: PID 2000 does not exist
        """
        self._running.clear()

    # The commands.

    def _answers(self) -> dict[type[Command[Any]], Callable[[Any], Any]]:
        return {Exec: self._on_exec, ExecGetStatus: self._on_status}

    def _find(self, path: str) -> Action | Outcome | None:
        """The program *path*: by this very name, or by the last part of a path."""
        found = self._actions.get(path)
        return self._actions.get(path.rpartition("/")[2]) if found is None else found

    def _on_exec(self, command: Exec) -> ExecStarted:
        action = self._find(command.path)
        if action is None:
            reason = os.strerror(errno.ENOENT)
            raise GuestOSError(
                f"Failed to execute child process \u201c{command.path}\u201d ({reason})",
                errno.ENOENT,
            )
        if callable(action):
            words = [command.path, *(command.arg or [])]
            environment = dict(entry.partition("=")[::2] for entry in command.env or [])
            action = action(words, bytes(command.input_data or b""), environment)
        pid = self._next
        self._next += 1
        ended = _ended(action)
        self._running[pid] = ended, command.capture_output
        self._looks[pid] = ended.looks
        return ExecStarted(pid=pid)

    def _on_status(self, command: ExecGetStatus) -> ExecStatus:
        pid = command.pid
        if pid not in self._running:
            raise CommandError(f"PID {pid} does not exist")
        if self._looks[pid]:
            self._looks[pid] -= 1
            return ExecStatus(exited=False)
        ended, capture = self._running.pop(pid)
        out = ended.out if capture in _STDOUT else b""
        err = ended.err if capture in _STDERR else b""
        if capture == ExecCaptureMode.MERGED:
            out += ended.err
        return ExecStatus(
            exited=True,
            exitcode=ended.code if ended.signal is None else None,
            signal=ended.signal,
            out_data=out[:_KEPT] or None,
            err_data=err[:_KEPT] or None,
            out_truncated=len(out) > _KEPT if out else None,
            err_truncated=len(err) > _KEPT if err else None,
        )


def _ended(outcome: Outcome) -> Ended:
    if isinstance(outcome, Ended):
        return outcome
    if isinstance(outcome, int):
        return Ended(outcome)
    if isinstance(outcome, bytes):
        return Ended(out=outcome)
    return Ended(*outcome)
