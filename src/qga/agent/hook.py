"""The fsfreeze hook: a program of the guest's owner, run before a freeze and after the thaw.

`commands/fsfreeze` freezes and thaws by way of this. Nobody waits for the hook but the request that
it is run for. And what the hook was told to quiesce is not forgotten: whoever ends the freeze, and
however, tells it so.
"""

import os
import time

from qga.errors import CommandError, GuestOSError

from . import journal
from .accounting import hook_started
from .later import Pending, raising
from .programs import Programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.protocol.fsfreeze import FreezeReport

    from .freeze import Freeze
    from .log import Log
    from .loop import Loop, Timer
    from .plan import Wanted
    from .programs import Program

    Verdict = Callable[[], None]  # raises if the run has failed
    Listener = Callable[[Verdict], None]

_TASK = "execute fsfreeze hook"
_BUSY = "another freeze or thaw is under way: the fsfreeze hook is running"

# At its end the agent waits so long for a run, and looks so often.
_AT_END = 60.0
_LOOK = 0.02


class _Stopped(CommandError):
    """The run was ended by force, in the middle of whatever it did."""


class _Run:
    """One run of the hook, and who waits for its end."""

    def __init__(self, action: str, program: "Program", listener: "Listener") -> None:
        self.action = action
        self.listeners = [listener]
        self._program = program
        self._stopped = ""

    def stop(self, reason: str) -> None:
        """End it by force, with all that it has started."""
        self._stopped = self._stopped or reason
        self._program.kill()

    def verdict(self) -> None:
        """Raise if it has failed."""
        if self._stopped:
            raise _Stopped(f"child process has failed to {_TASK}: {self._stopped}")
        self._program.result()


