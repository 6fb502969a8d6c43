"""Short scripts for the guest's shell: what no command of the agent does is done by them.

They are for a POSIX shell with the usual programs, of coreutils or busybox. The script is the
shell's standard input, so that neither its length nor the bytes of its arguments are limited: a
file name that is no UTF-8 could not be an argument of guest-exec, which is JSON.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qga.errors import (
    CommandDisabled,
    CommandError,
    CommandNotFound,
    ConnectionLost,
    GuestOSError,
    QgaError,
    Unsupported,
)
from qga.protocol import Exec, ExecGetStatus

from .steps import Leave, Wait
from .timing import pauses

if TYPE_CHECKING:
    from typing import TypeAlias

    from qga.protocol.exec import ExecStarted, ExecStatus

    from .steps import Flow

    # A path in the guest, or another word, as callers may give it. The names in a guest are bytes;
    # a str stands for them as `os.fsencode` says, so that what is no UTF-8 has its place in it too.
    GuestPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

SHELL = "/bin/sh"

# Pauses between looks at a program that runs, in seconds: short ones first.
_FIRST_PAUSE, _LAST_PAUSE = 0.002, 0.1

# The beginning of scripts: texts of programs are in one language, and programs for root are found.
SURROUNDINGS = 'export LC_ALL=C PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"\n'

# The function keeps the script away from what is executed in it.
_FRAME = (
    SURROUNDINGS.encode()
    + b"""main() {
%s
}
main %s </dev/null
"""
)


@dataclass(frozen=True, slots=True)
class Output:
    """What a script came to.

    Attributes:
        code: its exit code; 128 and the number of the signal that ended it.
        out: its standard output.
        err: its standard error.
    """

    code: int
    out: bytes
    err: bytes


def script(text: str, *arguments: GuestPath) -> Flow[Output]:
    """Run *text* in the guest's shell, with *arguments* as `$1`, `$2` and so on.

    Its output must not be more than the agent keeps, 16 MiB: `process` has streams.

    Raises:
        Unsupported: the guest has no shell.
        CommandDisabled: guest-exec is not allowed.
        QgaError: the output was cut.
    """
    return (yield from outcome((yield from started(text, *arguments))))


def started(text: str, *arguments: GuestPath) -> Flow[int]:
    """Start a script as `script` does; return guest-exec's pid of it, for `outcome`."""
    data = _framed(text, arguments)
    try:
        begun: ExecStarted = yield Exec(
            path=SHELL, arg=["-s"], input_data=data, capture_output=True
        )
    except GuestOSError as error:
        if error.errno == errno.ENOENT:
            raise Unsupported(f"the guest has no {SHELL}, which this operation needs") from error
        raise
    return begun.pid


def later(text: str, *arguments: GuestPath) -> Leave:
    """A step: run *text* as `script` does, when there is time; nobody waits for it."""
    return Leave(Exec(path=SHELL, arg=["-s"], input_data=_framed(text, arguments)))


def _framed(text: str, arguments: tuple[GuestPath, ...]) -> bytes:
    return _FRAME % (text.encode(), b" ".join(map(quote, arguments)))


def outcome(pid: int) -> Flow[Output]:
    """Wait until the program with guest-exec's *pid* has ended; return what it came to.

    Raises:
        QgaError: the output was cut.
    """
    status = yield from finish(pid)
    if status.out_truncated or status.err_truncated:
        raise QgaError("the guest's answer is longer than its agent keeps")
    code = 128 + status.signal if status.signal is not None else status.exitcode or 0
    return Output(code, status.out_data or b"", status.err_data or b"")


def finish(pid: int) -> Flow[ExecStatus]:
    """Wait until the program with guest-exec's *pid* has ended.

    Raises:
        ConnectionLost: the agent has been restarted since.
    """
    pause = pauses(_FIRST_PAUSE, _LAST_PAUSE)
    try:
        while True:
            status: ExecStatus = yield ExecGetStatus(pid=pid)
            if status.exited:
                return status
            yield Wait(next(pause))
    except (CommandDisabled, CommandNotFound, GeneratorExit):
        raise
    except CommandError as error:
        raise restarted(f"process {pid}: how it ended is not known", error) from error
    except BaseException:
        # Agents remember a program until its end has been asked for.
        yield Leave(ExecGetStatus(pid=pid))
        raise


def restarted(what: str, error: CommandError) -> ConnectionLost:
    """What is raised when *error* shows that the agent does not know what it did before."""
    lost = ConnectionLost(f"{what}, for the agent has been restarted since it began ({error.text})")
    lost.hint = ""
    return lost


def quote(argument: GuestPath) -> bytes:
    """*argument* as one word of a shell's text."""
    data = os.fsencode(argument)
    if b"\0" in data:
        raise ValueError(f"a name cannot hold a NUL: {argument!r}")
    return b"'" + data.replace(b"'", b"'\\''") + b"'"
