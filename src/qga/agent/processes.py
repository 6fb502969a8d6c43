"""The programs of guest-exec: started, reaped, and remembered. Used by `commands/exec`.

They are children of the agent in its own session, and survive it. Each is reaped as soon as it has
ended, and its result is kept until somebody fetches it.
"""

import os
import time

from qga.errors import CommandError, GuestOSError

from .pipes import Streams
from .spawn import Spawner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.protocol.model import Data

    from .loop import Loop
    from .pipes import Output, Pipe

# How many results are kept that nobody has fetched.
_KEPT = 64

# When a program has ended, but something that it has started still holds its output: how many
# seconds that is waited for.
_GRACE = 5.0


class Process:
    """A program, while it runs and afterwards.

    `code` is None while it runs, then its exit code, or the negative number of a signal. `out` and
    `err` are what it writes, where that is kept.
    """

    __slots__ = ("_ended_at", "code", "err", "out")

    def __init__(self) -> None:
        self.out: Output | None = None
        self.err: Output | None = None
        self.code: int | None = None
        self._ended_at = 0.0

    def on_end(self, code: int) -> None:
        """It has been reaped."""
        self.code = code
        self._ended_at = time.monotonic()
        for output in (self.out, self.err):
            if output is not None:
                # All that it has written itself is in the pipe by now.
                output.drain()

    def is_complete(self) -> bool:
        """Whether it has ended, and all of its output has come or was waited for long enough."""
        if self.code is None:
            return False
        for output in (self.out, self.err):
            if output is not None and not output.ended:
                return time.monotonic() - self._ended_at >= _GRACE
        return True

    def drop_output(self) -> None:
        """Nobody will ask for it."""
        for output in (self.out, self.err):
            if output is not None:
                output.take()


class Processes:
    """The programs that guest-exec has started. `on_child_ended` is called after each SIGCHLD."""

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop
        self._spawner = Spawner()
        self._pipes: set[Pipe] = set()
        self._running: dict[int, Process] = {}
        self._ended: dict[int, Process] = {}  # those that ended first come first

    def start(
        self,
        path: str,
        arguments: "list[str]",
        environment: "list[str] | None",
        data: "Data | None",
        kept: "tuple[bool, bool, bool]",
    ) -> int:
        """Start a program; return its process number.

        Args:
            path: the program; without a slash it is looked for on PATH.
            arguments: those that come after its name.
            environment: NAME=VALUE each, all that it has of one; None for the agent's.
            data: what it reads; None for nothing.
            kept: whether to keep its output, its error output, and that among its output.

        Raises:
            GuestOSError: it cannot be started.
        """
        streams = Streams(self._loop, self._pipes)
        process = Process()
        try:
            _connect(streams, process, data, kept)
            pid = self._spawner.spawn(path, arguments, environment, streams.actions)
        except BaseException:
            streams.abandon()
            raise
        streams.started()
        # The kernel may give a number again once it was reaped.
        earlier = self._ended.pop(pid, None)
        if earlier is not None:
            earlier.drop_output()
        self._running[pid] = process
        return pid

    def fetch(self, pid: int) -> "Process | None":
        """The program *pid*, which is forgotten now; None while it is not complete.

        Raises:
            CommandError: there is none with this number.
        """
        process = self._running.get(pid)
        if process is not None:
            # It may just have ended: then nobody has to ask again.
            self._reap(pid, process)
        else:
            process = self._ended.get(pid)
            if process is None:
                raise CommandError(f"PID {pid} does not exist")
        if not process.is_complete():
            return None
        self._ended.pop(pid, None)
        return process

    def on_child_ended(self) -> None:
        """A child of the agent has ended, maybe one of these."""
        while self._running:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return
            process = self._running.get(found.si_pid)
            if process is None:
                # Somebody else's, who has not looked yet; it hides those that come after it.
                for pid, process in list(self._running.items()):
                    self._reap(pid, process)
                return
            self._reap(found.si_pid, process)

    def _reap(self, pid: int, process: Process) -> None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            return
        del self._running[pid]
        process.on_end(os.waitstatus_to_exitcode(status))
        self._ended[pid] = process
        if len(self._ended) > _KEPT:
            self._ended.pop(next(iter(self._ended))).drop_output()

    def close(self) -> None:
        """Listen no more; the programs go on."""
        for pipe in list(self._pipes):
            pipe.close()


def _connect(
    streams: Streams, process: Process, data: "Data | None", kept: "tuple[bool, bool, bool]"
) -> None:
    out, err, merged = kept
    try:
        if data is None:
            streams.nothing(0)
        else:
            streams.input(data)
        if out:
            process.out = streams.output(1)
        else:
            streams.nothing(1)
        if err:
            process.err = streams.output(2)
        elif merged:
            streams.merge()
        else:
            streams.nothing(2)
    except OSError as error:
        raise GuestOSError(
            f"Failed to create pipe for communicating with child process ({error.strerror})",
            error.errno,
        ) from None
