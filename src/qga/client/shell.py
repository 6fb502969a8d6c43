"""A terminal in the guest, as `Client.shell` and `AsyncClient.shell` give it.

    with client.shell() as shell:
        shell.write(b"ls -l\\n")
        print(shell.read(timeout=1))

    with client.shell(["top"]) as shell:
        shell.interact()  # the user's own terminal becomes that of the guest
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import QgaError

from .flows.shell import SIZE, TERM, Session
from .operation import Awaiting, Blocking, method

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self, TypeVar

    from .flows.script import GuestPath
    from .flows.steps import Flow

    R = TypeVar("R")


class _Terminal:
    """What both kinds of shell tell without asking the guest."""

    _state: Session

    @property
    def terminal(self) -> str:
        """The terminal's name in the guest, as /dev/pts/3."""
        return self._state.terminal

    @property
    def pid(self) -> int:
        """The process id, in the guest, of the program in the terminal."""
        return self._state.pid

    @property
    def returncode(self) -> int | None:
        """The program's exit code; None until its end was seen by `read` or `wait`.

        A signal that ended it is told as a negative number where Python holds the terminal, as 128
        and the number where `script` does.
        """
        return self._state.returncode

    def __repr__(self) -> str:
        state = "runs" if self.returncode is None else f"returncode={self.returncode}"
        return f"<{type(self).__name__} {self.terminal} pid={self.pid} {state}>"


class Shell(_Terminal, Blocking):
    """A program in a terminal of the guest; `Client.shell` makes it.

    A context manager: the end of the block hangs up. The terminal does what terminals do: what is
    written comes back as its echo, lines end with CR LF, `\\x03` (Ctrl-C) interrupts the program in
    the foreground, `\\x04` (Ctrl-D) ends the input. Standard error is among the output.
    """

    def __init__(self, client: Blocking, state: Session) -> None:
        self._client = client
        self._state = state

    def perform(self, flow: Flow[R]) -> R:
        return self._client.perform(flow)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except QgaError as failure:
            if error is None:
                raise
            error.add_note(f"and the shell could not be closed: {failure}")

    write = method(Session.write)
    read = method(Session.read)
    resize = method(Session.resize)
    wait = method(Session.wait)
    close = method(Session.close)

    def interact(
        self, *, stdin: int | None = None, stdout: int | None = None, escape: str | None = "~"
    ) -> int | None:
        """Join the caller's terminal with that of the guest until the program ends.

        Every key goes to the guest, Ctrl-C too; the window's size follows. After the start of a
        line, the escape character and `.` leave: the program goes on until the shell is closed. The
        escape character twice sends it once. When the input is no terminal, its end is typed
        as Ctrl-D, and there is no escape.

        SIGTERM and SIGHUP, where they would end the caller, raise `SystemExit` in the meantime, so
        that its terminal becomes as it was.

        Args:
            stdin: a file descriptor to read from; by default the process's own.
            stdout: a file descriptor to write to; by default the process's own.
            escape: one character; None for no way to leave.

        Returns: the program's exit code, as `returncode` has it; None after an escape.

        Raises: as `read` and `write`.
        """
        from . import terminal

        return terminal.join(self, self._state, stdin=stdin, stdout=stdout, escape=escape)


class AsyncShell(_Terminal, Awaiting):
    """A program in a terminal of the guest; `AsyncClient.shell` makes it.

    `Shell`, to be awaited. One task may read while others write.
    """

    def __init__(self, client: Awaiting, state: Session) -> None:
        self._client = client
        self._state = state

    async def perform(self, flow: Flow[R]) -> R:
        return await self._client.perform(flow)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except QgaError as failure:
            if error is None:
                raise
            error.add_note(f"and the shell could not be closed: {failure}")

    write = method(Session.write)
    read = method(Session.read)
    resize = method(Session.resize)
    wait = method(Session.wait)
    close = method(Session.close)


class OpensShells(Blocking):
    """The part of `Client` that opens terminals."""

    def shell(
        self,
        command: Sequence[GuestPath] | GuestPath | None = None,
        *,
        user: str | None = None,
        env: Mapping[str, GuestPath] | None = None,
        cwd: GuestPath | None = None,
        size: tuple[int, int] = SIZE,
        term: str = TERM,
    ) -> Shell:
        """Open a terminal in the guest and start a program in it.

        Python 3 in the guest holds the terminal, or the program `script` where there is none.

        Args:
            command: the program and its arguments, or a line for the guest's /bin/sh; None for the
                user's login shell.
            user: whom the program runs as; by default whom the agent runs as.
            env: variables that it has besides USER, LOGNAME, HOME, SHELL, TERM and PATH.
            cwd: the directory in which it starts; by default the user's own.
            size: rows and columns.
            term: what the terminal is able to do, as terminfo names it.

        Raises:
            Unsupported: the guest has neither Python 3 nor `script`.
            CommandDisabled: the agent may not start programs.
            QgaError: the terminal could not be opened; the exception tells what the guest said.
        """
        state = Session()
        begin = state.begin(command, user=user, env=env, cwd=cwd, size=size, term=term)
        self.perform(begin)
        return Shell(self, state)


class OpensAsyncShells(Awaiting):
    """The part of `AsyncClient` that opens terminals."""

    async def shell(
        self,
        command: Sequence[GuestPath] | GuestPath | None = None,
        *,
        user: str | None = None,
        env: Mapping[str, GuestPath] | None = None,
        cwd: GuestPath | None = None,
        size: tuple[int, int] = SIZE,
        term: str = TERM,
    ) -> AsyncShell:
        """Open a terminal in the guest. Arguments and errors are those of `Client.shell`."""
        state = Session()
        begin = state.begin(command, user=user, env=env, cwd=cwd, size=size, term=term)
        await self.perform(begin)
        return AsyncShell(self, state)
