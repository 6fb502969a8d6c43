"""What is known of a freeze: to the guardian who holds it, to the agent, and to the next agent.

`State` is what changes; the guardian has it, and tells it as a line of numbers. `Record` is what
does not; both together make the report that hosts get. Used by `freeze`, `guardian` and `keeper`.
"""

import os
import time

from qga.protocol.codec import LATEST, decoder, encode
from qga.protocol.fsfreeze import (
    FROZEN_BY_OTHERS,
    FreezeEnd,
    FreezeMount,
    FreezeOutcome,
    FreezeReport,
    FsfreezeState,
)
from qga.wire import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from qga.protocol.fsfreeze import FreezeHook

    from .plan import Plan

# What the guardian does.
READY, FREEZING, FROZEN, THAWING, DONE = range(5)

# Why it thaws.
NO_CAUSE, ASKED, LEASE, NOTHING, FAILED, TIMEOUT, AGENT, STOPPED, FOREIGN, KILLED = range(10)

# What a mount is. MAYBE: frozen, if the agent before was one that does not tell. LOST: somebody
# else had thawed it.
WAITING, IN_FREEZE, IS_FROZEN, SKIPPED, REFUSED, THAWED, STUCK, LOST, MAYBE = range(9)

_NUMBERS = (
    "phase", "cause", "culprit", "deadline", "complete", "ended", "ended_wall", "renewals",
)  # fmt: skip

_ENDS = {
    ASKED: FreezeEnd.THAWED,
    LEASE: FreezeEnd.LEASE,
    NOTHING: FreezeEnd.NOTHING,
    FAILED: FreezeEnd.FAILED,
    TIMEOUT: FreezeEnd.TIMEOUT,
    AGENT: FreezeEnd.AGENT,
    STOPPED: FreezeEnd.STOPPED,
    FOREIGN: FreezeEnd.FOREIGN,
    KILLED: FreezeEnd.STOPPED,
}
_OUTCOMES = {
    WAITING: FreezeOutcome.PLANNED,
    IN_FREEZE: FreezeOutcome.HANGING,
    IS_FROZEN: FreezeOutcome.FROZEN,
    MAYBE: FreezeOutcome.FROZEN,
    SKIPPED: FreezeOutcome.SKIPPED,
    REFUSED: FreezeOutcome.FAILED,
    THAWED: FreezeOutcome.THAWED,
    STUCK: FreezeOutcome.STUCK,
    LOST: FreezeOutcome.THAWED,
}

# How much of a report is read back, which nobody makes that large.
_LARGEST = 16 << 20

_MILLI, _MICRO = 1_000_000, 1_000


def now() -> int:
    """Nanoseconds of the clock that leases are measured by.

    Nobody sets it, and it goes on while the guest sleeps: a host that waits for the end of a lease
    does not sleep.
    """
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class State:
    """How far a freeze has come.

    Attributes:
        phase, cause: see above.
        culprit: position of the mount that was in the way, or -1.
        deadline: when it ends by itself.
        complete: when all was frozen; 0 before.
        ended, ended_wall: when thawing began, by both clocks; 0 before.
        renewals: how often the lease was renewed.
        status: of each mount, in the order of freezing.
        error: of each, the number of its last error.
        took: of each, the microseconds that freezing took.
    """

    __slots__ = (
        "cause", "complete", "culprit", "deadline", "ended", "ended_wall", "error", "phase",
        "renewals", "status", "took",
    )  # fmt: skip

    def __init__(self, deadline: int, status: list[int]) -> None:
        self.phase = READY
        self.cause = NO_CAUSE
        self.culprit = -1
        self.deadline = deadline
        self.complete = self.ended = self.ended_wall = self.renewals = 0
        self.status = status
        self.error = [0] * len(status)
        self.took = [0] * len(status)

    def line(self) -> bytes:
        """As text."""
        numbers = [getattr(self, name) for name in _NUMBERS]
        numbers += [*self.status, *self.error, *self.took]
        return b"%b\n" % " ".join(map(str, numbers)).encode()

    @classmethod
    def parse(cls, line: bytes) -> "State":
        """What `line` has made."""
        numbers = [int(word) for word in line.split()]
        first = len(_NUMBERS)
        count = (len(numbers) - first) // 3
        state = cls(0, numbers[first : first + count])
        state.error = numbers[first + count : first + 2 * count]
        state.took = numbers[first + 2 * count :]
        for name, value in zip(_NUMBERS, numbers, strict=False):
            setattr(state, name, value)
        return state

    def positions(self, *status: int) -> list[int]:
        """The mounts that are one of these."""
        return [position for position, each in enumerate(self.status) if each in status]

    @property
    def settled(self) -> bool:
        """Whether thawing has come to an end, if not everywhere to a good one."""
        return not self.positions(IN_FREEZE, IS_FROZEN, MAYBE)

    @property
    def held(self) -> bool:
        """Whether all stayed frozen until a client thawed."""
        return self.cause == ASKED and self.complete > 0 and not self.positions(LOST)


