"""What the guardian of a freeze does, in the process that `guardian` starts.

It freezes, holds the lease, and thaws: when it is told to, when the lease ends, when one of the
file systems does not freeze in time, when the agent ends before all is frozen. What it needs for
that duty it has beforehand: descriptors, threads (`workers`), and all its memory, locked.

Who connects to its socket gets the `Record` and, after each change, the `State`, a line each; and
may send lines:

    go          begin to freeze
    renew N     the lease ends at N (see `record.now`)
    thaw        thaw, or try again what could not be thawed
    leave N     the agent ends, and at N another one is expected to be there
"""

import _thread
import os
import select
import time
from _struct import Struct

from . import record, standing
from .lean import signal, socket
from .workers import Workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .system.asked import Freezer

# It looks about at least so often: at the clock, since waiting does not count what a guest sleeps,
# and at the marker, which another agent may have removed.
LOOK = 1.0

# After what time it tries again what could not be thawed, in nanoseconds.
RETRY = 10_000_000_000

# From sys/socket.h: the process, user and group at the other end.
_CREDENTIALS = Struct("3i")


class Task:
    """What a guardian is for.

    Args:
        freezer: the platform.
        fds: descriptors of the file systems, in the order of freezing.
        about, state: what is known of the freeze.
        limit: how long one file system may take to freeze, in seconds.
        identity: the first line of the marker, by which this freeze is told from others.
        marker: path of that file.
        keep_marker: whether it stays in the end, since there is more that is frozen.
        report: path of the file for the report.
        orphaned: called in the process in the end, if there is no agent then.
    """

    def __init__(
        self,
        freezer: "Freezer",
        fds: list[int],
        about: record.Record,
        state: record.State,
        *,
        limit: float,
        identity: bytes,
        marker: str,
        keep_marker: bool,
        report: str,
        orphaned: "Callable[[record.Record, record.State], None] | None",
    ) -> None:
        self.freezer = freezer
        self.fds = fds
        self.record = about
        self.state = state
        self.limit = int(limit * 1e9)
        self.identity = identity
        self.marker = marker
        self.keep_marker = keep_marker
        self.report = report
        self.orphaned = orphaned


