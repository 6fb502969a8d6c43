"""Several guests frozen as one: `freeze_group`.

All are looked at before the first one is frozen, and the processes that thaw when this one is gone
watch by then, so that the freezes follow each other closely. Each is a `Freeze` of its own, with a
timer and such a process: none needs another one for its thaw.
"""

from __future__ import annotations

import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Generic, TypeVar

from qga.errors import AgentTimeout, InvalidTarget, QgaError

from . import signals
from .crew import Crew
from .deadline import deadline as bounded
from .flows import preparing
from .flows.freezable import NOTHING
from .freezestate import FreezeState
from .frozen import Freeze
from .sync import Client, connect
from .watch import STARTING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from qga.protocol.fsfreeze import PlannedHook

    from .deadline import Deadline
    from .facts import Freezable, FreezePlan
    from .flows.steps import Flow
    from .target import Target
    from .trace import Trace

# How many guests are looked at at once.
_FORKS = 16

# How long a thaw that hangs keeps the next guest waiting for its own, in seconds.
THAW_PATIENCE = 10.0

# Seconds between looks at what has been prepared: see `worker`.
_LOOK = 1.0

M = TypeVar("M", bound="MemberState")
C = TypeVar("C")


class GroupFreezeFailed(QgaError):
    """Some guests of a group could not be frozen, or thawed.

        >>> agent.blocked |= {"guest-fsfreeze-freeze", "qga-fsfreeze-freeze"}
        >>> with qga.freeze_group([client]):
        ...     pass
        Traceback (most recent call last):
        qga.client.group.GroupFreezeFailed: guest 1: Command guest-fsfreeze-freeze has been disabled

    Attributes:
        failures: for each of these guests, by its name, what was wrong.
    """

    hint = "none of the group is left frozen"

    def __init__(self, failures: dict[str, QgaError], *, frozen: Sequence[str] = ()) -> None:
        super().__init__("; ".join(f"{name}: {_told(e)}" for name, e in failures.items()))
        self.failures = failures
        if frozen:
            self.hint = f"{' and '.join(frozen)} may still be frozen: `qga thaw` tries again"


def _told(error: QgaError) -> str:
    return "; ".join([error.text, *getattr(error, "__notes__", ())])


class MemberState(FreezeState):
    """What is known of one guest's freeze, of either kind of group."""

    name: str
    plan: list[Freezable]
    hooks: list[PlannedHook] | None
    failure: QgaError | None = None


class GroupMember(MemberState, Freeze):
    """One guest of a group, and what is known of its freeze.

        >>> with qga.freeze_group([client]) as group:
        ...     [each.mountpoint for each in group.members[0].plan if each.taken]
        ['/srv', '/']
        >>> group.members[0].held
        True

    Attributes:
        name: the target, or "guest N" for a client that has none.
        plan: what would be frozen and what not, as it was told before; empty if it was not.
        hooks: the guest's hooks, likewise; None where the agent does not tell.
        failure: why it was not frozen, or not thawed; None if it was.
    """

    def _thaw_now(self) -> None:
        """Thaw; `failure` tells if it did not work."""
        try:
            self.thaw()
        except QgaError as error:
            self.failure = error

    def _end_watch(self) -> None:
        """Tell the other process how it ended; one that is in doubt is left to it."""
        if self._watch is not None:
            self._watch.end(over=not self.in_doubt)


