"""Freezing and thawing, and knowing which it is. Called by `commands/fsfreeze`, `hook` and `app`.

A guardian freezes, holds the lease and thaws (`hold`); here is decided what, and told how it went.
While frozen, a marker file in the state directory says so to the next agent, if this one should
end; it finds the guardian by it (`takeover`). The agent itself then touches no file system: it logs
to memory, and the policy allows only commands that need none.
"""

import errno
import os

from qga.errors import CommandError, GuestOSError

from .later import Pending, raising

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qga.protocol.fsfreeze import FreezeHook, FreezeLease, FreezeReport

    from .hold import Hold, Settings
    from .log import Log
    from .loop import Loop, Timer
    from .plan import Plan, Wanted
    from .policy import Policy
    from .record import Record, State
    from .system.asked import Freezer
    from .system.mounts import Mount, Survey

# How long clients wait for the thaw of a freeze that was given up.
_GRACE = 2.0

_SECOND = 1_000_000_000


class Freeze:
    """The freeze state of the guest.

    Args:
        freezer: the platform.
        policy: told when only safe commands may run.
        log: kept in memory while frozen.
        loop: by which the guardian is heard.
        marker: path of the marker.
        settings: the configuration's; made when they are needed.
    """

    def __init__(
        self,
        freezer: "Freezer",
        policy: "Policy",
        log: "Log",
        loop: "Loop",
        *,
        marker: str,
        settings: "Callable[[], Settings]",
    ) -> None:
        self.freezer = freezer
        self.log = log
        self.loop = loop
        self.marker = marker
        self.settings = settings
        self.hold: Hold | None = None
        self._policy = policy
        self._last: FreezeReport | None = None
        self._children: list[Hold] = []  # whose guardians are children that may not have ended
        self._when_thawed: list[Callable[[], None]] = []
        self._freezing: Pending[FreezeReport] | None = None
        self._planned: tuple[Wanted, Survey] | None = None  # the freeze that is under way
        self._timer: Timer | None = None
        # Who waits for what the guardian tells; each returns whether that was it.
        self._waiting: list[Callable[[State], bool]] = []
        # For the guardian, in the end, if the agent is no more.
        self.when_orphaned: Callable[[Record, State], None] | None = None
        self.on_change: Callable[[bool], None] = lambda _: None
        """Called with True before anything freezes, and with False when all is thawed."""
        self.on_unasked: Callable[[], None] = lambda: None
        """Called after a thaw of which no client is told."""

    @property
    def frozen(self) -> bool:
        """Whether file systems are frozen."""
        return self._policy.frozen

    @property
    def failed(self) -> bool:
        """Whether something is left frozen that should have been thawed."""
        return self.hold is not None and (self.hold.failed or self.unreachable)

    unreachable = False
    """Whether something that an earlier agent has frozen was out of reach when it was to be thawed.
    """

    sweeps = 0
    """How many processes thaw whatever is frozen, by whomever."""

    def report(self) -> "FreezeReport":
        """The freeze that lasts, or the last one."""
        from . import record

        if self.hold is not None:
            return self.hold.report(failed=self.failed)
        if self._last is None:
            self._last = record.read_report(self.settings().report)
        return self._last

    def forget(self, report: "FreezeReport") -> None:
        """If that is the last freeze, read it anew: its guardian has more to tell of it."""
        if self._last is report:
            self._last = None

    def remember(self, report: "FreezeReport") -> None:
        """That is the last freeze; only while nothing is frozen."""
        from . import record

        self._last = report
        record.write_report(self.settings().report, report)

    # Freezing.

    def plan(self, wanted: "Wanted") -> "Plan":
        """What would be frozen, and what not.

        Raises:
            CommandError: what is wanted by name cannot be frozen, or the mount table not be read.
        """
        from . import plan

        return plan.make(plan.survey(self.freezer), wanted, self.settings().configured())

    def freeze(
        self,
        wanted: "Wanted",
        seconds: "float | None" = None,
        token: "str | None" = None,
        hooks: "Sequence[FreezeHook]" = (),
    ) -> "Pending[FreezeReport]":
        """Freeze what is wanted, all or nothing: a failure thaws what was frozen before it.

        Args:
            wanted: which file systems.
            seconds: for how long, at most; the configuration's time by default.
            token: what the freeze is called; made up by default.
            hooks: each run of a hook that was told of it.

        Raises:
            CommandError: it failed; nothing is frozen. (Or that is the result.)
        """
        from . import plan, record
        from .hold import Hold

        self.check()
        settings = self.settings()
        survey = plan.survey(self.freezer)
        made = plan.make(survey, wanted, settings.configured())
        identity = os.urandom(8).hex()
        held, missing = self._open_all(made.mounts)
        deadline = record.now() + int((seconds or settings.timeout) * _SECOND)
        hold = Hold(
            self.freezer, self.loop, self.log, settings,
            identity=identity.encode(),
            about=record.Record.of(token or identity, made, missing, hooks),
            state=record.State(deadline, [record.WAITING] * len(held)),
            held=held,
            orphaned=self.when_orphaned,
            on_state=self._on_state,
        )  # fmt: skip
        pending: Pending[FreezeReport] = Pending()
        if held:
            self._arm(hold)
            self._freezing, self._planned = pending, (wanted, survey)
            hold.tell("go")
        else:
            hold.state.phase, hold.state.cause = record.DONE, record.NOTHING
            self._last = report = hold.report()
            pending.resolve(lambda: report)
        return pending

    def check(self) -> None:
        """Raise CommandError while something is under way that must not be in a frozen guest.

        On one channel requests wait for each other, but those of other clients do not. Freezing
        would wait in the kernel for a file system that is being trimmed, for minutes; a guest that
        falls asleep frozen, nobody thaws.
        """
        name = self._policy.in_the_way()
        if name is not None:
            raise CommandError(f"{name} is still under way: freeze when it has ended")
        if self.frozen:
            raise CommandError("file systems are frozen already")
        if os.path.lexists(self.marker):
            from .takeover import held_by_another

            if held_by_another(self.marker):
                raise CommandError("another agent with the same state directory has frozen already")
        if self.sweeps:  # whose thaw may be of a client that has gone
            raise CommandError("a thaw is still under way: freeze when it has ended")

    def _open_all(self, mounts: "list[Mount]") -> "tuple[list[tuple[str, int]], dict[int, str]]":
        """Their descriptors; and which are missing, by position, and why."""
        held: list[tuple[str, int]] = []
        missing: dict[int, str] = {}
        for position, mount in enumerate(mounts):
            try:
                held.append((mount.path, self.freezer.open(mount)))
            except OSError as error:
                reason = error.strerror or ""
                # One that is mounted over is skipped, as upstream does; so is one that was
                # unmounted since the table was read.
                if error.errno != errno.ESTALE:
                    if self._is_mounted(mount):
                        for _, fd in held:
                            os.close(fd)
                        raise GuestOSError(
                            f"failed to open {mount.path}: {reason}", error.errno
                        ) from None
                    reason = "unmounted meanwhile"
                missing[position] = reason
                self.log.warning(f"not frozen: {mount.path}: {reason}")
        return held, missing

    def _is_mounted(self, mount: "Mount") -> bool:
        """Whether it is mounted still, as far as that can be told: descriptors may have run out."""
        try:
            return any(other.path == mount.path for other in self.freezer.mounts())
        except OSError:
            return True

    def _arm(self, hold: "Hold") -> None:
        """Mark the guest as frozen, and start the guardian; before anything is frozen."""
        self._children.append(hold)
        try:
            hold.start()
            # It has nothing to do before it is told to; until then it removes the marker if the
            # agent ends.
            hold.write_marker()
        except OSError as error:
            hold.let_go()
            self._back_to_normal()
            raise GuestOSError(
                f"failed to prepare for freezing: {error.strerror}", error.errno
            ) from None
        self.log.info("freezing file systems")
        self.log.hold()
        self.take(hold)

    def take(self, hold: "Hold") -> None:
        """From now on the guest is frozen."""
        self.hold = hold
        if hold not in self._children:
            self._children.append(hold)
        self._policy.frozen = True
        self.on_change(True)

    # What the guardian tells.

    def _on_state(self, state: "State") -> None:
        from . import record

        if state.phase == record.DONE:
            self._done(state)
            return
        if self._freezing is not None:
            if state.phase == record.FROZEN:
                self._complete()
            elif state.phase == record.THAWING and self._timer is None:
                self._timer = self.loop.later(_GRACE, self._wait_no_longer)
        self._waiting = [each for each in self._waiting if not each(state)]

    def _complete(self) -> None:
        """All is frozen."""
        pending, self._freezing = self._freezing, None
        hold, planned = self.hold, self._planned
        if pending is None or hold is None or planned is None:
            return
        wanted, survey = planned
        try:
            if not self.freezer.is_current(survey):
                hold.record.add_newcomers(self.plan(wanted))
        except (CommandError, OSError):
            pass  # nobody knows of any
        report = hold.report()
        pending.resolve(lambda: report)

    def _wait_no_longer(self) -> None:
        """The freeze was given up, and not all can be thawed yet."""
        self._timer = None
        pending, self._freezing = self._freezing, None
        if pending is not None and self.hold is not None:
            pending.resolve(raising(self._failure(self.hold)))

    def _failure(self, hold: "Hold") -> GuestOSError:
        """Why there is no freeze."""
        from . import record

        state, path = hold.state, hold.path(hold.state.culprit)
        if state.cause == record.FAILED:
            number = state.error[state.culprit]
            return GuestOSError(f"failed to freeze {path}: {os.strerror(number)}", number)
        if state.cause in {record.TIMEOUT, record.LEASE}:
            seconds = (state.ended - hold.record.began_monotonic) / _SECOND
            if state.cause == record.TIMEOUT:
                seconds = self.settings().mount_timeout
            what = f"{path} within {seconds:.3g} s" if path else f"all within {seconds:.3g} s"
            return GuestOSError(f"failed to freeze {what}", errno.ETIMEDOUT)
        return GuestOSError(f"failed to freeze: {hold.record.reason(state)}", errno.ECANCELED)

    def _done(self, state: "State") -> None:
        """Everything is thawed."""
        from . import record

        hold = self.hold
        if hold is None:
            return
        pending, self._freezing = self._freezing, None
        waiting, self._waiting = self._waiting, []
        self._last = report = hold.report()
        failure = self._failure(hold)
        self._end()
        if pending is not None:
            nothing = state.cause == record.NOTHING
            pending.resolve((lambda: report) if nothing else raising(failure))
        asked = [each(state) for each in waiting]
        if pending is None and not any(asked):
            why = report.reason or "a client had asked for it, and waits no longer"
            self.log.error(f"thawed, because nobody else did: {why}")
            self.on_unasked()

    def _end(self) -> None:
        """Everything is thawed: back to normal."""
        if self.hold is not None:
            self.hold.let_go()
            self.hold = None
        self.unreachable = False
        if self._timer is not None:
            self.loop.cancel(self._timer)
            self._timer = None
        self._back_to_normal()

    def _back_to_normal(self) -> None:
        was_frozen = self._policy.frozen
        self._policy.frozen = False
        try:
            os.unlink(self.marker)
        except FileNotFoundError:
            pass
        except OSError as error:
            self.log.error(f"cannot remove {self.marker}: {error.strerror}")  # noqa: TRY400
        waiting, self._when_thawed = self._when_thawed, []
        for callback in waiting:
            try:
                callback()
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                self.log.error(f"after the thaw: {where}{error.strerror}")  # noqa: TRY400
        self.log.release()
        if was_frozen:
            self.on_change(False)
            self.log.info("thawed file systems")

    def when_thawed(self, callback: "Callable[[], None]") -> None:
        """Call *callback* now, or as soon as file systems may be written to again."""
        if self.frozen:
            self._when_thawed.append(callback)
        else:
            callback()

    def on_child_ended(self) -> None:
        """A child process has ended; maybe a guardian."""
        self._children = [hold for hold in self._children if not hold.reap()]

    # Ending.

    def renew(self, token: str, seconds: float) -> "Pending[FreezeLease]":
        """Have the lease end in so many *seconds*."""
        from . import thawing

        return thawing.renew(self, token, seconds)

    def thaw(self, token: "str | None" = None) -> "Pending[int]":
        """Thaw everything, whoever has frozen it; the result is how many file systems were frozen.

        Args:
            token: only if this is what the freeze is called; and then nothing else.

        The result is a CommandError when something is left frozen; its text names each mount point.
        The guest counts as frozen still, and thawing may be repeated.
        """
        from . import thawing

        return thawing.thaw(self, token)

    def wait_for(self, heard: "Callable[[State], bool]") -> None:
        """Call *heard* with what the guardian tells, until it returns True, or the freeze ends."""
        self._waiting.append(heard)

    def resume(self) -> bool:
        """At start-up: take over the freeze of an agent that has ended; False if there is none."""
        if not os.path.lexists(self.marker):
            return False
        from . import takeover

        return takeover.resume(self)

    def finish(self, *, another: float) -> None:
        """The agent ends: thaw, or leave that to the guardian if it is not done soon.

        Args:
            another: in so many seconds another agent is expected, which takes over the freeze; 0:
                none is.
        """
        from . import thawing

        thawing.finish(self, another)
