"""Several guests frozen as one for an `async with` block: the asynchronous twin of `group`."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from qga.errors import QgaError

from . import group
from .aio import AsyncClient, aconnect
from .aiofrozen import AsyncFreeze, Guard
from .deadline import deadline as bounded
from .group import GroupState, MemberState
from .watch import STARTING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from .target import Target
    from .trace import Trace


class AsyncGroupMember(MemberState, AsyncFreeze):
    """One guest of a group, and what is known of its freeze.

        >>> async with qga.afreeze_group([aclient]) as group:
        ...     [each.mountpoint for each in group.members[0].plan if each.taken]
        ['/srv', '/']
        >>> group.members[0].held
        True

    Attributes are those of `GroupMember`.
    """

    async def _thaw_now(self) -> None:
        """Thaw; `failure` tells if it did not work."""
        try:
            await self._undo()
        except QgaError as error:
            self.failure = error


class AsyncGroupFreeze(GroupState[AsyncGroupMember, AsyncClient]):
    """Several guests frozen for an `async with` block; `afreeze_group` makes it.

        >>> async with qga.afreeze_group([aclient]) as group:
        ...     print(*(f"{one.frozen} file systems" for one in group.members))
        2 file systems
        >>> group.held
        True

    Attributes are those of `GroupFreeze`.
    """

    _guard: Guard

    async def __aenter__(self) -> Self:
        self._guard = Guard()
        self._guard.begin()
        try:
            await self._prepare()
            await self._freeze()
            return self
        except BaseException as error:
            await self._end(error)
            explained = self._explained(error)
            if explained is error:
                raise
            raise explained from error

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end(error)
        self._check_thawed()

    async def _end(self, error: BaseException | None) -> None:
        await self._guard.end(self._undo, lambda: bool(self._in_doubt()), error)

    async def _prepare(self) -> None:
        """Open all channels, see that each guest can be frozen, and have all watched."""
        names = self._names()
        looks = (self._look(target) for target in self._targets)
        results = await asyncio.gather(*looks, return_exceptions=True)
        self.members = self._all_well(names, results)
        for member in self.members:
            member._start_watch(self._window + STARTING)  # noqa: SLF001 - the parts of one thing
        for member in self.members:
            await member._await_watch()  # noqa: SLF001

    async def _look(self, target: str | Target | AsyncClient) -> AsyncGroupMember:
        """Prepare one guest."""
        if isinstance(target, AsyncClient):
            client = target
        else:
            client = await aconnect(target, timeout=self._timeout, trace=self._trace)
            self._opened.append(client)
        plan = await client.perform(self._plan())
        member = AsyncGroupMember(
            client, self._mountpoints, self._deadline, self._timeout, exclude=self._exclude
        )
        member.plan, member.hooks = plan.filesystems, plan.hooks
        return member

    async def _freeze(self) -> None:
        """Freeze one after the other, within the window."""
        began = time.monotonic()
        with bounded(self._window) as window:
            for member in self.members:
                try:
                    await member._freeze()  # noqa: SLF001
                    self._check_frozen(member)
                except QgaError as error:
                    raise self._failed(member, error, window) from error
            self.took = time.monotonic() - began
            self._check_time(window)

    async def _undo(self) -> None:
        """Thaw all in reverse, whatever each is at."""
        thaws = []
        for member in self.members[::-1]:
            thaws.append(asyncio.create_task(member._thaw_now()))  # noqa: SLF001
            await asyncio.wait(thaws[-1:], timeout=group.THAW_PATIENCE)
        if thaws:
            await asyncio.wait(thaws)
        for client in self._opened:
            await client.close()
        self._judge()


def afreeze_group(
    targets: Sequence[str | Target | AsyncClient],
    *,
    mountpoints: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] = (),
    deadline: float = 60.0,
    window: float = 10.0,
    timeout: float | None = None,
    trace: Trace | None = None,
) -> AsyncGroupFreeze:
    """Freeze several guests for an `async with` block, as one. See `freeze_group`.

        >>> from qga.testing import FakeAgent
        >>> with agent.serve() as web, FakeAgent().serve() as database:
        ...     async with qga.afreeze_group([database, web], window=5) as group:
        ...         print(len(group.members), "guests are frozen")
        2 guests are frozen
        >>> group.held
        True

    Arguments and errors are those of `freeze_group`; clients are `AsyncClient`s.
    """
    return AsyncGroupFreeze(
        targets, mountpoints, exclude=exclude, deadline=deadline, window=window,
        timeout=timeout, trace=trace,
    )  # fmt: skip
