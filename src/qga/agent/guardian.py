"""The safety net of a freeze: a process of its own that thaws at the deadline.

`Freeze` starts one before anything is frozen. It holds the mounts open, needs nothing from a frozen
file system, and does its duty whatever becomes of the agent. It leaves without thawing as soon as
the marker file is gone or belongs to another freeze: somebody has thawed.
"""

import os
import select
import time

from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .system import Freezer

# How often the marker is looked at, which another agent may have removed.
_LOOK = 1.0

# Exit codes.
THAWED = 0  # the deadline came, and everything is thawed
LEFT_FROZEN = 1  # the deadline came, and something could not be thawed
NOT_NEEDED = 2  # somebody else has thawed


class Guardian:
    """The process, seen from the agent.

    Args:
        freezer: by what to thaw.
        fds: descriptors of the mounts, in the order in which to thaw them.
        marker: path of the marker file.
        token: its first line, which tells this freeze from others.
        seconds: when to thaw.

    Raises:
        OSError: no process could be started.
    """

    def __init__(
        self, freezer: "Freezer", fds: list[int], marker: str, token: bytes, seconds: float
    ) -> None:
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            code = LEFT_FROZEN
            try:
                _detach({reader, *fds})
                code = _watch(freezer, fds, marker, token, seconds, reader)
            finally:
                os._exit(code)
        os.close(reader)

    def dismiss(self) -> None:
        """Everything is thawed: end the process, and wait until it has ended."""
        if self._writer >= 0:
            try:
                os.write(self._writer, b"x")
            except BrokenPipeError:
                pass
            self._close()
            try:
                os.waitpid(self.pid, 0)
            except ChildProcessError:
                pass

    def ended(self) -> "int | None":
        """Its exit code if it has ended by itself, else None."""
        if self._writer < 0:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._close()
        return os.waitstatus_to_exitcode(status)

    def _close(self) -> None:
        os.close(self._writer)
        self._writer = -1


def _detach(keep: "set[int]") -> None:
    """Become independent of the agent: of its descriptors, its session and its signals."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass  # that of the listing itself
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("-1000")
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        pass  # not root: it is a test


def _watch(  # noqa: PLR0917
    freezer: "Freezer",
    fds: "Iterable[int]",
    marker: str,
    token: bytes,
    seconds: float,
    reader: int,
) -> int:
    deadline = time.monotonic() + seconds
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    agent_lives = True
    while (left := deadline - time.monotonic()) > 0:
        if agent_lives:
            if poller.poll(min(left, _LOOK) * 1000):
                if os.read(reader, 1):
                    return NOT_NEEDED
                agent_lives = False
        else:
            time.sleep(min(left, _LOOK))
        if _is_over(marker, token):
            return NOT_NEEDED
    if not _thaw_all(freezer, fds):
        return LEFT_FROZEN
    try:
        os.unlink(marker)
    except OSError:
        pass  # somebody else has, just now; or the agent will
    return THAWED


def _thaw_all(freezer: "Freezer", fds: "Iterable[int]") -> bool:
    """Thaw all of them at once, each from a process of its own; True if that worked.

    One after the other would do for what a freeze has left in order. But one that is being frozen
    still, because it waits for another to be thawed, lets nobody thaw it before.
    """
    thawed = True
    children = []
    for fd in fds:
        try:
            child = os.fork()
        except OSError:
            thawed &= thaw_fully(freezer, fd)
            continue
        if child == 0:
            os._exit(0 if thaw_fully(freezer, fd) else 1)
        children.append(child)
    for child in children:
        thawed &= os.waitpid(child, 0)[1] == 0
    return thawed


def thaw_fully(freezer: "Freezer", fd: int) -> bool:
    """Undo all freezes of one file system; False when that failed."""
    try:
        while freezer.thaw(fd):
            pass
    except OSError:
        return False
    return True


def _is_over(marker: str, token: bytes) -> bool:
    """Whether the marker file is gone, or of another freeze than *token*."""
    try:
        with open(marker, "rb") as file:
            return file.readline().strip() != token
    except FileNotFoundError:
        return True
    except OSError:
        return False  # no descriptors left, say: that is no thaw
