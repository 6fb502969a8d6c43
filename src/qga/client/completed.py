"""What programs of the guest come to: results and errors, as those of `subprocess`."""

from __future__ import annotations

import subprocess

from qga.errors import QgaError


class Completed(subprocess.CompletedProcess[bytes]):
    """A program of the guest that has ended.

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
    """A program of the guest ended with an exit code that is not zero, or by a signal."""

    def __str__(self) -> str:
        text = subprocess.CalledProcessError.__str__(self)
        last = bytes(self.stderr or b"").decode(errors="replace").strip().rpartition("\n")[2]
        return f"{text} It said: {last}" if last else text


class ProgramTimeout(QgaError, subprocess.TimeoutExpired):
    """A program of the guest did not end in time.

    `run` has ended it, and all that it started; `stdout` and `stderr` are its output so far.
    """

    def __str__(self) -> str:
        return subprocess.TimeoutExpired.__str__(self)
