"""Runs the fsfreeze hooks one after the other: before a freeze, and after the thaw. For `hook`.

Nobody waits here: a run goes on with the loop, and who wants to know its end is called. A thaw is
told to all that were told of a freeze, in reverse order, also to one that has failed then, or was
ended by force: it may have done half. Nothing that one of them does keeps the others from it.
"""

import os

from qga.errors import CommandError, GuestOSError
from qga.protocol.fsfreeze import HookAction

from .accounting import hook_started
from .hookrun import TASK, Printed, Run, failure, still_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from qga.protocol.fsfreeze import FreezeHook

    from .hookfiles import HookFile, HookFiles
    from .journal import Event
    from .loop import Loop, Timer
    from .owed import Owed
    from .pipes import Pipe
    from .programs import Program, Programs

    Listener = Callable[["CommandError | None"], None]

    class Told(Protocol):
        """What is asked of a log."""

        def account(self, tell: "Callable[..., Event]", *of: object) -> None: ...
        def error(self, text: str) -> None: ...


# How much is kept of what one run prints, and of all those of a freeze: that is held in memory, and
# told with each report.
_KEPT = 4096
_KEPT_IN_ALL = 1 << 14


class Hooks:
    """The hooks, and who has to be told what.

    Args:
        files: which there are.
        programs: runs them.
        loop: for the time that they may take, and what they print.
        log: is told of each run.
        owed: which have to be told of a thaw.

    Attributes:
        files, owed: as above.
        results: each run since the last freeze began.
        thaws: how often any of them was told of a thaw.
        error: what has gone wrong when they were last told of something.
    """

    def __init__(
        self, files: "HookFiles", programs: "Programs", loop: "Loop", log: "Told", owed: "Owed"
    ) -> None:
        self.files = files
        self._programs = programs
        self._loop = loop
        self._log = log
        self.owed = owed
        self.results: list[FreezeHook] = []
        self._pipes: set[Pipe] = set()
        self._run: Run | None = None
        self._action: HookAction | None = None
        self._to_do: list[HookFile] = []
        self.error: CommandError | None = None
        self._listeners: list[Listener] = []
        self._stopped = ""
        self._limit: Timer | None = None
        self._stuck: dict[str, Program] = {}  # by path: what the kernel did not let end
        self.thaws = 0

    @property
    def busy(self) -> bool:
        """Whether they are being told of something."""
        return self._action is not None

    @property
    def freezing(self) -> bool:
        """Whether they are being told of a freeze."""
        return self._action == HookAction.FREEZE

    @property
    def thawing(self) -> bool:
        """Whether they are being told of a thaw."""
        return self._action == HookAction.THAW

    def freeze(self, token: str, began: int, listener: "Listener") -> None:
        """Tell each of a freeze; *listener* is called with why there can be none, or None.

        Args:
            token: what the freeze is called.
            began: when it began, by `record.now`.
            listener: called once, in the end.

        Raises:
            CommandError: none was run.
            Busy: another process tells them of a thaw.
        """
        to_do = self.files.all()
        try:
            self.owed.begin(token, began, self.files.program)
        except OSError as error:
            raise GuestOSError(
                f"failed to prepare for freezing: {error.strerror}", error.errno
            ) from None
        self.close()
        self.results = []
        self._start(HookAction.FREEZE, to_do, listener)
        self._go_on()
        if self.freezing:
            limit = self.files.limit
            late = f"all together have not finished after {limit:g} s"
            self._limit = self._loop.later(limit, lambda: self.stop(late, timed_out=True))

    def thaw(self, listener: "Listener", *, also_alone: bool) -> None:
        """Tell all of the thaw that are owed it; while they are being told, that will do.

        Args:
            listener: called in the end, with what has gone wrong, or None.
            also_alone: whether `fsfreeze-hook` is told in any case.
        """
        if self.thawing:
            self._listeners.append(listener)
            return
        to_do = [self.files.of(path) for path in self.owed][::-1]
        program = self.files.program
        if also_alone and program is not None and program not in self.owed:
            to_do.append(self.files.of(program))
        self.thaws += bool(to_do)
        self._start(HookAction.THAW, to_do, listener)
        self._go_on()

    def listen(self, listener: "Listener") -> None:
        """Call *listener* when what is under way has ended."""
        self._listeners.append(listener)

    def take(self) -> bool:
        """See who is owed a thaw by an earlier agent; False if nobody is.

        Raises:
            Busy: another process tells them.
            OSError: that cannot be read.
        """
        if not self.owed.taken and self.owed.take(self.files.program):
            self.owed.end_run()
        return self.owed.taken

    def stop(self, reason: str, *, timed_out: bool = False) -> None:
        """End what is under way: the run by force, and those after it are not begun."""
        self._stopped = self._stopped or reason
        if self._run is not None:
            self._run.stop(reason, timed_out=timed_out)

    def _start(self, action: HookAction, to_do: "list[HookFile]", listener: "Listener") -> None:
        self._action, self._to_do, self._listeners = action, to_do, [listener]
        self._stopped, self.error = "", None

    def _go_on(self) -> None:
        """Run the next one, or tell how it went."""
        refused = self.freezing and self.error is not None
        if self._to_do and not refused and not self._stopped:
            self._begin(self._to_do.pop(0))
            return
        if self.freezing and self._to_do and self._stopped and self.error is None:
            self.error = CommandError(f"child process has failed to {TASK}: {self._stopped}")
        if self._limit is not None:
            self._loop.cancel(self._limit)
            self._limit = None
        if self.freezing:
            self.forget()  # while there may be a freeze after it, nothing is written
        self._action, listeners = None, self._listeners
        self._listeners = []
        for each in listeners:
            each(self.error)

    def forget(self) -> None:
        """Remove what tells the next agent of them, if nobody is owed anything.

        After a thaw: when the report has been written.
        """
        if self.owed:
            return
        try:
            self.owed.end()
        except OSError as error:
            self._log.error(f"cannot remove what tells of fsfreeze hooks: {error.strerror}")

    def close(self) -> None:
        """Hear no more of what they have left running."""
        for pipe in list(self._pipes):
            pipe.close()

    # One of them.

    def _begin(self, hook: "HookFile") -> None:
        freezing, added = self.freezing, False
        action = HookAction.FREEZE if freezing else HookAction.THAW
        if freezing:
            try:
                added = self.owed.add(hook.path)
            except OSError as error:
                self.error = GuestOSError(
                    f"failed to prepare for freezing: {error.strerror}", error.errno or 0
                )
                self._go_on()
                return
        self._log.account(hook_started, action, "" if hook.alone else hook.name)
        run = self._run = self._spawn(hook, action)
        program = run.program
        if freezing:
            if program is not None:
                self.owed.runs(program.pid)
        elif hook.path in self.owed:
            self.owed.drop()
        if program is None:
            self._ended(run, added)
            return
        run.listen(lambda: self._ended(run, added))

    def _spawn(self, hook: "HookFile", action: HookAction) -> Run:
        stuck = self._stuck.get(hook.path)
        if stuck is not None and not stuck.ended and action == HookAction.FREEZE:
            return Run(self._loop, hook, action, None, still_there(stuck))
        kept = sum(len(result.output or "") for result in self.results)
        printed = None
        try:
            reader, writer = os.pipe2(os.O_CLOEXEC)
            try:
                room = min(_KEPT, max(0, _KEPT_IN_ALL - kept))
                printed = Printed(self._loop, self._pipes, reader, room)
                started: Program | str = self._programs.run(
                    [hook.path, action], TASK, output=writer
                )
            finally:
                os.close(writer)
        except CommandError as error:
            started = error.desc.partition(f"{TASK}: ")[2]
        except OSError as error:  # no descriptors left, say
            started = error.strerror or str(error)
        return Run(self._loop, hook, action, printed, started)

    def _ended(self, run: Run, added: bool) -> None:  # noqa: FBT001
        self._run = None
        hook, result = run.hook, run.end()
        if run.left is not None:
            self._stuck[hook.path] = run.left
        self.results.append(result)
        if not result.ok:
            refusal = hook.alone and not run.stopped
            if added and (run.program is None or refusal):
                self.owed.drop()  # it has not run, or by upstream's contract is not told
            error = failure(result, alone=hook.alone)
            if self.error is None and (hook.required or self._stopped):
                self.error = error
            else:
                self._log.error(error.desc)
        self._go_on()
