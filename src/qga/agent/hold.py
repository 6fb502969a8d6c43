"""One freeze, as long as it lasts: its mounts, what is known of it, and its guardian. For `freeze`.

A guardian that was killed is replaced, with what the last one had told.
"""

import os
import time

from . import guardian, record
from .keeper import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.protocol.fsfreeze import FreezeReport

    from .lean import socket
    from .log import Log
    from .loop import Loop
    from .plan import Wanted
    from .system.asked import Freezer

# How much of the marker is read back; beyond, mount points are not remembered.
_MARKER_SIZE = 1 << 20

# A guardian that was killed is replaced so often, and given so much time at least.
_RESTARTS = 5
_SOONEST = 1_000_000_000

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
        """Tell its guardian something."""
        if self.guardian is not None:
            self.guardian.tell(line)

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
        if state.phase in {record.READY, record.FREEZING}:
            # What it was about to freeze, may be frozen.
            for position in state.positions(record.IN_FREEZE, record.WAITING):
                state.status[position] = record.MAYBE
            state.phase, state.cause = record.THAWING, record.STOPPED
            state.ended, state.ended_wall = record.now(), time.time_ns()
        state.deadline = max(state.deadline, record.now() + _SOONEST)
        self._restarts += 1
        self._abandoned = self._restarts > _RESTARTS  # something kills them one after the other
        if self._abandoned:
            self.guardian = None
            return
        try:
            self.start()
        except OSError as error:
            self._abandoned = True
            self._log.error(f"cannot start a guardian: {error.strerror}")

    @property
    def failed(self) -> bool:
        """Whether something is left frozen that should have been thawed."""
        state = self.state
        if self._abandoned or state.positions(record.STUCK):
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
        lines = [self.identity, b"%d" % self.state.deadline, *paths, b""]
        # From one moment to the next: an empty one would be another agent's.
        new = f"{self._settings.marker}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, b"\n".join(lines)[:_MARKER_SIZE])
        finally:
            os.close(fd)
        os.replace(new, self._settings.marker)

    def let_go(self) -> None:
        """Close what is open of it; its guardian ends by itself."""
        if self.guardian is not None:
            self.guardian.close()
        for _, fd in self.held:
            if fd >= 0:
                os.close(fd)
        self.held = []

    def reap(self) -> bool:
        """Whether none of its guardians is a child that has to be waited for."""
        self._guardians = [each for each in self._guardians if not each.reap()]
        return not self._guardians and not self.held


def read_marker(path: str) -> "tuple[bytes, int, list[str]]":
    """What is in a marker: identity, deadline (0 if it has none), mount points (none: any may be).

    Raises:
        OSError: there is none that can be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        identity, *lines = os.read(fd, _MARKER_SIZE).split(b"\n")
    finally:
        os.close(fd)
    deadline = int(lines.pop(0)) if lines and lines[0].isdigit() else 0
    paths = [os.fsdecode(line.replace(b"\\n", b"\n")) for line in lines if line]
    return identity.strip(), deadline, paths
