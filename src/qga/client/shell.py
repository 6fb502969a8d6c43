r"""A terminal in the guest, as `Client.shell` and `AsyncClient.shell` give it.

with client.shell() as shell:
    shell.write(b"ls -l\n")
    print(shell.read(timeout=1))

with client.shell(["top"]) as shell:
    shell.interact()  # the user's own terminal becomes that of the guest
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import QgaError

from .flows.shell import Session
from .operation import Awaiting, Blocking, method
from .process import Popen

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TypeVar

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
    r"""A program in a terminal of the guest; `Client.shell` makes it.

    A context manager: the end of the block hangs up. The terminal does what terminals do: what is
    written comes back as its echo, lines end with CR LF, `\x03` (Ctrl-C) interrupts the program in
    the foreground, `\x04` (Ctrl-D) ends the input. Standard error is among the output.

        >>> with guest.shell(["cat"]) as shell:
        ...     shell.write(b"\x04")
        ...     shell.wait()
        0
    """

    def __init__(self, client: Blocking, state: Session) -> None:
        self._client = client
        self._state = state
        # While it exists, the guest hears of the client.
        self._program = Popen(client, state.running)

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
        self,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        escape: str | None = "~",
        timeout: float | None = None,
    ) -> int | None:
        """Join the caller's terminal with that of the guest until the program ends.

            >>> with open("/dev/null") as keys, open(f"{folder}/shown", "wb") as screen:
            ...     with guest.shell(["cat"]) as shell:
            ...         shell.interact(stdin=keys.fileno(), stdout=screen.fileno())
            0

        Every key goes to the guest, Ctrl-C too; the window's size follows. After the start of a
        line, the escape character and `.` leave: the program goes on until the shell is closed. The
        escape character twice sends it once, with `?` it tells of these. When the input is no
        terminal, its end is typed as Ctrl-D, and there is no escape.

        Over a freeze of the guest, and while the agent does not answer, it waits; the escape leaves
        then, too.

        SIGTERM and SIGHUP, where they would end the caller, raise `SystemExit` in the meantime, so
        that its terminal becomes as it was.

        Args:
            stdin: a file descriptor to read from; by default the process's own.
            stdout: a file descriptor to write to; by default the process's own.
            escape: one character; None for no way to leave.
            timeout: seconds to wait for the end; for ever if None.

        Returns: the program's exit code, as `returncode` has it; None after an escape.

        Raises:
            ProgramTimeout: it has not ended in time. It goes on until the shell is closed.
            SpoolLost: the guest has not heard of this client for too long, and hung up.
        """
        from . import terminal

        return terminal.join(
            self, self._state, stdin=stdin, stdout=stdout, escape=escape, timeout=timeout
        )


class AsyncShell(_Terminal, Awaiting):
    """A program in a terminal of the guest; `AsyncClient.shell` makes it.

    `Shell`, to be awaited. One task may read while others write.

        >>> async with await aguest.shell(["sh", "-c", "exit 3"]) as shell:
        ...     await shell.wait()
        3
    """

    def __init__(self, client: Awaiting, state: Session) -> None:
        from .aioprocess import AsyncPopen

        self._client = client
        self._state = state
        # While it exists, the guest hears of the client.
        self._program = AsyncPopen(client, state.running)

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
