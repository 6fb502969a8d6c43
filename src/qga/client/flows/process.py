"""Programs of the guest: started, fed, read while they run, signalled, and waited for.

With stock commands alone: `wrapper` tells what runs in the guest, `spool` talks to it. Used by
`qga.client.process`, where the objects for users are.
"""

from __future__ import annotations

import errno
import os
import secrets
import signal
import subprocess
import time
from typing import TYPE_CHECKING, TypeAlias

from qga.client.completed import Completed, ProgramTimeout
from qga.errors import CommandDisabled, CommandError, GuestOSError, QgaError, Unsupported
from qga.protocol import Exec, ExecGetStatus, FileClose, FileOpen, FileRead

from . import wrapper
from .script import SHELL, quote
from .spool import Control, Input, Output, StdinClosed
from .steps import GetLimits, Leave, Limits, Timeout, Together, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from qga.protocol.exec import ExecStarted, ExecStatus
    from qga.protocol.files import FileChunk
    from qga.protocol.model import Command

    from .steps import Flow

PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
Word: TypeAlias = "str | bytes | os.PathLike[str]"

# How long the keeper of a program goes on without a sign of the client, in seconds.
LEASE = 60.0
# Pauses between looks at what has come, in seconds: short ones first.
_FIRST_PAUSE, _LAST_PAUSE = 0.001, 0.05
# How long what ends a program may take, when nobody waits for it any more.
_ENDING = 5.0
# How long the output of a program that was killed is waited for.
_LAST_WORDS = 1.0
_FOR_EVER = 1e9