class GroupState(Generic[M, C]):
    """What is known of a group, of either kind."""

    def __init__(
        self,
        targets: Sequence[str | Target | C],
        mountpoints: str | Sequence[str] | None,
        *,
        exclude: str | Sequence[str],
        deadline: float,
        window: float,
        timeout: float | None,
        trace: Trace | None,
    ) -> None:
        self._targets = list(targets)
        self._mountpoints = mountpoints
        self._exclude = exclude
        self._deadline = deadline
        self._window = window
        self._timeout = timeout
        self._trace = trace
        self._opened: list[C] = []
        self.members: list[M] = []
        self.took = 0.0
        self.together = 0.0
        self.held = False
        self.report = ""

    def _plan(self) -> Flow[FreezePlan]:
        """See that a guest could be frozen now."""
        return preparing.prepare(self._mountpoints, self._exclude, timeout=self._timeout)

    def _names(self) -> list[str]:
        """What the guests are called in reports.

        Raises:
            InvalidTarget: there is none, or one is there twice.
        """
        names = []
        for number, target in enumerate(self._targets, 1):
            text = getattr(target, "target", str(target))  # a client's own, which may have none
            names.append(text or f"guest {number}")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            raise InvalidTarget(
                f"{twice[0]} is in the group twice" if twice else "the group has no guest"
            )
        return names

    def _all_well(self, names: list[str], results: Sequence[M | BaseException]) -> list[M]:
        """The members, if all could be prepared."""
        failures: dict[str, QgaError] = {}
        members: list[M] = []
        for name, result in zip(names, results, strict=True):
            if isinstance(result, QgaError):
                failures[name] = result
            elif isinstance(result, BaseException):
                raise result
            else:
                result.name = name
                members.append(result)
        if failures:
            raise GroupFreezeFailed(failures)
        return members

    def _check_frozen(self, member: M) -> None:
        """See that what was just frozen is something."""
        if not member.frozen:
            raise QgaError(NOTHING)
        if member.frozen_by_others:
            raise QgaError(f"somebody else has frozen {', '.join(member.frozen_by_others)}")

    def _failed(self, member: M, error: QgaError, window: Deadline) -> GroupFreezeFailed:
        """The exception for an *error* in the freeze of *member*."""
        member.failure = error
        if isinstance(error, AgentTimeout) and not window.remaining():
            error.add_note(self._late())
        return GroupFreezeFailed({member.name: error})

    def _check_time(self, window: Deadline) -> None:
        """See that all are frozen in time, when the last one is."""
        if not window.remaining():
            raise GroupFreezeFailed({self.members[-1].name: AgentTimeout(self._late())})
        for member in self.members:
            if member.expired:
                passed = AgentTimeout("its deadline passed before the last one was frozen")
                raise GroupFreezeFailed({member.name: passed})

    def _late(self) -> str:
        return f"the window of {self._window:g} s was over before all were frozen"

    def _in_doubt(self) -> list[str]:
        """The names of those that may be frozen still."""
        return [member.name for member in self.members if member.in_doubt]

    def _explained(self, error: BaseException) -> BaseException:
        """The *error* of a freeze, with what was left."""
        frozen = self._in_doubt()
        if isinstance(error, GroupFreezeFailed) and frozen:
            return GroupFreezeFailed(error.failures, frozen=frozen)
        if frozen:
            error.add_note(f"{' and '.join(frozen)} may still be frozen")
        return error

    def _check_thawed(self) -> None:
        """Raise what was wrong in the end."""
        failures = {one.name: one.failure for one in self.members if one.failure}
        if failures:
            raise GroupFreezeFailed(failures, frozen=self._in_doubt())

    def _judge(self) -> None:
        members = self.members
        self.held = bool(members) and all(member.held for member in members)
        if self.held:
            ended = min(member.ended for member in members)
            self.together = max(0.0, ended - max(member.confirmed for member in members))
            guests = f"{len(members)} guests" if len(members) > 1 else "1 guest"
            also = " together" if len(members) > 1 else ""
            self.report = f"{guests} stayed frozen{also} for {self.together:.2f} s"
        elif members:
            why = "it was not frozen"
            self.report = "; ".join(
                f"{one.name}: {one.report or why}" for one in members if not one.held
            )


