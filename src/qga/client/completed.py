"""What programs of the guest come to: results and errors, as those of `subprocess`."""

from __future__ import annotations

import subprocess

from qga.errors import GuestOSError, QgaError


class Completed(subprocess.CompletedProcess[bytes]):
    r"""A program of the guest that has ended.

        >>> done = guest.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
        >>> done.returncode, done.text, done.error_text
        (3, 'out\n', 'err\n')

    Attributes:
        args: the program and its arguments.
        returncode: its exit code; the negative number of the signal that ended it.
        stdout: its standard output; empty when that was not kept.
        stderr: its standard error; empty when that was not kept.
    """

    @property
    def text(self) -> str:
        """Its standard output as text, from UTF-8."""
        return self.stdout.decode(errors="replace")

    @property
    def error_text(self) -> str:
        """Its standard error as text, from UTF-8."""
        return self.stderr.decode(errors="replace")

    def check_returncode(self) -> None:
        """Raise `ProgramFailed` if the exit code is not zero."""
        if self.returncode:
            raise ProgramFailed(self.returncode, self.args, self.stdout, self.stderr)


class ProgramFailed(QgaError, subprocess.CalledProcessError):
    r"""A program of the guest ended with an exit code that is not zero, or by a signal.

    >>> try:
    ...     guest.run(["sh", "-c", "echo no such thing >&2; exit 3"], check=True)
    ... except qga.ProgramFailed as error:
    ...     print(error.returncode, error.stderr)
    3 b'no such thing\n'
    """

    def __str__(self) -> str:
        text = subprocess.CalledProcessError.__str__(self)
        last = bytes(self.stderr or b"").decode(errors="replace").strip().rpartition("\n")[2]
        return f"{text} It said: {last}" if last else text


class ProgramTimeout(QgaError, subprocess.TimeoutExpired):
    """A program of the guest did not end in time.

    `run` has ended it, and all that it started; `stdout` and `stderr` are its output so far.

        >>> guest.run(["sleep", "60"], timeout=0.2)
        Traceback (most recent call last):
        qga.client.completed.ProgramTimeout: Command '['sleep', '60']' timed out after 0.2 seconds
    """

    def __str__(self) -> str:
        return subprocess.TimeoutExpired.__str__(self)


class CannotExecute(GuestOSError):
    """The guest has no such program (`errno` is ENOENT), or cannot execute it (EACCES).

    >>> try:
    ...     guest.run(["/etc/passwd"])
    ... except qga.CannotExecute as error:
    ...     print(error, error.errno)
    the program '/etc/passwd' cannot be used: Permission denied 13
    """


class StdinClosed(QgaError, BrokenPipeError):
    """A program of the guest takes no more input: it has ended, or closed its standard input.

    >>> from subprocess import PIPE
    >>> program = guest.popen(["true"], stdin=PIPE, stdout=None, stderr=None)
    >>> program.wait()
    0
    >>> program.stdin.write(b"too late")
    Traceback (most recent call last):
    qga.client.completed.StdinClosed: the program takes no more input
    """


class SpoolLost(QgaError):
    """What the guest kept of a program's output is gone.

    Whoever keeps it there has not heard of this client for too long, or was ended.

        >>> issubclass(qga.SpoolLost, qga.QgaError)
        True
    """
