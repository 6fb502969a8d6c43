"""What is known of a freeze, and its steps, whatever kind of client carries them out. For `frozen`.

With agents that have leases, the freeze is one that ends by itself unless it is renewed; with
others it lasts until somebody thaws.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from qga.errors import CommandDisabled, CommandError, QgaError, Unsupported
from qga.protocol.fsfreeze import FROZEN_BY_OTHERS, FreezeEnd, FsfreezeState

from .deadline import Deadline
from .flows import freezing, leasing
from .flows.freezable import chosen
from .flows.timing import within
from .lease import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from qga.protocol.fsfreeze import FreezeReport

    from .flows.steps import Flow
    from .watch import Watch

    class Holder(Protocol):
        """A client of either kind."""

        timeout: float
        target: str | None
        lease: Lease | None


# Seconds between attempts to renew a lease, when one has failed.
_PAUSE = 0.5


class FreezeState:
    """What is known of a freeze.

    Attributes:
        frozen: the number of file systems that were frozen.
        thawed: the number that the thaw has thawed; None until then.
        seconds: how long they were frozen: by the agent's clock if it has leases, or else as seen
            from here.
        expired: whether the deadline has passed, so that it was thawed.
        held: whether all stayed frozen until the end of the block. Agents with leases know that; of
            others, as far as can be told.
        report: that in a sentence, with the reason; empty until the end.
        lease: whether the guest thaws by itself when nobody renews the freeze.
        unguarded: what is not guaranteed, in a sentence; empty with a lease.
        lost: why the freeze is over, or may be, before the end of the block; empty while it lasts.
        token: what the agent calls the freeze; empty without a lease.
        details: what the agent has told of it, each mount with its outcome; None without a lease.
        watched: whether another process thaws if this one is gone.
        confirmed: when the agent had confirmed the freeze, as `time.monotonic` tells it; 0.0 until
            then.
        ended: when its end began, likewise: between the two all was frozen, if it `held`.
    """

    def __init__(
        self,
        holder: Holder,
        mountpoints: str | Sequence[str] | None,
        deadline: float,
        timeout: float | None,
        *,
        exclude: str | Sequence[str] = (),
        on_lost: Callable[[str], object] | None = None,
    ) -> None:
        self._holder = holder
        self._mountpoints = [mountpoints] if isinstance(mountpoints, str) else mountpoints
        self._exclude = [exclude] if isinstance(exclude, str) else exclude
        self._timeout = timeout
        self._on_lost = on_lost
        self._began = 0.0
        self._deadline = Deadline(deadline)
        self._watch: Watch | None = None
        self._lease: Lease | None = None
        self._keeping = False
        self.in_doubt = False
        self.frozen = 0
        self.thawed: int | None = None
        self.seconds = 0.0
        self.expired = False
        self.held = False
        self.report = ""
        self.lease = False
        self.unguarded = ""
        self.lost = ""
        self.token = ""
        self.details: FreezeReport | None = None
        self.watched = False
        self.confirmed = 0.0
        self.ended = 0.0

    @property
    def frozen_by_others(self) -> list[str]:
        """The mount points that are not part of this freeze, since somebody else has frozen them.

        Whoever that is may thaw them at any time. Agents without leases do not tell.
        """
        mounts = self.details.mounts if self.details else ()
        return [mount.path for mount in mounts if mount.reason == FROZEN_BY_OTHERS]

    # The freeze.

    def _freeze_flow(self) -> Flow[None]:
        """Freeze."""
        self._began = time.monotonic()
        self._deadline = Deadline(self._deadline.seconds)
        self.in_doubt = True
        try:
            yield from within(self._deadline, self._freeze_for_a_lease())
            self.confirmed = time.monotonic()
        except GeneratorExit:
            raise
        except BaseException as error:
            # The flow has thawed, if there was anything to thaw. Otherwise the watchdog goes on; as
            # after an interrupt, which may have come when the flow had frozen and was over.
            self.in_doubt = freezing.in_doubt(error) or isinstance(error, freezing.interrupts())
            self._comfort(error)
            raise
        finally:
            if not self.confirmed:
                self._let_go()

    def _freeze_for_a_lease(self) -> Flow[None]:
        lease = Lease(self._deadline)
        patience = self._holder.timeout if self._timeout is None else self._timeout
        seconds = lease.first(patience)
        lease.until = time.monotonic() + seconds
        self._lease, self.token, self._keeping = lease, lease.token, True
        if self._holder.lease is None:
            # From now on: no call that waits for the channel behind this one may hold it too long.
            self._holder.lease = lease
        freeze = leasing.freeze(
            lease.token, seconds, self._mountpoints, self._exclude, timeout=self._timeout
        )
        self._tell_watch()
        try:
            self.details = yield from freeze
        except leasing.NO_LEASES as error:
            self._let_go()
            self.token = ""
            self._tell_watch()
            self.unguarded = self._without_leases(error)
            yield from self._freeze_without()
            return
        self.lease = lease.begun = True
        self.frozen = self.details.count or 0

    def _freeze_without(self) -> Flow[None]:
        mountpoints = yield from chosen(self._mountpoints, self._exclude, timeout=self._timeout)
        self.frozen = yield from freezing.freeze(mountpoints, timeout=self._timeout)

    def _tell_watch(self) -> None:
        """Tell the process that watches, if there is one, which freeze is about to be asked for."""
        if self._watch is not None:
            self._watch.tell(self.token)

    def _without_leases(self, error: QgaError) -> str:
        """What is not guaranteed, where *error* says that there are no leases."""
        why, then = "the agent has no leases", "the guest may stay frozen"
        if isinstance(error, CommandDisabled):
            why = "the agent does not allow leases"
            then = "the guest stays frozen until the agent's own fsfreeze-timeout"
        elif isinstance(error, Unsupported):
            why = "the channel carries no leases"
        who = "this process and the one that watches it are" if self.watched else "this process is"
        return f"{why}: if {who} killed, or the channel is lost, {then}"

    def _let_go(self) -> None:
        """Calls need not make way for renewals any more."""
        if self._holder.lease is self._lease:
            self._holder.lease = None
        self._keeping = False

    def _comfort(self, error: BaseException) -> None:
        """Have *error*, which may have left the guest frozen, tell for how long."""
        if self._lease is not None and self.token and freezing.in_doubt(error):
            left = math.ceil(self._lease.left())
            error.add_note(f"it thaws by itself {f'within {left} s' if left else 'when it can'}")

    # The lease.

    def _pause(self) -> float | None:
        """The seconds until the lease should be renewed; None if it need not, or cannot be."""
        return self._lease.pause() if self._lease is not None and self._keeping else None

    def _renewal_flow(self) -> Flow[float | None]:
        """Renew the lease; return the seconds until the next time, None if there is none."""
        lease = self._lease
        if lease is None or not self._keeping:
            return None
        sent, seconds = time.monotonic(), lease.next()
        try:
            yield from leasing.renew(lease.token, seconds, timeout=lease.attempt())
        except CommandError as error:
            self._lose(error.text)
        except QgaError as error:
            if lease.left():
                return min(_PAUSE, lease.left())
            self._lose(f"its lease could not be renewed: {error.text}")
        else:
            lease.until = sent + seconds
        return self._pause()

    def _lose(self, reason: str) -> None:
        if not self._keeping:
            return  # the block has ended meanwhile
        self._let_go()
        self.lost = reason
        if self._on_lost is not None:
            self._on_lost(reason)

    # The end.

    def _remaining(self) -> float:
        """The seconds until the deadline."""
        return self._deadline.remaining()

    def _thaw_flow(self) -> Flow[None]:
        """Thaw, and judge; nothing if that is done."""
        if not self.in_doubt:
            return
        self._let_go()
        self.report = "nobody has confirmed the thaw: the guest may still be frozen"
        self.ended = self.ended or time.monotonic()
        try:
            if self.token:
                found = yield from leasing.end(self.token, timeout=self._timeout)
            else:
                found = yield from freezing.end(timeout=self._timeout)
        except QgaError as error:
            self._comfort(error)
            raise
        finally:
            self.seconds = time.monotonic() - self._began
        self.in_doubt = False
        self.thawed = found.thawed
        if self.token:
            self._learn(found)
        else:
            self.held, self.report = self._judge(found)
        if found.interrupt:
            raise found.interrupt

    def _expiry_flow(self) -> Flow[None]:
        """Thaw, since the deadline has passed; nothing if it is thawed."""
        self.expired = self.in_doubt
        yield from self._thaw_flow()

    def _judge(self, found: freezing.End) -> tuple[bool, str]:
        """Whether it held, by what agents without leases tell; and that in a sentence."""
        frozen = _counted(self.frozen)
        if self.frozen == 0:
            return False, "no file system was frozen"
        if self.expired:
            return False, self._too_late()
        if found.state == FsfreezeState.THAWED:
            return False, "somebody else thawed the guest before the end"
        if found.thawed < self.frozen:
            if found.repeated:
                return False, "the thaw had to be repeated, so that nobody can tell"
            return False, f"of {frozen} only {found.thawed} were still frozen at the end"
        return True, f"{frozen} stayed frozen for {self.seconds:.1f} s"

    def _learn(self, found: freezing.End) -> None:
        """Take the agent's word on whether it held."""
        told = found.report
        if told is not None:
            self.details = told
            if told.ended_monotonic and told.frozen_monotonic:
                self.seconds = (told.ended_monotonic - told.frozen_monotonic) / 1e9
        if told is not None and told.end == FreezeEnd.LEASE and self._lease is not None:
            # The guest may have been a little faster than the timer.
            self.expired = self.expired or self._lease.is_last()
        over_before = found.state == FsfreezeState.THAWED
        if over_before and not self.expired:
            self.thawed = 0
        by_client = told is not None and told.end == FreezeEnd.THAWED
        if self.frozen == 0:
            self.report = "no file system was frozen"
        elif self.expired:
            self.report = self._too_late()
        elif told is None:
            self.report = "the agent does not know of the freeze any more"
        elif over_before and by_client:
            self.report = "somebody else thawed the guest before the end"
        elif not told.held:
            self.report = told.reason or "the agent says that it did not hold"
        elif found.state is None:
            self.report = "the agent has not said whether it lasted until the end"
        else:
            self.held = True
            self.report = f"{_counted(self.frozen)} stayed frozen for {self.seconds:.1f} s"
        if found.failure is not None:
            self.report += f"; and then: {found.failure.text}"

    def _too_late(self) -> str:
        limit = f"the deadline of {self._deadline.seconds:g} s passed"
        return f"{limit}: {_counted(self.frozen)} thawed after {self.seconds:.1f} s"


def _counted(number: int) -> str:
    return f"{number} file system{'' if number == 1 else 's'}"
