"""One freeze, as long as it lasts: its mounts, what is known of it, and its guardian. For `freeze`.

A guardian that was killed is replaced, with what the last one had told. Where none can be had any
more, all is thawed at once: nobody could do it in time later.
"""

import errno
import os
import time

from . import guardian, record
from .keeper import Task
from .workers import thaw_fully

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.protocol.fsfreeze import FreezeReport

    from .lean import socket
    from .log import Log
    from .loop import Loop, Timer
    from .plan import Wanted
    from .system.asked import Freezer

# How much of the marker is read back; beyond, mount points are not remembered.
_MARKER_SIZE = 1 << 20

# The longest identity, and number, in one of ours.
_LONGEST, _DIGITS = 32, 20

# A guardian that was killed is replaced so often, and given so much time at least.
_RESTARTS = 5
_SOONEST = 1_000_000_000

# After how many seconds it is tried again what could not be thawed without a guardian.
RETRY = 10.0

# How long thawing may take until it counts as failed.
_GRACE = 2_000_000_000


class Settings:
    """What the configuration says about freezing.

    Args:
        timeout: seconds after which the guest is thawed, if a request does not say otherwise.
        mount_timeout: seconds that freezing one file system may take.
        configured: which may be frozen.
        marker: path of the marker.
        report: path of the file for the last report.
    """

    __slots__ = ("configured", "marker", "mount_timeout", "report", "timeout")

    def __init__(
        self,
        timeout: float,
        mount_timeout: float,
        configured: "Callable[[], Wanted]",
        marker: str,
        report: str,
    ) -> None:
        self.timeout = timeout
        self.mount_timeout = mount_timeout
        self.configured = configured
        self.marker = marker
        self.report = report


