"""Programs that handlers start, while the agent goes on serving others."""

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


class Program(Pending[None]):
    """A program that was started; its result is there when it has ended."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._pid = pid

    def kill(self) -> None:
        """End it by force, with what it has started and left in its process group."""
        if not self.ended:
            os.killpg(self._pid, signal.SIGKILL)


class Programs:
    """The programs that are running. `on_child_ended` has to be called after each SIGCHLD."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[Program, str, int]] = {}

    def run(self, argv: list[str], action: str) -> Program:
        """Start the program *argv* in a session of its own.

        Args:
            argv: absolute path of the program, and its arguments.
            action: what it is to do, for error texts.

        Raises:
            CommandError: it cannot be started.

        The result is there when the program ends; it is an error that quotes the program's output
        if it failed.
        """
        # In memory: a pipe would have to be read, or it fills up and the program waits for ever.
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGPIPE],
            )
        except OSError as error:
            os.close(output)
            reason = os.strerror(error.errno or errno.ENOEXEC)
            raise CommandError(
                f"child process has failed to {action}: failed to exec '{argv[0]}': {reason}"
            ) from None
        program = Program(pid)
        self._running[pid] = (program, action, output)
        return program

    def on_child_ended(self) -> None:
        """A child process has ended: resolve what waited for it."""
        for pid, (program, action, output) in list(self._running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._running[pid]
                said = os.pread(output, _OUTPUT, 0).decode("utf-8", "replace")
                os.close(output)
                code = os.waitstatus_to_exitcode(status)
                program.resolve(_verdict(code, said, action))


def _verdict(code: int, said: str, action: str) -> "Callable[[], None]":
    def judge() -> None:
        if code < 0:
            tail = f": {said}" if said else ""
            raise CommandError(f"child process has terminated abnormally{tail}")
        if code:
            reason = said or f"exit status {code}"
            raise CommandError(f"child process has failed to {action}: {reason}")

    return judge