class Running:
    """A program that was started: what the client knows of it, and what can be done.

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

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left in the guest."""
        return self._finished

    def outputs(self) -> list[Output]:
        return [output for output in (self.out, self.err) if output]

    # What users do.

    def poll(self) -> Flow[int | None]:
        """Look whether the program has ended; return its exit code, or None while it runs."""
        if self.returncode is None:
            yield from self._control.alive()
            try:
                status: ExecStatus = yield ExecGetStatus(pid=self.pid)
            except CommandDisabled:
                raise
            except CommandError as error:
                # Another thread may just have been told, and the agent has forgotten it.
                yield Wait(_LAST_PAUSE)
                if self.returncode is None:
                    raise QgaError(
                        f"process {self.pid}: how it ended is not known: the agent has been "
                        f"restarted since it began ({error})"
                    ) from error
                return self.returncode
            if not status.exited:
                return None
            self._note(status)
            if status.exitcode in (126, 127):
                yield from self._check_start(status.exitcode)
        yield from self.finish()
        return self.returncode

    def wait(self, timeout: float | None = None) -> Flow[int]:
        """Wait until the program has ended. Its output may be read later.

        Args:
            timeout: seconds to wait; for ever if None.

        Returns: its exit code; the negative number of the signal that ended it.

        Raises:
            ProgramTimeout: it has not ended in time. It goes on.
        """
        end = _end(timeout)
        pause = _FIRST_PAUSE
        while True:
            code = yield from self.poll()
            if code is not None:
                return code
            left = end - time.monotonic()
            if left <= 0:
                raise ProgramTimeout(self.args, timeout or 0.0)
            yield Wait(min(pause, left))
            pause = min(pause * 1.5, 2 * _LAST_PAUSE)

    def communicate(
        self, input: bytes | str | None = None, timeout: float | None = None
    ) -> Flow[tuple[bytes, bytes]]:
        """Send *input* to the program, read its outputs to their ends and wait for it.

        Args:
            input: what it reads; text is encoded as UTF-8. Its input ends after that.
            timeout: seconds to wait; for ever if None.

        Returns: its standard output and its standard error.

        Raises:
            ProgramTimeout: it has not ended in time. It goes on; what it put out is kept for the
                next call.
        """
        end = _end(timeout)
        data = memoryview(input.encode() if isinstance(input, str) else input or b"")
        sent = 0
        pause = _FIRST_PAUSE
        while True:
            moved = 0
            if self.input and not self.input.closed:
                try:
                    if sent < len(data):
                        moved = yield from self.input.offer(data[sent:])
                        sent += moved
                    if sent == len(data):
                        yield from self.input.close()
                except StdinClosed:
                    yield from self.input.close()
            for output in self.outputs():
                moved += yield from output.look()
            if not moved and all(output.ended for output in self.outputs()):
                if (yield from self.poll()) is not None:
                    break
            yield from self._control.alive()
            left = end - time.monotonic()
            if left <= 0:
                raise ProgramTimeout(self.args, timeout or 0.0, *self._so_far())
            if moved:
                pause = _FIRST_PAUSE
            else:
                yield Wait(min(pause, left))
                pause = min(pause * 1.5, _LAST_PAUSE)
        out, err = self._so_far()
        for output in self.outputs():
            output.buffer.clear()
        return out, err

    def send_signal(self, number: int, *, group: bool = True) -> Flow[None]:
        """Send a signal to the program; nothing happens if it has ended.

        Args:
            number: of the signal.
            group: whether what it has started gets it too: its process group.
        """
        if self.returncode is None:
            yield from self._control.order(f"{'group' if group else 'only'} {int(number)}")

    def terminate(self) -> Flow[None]:
        """Send SIGTERM to the program and what it has started."""
        yield from self.send_signal(signal.SIGTERM)

    def kill(self) -> Flow[None]:
        """Send SIGKILL to the program and what it has started."""
        yield from self.send_signal(signal.SIGKILL)

    # What its streams do.

    def read(self, output: Output, size: int) -> Flow[bytes]:
        """Wait until there is something of an output; return at most *size* bytes, none at its end.

        Args:
            output: which.
            size: -1 for all up to its end.
        """
        while not output.ended and (size < 0 or not output.buffer):
            yield from self._more(output)
        return output.take(len(output.buffer) if size < 0 else size)

    def read_line(self, output: Output, size: int) -> Flow[bytes]:
        """Wait for a line of an output; return it, or what is left at its end.

        Args:
            output: which.
            size: at most so many bytes; -1 for all of the line.
        """
        seen = 0
        while True:
            found = output.buffer.find(b"\n", seen) + 1
            seen = len(output.buffer)
            if found or 0 <= size <= seen or output.ended:
                found = found or seen
                return output.take(found if size < 0 else min(found, size))
            yield from self._more(output)

    def close_output(self, output: Output) -> Flow[None]:
        """Read no more of an output: in time the program is told so by SIGPIPE."""
        if not output.ended:
            yield from self._control.order(f"drop {output.name}")
            yield from _ignoring_errors(output.closing())
        output.buffer.clear()
        if self.returncode is not None:
            yield from self.finish()

    def _more(self, output: Output) -> Flow[None]:
        """Wait until there is more of an output, or no more will come."""
        pause = _FIRST_PAUSE
        while not (yield from output.look()) and not output.ended:
            yield from self._control.alive()
            yield Wait(pause)
            pause = min(pause * 1.5, _LAST_PAUSE)
        if output.ended and self.returncode is not None:
            yield from self.finish()

    # Its end.

    def close_all(self) -> Flow[None]:
        """End its input, read no more of its outputs, and wait for its end."""
        if self.input:
            yield from self.input.close()
        for output in self.outputs():
            yield from self.close_output(output)
        yield from self.wait()

    def alive(self) -> Flow[None]:
        """Give a sign of life, so that the program is not taken for abandoned."""
        if not self._finished:
            yield from self._control.alive()

    def finish(self) -> Flow[None]:
        """When it has ended, and its outputs have: leave nothing in the guest."""
        if not self._finished and all(output.ended for output in self.outputs()):
            self._finished = True
            yield from _ignoring_errors(self._closing("done"))

    def abandon(self) -> Flow[None]:
        """Kill it if it still runs, and leave nothing of it in the guest."""
        if self._finished:
            return
        commands = self._ending()
        yield Timeout(_ENDING, despite=True)
        end = time.monotonic() + _LAST_WORDS
        try:
            yield from _ignoring_errors(commands)
            while self.returncode is None and time.monotonic() < end:
                status = yield ExecGetStatus(pid=self.pid)
                if status.exited:
                    self._note(status)
                else:
                    yield Wait(_LAST_PAUSE / 5)
        except CommandError:
            pass  # forgotten with an agent that has ended
        except QgaError:
            for command in commands:
                yield Leave(command)

    def left(self) -> list[Command[Any]]:
        """What ends it when there is time: for operations that were interrupted."""
        return [] if self._finished else [*self._ending(), ExecGetStatus(pid=self.pid)]

    def _ending(self) -> list[Command[Any]]:
        self._finished = True
        commands = self._closing("abort")
        if not self._control.is_open:
            # Interrupted before it was: what its directory is called is known.
            name = f"qga-{self._directory}"
            text = 'for d; do [ ! -p "$d/s/ctl" ] || echo abort >>"$d/s/ctl"; done'
            places = [f"{place}/{name}" for place in wrapper.PLACES]
            commands.append(Exec(path=SHELL, arg=["-c", text, "sh", *places]))
        return commands

    def _closing(self, order: str) -> list[Command[Any]]:
        commands: list[Command[Any]] = []
        for output in self.outputs():
            commands += output.closing()
        if self.input:
            commands += self.input.closing()
        return [*commands, *self._control.last(order)]

    def _note(self, status: ExecStatus) -> None:
        code = status.exitcode or 0
        self.returncode = code if status.signal is None else -status.signal

    def _so_far(self) -> tuple[bytes, bytes]:
        return (
            bytes(self.out.buffer) if self.out else b"",
            bytes(self.err.buffer) if self.err else b"",
        )

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

    def _check_start(self, code: int) -> Flow[None]:
        """Raise if the exit code is that of a shell that could not start the program."""
        handle = yield FileOpen(path=f"{self._directory}/start")
        chunk: FileChunk = yield FileRead(handle=handle, count=4096)
        yield from _ignoring_errors([FileClose(handle=handle)])
        if b"failed" in chunk.data:
            number = errno.ENOENT if code == 127 else errno.EACCES
            yield from self.abandon()
            raise _refused(self.args, number, "")


