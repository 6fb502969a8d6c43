"""Freezing and thawing, with fsfreeze hooks around it. Called by `commands/fsfreeze` and `app`.

`hooks` runs them. Here is decided when: before a freeze, and after the thaw, whoever ends it, and
however. What they were told to quiesce is not forgotten; and nothing that they do keeps the
guest frozen, for it is thawed first.
"""

import os

from qga.errors import CommandError

from .later import Pending, raising

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.protocol.fsfreeze import FreezeReport, PlannedHook

    from .config import Config
    from .freeze import Freeze
    from .hooks import Hooks, Listener
    from .log import Log
    from .loop import Loop, Timer
    from .plan import Wanted
    from .programs import Programs
    from .record import Record, State

_BUSY = "another freeze or thaw is under way: the fsfreeze hook is running"

# At its end the agent waits so long for hooks, and then for those that it ends by force.
_AT_END = 60.0
_AFTER_THAT = 5.0

# After what time to look again, when a guardian is telling the hooks of the thaw.
_LOOK_AGAIN = 1.0


class Hook:
    """Freezing and thawing, with the hooks around them if there are any.

    Args:
        config: has the hooks.
        freeze: freezes and thaws.
        programs: runs the hooks.
        loop: for the time that they may take.
        log: is told of each run.
        marker: path of the file that is there while hooks have to be told of a thaw; see `owed`.
    """

    def __init__(
        self,
        config: "Config",
        freeze: "Freeze",
        programs: "Programs",
        loop: "Loop",
        log: "Log",
        *,
        marker: str,
    ) -> None:
        self._config = config
        self._any = bool(config.fsfreeze_hook or config.fsfreeze_hook_dir)
        self._marker = marker
        self._freeze = freeze
        self._programs = programs
        self._loop = loop
        self._log = log
        self._timeout = config.fsfreeze_timeout
        self._made: Hooks | None = None
        self._token = ""  # of the freeze that they are told of
        self._reminder: Timer | None = None
        freeze.when_orphaned = self._left_alone

    @property
    def _hooks(self) -> "Hooks":
        if self._made is None:
            from .hookfiles import HookFiles
            from .hooks import Hooks
            from .owed import Owed

            files, owed = HookFiles(self._config), Owed(self._marker)
            self._made = Hooks(files, self._programs, self._loop, self._log, owed)
        return self._made

    # What the host asks for.

    def plan(self) -> "list[PlannedHook]":
        """The hooks that a freeze would run now, and those that it could not.

        Raises:
            CommandError: no freeze could begin now, or the hooks' directory not be read.
        """
        if self._made is not None and self._made.busy:
            raise CommandError(_BUSY)
        self._freeze.check()
        if not self._any:
            return []
        from .hookfiles import HookFiles
        from .hookplan import planned

        return planned(HookFiles(self._config))

    def freeze(
        self, wanted: "Wanted", seconds: "float | None" = None, token: "str | None" = None
    ) -> "Pending[FreezeReport]":
        """Run the hooks, then freeze; see `Freeze.freeze`.

        Raises:
            CommandError: one that is required failed, or hooks are running; nothing is frozen. (Or
                that is the result.)
        """
        if not self._any:
            return self._freeze.freeze(wanted, seconds, token)
        from .owed import Busy
        from .record import now

        hooks = self._hooks
        if hooks.busy:
            raise CommandError(_BUSY)
        self._freeze.check()
        pending: Pending[FreezeReport] = Pending()
        self._token, began = token or os.urandom(8).hex(), now()
        self._forget_reminder()

        def told(error: "CommandError | None") -> None:
            self._told(error, wanted, seconds, pending)

        try:
            hooks.freeze(self._token, began, told)
        except Busy:
            raise CommandError(_BUSY) from None
        except CommandError:
            if hooks.owed:  # by a freeze of nothing before this one
                self._remind_later()
            raise
        return pending

    def _told(
        self,
        error: "CommandError | None",
        wanted: "Wanted",
        seconds: "float | None",
        pending: "Pending[FreezeReport]",
    ) -> None:
        """The hooks were told of the freeze."""
        if error is not None:
            self._fail(pending, error, because="hook")
            return
        try:
            frozen = self._freeze.freeze(wanted, seconds, self._token, self._hooks.results)
        except Exception as problem:  # noqa: BLE001 - whatever it is belongs into the reply
            self._fail(pending, problem, because="failed")
        else:
            frozen.listen(lambda: self._frozen(frozen, pending))

    def _frozen(self, frozen: "Pending[FreezeReport]", pending: "Pending[FreezeReport]") -> None:
        try:
            report = frozen.result()
        except Exception as error:  # noqa: BLE001 - as above
            # If something is left frozen, its thaw will tell the hooks.
            if self._freeze.frozen:
                pending.resolve(raising(error))
            else:
                self._undo(pending, error)
            return
        pending.resolve(lambda: report)
        if not report.count and self._hooks.owed:
            # The client may want what the hooks have done, and thaws in the end: so it is with
            # upstream's agent, which does not run the hook here.
            self._remind_later()

    def _fail(self, pending: "Pending[FreezeReport]", error: Exception, *, because: str) -> None:
        """Nothing was frozen, and nothing will be."""
        from .aftermath import refused

        runs = self._hooks.results
        self._freeze.remember(refused(self._token, because, str(error), runs))
        self._undo(pending, error)

    def _undo(self, pending: "Pending[FreezeReport]", error: Exception) -> None:
        """A freeze has failed: undo what the hooks have done, then reply."""
        self._tell_thaw(lambda _: pending.resolve(raising(error)))

    def thaw(self, token: "str | None" = None) -> "Pending[int]":
        """Thaw, then run the hooks; see `Freeze.thaw`. Ends a freeze whose hooks are still running.

        The result is a CommandError when something is left frozen, or a hook failed that is
        required.
        """
        made = self._made
        over = self._freeze.hold is None and not (made is not None and (made.busy or made.owed))
        if not self._any or (over and token is not None):
            return self._freeze.thaw(token)
        told = self._hooks.thaws
        if self._hooks.freezing:
            if token not in {None, self._token}:
                raise CommandError(
                    f"the freeze that is under way has another token than '{token}': "
                    "somebody else has begun it"
                )
            self._hooks.stop("the guest is to be thawed")
            token = None
        thawed = self._freeze.thaw(token)
        pending: Pending[int] = Pending()
        thawed.listen(lambda: self._thawed(thawed, pending, told))
        return pending

    def give_up(self) -> None:
        """End the freeze that is under way; who has asked for it, waits no longer."""
        hold = self._freeze.hold
        if hold is not None:
            self.thaw(hold.record.token)
        elif self._made is not None and self._made.freezing:
            self._made.stop("the guest is to be thawed")

    def _thawed(self, thawed: "Pending[int]", pending: "Pending[int]", told: int) -> None:
        """All is thawed, for a client; before, the hooks had been told so *told* times."""
        try:
            count = thawed.result()
        except CommandError as error:
            pending.resolve(raising(error))
            return

        def answer(error: "CommandError | None") -> None:
            pending.resolve((lambda: count) if error is None else raising(error))

        hooks = self._hooks
        if hooks.thaws > told and not hooks.busy:
            # Meanwhile they were: of a freeze that this thaw, or the end of the lease, has ended.
            answer(hooks.error)
        else:
            self._tell_thaw(answer, also_alone=True)

    # What nobody asks for.

    def resume(self, told: "FreezeReport | None" = None) -> None:
        """When nothing is frozen: do what an agent that was killed has left undone.

        Args:
            told: what the guardian had told of the freeze when it began with that.
        """
        if told is not None:
            self._freeze.forget(told)
        if not os.path.lexists(self._marker) or self._hooks.busy:
            return
        from .aftermath import KILLED, refused
        from .owed import Busy

        owed = self._hooks.owed
        try:
            self._take()
        except Busy:  # its guardian does
            report = self._freeze.report()
            self._loop.later(_LOOK_AGAIN, lambda: self.resume(report))
            return
        if owed:
            self._log.error(
                "telling the fsfreeze hooks of the thaw, since an earlier agent has not"
            )
            report = self._freeze.report()
            if report.token != owed.token or (report.began_monotonic or 0) < owed.began:
                self._freeze.remember(refused(owed.token, "agent", KILLED, []))
        self._tell_thaw(self._note)

    def thawed_unasked(self) -> None:
        """The freeze has ended, and not because of a request."""
        if self._any:
            self._tell_thaw(self._note, also_alone=True)

    def _remind_later(self) -> None:
        self._reminder = self._loop.later(self._timeout, self._remind)

    def _remind(self) -> None:
        self._reminder = None
        self._log.error(f"telling the fsfreeze hook of the thaw after {self._timeout:g} s")
        self.thawed_unasked()

    def _forget_reminder(self) -> None:
        if self._reminder is not None:
            self._loop.cancel(self._reminder)
            self._reminder = None

    def finish(self, *, thawed: bool) -> None:
        """The agent ends: tell the hooks of the thaw if they have to be told, and wait for that.

        Args:
            thawed: whether the agent was frozen until now.
        """
        if self._made is None and not (thawed and self._any):
            return
        hooks = self._hooks
        if hooks.freezing:
            hooks.stop("the agent ends")
        elif thawed or hooks.owed:
            self._tell_thaw(self._note, also_alone=True)
        waiting = True

        def give_up() -> None:
            nonlocal waiting
            waiting = False
            self._loop.stop()

        def hurry() -> None:
            hooks.stop("the agent ends")
            self._loop.later(_AFTER_THAT, give_up)

        self._loop.later(min(self._timeout, _AT_END), hurry)
        while hooks.busy and waiting:
            hooks.listen(lambda _: self._loop.stop())
            self._loop.run()
        hooks.close()
        hooks.owed.let_go()

    def _note(self, error: "CommandError | None") -> None:
        if error is not None:
            self._log.error(f"after the thaw: {error}")

    # Telling them.

    def _take(self) -> None:
        """See who has to be told of the thaw.

        Raises:
            Busy: a guardian tells them.
        """
        try:
            self._hooks.take()
        except OSError as error:
            self._log.error(f"cannot read {self._marker}: {error.strerror}")

    def _tell_thaw(self, listener: "Listener", *, also_alone: bool = False) -> None:
        """Tell the hooks of the thaw, and let *listener* know how it went.

        When that is under way already it will do; after a freeze it is done.
        """
        from .aftermath import with_hooks
        from .owed import Busy

        hooks = self._hooks
        if hooks.freezing:
            hooks.listen(lambda _: self._tell_thaw(listener, also_alone=also_alone))
            return
        if hooks.thawing:
            hooks.thaw(listener, also_alone=also_alone)
            return
        self._forget_reminder()
        try:
            self._take()
        except Busy:
            listener(None)  # a guardian does
            return
        owed, before = len(hooks.owed), len(hooks.results)

        def told(error: "CommandError | None") -> None:
            if owed:
                self._freeze.remember(with_hooks(self._freeze.report(), hooks.results[before:]))
            hooks.forget()
            listener(error)

        hooks.thaw(told, also_alone=also_alone)

    def _left_alone(self, about: "Record", state: "State") -> None:
        """Called in the guardian of a freeze, in the end, if its agent has gone."""
        from .aftermath import in_guardian

        hooks = self._hooks if self._any else None
        in_guardian(hooks, about, state, report=self._freeze.settings().report)