class GroupFreeze(GroupState[GroupMember, Client]):
    """Several guests frozen for a `with` block; `freeze_group` makes it, and says what it does.

        >>> with agent.serve() as target, qga.freeze_group([target]) as group:
        ...     print(*(f"{one.frozen} file systems" for one in group.members))
        2 file systems
        >>> group.held, group.report
        (True, '1 guest stayed frozen for ...')

    Attributes:
        members: the guests, in the order of their freezes; empty until all are prepared.
        took: seconds from the first freeze until all were frozen.
        together: seconds during which, as far as can be told, all were frozen; 0.0 until the end,
            and if one of them did not hold.
        held: whether all stayed frozen until the end of the block.
        report: that in a sentence, with the reason; empty until the end.
    """

    _over = False
    _mutex = threading.Lock()

    def __enter__(self) -> Self:
        try:
            signals.guard(self)
            self._prepare()
            self._freeze()
            return self
        except BaseException as error:
            self._undo()
            explained = self._explained(error)
            if explained is error:
                raise
            raise explained from error

    @signals.uninterrupted
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._undo()
        self._check_thawed()

    def _prepare(self) -> None:
        """Open all channels, see that each guest can be frozen, and have all watched."""
        names = self._names()
        contexts = [copy_context() for _ in names]
        crew = Crew(lambda at: contexts[at].run(self._look, at), range(len(names)), _FORKS)
        results: dict[int, GroupMember | BaseException] = {}
        while len(results) < len(names):
            found = crew.next(_LOOK)
            if found is not None:
                results[found[0]] = found[1]
        self.members = self._all_well(names, [results[at] for at in range(len(names))])
        for member in self.members:
            # It counts from its start; the others may take their time with that.
            member._start_watch(self._window + STARTING)  # noqa: SLF001 - the parts of one thing
        for member in self.members:
            member._await_watch()  # noqa: SLF001

    def _look(self, at: int) -> GroupMember:
        """Prepare one guest; in a thread."""
        target = self._targets[at]
        if isinstance(target, Client):
            client = target
        else:
            client = connect(target, timeout=self._timeout, trace=self._trace)
            with self._mutex:
                self._opened.append(client)
                over = self._over
            if over:  # nobody waits for it any more
                client.close()
        plan = client.perform(self._plan())
        member = GroupMember(
            client, self._mountpoints, self._deadline, self._timeout, exclude=self._exclude
        )
        member.plan, member.hooks = plan.filesystems, plan.hooks
        return member

    def _freeze(self) -> None:
        """Freeze one after the other, within the window."""
        began = time.monotonic()
        with bounded(self._window) as window:
            for member in self.members:
                try:
                    member._freeze()  # noqa: SLF001
                    self._check_frozen(member)
                except QgaError as error:
                    raise self._failed(member, error, window) from error
            self.took = time.monotonic() - began
            self._check_time(window)

    @signals.uninterrupted
    def _undo(self) -> None:
        """Thaw all in reverse, whatever each is at."""
        try:
            self._thaw()
            for member in self.members[::-1]:
                member._end_watch()  # noqa: SLF001
            with self._mutex:
                self._over, opened = True, list(self._opened)
            for client in opened:
                client.close()
            self._judge()
        finally:
            if signals.release(self):
                signals.deliver()

    def _thaw(self) -> None:
        # Each in a thread: one that hangs keeps the next one waiting for a while, and not for ever.
        threads = []
        for member in self.members[::-1]:
            thread = threading.Thread(
                target=member._thaw_now,  # noqa: SLF001
                name="qga thaw",
                daemon=True,
            )
            threads.append(thread)
            thread.start()
            thread.join(THAW_PATIENCE)
        for thread in threads:
            thread.join()


def freeze_group(
    targets: Sequence[str | Target | Client],
    *,
    mountpoints: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] = (),
    deadline: float = 60.0,
    window: float = 10.0,
    timeout: float | None = None,
    trace: Trace | None = None,
) -> GroupFreeze:
    """Freeze several guests for a `with` block, as one; all are thawed whatever happens.

        >>> from qga.testing import FakeAgent
        >>> with agent.serve() as web, FakeAgent().serve() as database:
        ...     with qga.freeze_group([database, web], window=5) as group:
        ...         print(len(group.members), "guests are frozen")  # take snapshots of both
        2 guests are frozen
        >>> group.report
        '2 guests stayed frozen together for ...'

    Before anything is frozen, all channels are opened, and each guest is asked whether it can be
    frozen: it must not be frozen already, and its agent has to allow it. Then they are frozen in
    the order of *targets*, one after the other, and thawed in reverse. If one of them fails, or
    the last one is not frozen within the window, all are thawed, and nothing is tried again. For
    each guest by itself, `Client.frozen` says what thaws it when this program cannot.

    Args:
        targets: the guests, each reached in its own way; clients are used and left open.
        mountpoints: what to freeze in each of them, as for `Client.frozen`.
        exclude: what not, likewise.
        deadline: the most seconds that each may be frozen; `math.inf` for no limit.
        window: the most seconds from the first freeze until all are frozen.
        timeout: seconds for each call; the targets' own if None.
        trace: is told of each request and reply, as for `connect`.

    Returns: a context manager; its attributes `members`, `took`, `together`, `held` and `report`
        are documented there.

    Raises:
        GroupFreezeFailed: not all could be frozen, or thawed: `failures` tells which, and why.
    """
    return GroupFreeze(
        targets, mountpoints, exclude=exclude, deadline=deadline, window=window,
        timeout=timeout, trace=trace,
    )  # fmt: skip