def start(
    args: str | Sequence[Word],
    *,
    stdin: int | None = DEVNULL,
    stdout: int | None = PIPE,
    stderr: int | None = PIPE,
    shell: bool = False,
    cwd: Word | None = None,
    env: Mapping[str, str | bytes | None] | None = None,
    user: str | None = None,
    lease: float = LEASE,
    timeout: float | None = None,
) -> Flow[Running]:
    """Start a program in the guest. Shaped like `subprocess.Popen`.

    Args:
        args: the program and its arguments; a single text is the program alone.
        stdin: what it reads: `subprocess.PIPE` for what the client writes, else nothing.
        stdout: `subprocess.PIPE`, or `subprocess.DEVNULL` for an output that is not wanted.
        stderr: the same, or `subprocess.STDOUT`: together with the output.
        shell: whether *args* is a text for the guest's shell, /bin/sh.
        cwd: the directory in the guest that it begins in; the agent's, mostly /, if None.
        env: variables to add to the agent's environment; None in place of a value removes one.
        user: the user of the guest that it runs as, with the groups that this one has; the agent's
            own, mostly root, if None. HOME, USER and LOGNAME are the user's then.
        lease: seconds after which the guest takes the client for dead when nothing is heard of it:
            the program is ended and all that is kept of its output removed.
        timeout: seconds for each command of the start; the client's own if None.

    Raises:
        GuestOSError: it could not be started; `errno` is ENOENT or EACCES as with subprocess.
        Unsupported: the guest lacks a program that this takes.
        CommandDisabled: the agent does not allow guest-exec or the file commands.
    """
    words = [SHELL, "-c", args] if shell else [args] if isinstance(args, str | bytes) else [*args]
    if not words:
        raise ValueError("there is no program to start")
    modes = _mode(stdin, "stdin"), _mode(stdout, "stdout"), _mode(stderr, "stderr")
    if modes[2] == "o" and modes[1] == "n":
        modes = modes[0], "n", "n"
    name = secrets.token_hex(8)
    text = _starter(name, modes, user, cwd, env, words, lease)
    yield Timeout(timeout)
    running = Running(args, 0)
    running.lease = lease
    running.begin(name, "")
    try:
        try:
            started: ExecStarted = yield Exec(path="setsid", arg=[SHELL, "-s"], input_data=text)
        except GuestOSError as error:
            if error.errno == errno.ENOENT:
                raise Unsupported("the guest has no program setsid, which this takes") from error
            raise
        running.pid = started.pid
        place, said = yield from _what_came(started.pid, name)
        running.begin(name, place)
        yield from running.open(*modes)
        if said != "ok":
            yield from running.abandon()
            raise _not_started(args, said, cwd, user)
        return running
    except GeneratorExit:
        raise
    except CommandError:
        if running.pid:
            yield from running.abandon()
        raise
    except BaseException:
        for command in running.left():
            yield Leave(command)
        raise