class Hold:
    """A freeze.

    Args:
        freezer, loop, log, settings: the agent's.
        identity: what tells it from others.
        about: what does not change of it.
        state: how far it has come.
        held: mount points and descriptors, in the order of freezing.
        stuck: mount points that are frozen and cannot be opened.
        orphaned: called in the guardian in the end, if there is no agent then.
        on_state: called after each change of `state`.
    """

    def __init__(
        self,
        freezer: "Freezer",
        loop: "Loop",
        log: "Log",
        settings: Settings,
        *,
        identity: bytes,
        about: record.Record,
        state: record.State,
        held: "list[tuple[str, int]]",
        stuck: "list[str] | None" = None,
        orphaned: "Callable[[record.Record, record.State], None] | None",
        on_state: "Callable[[record.State], None]",
    ) -> None:
        self._freezer = freezer
        self._loop = loop
        self._log = log
        self._settings = settings
        self.identity = identity
        self.record = about
        self.state = state
        self.held = held
        self.stuck = stuck or []
        self._orphaned = orphaned
        self._on_state = on_state
        self.guardian: guardian.Guardian | None = None
        self._guardians: list[guardian.Guardian] = []  # that may have to be waited for
        self._restarts = 0
        self._abandoned = False
        self._retry: Timer | None = None
        self._renewal = ""  # the last line that asked for one
        self._to_thaw = False

    def start(self) -> None:
        """Start its guardian.

        Raises:
            OSError: no process could be started.
        """
        task = Task(
            self._freezer,
            [fd for _, fd in self.held],
            self.record,
            self.state,
            limit=self._settings.mount_timeout,
            identity=self.identity,
            marker=self._settings.marker,
            keep_marker=bool(self.stuck),
            report=self._settings.report,
            orphaned=self._orphaned,
        )
        connection, pid = guardian.start(task)
        self.adopt(connection, pid)

    def adopt(
        self, connection: "socket.socket", pid: "int | None", received: "bytes | None" = None
    ) -> None:
        """Listen to a guardian; see `Guardian`."""
        self.guardian = guardian.Guardian(
            self._loop, connection, pid, self._heard, self._lost, received=received
        )
        self._guardians.append(self.guardian)

    def tell(self, line: str) -> None:
        """Tell its guardian something; what matters is told to the next one, too."""
        if line.startswith("renew"):
            self._renewal = line
        self._to_thaw = self._to_thaw or line == "thaw"
        if self.guardian is not None:
            self.guardian.tell(line)
        elif self._abandoned and line == "thaw":
            self._thaw_alone()

    def _heard(self, heard: guardian.Guardian) -> None:
        if heard is self.guardian and heard.state is not None:
            self.state = heard.state
            self._on_state(self.state)

    def _lost(self, lost: guardian.Guardian) -> None:
        """The guardian has ended before its task was done: start another one."""
        if lost is not self.guardian:
            return
        self._log.error("the guardian of the freeze was killed; starting another")
        state = self.state
        # What it was about to freeze, may be frozen.
        maybe = [record.IN_FREEZE]
        if state.phase in {record.READY, record.FREEZING}:
            maybe.append(record.WAITING)
            self._begin_to_thaw(record.KILLED)
        for position in state.positions(*maybe):
            state.status[position] = record.MAYBE
        renewed = state.deadline
        state.deadline = max(state.deadline, record.now() + _SOONEST)
        self.guardian = None
        self._restarts += 1
        if self._restarts > _RESTARTS:  # something kills them one after the other
            self._abandon()
            return
        try:
            self.start()
        except OSError as error:
            self._log.error(f"cannot start a guardian: {error.strerror}")
            self._abandon()
            return
        # The last one may not have heard of it.
        if self._to_thaw:
            self.tell("thaw")
        elif self._renewal and self._renewal != f"renew {renewed}":
            self.tell(self._renewal)

    # Without a guardian.

    def _begin_to_thaw(self, cause: int) -> None:
        state = self.state
        state.phase, state.cause = record.THAWING, cause
        state.ended, state.ended_wall = record.now(), time.time_ns()

    def _abandon(self) -> None:
        """There is no guardian any more: thaw here, which may take as long as the kernel likes."""
        self._abandoned = True
        if self.state.phase == record.FROZEN:
            self._begin_to_thaw(record.ASKED if self._to_thaw else record.KILLED)
        self._thaw_alone()

    def _thaw_alone(self) -> None:
        state = self.state
        if self._retry is not None:
            self._loop.cancel(self._retry)
            self._retry = None
        for position in state.positions(record.IS_FROZEN, record.MAYBE, record.STUCK):
            if not self.held:
                return  # it is over
            try:
                undone = thaw_fully(self._freezer, self.held[position][1])
            except OSError as error:
                state.error[position] = error.errno or 0
                state.status[position] = record.STUCK
            else:
                nothing = record.LOST
                if state.status[position] == record.MAYBE:
                    nothing = record.SKIPPED
                state.status[position] = record.THAWED if undone else nothing
        if state.positions(record.STUCK):
            self._retry = self._loop.later(RETRY, self._thaw_alone)
        else:
            state.phase = record.DONE
            record.write_report(self._settings.report, self.record.report(state))
        self._on_state(state)

    @property
    def failed(self) -> bool:
        """Whether something is left frozen that should have been thawed."""
        state = self.state
        if state.positions(record.STUCK):
            return True
        return state.phase == record.THAWING and record.now() - state.ended > _GRACE

    def report(self, *, failed: bool = False) -> "FreezeReport":
        """What hosts are told of it."""
        return self.record.report(self.state, failed=failed or self.failed)

    def path(self, position: int) -> str:
        """Where the mount at *position* is."""
        return self.record.mounts[position].path if position >= 0 else ""

    def write_marker(self) -> None:
        """Mark the guest as frozen, for the next agent.

        Raises:
            OSError: the file cannot be written.
        """
        paths = [os.fsencode(path).replace(b"\n", b"\\n") for path, _ in self.held]
        lines = [self.identity, b"%d %b" % (self.state.deadline, _boot()), *paths, b""]
        data = b"\n".join(lines)[:_MARKER_SIZE]
        # From one moment to the next: an empty one would be another agent's.
        new = f"{self._settings.marker}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(fd)
        os.replace(new, self._settings.marker)

    def let_go(self) -> None:
        """Close what is open of it; its guardian ends by itself."""
        if self.guardian is not None:
            self.guardian.close()
        if self._retry is not None:
            self._loop.cancel(self._retry)
        for _, fd in self.held:
            if fd >= 0:
                os.close(fd)
        self.held = []

    def reap(self) -> bool:
        """Whether none of its guardians is a child that has to be waited for."""
        self._guardians = [each for each in self._guardians if not each.reap()]
        return not self._guardians and not self.held


class Marker:
    """What is in a marker; one that is not as we write it is another agent's.

    Args:
        path: of the file.

    Raises:
        OSError: there is none that can be read.

    Attributes:
        identity: what tells the freeze from others; empty if that is not known.
        deadline: of the lease; 0 if it is not known.
        paths: the mount points that are frozen; none: any may be.
        of_another_boot: whether nothing that it tells of can be frozen any more.
    """

    __slots__ = ("deadline", "identity", "of_another_boot", "paths")

    def __init__(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            identity, *lines = os.read(fd, _MARKER_SIZE).split(b"\n")
        finally:
            os.close(fd)
        self.identity, self.deadline = b"", 0
        self.of_another_boot = False
        if identity.isalnum() and len(identity) <= _LONGEST:
            self.identity = identity
            number, _, boot = lines[0].partition(b" ") if lines else (b"", b"", b"")
            if number.isdigit() and len(number) <= _DIGITS:
                self.deadline = int(number)
                self.of_another_boot = b"" != boot != _boot()
                del lines[0]
        if not self.identity or any(line[:1] not in b"/" for line in lines):
            lines = []  # not a word of it can be relied on
        self.paths = [os.fsdecode(line.replace(b"\\n", b"\n")) for line in lines if line]


def _boot() -> bytes:
    """By what the kernel tells this start of the guest from others."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
            told: bytes = file.read()
    except OSError:
        return b""
    return told.strip()
