"""Reports of freezes with hooks, and the hooks of one whose agent has gone. Used by `hook`."""

import time

from qga.protocol.fsfreeze import FreezeEnd, FreezeReport, FsfreezeState

from . import record
from .hooks import Hooks
from .journal import Daemon, Event
from .lean import signal
from .loop import Loop
from .owed import Busy
from .programs import Programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qga.errors import CommandError
    from qga.protocol.fsfreeze import FreezeHook


KILLED = "the agent ended before anything was frozen"


def refused(
    token: "str | None", end: str, reason: str, hooks: "Sequence[FreezeHook]"
) -> FreezeReport:
    """The report of a freeze in which nothing was frozen."""
    return FreezeReport(
        state=FsfreezeState.THAWED,
        token=token,
        count=0,
        ended=time.time_ns(),
        ended_monotonic=record.now(),
        held=False,
        end=FreezeEnd(end),
        reason=reason,
        mounts=[],
        hooks=list(hooks) or None,
    )


def with_hooks(report: FreezeReport, runs: "Sequence[FreezeHook]") -> FreezeReport:
    """*report* with more *runs* of hooks."""
    members = {**vars(report), "hooks": [*(report.hooks or ()), *runs] or None}
    return FreezeReport(**members)


def in_guardian(
    of_agent: "Hooks | None", about: record.Record, state: record.State, *, report: str
) -> None:
    """In the guardian of a freeze, in the end, if its agent has gone: tell the hooks of the thaw.

    Args:
        of_agent: the hooks; None: there are none.
        about, state: the freeze.
        report: path of the file for its report.
    """
    log = _ToDaemon()
    if state.cause not in {record.NO_CAUSE, record.NOTHING}:
        log.error(f"the agent has gone; thawed, because nobody else did: {about.reason(state)}")
    if of_agent is None:
        return
    loop, programs = Loop(), Programs()
    loop.on_signal(signal.SIGCHLD, programs.on_child_ended)
    hooks = Hooks(of_agent.files, programs, loop, log, of_agent.owed)
    hooks.owed.lose()
    try:
        if not hooks.take():
            return  # the next agent has told them
    except Busy:
        return  # it does
    except OSError:
        pass  # who is owed it is in memory, too

    def told(error: "CommandError | None") -> None:
        if error is not None:
            log.error(f"after the thaw: {error}")
        made = about.report(state)
        if state.cause == record.NO_CAUSE:
            made = refused(about.token, "agent", KILLED, about.hooks)
        record.write_report(report, with_hooks(made, hooks.results))
        hooks.forget()
        loop.stop()

    hooks.thaw(told, also_alone=False)
    if hooks.busy:
        loop.run()


class _ToDaemon:
    """The log of such a guardian."""

    def __init__(self) -> None:
        self._daemon = Daemon()

    def account(self, tell: "Callable[..., Event]", *of: object) -> None:
        """As `Log.account`."""
        self._daemon.send(tell(*of))

    def error(self, text: str) -> None:
        """As `Log.error`."""
        self._daemon.send(Event(text, "error"))
