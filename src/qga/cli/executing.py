"""Runs a program in one guest, or in many at once. For `qga exec`, and what ends like it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import click

from qga.client.attached import write_all
from qga.client.completed import CannotExecute, ProgramTimeout
from qga.errors import QgaError

from . import ending
from .output import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Self

    from qga.client import Target

    from .forwarding import Signals
    from .options import Settings

    Sink = int | Callable[[bytes], object]

# As those of docker and of timeout(1): seldom confused with what programs choose.
LATE, FAILED, NOT_EXECUTABLE, NOT_FOUND, SIGNAL = 124, 125, 126, 127, 128

# How long a program may take to end by SIGTERM after its time, in seconds; then it is killed.
_GRACE = 5.0


# A line of one among many guests that is longer is broken, in bytes.
_LONG_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class Program:
    """What is to run in each guest, and for how many seconds at the most."""

    words: tuple[str, ...]
    user: str | None
    directory: str | None
    variables: Mapping[str, str]
    seconds: float | None

    @property
    def circumstances(self) -> dict[str, Any]:
        """As `Client.popen` and `Client.shell` take them."""
        return {"user": self.user, "cwd": self.directory, "env": self.variables}


@contextmanager
def own_failures(words: Sequence[str]) -> Iterator[None]:
    """Give failures to run the program *words* the exit codes of commands that pass on its own."""
    try:
        yield
    except CannotExecute as error:
        code = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
        if code == NOT_FOUND and words and " " in words[0]:
            error.hint = "a text for a shell takes: sh -c 'TEXT'"
        raise ending.Failed(error, code) from error
    except (QgaError, OSError) as error:
        raise ending.Failed(error, FAILED) from error
    except ValueError as error:  # a name that cannot be one of a variable, or of a user
        raise click.UsageError(str(error)) from error


def code_of(returncode: int) -> int:
    """The exit code for a program's end, by which a shell tells of signals."""
    return returncode if returncode >= 0 else SIGNAL - returncode


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program has ended: its `returncode`, whether its time was over, after how long."""

    returncode: int
    late: bool
    seconds: float

    @property
    def code(self) -> int:
        """The exit code of `qga`."""
        return LATE if self.late else code_of(self.returncode)

    def record(self) -> dict[str, Any]:
        """For programs."""
        number = -self.returncode if self.returncode < 0 else None
        return {"exit_code": self.code, "signal": number, "timed_out": self.late}

    def __str__(self) -> str:
        if self.returncode < 0:
            return f"ended by signal {-self.returncode}"
        return f"exit code {self.returncode}"


class Run:
    """Runs a program in one guest, or in many at once.

    Args:
        settings: of the command.
        program: which.
        source: its standard input; None for none.
        signals: what it is to be told.
        many: whether the outputs of several guests come together.
    """

    def __init__(
        self,
        settings: Settings,
        program: Program,
        source: Source | None,
        signals: Signals,
        *,
        many: bool,
    ) -> None:
        self._settings = settings
        self._program = program
        self._source = source
        self._signals = signals
        self._many = many
        self._lock = Lock()

    def in_guest(self, target: Target) -> Shown:
        """Run it in a guest; its output goes where it belongs."""
        name = ending.printable(target.text)
        if self._settings.json:
            out, err = bytearray(), bytearray()
            ended = self._run(target, out.extend, err.extend)
            found = ended.record() | _kept("stdout", out) | _kept("stderr", err)
            found["seconds"] = round(ended.seconds, 3)
            return Shown(found, code=ended.code)
        if not self._many:
            ended = self._run(target, 1, 2)
        else:
            lines = [Lines(name, descriptor, self._lock) for descriptor in (1, 2)]
            try:
                ended = self._run(target, lines[0].add, lines[1].add)
            finally:
                for output in lines:
                    output.end()
        front = f"{name}: " if self._many else ""
        if ended.late:
            ending.tell(f"{front}ended after {self._program.seconds:g} s, the --timeout", LATE)
        elif self._many and ended.code:
            ending.tell(f"{front}{ended}", ended.code)
        return Shown(None, code=ended.code)

    def _run(self, target: Target, stdout: Sink, stderr: Sink) -> Ended:
        began = time.monotonic()
        late = False
        with own_failures(self._program.words), suppress(ProgramTimeout), ExitStack() as stack:
            code = -signal.SIGKILL
            signals = stack.enter_context(self._signals.waiting())
            if self._signals.received:
                raise InterruptedError(errno.EINTR, "not started: qga was interrupted")
            stdin = None if self._source is None else self._source.open(stack)
            client = stack.enter_context(self._settings.connect(target))
            seconds = self._program.seconds
            program = stack.enter_context(
                client.popen(
                    self._program.words,
                    stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                    timeout=None if seconds is None else min(seconds, client.timeout),
                    **self._program.circumstances,
                )
            )

            def until_end(seconds: float | None) -> int:
                return program.interact(
                    stdin=stdin, stdout=stdout, stderr=stderr, signals=signals, timeout=seconds
                )

            try:
                code = until_end(seconds)
            except ProgramTimeout:
                late = True
                program.terminate()
                code = until_end(_GRACE)  # when that is over, too, it is killed with the block
        return Ended(code, late, time.monotonic() - began)


def _kept(name: str, data: bytearray) -> dict[str, str | None]:
    """An output as a program reads it: its text, and its bytes where they are none."""
    try:
        return {name: data.decode(), f"{name}_b64": None}
    except UnicodeDecodeError:
        return {name: data.decode(errors="replace"), f"{name}_b64": b64encode(data).decode()}


class Lines:
    """Writes what a guest puts out in whole lines, each with its name in front.

    Args:
        name: of the guest.
        descriptor: of the file to write to.
        lock: held while a line is written, so that none gets into another.
    """

    def __init__(self, name: str, descriptor: int, lock: Lock) -> None:
        self._front = f"{name}: ".encode()
        self._descriptor = descriptor
        self._lock = lock
        self._begun = b""
        self._for_people = os.isatty(descriptor)

    def add(self, data: bytes) -> None:
        """Write the lines that are complete."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > _LONG_LINE:
            lines.append(self._begun)
            self._begun = b""
        if lines:
            with self._lock:
                write_all(self._descriptor, b"".join(map(self._shown, lines)))

    def end(self) -> None:
        """Write what is left."""
        if self._begun:
            self.add(b"\n")

    def _shown(self, line: bytes) -> bytes:
        if self._for_people:
            # One guest could pretend to be another.
            line = ending.printable(line.decode(errors="backslashreplace").rstrip("\r")).encode()
        return self._front + line + b"\n"


class Source:
    """The standard input of `qga`, for one program or for many, each of which gets all of it."""

    def __init__(self, *, many: bool) -> None:
        self._copy = None
        if many:
            import shutil
            import tempfile

            self._copy = tempfile.NamedTemporaryFile()  # noqa: SIM115 - for all of the run
            try:
                shutil.copyfileobj(sys.stdin.buffer, self._copy)
                self._copy.flush()
            except BaseException:
                self._copy.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._copy is not None:
            self._copy.close()

    def open(self, stack: ExitStack) -> int:
        """A file descriptor for a program to read from; it is closed with *stack*."""
        if self._copy is None:
            return sys.stdin.fileno()
        return stack.enter_context(Path(self._copy.name).open("rb")).fileno()


def has_input() -> bool:
    """Whether standard input is more than a terminal, or nothing: a pipe, a file, a socket.

    What is typed is taken only when it is asked for: another program may read the terminal, as
    `less` behind a pipe does.
    """
    try:
        found = os.fstat(0)
    except OSError:
        return False  # closed
    if stat.S_ISREG(found.st_mode):
        return os.lseek(0, 0, os.SEEK_CUR) < found.st_size
    return not stat.S_ISCHR(found.st_mode)