def run(
    args: str | Sequence[Word],
    *,
    input: bytes | str | None = None,
    stdout: int | None = PIPE,
    stderr: int | None = PIPE,
    shell: bool = False,
    cwd: Word | None = None,
    env: Mapping[str, str | bytes | None] | None = None,
    user: str | None = None,
    timeout: float | None = None,
    check: bool = False,
) -> Flow[Completed]:
    """Run a program in the guest to its end. Shaped like `subprocess.run`.

    Its output is kept whole, however long it is.

    Args:
        args: the program and its arguments; a single text is the program alone.
        input: what it reads; text is encoded as UTF-8. Nothing if None.
        stdout: `subprocess.PIPE`, or `subprocess.DEVNULL` for an output that is not wanted.
        stderr: the same, or `subprocess.STDOUT`: together with the output.
        shell: whether *args* is a text for the guest's shell, /bin/sh.
        cwd: the directory in the guest that it begins in; the agent's, mostly /, if None.
        env: variables to add to the agent's environment; None in place of a value removes one.
        user: the user of the guest that it runs as; the agent's own, mostly root, if None.
        timeout: seconds for all of it; for ever if None, but no single command may take longer
            than the client's own timeout.
        check: whether to raise when its exit code is not zero.

    Returns: `Completed`, a `subprocess.CompletedProcess` with bytes.

    Raises:
        ProgramFailed: *check* is set and it failed; also a `subprocess.CalledProcessError`.
        ProgramTimeout: it did not end in time, and was killed with what it had started; also a
            `subprocess.TimeoutExpired`.
        GuestOSError: it could not be started; `errno` is ENOENT or EACCES as with subprocess.
        Unsupported: the guest lacks a program that this takes.
    """
    end = _end(timeout)
    running = yield from start(
        args,
        stdin=DEVNULL if input is None else PIPE,
        stdout=stdout,
        stderr=stderr,
        shell=shell,
        cwd=cwd,
        env=env,
        user=user,
    )
    try:
        left = None if timeout is None else end - time.monotonic()
        out, err = yield from running.communicate(input, left)
    except ProgramTimeout:
        yield from running.kill()
        try:
            so_far = yield from running.communicate(None, _LAST_WORDS)
        except ProgramTimeout as late:
            # Something that it started is still there, and holds the output.
            so_far = late.stdout, late.stderr
        yield from running.abandon()
        raise ProgramTimeout(args, timeout or 0.0, *so_far) from None
    except GeneratorExit:
        raise
    except CommandError:
        yield from running.abandon()
        raise
    except BaseException:
        for command in running.left():
            yield Leave(command)
        raise
    done = Completed(args, running.returncode or 0, out, err)
    if check:
        done.check_returncode()
    return done


def _end(timeout: float | None) -> float:
    return time.monotonic() + (_FOR_EVER if timeout is None else timeout)


def _mode(how: int | None, which: str) -> str:
    if how == PIPE:
        return "p"
    if how is None or how == DEVNULL:
        return "n"
    if how == STDOUT and which == "stderr":
        return "o"
    raise ValueError(f"{which} is to be PIPE or DEVNULL, not {how!r}")