class Record:
    """What does not change of a freeze.

    Args:
        token: what it is called.
        began: when, since 1970.
        began_monotonic: the same, by `now`.
        mounts: those to be frozen, in that order.
        others: those that are left out, and why.
        hooks: each run of a hook before it.
    """

    __slots__ = ("began", "began_monotonic", "hooks", "mounts", "others", "token")

    def __init__(
        self,
        token: str,
        began: int,
        began_monotonic: int,
        mounts: "Sequence[FreezeMount]",
        others: "Sequence[FreezeMount]",
        *,
        hooks: "Sequence[FreezeHook]" = (),
    ) -> None:
        self.token = token
        self.began = began
        self.began_monotonic = began_monotonic
        self.mounts = list(mounts)
        self.others = list(others)
        self.hooks = list(hooks)

    @classmethod
    def of(
        cls,
        token: str,
        plan: "Plan",
        missing: "dict[int, str]",
        hooks: "Sequence[FreezeHook]" = (),
    ) -> "Record":
        """Of a freeze that begins now by *plan*, but for what is *missing* of it, and why."""
        mounts, others = planned(plan)
        left = [mount for position, mount in enumerate(mounts) if position not in missing]
        others = [
            *(skipped(mounts[position], reason) for position, reason in missing.items()), *others
        ]  # fmt: skip
        return cls(token, time.time_ns(), now(), left, others, hooks=hooks)

    def add_newcomers(self, plan: "Plan") -> None:
        """What is in *plan* and was not: it was mounted while the others were being frozen."""
        known = {(mount.device, mount.path) for mount in (*self.mounts, *self.others)}
        mounts, _ = planned(plan)
        new = [mount for mount in mounts if (mount.device, mount.path) not in known]
        late = "mounted while the others were being frozen"
        self.others += [skipped(mount, late) for mount in new]

    def report(self, state: "State | None", *, failed: bool = False) -> FreezeReport:
        """What hosts are told; without a *state*, what is planned.

        Args:
            state: how far it has come.
            failed: whether something is left frozen that should not be.
        """
        if state is None:
            return FreezeReport(
                state=FsfreezeState.THAWED,
                token=self.token,
                began=self.began,
                began_monotonic=self.began_monotonic,
                mounts=[*self.mounts, *self.others],
                hooks=self.hooks or None,
            )
        over = state.phase == DONE
        here = FsfreezeState.ERROR if failed else FsfreezeState.FROZEN
        mounts = [self._mount(position, state) for position in range(len(self.mounts))]
        return FreezeReport(
            state=FsfreezeState.THAWED if over else here,
            token=self.token,
            deadline_ms=None if state.ended else max(0, state.deadline - now()) // _MILLI,
            count=len(state.positions(IS_FROZEN, MAYBE, THAWED, STUCK, LOST)),
            began=self.began,
            began_monotonic=self.began_monotonic,
            frozen_monotonic=state.complete or None,
            ended=state.ended_wall or None,
            ended_monotonic=state.ended or None,
            held=state.held if state.ended else None,
            end=_ENDS.get(state.cause),
            reason=self.reason(state),
            mounts=[*mounts, *self.others],
            hooks=self.hooks or None,
        )

    def reason(self, state: State) -> "str | None":
        """Why it has ended, in words; None while it lasts, and after an ordinary thaw."""
        seconds = f"{(state.ended - self.began_monotonic) / 1e9:.1f} s"
        where = self.mounts[state.culprit].path if state.culprit >= 0 else ""
        lost = state.positions(LOST)
        if state.cause == ASKED:
            if lost:
                paths = ", ".join(self.mounts[position].path for position in lost)
                return f"somebody else had thawed {paths} before"
            return None if state.complete else "thawed before all was frozen"
        if state.cause == LEASE:
            frozen = state.positions(IS_FROZEN, MAYBE, THAWED, STUCK, LOST)
            still = ", and nobody had thawed" if frozen else ", before anything was frozen"
            if where:
                still = f" while {where} was being frozen"
            return f"the lease ended after {seconds}{still}"
        if state.cause == FAILED:
            return f"failed to freeze {where}: {os.strerror(state.error[state.culprit])}"
        if state.cause == TIMEOUT:
            return f"freezing {where} did not end in time"
        return {
            NOTHING: "there was nothing to freeze",
            AGENT: f"the agent ended after {seconds}, and none came after it",
            STOPPED: f"the guardian was told to end after {seconds}",
            KILLED: f"the guardian was killed after {seconds}",
            FOREIGN: f"somebody removed the agent's mark of the freeze after {seconds}",
        }.get(state.cause)

    def _mount(self, position: int, state: State) -> FreezeMount:
        mount, status = self.mounts[position], state.status[position]
        outcome = _OUTCOMES[status]
        reason = mount.reason
        if status == IN_FREEZE and not state.ended:
            outcome = FreezeOutcome.PLANNED
        elif status == SKIPPED:
            reason = why_skipped(state.error[position])
        elif status in {REFUSED, STUCK}:
            reason = os.strerror(state.error[position])
        elif status == LOST:
            reason = "somebody else had thawed it before"
        was = status in {IS_FROZEN, THAWED, STUCK, LOST}
        return FreezeMount(
            path=mount.path,
            device=mount.device,
            type=mount.type,
            outcome=outcome,
            milliseconds=-(-state.took[position] // _MICRO) if was else None,
            reason=reason,
        )

    def line(self) -> bytes:
        """As text, for the next agent."""
        return text_of(self.report(None)) + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> "Record":
        """What `line` has made.

        Raises:
            ValueError: it is none.
        """
        report = report_of(line)
        mounts = [mount for mount in report.mounts if mount.outcome == FreezeOutcome.PLANNED]
        others = [mount for mount in report.mounts if mount.outcome != FreezeOutcome.PLANNED]
        return cls(
            report.token or "", report.began or 0, report.began_monotonic or 0, mounts, others,
            hooks=report.hooks or (),
        )  # fmt: skip


def planned(plan: "Plan") -> "tuple[list[FreezeMount], list[FreezeMount]]":
    """What *plan* is to freeze, and what it leaves out."""
    mounts = [
        FreezeMount(
            path=mount.shown,
            device=shown(mount.source),
            type=mount.kind,
            outcome=FreezeOutcome.PLANNED,
            reason=note or None,
        )
        for mount, note in zip(plan.mounts, plan.notes, strict=True)
    ]
    others = [
        FreezeMount(
            path=mount.shown,
            device=shown(mount.source),
            type=mount.kind,
            outcome=FreezeOutcome.SKIPPED,
            reason=reason,
        )
        for mount, reason in plan.others
    ]
    return mounts, others


def skipped(mount: FreezeMount, reason: str) -> FreezeMount:
    """*mount*, left out."""
    return FreezeMount(
        path=mount.path,
        device=mount.device,
        type=mount.type,
        outcome=FreezeOutcome.SKIPPED,
        reason=reason,
    )


def why_skipped(number: int) -> str:
    """Why a file system was skipped whose freeze has failed with error *number*."""
    if os.strerror(number) == os.strerror(16):
        return FROZEN_BY_OTHERS
    return "its type does not support freezing"


def shown(path: str) -> str:
    """*path* as hosts are told it; bytes that are not UTF-8 become U+FFFD."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def text_of(report: FreezeReport) -> bytes:
    """*report* as JSON text, in one line."""
    return b"".join(text.encode(encode(report, LATEST)))


def report_of(data: bytes) -> FreezeReport:
    """What `text_of` has made.

    Raises:
        ValueError: it is none.
    """
    from qga.errors import CommandError
    from qga.protocol.codec import Mismatch

    try:
        value, _ = text.scan(data.decode(), 0)
        report: FreezeReport = decoder(FreezeReport)(value)
    except (Mismatch, CommandError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    return report


def read_report(path: str) -> FreezeReport:
    """The report in the file *path*; if there is none that can be read, that nothing was frozen."""
    try:
        with open(path, "rb") as file:
            return report_of(file.read(_LARGEST))
    except (OSError, ValueError):
        return FreezeReport(state=FsfreezeState.THAWED, mounts=[])


def write_report(path: str, report: FreezeReport) -> None:
    """Have the file *path* hold *report*; where it cannot be written, there is none."""
    temporary = f"{path}.{os.getpid()}"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, text_of(report))
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except OSError:
        pass
