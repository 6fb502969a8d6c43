"""A terminal in the guest: begun, typed into, read, resized, hung up. For `qga.client.shell`.

No agent can make one, so a program in the guest does: `PUMP` where there is Python, otherwise
`script`, of util-linux or busybox. It is a program with streams, as `process` starts them. Python
comes first: it tells an end by a signal exactly, where `script` has 128 and its number, it hangs up
all programs of the terminal when the client is gone, where `script` kills the first one and misses
jobs in the background, and it has the same options everywhere.

What runs in the terminal first is a text for the shell (`shelltexts.beginning`). It sets the
terminal up, prints which one it is and its own process id, and becomes the program.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qga.client.completed import StdinClosed
from qga.errors import QgaError, Unsupported

from . import process
from .kept import LEASE
from .pump import PUMP
from .script import SHELL, script
from .shelltexts import FIND, HANG_UP, RESIZE, TELLING, TOLD, beginning, program_words
from .steps import Leave, Timeout, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .running import Running
    from .script import GuestPath
    from .spool import Output
    from .steps import Flow

# A terminal of the usual size, and the one that most programs emulate today.
SIZE, TERM = (24, 80), "xterm-256color"

# A pause between two looks, as a part of the time since something came or went: what comes is seen
# at once while somebody types, and a terminal at rest costs ten looks a second.
_EAGER, _SHORTEST, _LONGEST = 0.05, 0.001, 0.1

# How long the programs of a terminal that is hung up may take to end, in seconds; and how long it
# may then take to hear of it.
_GRACE, _ECHO = 2.0, 5.0

# How long each command of a close may take where the agent has not answered a moment ago.
_HURRY = 1.0


class Session:
    """A terminal in the guest with a program in it.

    Attributes:
        running: the program that holds it.
        hurried: whether `close` is to take no more than moments, for the agent did not answer.
        terminal: its name in the guest, as /dev/pts/3.
        pid: the process id of the program in it.
        returncode: how that ended; None while that has not been seen.
    """

    def __init__(self, running: Running) -> None:
        self.running = running
        self.terminal = ""
        self.pid = 0
        self.returncode: int | None = None
        self.hurried = False
        self._active = time.monotonic()
        self._looking = False
        self._closed = False

    @property
    def pause(self) -> float:
        """Until the next look for output, in seconds."""
        return min(_LONGEST, max(_SHORTEST, _EAGER * (time.monotonic() - self._active)))

    # What users do.

    def read(self, *, timeout: float | None = None) -> Flow[bytes | None]:
        r"""Wait until the terminal shows something.

            >>> with guest.shell(["echo", "hi"]) as shell:
            ...     shell.read(), shell.read()
            (b'hi\r\n', b'')

        What comes is looked for every millisecond while something was read or written just now, and
        less often the longer nothing was, down to ten times a second.

        Args:
            timeout: seconds to wait; for ever if None, and 0 for a look.

        Returns: what it has shown since the last time; b"" at its end, and None if nothing came in
        time.

        Raises:
            SpoolLost: the guest has not heard of this client for too long, and hung up.
        """
        until = None if timeout is None else time.monotonic() + timeout
        out = self._out()
        while True:
            yield from self._look()
            if out.buffer:
                shown: bytes = out.take(len(out.buffer))
                return shown
            if self.returncode is not None:
                return b""
            pause = self.pause
            if until is not None:
                pause = min(pause, until - time.monotonic())
                if pause <= 0:
                    return None
            yield Wait(pause)

    def write(self, data: bytes | bytearray | memoryview) -> Flow[None]:
        r"""Type *data*. What is typed after the program's end is lost, as at every terminal.

            >>> with guest.shell(["sh", "-c", "read code; exit $code"]) as shell:
            ...     shell.write(b"3\n")
            ...     shell.wait()
            3

        Waits while more has been typed than the program takes; what the terminal shows in the
        meantime is kept for `read`.
        """
        typed = memoryview(data).cast("B")
        while typed:
            taken = yield from self.offer(typed)
            typed = typed[taken:]
            if not taken:
                yield from self._look()
                yield Wait(self.pause)

    def offer(self, data: bytes | memoryview) -> Flow[int]:
        """Type the beginning of *data*, as much as is taken now; return how many bytes that is."""
        stdin = self.running.input
        assert stdin is not None  # noqa: S101 - it was started with one
        if self.returncode is not None:
            return len(data)  # lost, as at every terminal
        try:
            taken = yield from stdin.offer(memoryview(data))
        except StdinClosed:
            return len(data)  # its end is told by `read`
        if taken:
            self._active = time.monotonic()
        return taken

    def resize(self, rows: int, columns: int) -> Flow[None]:
        r"""Change the terminal's size; the program in the foreground is told so by SIGWINCH.

        >>> with guest.shell(["sh", "-c", "read line; stty size"]) as shell:
        ...     shell.resize(30, 100)
        ...     shell.write(b"\n")
        ...     shell.wait()
        ...     shell.read()
        0
        b'\r\n30 100\r\n'
        """
        _check(rows, columns)
        if self.returncode is None:
            words = (str(self.pid), self.terminal, str(rows), str(columns))
            yield from script(RESIZE, *words)

    def wait(self) -> Flow[int]:
        """Wait for the program's end. What the terminal shows until then is kept for `read`.

            >>> with guest.shell(["sh", "-c", "exit 3"]) as shell:
            ...     shell.wait()
            3

        Returns: `returncode`.
        """
        while True:
            yield from self._look()
            if self.returncode is not None:
                return self.returncode
            yield Wait(self.pause)

    def close(self) -> Flow[None]:
        """Hang up: SIGHUP for all programs of the terminal, and nothing is left in the guest.

            >>> shell = guest.shell(["cat"])
            >>> shell.close()
            >>> shell.read()
            b''

        What the first program has in its process group is killed if it does not end within 2
        seconds; jobs of an interactive shell may go on without the terminal if they ignore SIGHUP,
        as those of `nohup` do. May be repeated. After that, `read` gives what had come before.
        """
        if self._closed:
            return
        self._closed = True
        yield Timeout(_HURRY if self.hurried else None, despite=True)
        try:
            if self.returncode is None:
                yield from self._hang_up()
        except GeneratorExit:
            raise
        except BaseException:
            for command in self.running.left():
                yield Leave(command)
            raise
        yield from self.running.abandon()
        self._note_end()

    # Inside.

    def _look(self) -> Flow[None]:
        """Take what has come, and see whether that was all."""
        if self._looking:
            return  # another thread or task is at it
        self._looking = True
        out = self._out()
        try:
            if not out.ended:
                if (yield from out.look()):
                    self._active = time.monotonic()
                yield from self.running.alive()
            if out.ended and self.returncode is None:
                yield from self.running.wait()
                self._note_end()
        finally:
            self._looking = False

    def _note_end(self) -> None:
        if self.returncode is None:
            self.returncode = self.running.returncode

    def _out(self) -> Output:
        out = self.running.out
        assert out is not None  # noqa: S101 - it was started with one
        return out

    def greeting(self) -> Flow[None]:
        """Wait for the line by which the terminal tells of itself."""
        out = self._out()
        while b"\n" not in out.buffer:
            yield from self._look()
            if self.returncode is not None and b"\n" not in out.buffer:
                said = out.take(len(out.buffer)).decode(errors="replace").strip()
                raise QgaError(f"the guest could not open a terminal: {said or self.returncode}")
            yield Wait(_SHORTEST)
        line = out.take(out.buffer.index(b"\n") + 1)
        terminal, _, pid = line.decode(errors="replace").strip().rpartition(" ")
        if not terminal.startswith("/") or not pid.isdecimal():
            raise QgaError(f"the guest could not open a terminal: {terminal} {pid}")
        self.terminal, self.pid = terminal, int(pid)

    def _hang_up(self) -> Flow[None]:
        yield from script(HANG_UP, str(self.pid), str(int(_GRACE / 0.05)))
        until = time.monotonic() + _ECHO
        while self.returncode is None and time.monotonic() < until:
            yield from self._look()
            if self.returncode is None:
                yield Wait(_SHORTEST * 10)


def shell(
    command: Sequence[GuestPath] | str | bytes | None = None,
    *,
    user: str | None = None,
    env: Mapping[str, str | bytes] | None = None,
    cwd: GuestPath | None = None,
    size: tuple[int, int] = SIZE,
    term: str = TERM,
    lease: float = LEASE,
    timeout: float | None = None,
) -> Flow[Session]:
    r"""Open a terminal in the guest and start a program in it.

    Python 3 holds it there, or the program `script` where there is none.

        >>> with guest.shell(["stty", "size"], size=(30, 100)) as terminal:
        ...     terminal.read()
        b'30 100\r\n'

    Args:
        command: the program and its arguments, or a text for the guest's shell, /bin/sh; the user's
            login shell if None.
        user: the user of the guest that it runs as; the agent's own, mostly root, if None.
        env: variables to add; they come before USER, LOGNAME, HOME, SHELL and TERM, which every
            terminal has.
        cwd: the directory in the guest that it begins in; the user's own if None.
        size: rows and columns.
        term: the value of TERM: what the caller's terminal understands; where the guest has no
            description of it, xterm-256color.
        lease: seconds after which the guest takes the client for dead when nothing is heard of it,
            and hangs up.
        timeout: seconds for each command of the start; the client's own if None.

    Raises:
        Unsupported: the guest has neither Python 3 nor `script`, or lacks something else.
        GuestOSError: there is no such user or directory.
        CommandDisabled: the agent does not allow guest-exec or the file commands.
    """
    _check(*size)
    yield Timeout(timeout)
    holder = (yield from script(FIND)).out.decode().split()
    if not holder:
        raise Unsupported(
            "the guest has nothing to make a terminal with: it takes the package python3 there, or "
            "the one that has the program script, which is util-linux, bsdutils or "
            "util-linux-script"
        )
    program = program_words(command)
    first = beginning(env or {}, cwd, size, term)
    if holder[0] == "python3":
        words: list[GuestPath] = ["python3", "-I", "-S", "-c", PUMP, SHELL, "-c"]
        words.append(first + b"exec " + program)
    elif "-e" in holder:
        words = ["script", "-qfec", first + b"exec " + program, "/dev/null"]
    else:
        words = [SHELL, "-c", TELLING, SHELL, first + TOLD % program]
    running = yield from process.start(
        words,
        stdin=process.PIPE,
        stderr=process.STDOUT,
        env={**(env or {}), "SHELL": SHELL},  # which `script` uses
        cwd=cwd,
        user=user,
        lease=lease,
        timeout=timeout,
    )
    session = Session(running)
    try:
        yield from session.greeting()
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from running.give_up(error)
        raise
    return session


def _check(rows: int, columns: int) -> None:
    if not (0 < rows < 1 << 16 and 0 < columns < 1 << 16):
        raise ValueError(f"no terminal has {rows} rows and {columns} columns")