def _starter(
    name: str,
    modes: tuple[str, str, str],
    user: str | None,
    cwd: Word | None,
    env: Mapping[str, str | bytes | None] | None,
    words: list[Any],
    lease: float,
) -> bytes:
    """The starter's text for the shell's standard input: words may be any bytes, and long."""
    assignments = []
    for variable, value in (env or {}).items():
        if not variable.isidentifier() or not variable.isascii():
            raise ValueError(f"no shell can set a variable of this name: {variable!r}")
        data = b"" if value is None else b"=" + os.fsencode(value)
        assignments.append(os.fsencode(variable) + data)
    directory = os.fsencode(cwd) if cwd is not None else b""
    if directory and not directory.startswith(b"/"):
        directory = b"./" + directory
    if user is not None:
        _check_user(user)
    period = max(1, round(lease / wrapper.PERIODS))
    arguments: list[Any] = [
        name, str(period), *modes, user or "", wrapper.KEEPER, wrapper.PROGRAM,
        directory, str(len(assignments)), *assignments, *words,
    ]  # fmt: skip
    line = b" ".join(quote(os.fspath(word)) for word in arguments)
    return b"main() {\nexec </dev/null\n%s}\nmain %s\n" % (wrapper.STARTER.encode(), line)


def _check_user(user: str) -> None:
    """Refuse what would not be one word in a shell's ~user."""
    if not user or user.startswith("-") or not all(c.isalnum() or c in "_-.@$" for c in user):
        raise ValueError(f"this is no name of a user: {user!r}")


def _what_came(pid: int, name: str) -> Flow[tuple[str, str]]:
    """Wait for the starter: the spool's place, and what it says."""
    pause = 0.002
    looks = 0
    handle: int | None = None
    place = wrapper.PLACES[0]
    said = b""
    while b"\n" not in said:
        yield Wait(pause)
        pause = min(pause * 1.2, _LAST_PAUSE)
        if handle is None:
            try:
                handle = yield FileOpen(path=f"{place}/qga-{name}/start")
            except GuestOSError:
                looks += 1
                if looks % 10 == 9:
                    yield from _check_starter(pid)
                if looks > 5:
                    place = wrapper.PLACES[looks % len(wrapper.PLACES)]
                continue
        chunk: FileChunk = yield FileRead(handle=handle, count=4096)
        said += chunk.data
    yield from _ignoring_errors([FileClose(handle=handle)])
    return place, said.partition(b"\n")[0].decode(errors="replace")


def _check_starter(pid: int) -> Flow[None]:
    status: ExecStatus = yield ExecGetStatus(pid=pid)
    if not status.exited:
        return
    if status.exitcode == wrapper.NO_SPOOL:
        raise Unsupported(
            f"the guest has no room for what passes between the program and the client: no "
            f"directory could be made in any of {', '.join(wrapper.PLACES)}, or mkfifo is missing"
        )
    raise QgaError(f"the guest's shell could not start the program: {status}")


def _not_started(args: Any, said: str, cwd: Word | None, user: str | None) -> QgaError:
    name, _, what = said.partition(" ")
    if name == "NOUSER":
        return GuestOSError(f"the guest has no user {user!r}", errno.ENOENT)
    if name == "NOTROOT":
        return GuestOSError(
            f"the agent does not run as root, so that it cannot run programs as {user!r}: "
            f"{os.strerror(errno.EPERM)}",
            errno.EPERM,
        )
    if name == "NOSWITCH":
        return Unsupported(
            f"the guest has no setpriv, no Python and no busybox su to run programs as {user!r}"
        )
    number = getattr(errno, name, errno.EIO)
    return _refused(args, number, os.fsdecode(cwd) if what and cwd is not None else "")


def _refused(args: Any, number: int, directory: str) -> GuestOSError:
    if directory:
        what = f"the directory {directory!r}"
    else:
        first = args if isinstance(args, str | bytes) else args[0]
        what = f"the program {os.fsdecode(first)!r}"
    return GuestOSError(f"{what} cannot be used: {os.strerror(number)}", number)


def _ignoring_errors(commands: Sequence[Command[Any]]) -> Flow[None]:
    """Do *commands*, of which some may have been done, or be the affair of an earlier agent."""
    if commands:
        try:
            yield Together(commands)
        except CommandError:
            pass