class Hook:
    """Freezing and thawing, with the hook around them if there is one.

    Args:
        path: the hook; None for none.
        freeze: freezes and thaws.
        programs: runs the hook.
        loop: for the time that the hook may take.
        log: is told of each run.
        marker: path of a file that is there while the hook has still to be told of a thaw, for the
            case that the agent is killed.
        timeout: seconds after which a run is ended by force.
    """

    def __init__(
        self,
        path: "str | None",
        freeze: "Freeze",
        programs: "Programs",
        loop: "Loop",
        log: "Log",
        *,
        marker: str,
        timeout: float,
    ) -> None:
        self._path = path
        self._marker = marker
        self._freeze = freeze
        self._programs = programs
        self._loop = loop
        self._log = log
        self._timeout = timeout
        self._run: _Run | None = None  # the one that is under way
        # Something was told "freeze", and nothing has told it "thaw" since.
        self._owed = False
        self._reminder: Timer | None = None
        freeze.when_orphaned = self._thawed_alone

    # What the host asks for.

    def freeze(
        self, wanted: "Wanted", seconds: "float | None" = None, token: "str | None" = None
    ) -> "Pending[FreezeReport]":
        """Run the hook, then freeze; see `Freeze.freeze`.

        Raises:
            CommandError: it failed, or the hook is running; nothing is frozen.
        """
        if self._path is None:
            return self._freeze.freeze(wanted, seconds, token)
        if self._run is not None:
            raise CommandError(_BUSY)
        self._freeze.check()
        pending: Pending[FreezeReport] = Pending()
        self._mark()
        self._forget_reminder()

        def freeze() -> "Pending[FreezeReport]":
            return self._freeze.freeze(wanted, seconds, token)

        try:
            self._start(
                self._path, "freeze", lambda verdict: self._freeze_after(verdict, freeze, pending)
            )
        except CommandError:
            self._unmark()
            raise
        return pending

    def _freeze_after(
        self,
        verdict: "Verdict",
        freeze: "Callable[[], Pending[FreezeReport]]",
        pending: "Pending[FreezeReport]",
    ) -> None:
        try:
            verdict()
            self._owed = True
            frozen = freeze()
        except _Stopped as error:
            # It had no time to clean up, so it is told to.
            self._owed = True
            self._fail(pending, error)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs into the reply
            self._fail(pending, error)
        else:
            frozen.listen(lambda: self._frozen(frozen, pending))

    def _frozen(self, frozen: "Pending[FreezeReport]", pending: "Pending[FreezeReport]") -> None:
        try:
            report = frozen.result()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(pending, error)
            return
        pending.resolve(lambda: report)
        if not report.count:
            # The client may want what the hook has done, and thaws in the end: so it is with
            # upstream's agent, which does not run the hook here.
            self._reminder = self._loop.later(self._timeout, self._remind)

    def _fail(self, pending: "Pending[FreezeReport]", error: Exception) -> None:
        """A freeze has failed: undo what the hook has done, then reply."""
        # If something is left frozen, its thaw will tell the hook.
        if self._owed and not self._freeze.frozen:
            self._tell_thaw(lambda _: pending.resolve(raising(error)))
        else:
            if not self._owed:
                self._unmark()
            pending.resolve(raising(error))

    def thaw(self, token: "str | None" = None) -> "Pending[int]":
        """Thaw, then run the hook; see `Freeze.thaw`. Ends a freeze whose hook is still running.

        The result is a CommandError when something is left frozen, or the hook failed.
        """
        over = self._freeze.hold is None and self._run is None
        if self._path is None or (over and token is not None):
            return self._freeze.thaw(token)
        if self._run is not None and self._run.action == "freeze":
            self._run.stop("the guest is to be thawed")
        thawed = self._freeze.thaw(token)
        pending: Pending[int] = Pending()
        thawed.listen(lambda: self._thawed(thawed, pending))
        return pending

    def give_up(self) -> None:
        """End the freeze that is under way; who has asked for it, waits no longer."""
        hold = self._freeze.hold
        if hold is not None:
            self.thaw(hold.record.token)
        elif self._run is not None and self._run.action == "freeze":
            self._run.stop("the guest is to be thawed")

    def _thawed(self, thawed: "Pending[int]", pending: "Pending[int]") -> None:
        try:
            count = thawed.result()
        except CommandError as error:
            pending.resolve(raising(error))
            return

        def answer(verdict: "Verdict") -> None:
            def result() -> int:
                verdict()
                return count

            pending.resolve(result)

        self._tell_thaw(answer)

    # What nobody asks for.

    def resume(self) -> None:
        """At the start, when nothing is frozen: do what a killed agent has left undone."""
        if self._path is not None and os.path.exists(self._marker):
            self._log.error("telling the fsfreeze hook of the thaw, since an earlier agent has not")
            self.thawed_unasked()

    def thawed_unasked(self) -> None:
        """The freeze has ended, and not because of a request."""
        if self._path is not None:
            self._tell_thaw(self._note)

    def _remind(self) -> None:
        self._reminder = None
        self._log.error(f"telling the fsfreeze hook of the thaw after {self._timeout:g} s")
        self.thawed_unasked()

    def _forget_reminder(self) -> None:
        if self._reminder is not None:
            self._loop.cancel(self._reminder)
            self._reminder = None

    def finish(self, *, thawed: bool) -> None:
        """The agent ends: tell the hook of the thaw if it has to be told, and wait for that.

        Args:
            thawed: whether the agent was frozen until now.
        """
        if self._path is None:
            return
        if self._run is not None and self._run.action == "freeze":
            self._run.stop("the agent ends")
        elif thawed or self._owed:
            self._tell_thaw(self._note)
        while (run := self._run) is not None:
            end = time.monotonic() + min(self._timeout, _AT_END)
            while self._run is run:
                if time.monotonic() > end:
                    run.stop("the agent ends")
                time.sleep(_LOOK)
                self._programs.on_child_ended()

    def _note(self, verdict: "Verdict") -> None:
        try:
            verdict()
        except CommandError as error:
            self._log.error(f"after the thaw: {error}")

    # Running it.

    def _tell_thaw(self, listener: "Listener") -> None:
        """Run the hook with "thaw", and let *listener* know how it went.

        When it is running already that run will do; after one with "freeze" it is run.
        """
        if self._run is not None:
            if self._run.action == "freeze":
                self._run.listeners.append(lambda _: self._tell_thaw(listener))
            else:
                self._run.listeners.append(listener)
            return
        self._owed = False
        self._unmark()
        self._forget_reminder()
        try:
            self._start(self._path or "", "thaw", listener)
        except CommandError as error:
            failure = error

            def verdict() -> None:
                raise failure

            listener(verdict)

    def _start(self, path: str, action: str, listener: "Listener") -> None:
        self._log.account(hook_started, action)
        program = self._programs.run([path, action], _TASK)
        run = self._run = _Run(action, program, listener)
        late = f"it has not finished after {self._timeout:g} s"
        overdue = self._loop.later(self._timeout, lambda: run.stop(late))

        def ended() -> None:
            self._loop.cancel(overdue)
            self._run = None
            for each in run.listeners:
                each(run.verdict)

        program.listen(ended)

    def _mark(self) -> None:
        try:
            os.close(os.open(self._marker, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise GuestOSError(
                f"failed to prepare for freezing: {error.strerror}", error.errno
            ) from None

    def _unmark(self) -> None:
        try:
            os.unlink(self._marker)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._log.error(f"cannot remove {self._marker}: {error.strerror}")

    def _thawed_alone(self, reason: str) -> None:
        """Called in the guardian of a freeze, which has thawed, and whose agent has gone."""
        daemon = journal.Daemon()
        text = f"the agent has gone; thawed, because nobody else did: {reason}"
        daemon.send(journal.Event(text, "error"))
        if self._path is None:
            return
        daemon.send(hook_started("thaw"))
        self._unmark()
        programs = Programs()
        try:
            program = programs.run([self._path, "thaw"], _TASK)
            end = time.monotonic() + self._timeout
            while not program.ended:
                if time.monotonic() > end:
                    program.kill()
                time.sleep(_LOOK)
                programs.on_child_ended()
            program.result()
        except CommandError as error:
            daemon.send(journal.Event(f"after the thaw: {error}", "error"))
