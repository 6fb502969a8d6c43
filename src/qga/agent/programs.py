"""Programs that the agent runs for its own ends, while it goes on serving others.

What the host wants to have run is started by `spawn`, and remembered by `processes`.
"""

import errno
import os

from qga.errors import CommandError

from .later import Pending
from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# How much of a program's output an error repeats.
_OUTPUT = 4096

# The agent ignores them, as Python does, and what is ignored would stay so in a program.
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)


class ProgramFailed(CommandError):
    """A program could not be started, or failed; `code` is its exit code if it has one."""

    def __init__(self, desc: str, code: "int | None" = None) -> None:
        super().__init__(desc)
        self.code = code


class Program(Pending[None]):
    """A program that was started; its result is there when it has ended.

    Attributes:
        pid: its process.
        status: once it has ended, its exit code; below 0, what signal has ended it.
    """

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid = pid
        self.status: int | None = None

    def kill(self) -> None:
        """End it by force, with what it has started and left in its process group."""
        if not self.ended:
            os.killpg(self.pid, signal.SIGKILL)


class Programs:
    """The programs that are running. `on_child_ended` has to be called after each SIGCHLD."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[Program, str, int, bytes]] = {}

    def run(
        self,
        argv: list[str],
        action: str,
        *,
        stdin: bytes = b"",
        secret: bytes = b"",
        output: "int | None" = None,
    ) -> Program:
        """Start the program *argv* in a session of its own.

        Args:
            argv: path of the program, or its name to look for in PATH, and its arguments.
            action: what it is to do, for error texts.
            stdin: its input.
            secret: its output is not quoted if it has this in it.
            output: a descriptor for its output, which then is not quoted.

        Raises:
            ProgramFailed: it cannot be started.

        The result is there when the program ends; it is a `ProgramFailed` that quotes the program's
        output if it failed.
        """
        # In memory: a pipe would have to be read, or it fills up and the program waits for ever.
        kept = os.memfd_create("output", os.MFD_CLOEXEC) if output is None else -1
        target = kept if output is None else output
        source = _input(stdin)
        try:
            pid = os.posix_spawnp(
                argv[0],
                argv,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, source, 0),
                    (os.POSIX_SPAWN_DUP2, target, 1),
                    (os.POSIX_SPAWN_DUP2, target, 2),
                ],
                setsid=True,
                setsigdef=IGNORED,
            )
        except OSError as error:
            if kept >= 0:
                os.close(kept)
            reason = os.strerror(error.errno or errno.ENOEXEC)
            raise ProgramFailed(
                f"child process has failed to {action}: failed to exec '{argv[0]}': {reason}"
            ) from None
        finally:
            os.close(source)
        program = Program(pid)
        self._running[pid] = (program, action, kept, secret)
        return program

    def on_child_ended(self) -> None:
        """A child process has ended: resolve what waited for it."""
        for pid, (program, action, kept, secret) in list(self._running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._running[pid]
                said = b""
                if kept >= 0:
                    said = os.pread(kept, _OUTPUT, 0)
                    os.close(kept)
                if secret and secret in said:
                    said = b""
                program.status = code = os.waitstatus_to_exitcode(status)
                program.resolve(_verdict(code, said.decode("utf-8", "replace"), action))


def _input(data: bytes) -> int:
    """A descriptor to read *data* from."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    # In memory, too: nobody has to wait until all of it is read.
    fd = os.memfd_create("input", os.MFD_CLOEXEC)
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _verdict(code: int, said: str, action: str) -> "Callable[[], None]":
    def judge() -> None:
        if code < 0:
            tail = f": {said}" if said else ""
            raise ProgramFailed(f"child process has terminated abnormally{tail}")
        if code:
            reason = said or f"exit status {code}"
            raise ProgramFailed(f"child process has failed to {action}: {reason}", code)

    return judge
