"""The safety net of a freeze: a process of its own that thaws at the deadline.

`Freeze` starts one before anything is frozen. It holds the mounts open, needs nothing from a frozen
file system, and does its duty whatever becomes of the agent; what cannot be thawed it tries again
and again. It leaves when the marker file belongs to another freeze, or is gone (then it makes sure
that everything is thawed): somebody else was faster.
"""

import errno
import os
import select
import time

from . import descriptors
from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .system.asked import Freezer

# How often the marker is looked at, which another agent may have removed.
_LOOK = 1.0

# How long to wait after the deadline when something could not be thawed.
_RETRY = 10.0

# Exit codes. Any other: it was killed, and another one is needed.
THAWED = 0  # the deadline came, and everything is thawed
NOT_NEEDED = 1  # somebody else has thawed
_FAILED = 2


class Guardian:
    """The process, seen from the agent.

    Args:
        freezer: by what to thaw.
        fds: descriptors of the mounts, in the order in which to thaw them.
        marker: path of the marker file.
        token: its first line, which tells this freeze from others.
        seconds: when to thaw.
        when_orphaned: called in the process after it has thawed at the deadline, if the agent has
            gone.

    Raises:
        OSError: no process could be started.
    """

    def __init__(
        self,
        freezer: "Freezer",
        fds: list[int],
        marker: str,
        token: bytes,
        seconds: float,
        *,
        when_orphaned: "Callable[[], None] | None" = None,
    ) -> None:
        self._deadline = time.monotonic() + seconds
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        ready, ready_writer = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            code = _FAILED
            try:
                _detach({reader, ready_writer, *fds})
                os.write(ready_writer, b"x")
                os.close(ready_writer)
                code = _watch(freezer, fds, marker, token, seconds, reader)
                if code == THAWED and when_orphaned is not None and _is_orphan(reader):
                    _attach()
                    when_orphaned()
            finally:
                os._exit(code)
        os.close(reader)
        os.close(ready_writer)
        # Nothing may be frozen before it is in place.
        is_ready = os.read(ready, 1)
        os.close(ready)
        if not is_ready:
            self.dismiss()
            raise OSError(errno.ECHILD, "the guardian ended at once")

    def left(self) -> float:
        """The seconds until its deadline; negative after it."""
        return self._deadline - time.monotonic()

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
    descriptors.close_all_but(keep)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    try:
        _spare_from_oom(b"-1000")
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        pass  # not root: it is a test


def _is_orphan(reader: int) -> bool:
    """Whether the agent has gone, which would have held the other end of the pipe."""
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    return bool(poller.poll(0)) and not os.read(reader, 1)


def _attach() -> None:
    """Become an ordinary process again, whose children are."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        _spare_from_oom(b"0")
    except OSError:
        pass  # as above


def _spare_from_oom(score: bytes) -> None:
    # As bytes: a text's codec might have to be loaded, and the agent may be frozen.
    with open("/proc/self/oom_score_adj", "wb") as file:
        file.write(score)


def _watch(  # noqa: PLR0917
    freezer: "Freezer",
    fds: list[int],
    marker: str,
    token: bytes,
    seconds: float,
    reader: int,
) -> int:
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    agent_lives = True

    def over_within(seconds: float) -> bool:
        """Wait; True as soon as the freeze is over without us."""
        nonlocal agent_lives
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not agent_lives:
                time.sleep(min(left, _LOOK))
            elif poller.poll(min(left, _LOOK) * 1000):
                if os.read(reader, 1):
                    return True
                agent_lives = False
            try:
                found = _token_in(marker)
            except OSError:
                continue  # no descriptors left, say: that is no thaw
            if found is None:
                # Whoever has removed it has thawed; or did not know what it was.
                return _thaw_all(freezer, fds)
            if found != token:
                return True
        return False

    if over_within(seconds):
        return NOT_NEEDED
    while not _thaw_all(freezer, fds):
        # Somebody may clear what is in the way.
        if over_within(_RETRY):
            return NOT_NEEDED
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


def _token_in(marker: str) -> "bytes | None":
    """The first line of the marker file; None when there is no such file."""
    try:
        with open(marker, "rb") as file:
            return file.readline().strip()
    except FileNotFoundError:
        return None