class Keeper:
    """The process.

    Args:
        task: what for.
        listener: where agents connect.
    """

    def __init__(self, task: Task, listener: socket.socket) -> None:
        self._task = task
        self._state = task.state
        self._listener = listener
        self._line = task.record.line()
        self._agents: dict[int, socket.socket] = {}
        self._half: dict[int, bytes] = {}  # of each, the line that has not come whole yet
        self._had_agent = False
        self._wakeup, self._wakeup_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poller = select.poll()
        self._workers = Workers(task.freezer, task.fds, task.state, self._wake)
        self._current_until = 0
        self._retry_at = 0
        self._leave_at = 0
        self._told_to_end = False
        self._marker_is: str = "ours"
        self._told = b""

    def run(self) -> None:
        """Until everything is thawed, or somebody else has taken over."""
        standing.detach({self._listener.fileno(), self._wakeup, self._wakeup_end, *self._task.fds})
        signal.set_wakeup_fd(self._wakeup_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
        standing.share_memory()
        self._workers.start()
        standing.lock_memory()
        standing.take_precedence()
        self._poller.register(self._wakeup, select.POLLIN)
        self._poller.register(self._listener.fileno(), select.POLLIN)
        self._listener.setblocking(False)
        if self._state.phase != record.READY:  # in place of one that was killed
            _thread.start_new_thread(self._watch_marker, ())
        if self._state.phase == record.THAWING:
            self._workers.thaw()
        self._accept()  # who has started it has connected before, and is to learn of its end
        while True:
            self._consider(record.now())
            self._tell()
            if self._state.phase == record.DONE or self._marker_is == "another's":
                break
            for fd, _ in self._poller.poll(self._patience()):
                self._serve(fd)
        self._finish()

    def _on_sigterm(self, _: int, __: object) -> None:
        self._told_to_end = True

    def _watch_marker(self) -> None:
        """In a thread of its own: who looks at a file, may have to wait for its disk."""
        while self._marker_is == "ours":
            try:
                if not self._marker_is_ours():
                    self._marker_is = "another's"
            except FileNotFoundError:
                # Whoever has removed it has thawed; or did not know what it was.
                self._marker_is = "gone"
            except OSError:
                pass  # no descriptors left, say: that is no thaw
            if self._marker_is != "ours":
                self._wake()
            time.sleep(LOOK)

    def _marker_is_ours(self) -> bool:
        with open(self._task.marker, "rb", buffering=0) as file:
            found: bytes = file.read(len(self._task.identity) + 1)
        return not self._task.identity or found.strip() == self._task.identity

    def _wake(self) -> None:
        try:
            os.write(self._wakeup_end, b"x")
        except BlockingIOError:
            pass  # it will wake up

    # Deciding.

    def _consider(self, now: int) -> None:
        """Do what is due at the time *now*."""
        state = self._state
        if state.phase == record.READY:
            if self._is_left:
                self._nothing(now, record.NO_CAUSE)
            elif now >= state.deadline:  # in a guest that is too busy to start a process in time
                self._nothing(now, record.LEASE)
        if state.phase in {record.FREEZING, record.FROZEN}:
            self._consider_end(now)
        if state.phase == record.FREEZING:
            self._go_on(now)
        if state.phase == record.THAWING:
            if state.positions(record.STUCK):
                if not self._retry_at:
                    self._retry_at = now + RETRY
            elif state.settled:
                state.phase = record.DONE
            if self._retry_at and now >= self._retry_at:
                self._thaw_again()

    def _consider_end(self, now: int) -> None:
        state = self._state
        freezing = state.positions(record.IN_FREEZE)
        if self._told_to_end:
            self._end(record.STOPPED)
        elif now >= state.deadline:
            self._end(record.LEASE, *freezing)
        elif freezing and now >= self._current_until:
            self._end(record.TIMEOUT, *freezing)
        elif self._leave_at and now >= self._leave_at:
            self._end(record.AGENT)
        elif self._marker_is == "gone":
            self._end(record.FOREIGN)
        elif state.phase == record.FREEZING and self._is_left:
            # Who has asked for it, will not learn of it.
            self._end(record.AGENT)

    def _go_on(self, now: int) -> None:
        """Freeze the next one, when there is none under way."""
        state = self._state
        if state.positions(record.IN_FREEZE):
            return
        refused = state.positions(record.REFUSED)
        waiting = state.positions(record.WAITING)
        if refused:
            self._end(record.FAILED, *refused)
        elif waiting:
            self._current_until = now + self._task.limit
            self._workers.freeze(waiting[0])
        elif state.positions(record.IS_FROZEN):
            state.phase = record.FROZEN
            state.complete = now
        else:
            self._nothing(now, record.NOTHING)

    def _nothing(self, now: int, cause: int) -> None:
        """Nothing is frozen, and nothing will be."""
        state = self._state
        state.cause = cause
        state.ended, state.ended_wall = now, time.time_ns()
        state.phase = record.DONE

    def _end(self, cause: int, culprit: int = -1) -> None:
        """Thaw what is frozen."""
        state = self._state
        state.cause, state.culprit = cause, culprit
        state.ended, state.ended_wall = record.now(), time.time_ns()
        state.phase = record.THAWING
        self._workers.thaw()

    def _thaw_again(self) -> None:
        self._retry_at = 0
        for position in self._state.positions(record.STUCK):
            self._state.status[position] = record.IS_FROZEN
        self._workers.thaw()

    def _patience(self) -> float:
        """Milliseconds until there may be something to do."""
        state = self._state
        due = [self._retry_at, self._leave_at]
        if state.phase in {record.FREEZING, record.FROZEN}:
            due += [state.deadline, self._current_until]
        now = record.now()
        left = [time_ - now for time_ in due if time_ > now]
        return min([LOOK * 1000, *(nanoseconds / 1e6 + 1 for nanoseconds in left)])

    # Agents.

    @property
    def _is_left(self) -> bool:
        """Whether there was an agent, and is none."""
        return self._had_agent and not self._agents

    def _serve(self, fd: int) -> None:
        if fd == self._wakeup:
            try:
                os.read(fd, 512)
            except BlockingIOError:
                pass
        elif fd in self._agents:
            self._hear(fd)
        elif fd == self._listener.fileno():
            self._accept()

    def _accept(self) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined] # noqa: SLF001
        except OSError:
            return
        agent = socket.socket(fileno=fd)
        if uid_of(agent) != os.geteuid():
            agent.close()
            return
        agent.setblocking(False)
        self._agents[fd] = agent
        self._had_agent = True
        self._poller.register(fd, select.POLLIN)
        self._leave_at = 0
        self._send(fd, self._line + self._state.line())

    def _forget(self, fd: int) -> None:
        """An agent has gone, or has stopped to listen; then it finds out when it reads the end."""
        self._poller.unregister(fd)
        self._agents.pop(fd).close()
        self._half.pop(fd, None)

    def _hear(self, fd: int) -> None:
        try:
            said = self._agents[fd].recv(4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        *lines, half = (self._half.get(fd, b"") + said).split(b"\n")
        self._half[fd] = half
        if not said:
            self._forget(fd)
        for line in lines:
            word, _, number = line.partition(b" ")
            if word == b"go" and self._state.phase == record.READY:
                self._state.phase = record.FREEZING
                _thread.start_new_thread(self._watch_marker, ())
            elif word == b"renew":
                self._renew(int(number))
            elif word == b"thaw":
                self._told = b""  # an answer is due in any case
                if self._state.phase == record.THAWING:
                    self._thaw_again()
                elif self._state.phase != record.DONE:
                    self._end(record.ASKED)
            elif word == b"leave":
                self._leave_at = int(number)

    def _renew(self, deadline: int) -> None:
        if self._state.phase in {record.FREEZING, record.FROZEN}:
            self._state.deadline = deadline
            self._state.renewals += 1
        self._told = b""  # an answer is due in any case

    def _tell(self) -> None:
        """Tell all agents what has changed."""
        if self._state.phase == record.DONE:
            return  # that is told when all is done
        line = self._state.line()
        if line != self._told:
            self._told = line
            for fd in list(self._agents):
                self._send(fd, line)

    def _send(self, fd: int, data: bytes) -> None:
        try:
            complete = self._agents[fd].send(data) == len(data)
        except OSError:
            complete = False
        if not complete:
            self._forget(fd)

    # In the end.

    def _finish(self) -> None:
        if self._marker_is == "another's":
            return
        task, begun = self._task, self._state.cause != record.NO_CAUSE
        if begun:
            record.write_report(task.report, task.record.report(self._state))
        try:
            if not task.keep_marker and self._marker_is_ours():
                os.unlink(task.marker)
        except OSError:
            pass  # somebody else has, just now; or the agent will
        for fd in list(self._agents):
            self._send(fd, self._state.line())
        if not self._agents and task.orphaned is not None:
            standing.attach()
            task.orphaned(task.record, self._state)


def uid_of(connection: socket.socket) -> int:
    """The user at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(credentials)[1]
    return uid
