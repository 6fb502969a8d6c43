"""The hooks of a fake guest: nothing is run, but each is told, and fails as a test wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import CommandError
from qga.protocol.fsfreeze import FreezeHook, HookAction, PlannedHook

if TYPE_CHECKING:
    from collections.abc import Sequence

# Seconds that a run may take, as a real agent's.
TIMEOUT = 120.0

_FAILED = "child process has failed to execute fsfreeze hook"
_FOLDER = "/etc/qemu/fsfreeze-hook.d"
_KILLED = 9


class FakeHook:
    r"""A program of the guest's owner that is told of freezes; `Freezing.add_hook` makes it.

        >>> database = agent.freezing.add_hook("database", required=True)
        >>> database.fail("freeze", output="the disk is full\n")
        >>> with client.frozen():
        ...     pass
        Traceback (most recent call last):
        qga.errors.CommandError: child process has failed to execute fsfreeze hook database: ...
        >>> database.told  # it may have done half
        ['freeze', 'thaw']
        >>> agent.state
        FsfreezeState('thawed')

    Attributes:
        name: what it is called.
        required: whether its failure is one of the freeze.
        order: those of a lower one are run earlier; of the same, by name.
        timeout: seconds that a run may take.
        milliseconds: how long each run takes, as it is told.
        problem: why it cannot be run, as "it is not executable"; empty if it can.
        told: what it was told, in order.
    """

    def __init__(self, name: str, *, required: bool, order: int, timeout: float) -> None:
        self.name = name
        self.required = required
        self.order = order
        self.timeout = timeout
        self.milliseconds = 1
        self.problem = ""
        self.told: list[str] = []
        self._failing: dict[str, _Failure] = {}

    def fail(
        self,
        action: str,
        *,
        exit_code: int = 1,
        output: str = "",
        hang: bool = False,
        times: int | None = None,
    ) -> None:
        r"""Have it fail when it is told *action* from now on.

            >>> cache = agent.freezing.add_hook("cache")
            >>> cache.fail("thaw", exit_code=3, output="no such key\n", times=1)
            >>> with client.frozen() as freeze:
            ...     pass
            >>> [(run.action, run.ok, run.output) for run in freeze.details.hooks]
            [(HookAction('freeze'), True, None), (HookAction('thaw'), False, 'no such key\n')]

        Args:
            action: "freeze" or "thaw".
            exit_code: with which it ends.
            output: what it prints then.
            hang: have it hang instead, until its time is over and it is ended by force.
            times: how often it fails; None for always.
        """
        self._failing[HookAction(action)] = _Failure(exit_code, output, hang, times)

    def _run(self, action: HookAction) -> FreezeHook:
        self.told.append(str(action))
        failure = self._failing.get(action)
        if failure is None or not failure.strikes():
            return self._told(action, self.milliseconds, exit_code=0)
        if failure.hang:
            late = f"it has not finished after {self.timeout:g} s"
            passed = int(self.timeout * 1000)
            return self._told(action, passed, reason=late, signal=_KILLED, output=failure.output)
        return self._told(
            action,
            self.milliseconds,
            reason=f"exit status {failure.exit_code}",
            exit_code=failure.exit_code,
            output=failure.output,
        )

    def _told(
        self,
        action: HookAction,
        milliseconds: int,
        *,
        reason: str | None = None,
        exit_code: int | None = None,
        signal: int | None = None,
        output: str = "",
    ) -> FreezeHook:
        return FreezeHook(
            name=self.name,
            action=action,
            ok=reason is None,
            required=self.required,
            milliseconds=milliseconds,
            exit_code=exit_code,
            signal=signal,
            timed_out=True if signal else None,
            reason=reason,
            output=output or None,
        )

    def _planned(self) -> PlannedHook:
        return PlannedHook(
            name=self.name,
            ok=not self.problem,
            required=self.required,
            timeout_ms=int(self.timeout * 1000),
            order=self.order,
            reason=self.problem or None,
        )


class _Failure:
    """How a hook fails, and how often."""

    def __init__(self, exit_code: int, output: str, hang: bool, times: int | None) -> None:  # noqa: FBT001
        self.exit_code = exit_code
        self.output = output
        self.hang = hang
        self._times = times

    def strikes(self) -> bool:
        """Whether it happens this time."""
        if self._times is None:
            return True
        self._times -= 1
        return self._times >= 0


class FakeHooks:
    """All hooks of a guest, as `Freezing` tells them.

    Attributes:
        runs: each run since the last freeze began.
    """

    def __init__(self) -> None:
        self._all: list[FakeHook] = []
        self._owed: list[FakeHook] = []
        self.runs: list[FreezeHook] = []

    def add(self, hook: FakeHook) -> None:
        """One more."""
        self._all.append(hook)

    def forget(self) -> None:
        """Nobody was told anything, as after a boot."""
        self._owed, self.runs = [], []

    def planned(self) -> list[PlannedHook]:
        """Those that would be run, in their order, and those that cannot be."""
        return [hook._planned() for hook in self._ordered()]  # noqa: SLF001 - parts of one thing

    def freeze(self) -> None:
        """Tell them of a freeze.

        Raises:
            CommandError: one that is required has failed; those that were told are told of a thaw.
        """
        self.forget()
        for hook in self._ordered():
            if hook.problem and hook.required:
                raise CommandError(
                    f"the fsfreeze hook {hook.name} is required, and is no program in {_FOLDER}"
                )
        for hook in self._ordered():
            if hook.problem:
                continue
            self._owed.append(hook)
            self.runs.append(hook._run(HookAction.FREEZE))  # noqa: SLF001
            error = _failure(self.runs[-1:])
            if error is not None:
                self.thaw()
                raise error

    def thaw(self) -> CommandError | None:
        """Tell those that were told of a freeze of its end; return what a thaw fails with."""
        owed, self._owed = self._owed[::-1], []
        runs = [hook._run(HookAction.THAW) for hook in owed]  # noqa: SLF001
        self.runs += runs
        return _failure(runs)

    def _ordered(self) -> list[FakeHook]:
        return sorted(self._all, key=lambda hook: (hook.order, hook.name))


def _failure(runs: Sequence[FreezeHook]) -> CommandError | None:
    """The error of the first one that is required and has failed."""
    for run in runs:
        if run.required and not run.ok:
            tail = f": {run.output}" if run.output else ""
            return CommandError(f"{_FAILED} {run.name}: {run.reason}{tail}")
    return None
