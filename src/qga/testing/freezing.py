"""The freeze state of a fake agent: nothing is frozen; its lease runs, and its hooks are told."""

from __future__ import annotations

import time
import uuid
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from qga import protocol
from qga.errors import CommandError
from qga.protocol.fsfreeze import (
    FreezeEnd,
    FreezeLease,
    FreezeMount,
    FreezeOutcome,
    FreezeReport,
    FsfreezeState,
)

from .hooks import TIMEOUT, FakeHook, FakeHooks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from qga.protocol.storage import FilesystemInfo

# Seconds, as a real agent's; upstream's have none, and thaw only when they are told to.
LEASE = 600.0

_LATE = "the lease ended, and nobody had thawed"


class Freezing:
    """Freezes, thaws and their reports.

    Args:
        filesystems: those of the guest.

    Attributes:
        state: the freeze state.
        frozen: how many file systems are frozen.
        lease: seconds that a freeze lasts whose request does not say how long.
    """

    def __init__(self, filesystems: Callable[[], Sequence[FilesystemInfo]]) -> None:
        self._filesystems = filesystems
        self._hooks = FakeHooks()
        self.lease = LEASE
        self.reset()

    def reset(self) -> None:
        """Nothing is frozen, nor was, as after a boot."""
        self.state: FsfreezeState = FsfreezeState.THAWED
        self.frozen = 0
        self._token = ""
        self._began = self._ended = 0
        self._deadline = 0.0
        self._end: FreezeEnd | None = None
        self._reason: str | None = None
        self._mounts: list[FreezeMount] = []
        self._hooks.forget()

    def answers(self) -> dict[Any, Callable[[Any], Any]]:
        """What each command does."""
        return {
            protocol.FsfreezeStatus: lambda _: self.state,
            protocol.FsfreezeFreeze: lambda _: self._begin(None, (), self.lease, None),
            protocol.FsfreezeFreezeList: lambda command: self._begin(
                command.mountpoints, (), self.lease, None
            ),
            protocol.FsfreezeThaw: lambda _: self._thaw_by_client(),
            protocol.QgaFsfreezeFreeze: self._freeze,
            protocol.QgaFsfreezeRenew: self._renew,
            protocol.QgaFsfreezeThaw: self._thaw_and_tell,
            protocol.QgaFsfreezeReport: lambda _: self._report(),
        }

    def add_hook(
        self, name: str, *, required: bool = False, order: int = 0, timeout: float = TIMEOUT
    ) -> FakeHook:
        """Have one more program of the guest be told of freezes; by `fail` it fails.

            >>> hook = agent.freezing.add_hook("cache", order=5)
            >>> with client.frozen() as freeze:
            ...     hook.told
            ['freeze']
            >>> hook.told
            ['freeze', 'thaw']

        Args:
            name: what it is called.
            required: whether its failure is one of the freeze.
            order: those of a lower one are run earlier; of the same, by name.
            timeout: seconds that a run may take.
        """
        hook = FakeHook(name, required=required, order=order, timeout=timeout)
        self._hooks.add(hook)
        return hook

    def end_lease(self) -> None:
        """Have the lease end now, as if nobody had renewed it in time.

        >>> with client.frozen() as freeze:
        ...     agent.freezing.end_lease()
        >>> freeze.held, freeze.report
        (False, 'the lease ended, and nobody had thawed')
        """
        self._deadline = 0.0
        self.expire()

    def expire(self) -> None:
        """Thaw, if the lease has ended by now."""
        if self.state == FsfreezeState.FROZEN and self._token and self._left() <= 0:
            self._thaw(FreezeEnd.LEASE)

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _begin(
        self,
        wanted: Sequence[str] | None,
        exclude: Sequence[str],
        lease: float,
        token: str | None,
    ) -> int:
        self._token = token or uuid.uuid4().hex[:16]
        self._began, self._ended, self._reason = time.time_ns(), 0, None
        try:
            self._hooks.freeze()
        except CommandError as error:
            self._mounts, self._ended = [], time.time_ns()
            self._end, self._reason = FreezeEnd.HOOK, error.desc
            raise
        self._mounts = self._planned(wanted, exclude, FreezeOutcome.FROZEN)
        self.frozen = sum(mount.outcome == FreezeOutcome.FROZEN for mount in self._mounts)
        self._deadline = time.monotonic() + lease
        self._end = None if self.frozen else FreezeEnd.NOTHING
        if self.frozen:
            self.state = FsfreezeState.FROZEN
        return self.frozen

    def _planned(
        self, wanted: Sequence[str] | None, exclude: Sequence[str], outcome: FreezeOutcome
    ) -> list[FreezeMount]:
        def matches(mounted: FilesystemInfo, pattern: str) -> bool:
            kind, _, rest = pattern.partition(":")
            if kind in {"type", "device"}:
                return fnmatchcase(mounted.type if kind == "type" else mounted.name, rest)
            return fnmatchcase(mounted.mountpoint, pattern)

        def of(mounted: FilesystemInfo) -> FreezeMount:
            left = next((p for p in exclude if matches(mounted, p)), None)
            asked = wanted is None or any(matches(mounted, p) for p in wanted)
            reason = None if asked else "not asked for"
            if left is not None:
                reason = f"excluded: {left}"
            return FreezeMount(
                path=mounted.mountpoint,
                device=f"/dev/{mounted.name}",
                type=mounted.type,
                outcome=outcome if reason is None else FreezeOutcome.SKIPPED,
                milliseconds=1 if reason is None and outcome == FreezeOutcome.FROZEN else None,
                reason=reason,
            )

        mounts = [of(mounted) for mounted in reversed(self._filesystems())]
        return sorted(mounts, key=lambda mount: mount.outcome == FreezeOutcome.SKIPPED)

    def _freeze(self, command: protocol.QgaFsfreezeFreeze) -> FreezeReport:
        wanted, exclude = command.mountpoints, command.exclude or ()
        mounted = {each.mountpoint for each in self._filesystems()}
        for pattern in wanted or ():
            if pattern.startswith("/") and not {*"*?"} & {*pattern} and pattern not in mounted:
                raise CommandError(f"cannot freeze {pattern}: nothing is mounted there")
        if command.dry_run:
            return FreezeReport(
                state=self.state,
                count=0,
                token=command.token,
                mounts=self._planned(wanted, exclude, FreezeOutcome.PLANNED),
                planned_hooks=self._hooks.planned(),
            )
        lease = self.lease if command.deadline_ms is None else command.deadline_ms / 1000
        self._begin(wanted, exclude, lease, command.token)
        return self._report()

    def _renew(self, command: protocol.QgaFsfreezeRenew) -> FreezeLease:
        self._check(command.token)
        if self.state != FsfreezeState.FROZEN:
            why = _LATE if self._end == FreezeEnd.LEASE else "it was thawed"
            raise CommandError(f"the freeze of token '{command.token}' has ended: {why}")
        self._deadline = time.monotonic() + command.deadline_ms / 1000
        return FreezeLease(token=command.token, deadline_ms=command.deadline_ms)

    def _check(self, token: str) -> None:
        if token == self._token:
            return
        if self.state == FsfreezeState.FROZEN:
            raise CommandError(
                f"the freeze that lasts now has another token than '{token}': "
                "somebody else has begun it (qga-fsfreeze-report tells)"
            )
        raise CommandError(f"no freeze of token '{token}' is known: nothing is frozen")

    def _thaw_and_tell(self, command: protocol.QgaFsfreezeThaw) -> FreezeReport:
        if command.token is not None:
            self._check(command.token)
        self._thaw_by_client()
        return self._report()

    def _thaw_by_client(self) -> int:
        thawed = self.frozen
        error = self._thaw(FreezeEnd.THAWED)
        if error is not None:
            raise error
        return thawed

    def _thaw(self, end: FreezeEnd) -> CommandError | None:
        """Thaw; return what the hooks have against it."""
        self.frozen = 0
        if self.state != FsfreezeState.THAWED:
            self._end, self._ended = end, time.time_ns()
            if end == FreezeEnd.LEASE:
                self._reason = _LATE
        self.state = FsfreezeState.THAWED
        return self._hooks.thaw()

    def _report(self) -> FreezeReport:
        if not self._token:
            return FreezeReport(state=self.state, mounts=[])
        ended = self._ended or None
        mounts = [self._now(mount) for mount in self._mounts] if ended else self._mounts
        return FreezeReport(
            state=self.state,
            token=self._token,
            deadline_ms=None if ended else max(0, int(self._left() * 1000)),
            count=sum(mount.outcome != FreezeOutcome.SKIPPED for mount in mounts),
            began=self._began,
            began_monotonic=self._began,
            frozen_monotonic=self._began,
            ended=ended,
            ended_monotonic=ended,
            held=self._end == FreezeEnd.THAWED if ended else None,
            end=self._end,
            reason=self._reason,
            mounts=mounts,
            hooks=[*self._hooks.runs] or None,
        )

    @staticmethod
    def _now(mount: FreezeMount) -> FreezeMount:
        if mount.outcome != FreezeOutcome.FROZEN:
            return mount
        return FreezeMount(
            path=mount.path,
            device=mount.device,
            type=mount.type,
            outcome=FreezeOutcome.THAWED,
            milliseconds=mount.milliseconds,
        )
