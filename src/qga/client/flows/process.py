"""Programs of the guest: started, and run to their end, by stock commands alone.

`wrapper` tells what runs in the guest, `running` what is done with a program that runs. Used by
`qga.client.process`, where the objects for users are.
"""

from __future__ import annotations

import errno
import math
import os
import subprocess
from typing import TYPE_CHECKING

from qga.client.completed import Completed, ProgramTimeout
from qga.errors import AgentTimeout, GuestOSError, QgaError, Unsupported
from qga.protocol import Exec, ExecGetStatus, FileClose, FileOpen, FileRead

from . import wrapper
from .bounds import Total, ignoring_errors, refused
from .kept import ENDING, LAST_WORDS, LEASE
from .running import Running
from .script import SHELL, quote
from .spoolinput import FIRST_PAUSE, LAST_PAUSE
from .steps import Timeout, Wait
from .timing import pauses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from qga.protocol.exec import ExecStarted, ExecStatus
    from qga.protocol.files import FileChunk

    from .script import GuestPath
    from .steps import Flow

PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL


def start(
    args: str | Sequence[GuestPath],
    *,
    stdin: int | None = DEVNULL,
    stdout: int | None = PIPE,
    stderr: int | None = PIPE,
    shell: bool = False,
    cwd: GuestPath | None = None,
    env: Mapping[str, str | bytes | None] | None = None,
    user: str | None = None,
    lease: float = LEASE,
    timeout: float | None = None,
) -> Flow[Running]:
    r"""Start a program in the guest. Shaped like `subprocess.Popen`.

        >>> program = guest.popen("echo begun; cat", shell=True, stdin=-1)
        >>> program.stdout.readline()
        b'begun\n'
        >>> program.communicate("the rest")
        (b'the rest', b'')

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
    name = new_name()
    text = _starter(name, modes, words, user=user, cwd=cwd, env=env, lease=lease)
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
        place, said = yield from _what_came(running, name)
        running.begin(name, place)
        yield from running.open(*modes)
        if said != "ok":
            yield from running.abandon()
            raise _not_started(args, said, cwd, user)
        yield from running.check_start()
        return running
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from running.give_up(error)
        raise


def run(
    args: str | Sequence[GuestPath],
    *,
    input: bytes | str | None = None,
    stdout: int | None = PIPE,
    stderr: int | None = PIPE,
    shell: bool = False,
    cwd: GuestPath | None = None,
    env: Mapping[str, str | bytes | None] | None = None,
    user: str | None = None,
    timeout: float | None = None,
    check: bool = False,
) -> Flow[Completed]:
    r"""Run a program in the guest to its end. Shaped like `subprocess.run`.

    Its output is kept whole, however long it is.

        >>> guest.run(["echo", "hello"]).text
        'hello\n'
        >>> guest.run("tr a-z A-Z | rev", shell=True, input="loud", timeout=60).stdout
        b'DUOL'
        >>> guest.run(["ls", "/no/such/file"], check=True)
        Traceback (most recent call last):
        qga.client.completed.ProgramFailed: Command '['ls', '/no/such/file']' returned non-zero...

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
    end = Total(timeout)
    try:
        running = yield from start(
            args,
            stdin=DEVNULL if input is None else PIPE,
            stdout=stdout,
            stderr=stderr,
            shell=shell,
            cwd=cwd,
            env=env,
            user=user,
            timeout=end.each(),
        )
    except AgentTimeout as error:
        raise end.passed(error, args) from error
    yield Timeout(None)
    try:
        left = None if timeout is None else end.left()
        out, err = yield from running.communicate(input, left)
    except ProgramTimeout as late:
        if isinstance(late.__cause__, AgentTimeout):
            # It is the agent that does not answer: no time is left to wait for it.
            yield from running.give_up(late)
            raise ProgramTimeout(args, end.seconds, late.stdout, late.stderr) from late.__cause__
        so_far = yield from _kill(running)
        raise ProgramTimeout(args, end.seconds, *so_far) from None
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from running.give_up(error)
        raise
    done = Completed(args, running.returncode or 0, out, err)
    if check:
        done.check_returncode()
    return done


def _kill(running: Running) -> Flow[tuple[bytes, bytes]]:
    """Kill a program; return what it has put out."""
    yield Timeout(ENDING, despite=True)
    try:
        yield from running.kill()
        out, err = yield from running.communicate(None, LAST_WORDS)
    except GeneratorExit:
        raise
    except ProgramTimeout as late:
        # Something that it started is still there, and holds the output.
        out, err = late.stdout or b"", late.stderr or b""
    except BaseException as error:
        yield from running.give_up(error)
        raise
    yield from running.abandon()
    return out, err


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
    words: list[Any],
    *,
    user: str | None,
    cwd: GuestPath | None,
    env: Mapping[str, str | bytes | None] | None,
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


def new_name() -> str:
    """A name for a spool that nobody can guess."""
    return os.urandom(8).hex()  # as `secrets` would, which is not light


def _check_user(user: str) -> None:
    """Refuse what would not be one word in a shell's ~user."""
    if not user or user.startswith("-") or not all(c.isalnum() or c in "_-.@" for c in user):
        raise ValueError(f"this is no name of a user: {user!r}")


def _what_came(running: Running, name: str) -> Flow[tuple[str, str]]:
    """Wait for the starter: the spool's place, and what it says."""
    pause = pauses(FIRST_PAUSE, LAST_PAUSE)
    looks = 0
    last = math.inf
    handle = -1
    place = wrapper.PLACES[0]
    said = b""
    while b"\n" not in said:
        yield Wait(next(pause))
        looks += 1
        if looks > last:
            raise _no_start(running.returncode)
        if looks % 10 == 0 and running.returncode is None:
            status: ExecStatus = yield ExecGetStatus(pid=running.pid)
            if status.exited:
                # The program may have been started, and have ended since.
                running.note(status)
                last = looks + 2 * len(wrapper.PLACES)
        if handle < 0:
            if looks > 5:
                place = wrapper.PLACES[looks % len(wrapper.PLACES)]
            try:
                handle = yield FileOpen(path=f"{place}/qga-{name}/start")
            except GuestOSError:
                continue  # not there yet, or not the place
        chunk: FileChunk = yield FileRead(handle=handle, count=4096)
        said += chunk.data
    yield from ignoring_errors([FileClose(handle=handle)])
    return place, said.partition(b"\n")[0].decode(errors="replace")


def _no_start(code: int | None) -> QgaError:
    if code == wrapper.NO_SPOOL:
        return Unsupported(
            f"the guest has no room for what passes between the program and the client: no "
            f"directory could be made in any of {', '.join(wrapper.PLACES)}, or mkfifo is missing"
        )
    return QgaError(f"the guest's shell could not start the program: it ended with {code}")


def _not_started(args: Any, said: str, cwd: GuestPath | None, user: str | None) -> QgaError:
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
    return refused(args, number, os.fsdecode(cwd) if what and cwd is not None else "")
