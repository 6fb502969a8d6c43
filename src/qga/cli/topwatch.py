"""Watches guests for `qga top`: looks at all of them at once, and keeps what was seen.

Each look has its own deadline, and a guest that is still being looked at is left out of the next
round. So one that hangs, or is gone, shows how it is, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qga.client.aio import AsyncClient
from qga.client.deadline import deadline
from qga.client.flows.readiness import state_by
from qga.client.flows.vitals import allowed_commands
from qga.client.state import Word
from qga.client.vitals import Rates, Vitals, rates
from qga.errors import QgaError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qga.client.facts import FileSystem
    from qga.client.target import Target

# How long a look may take, in seconds.
PATIENCE = 5.0
# File systems fill slowly, and to ask for them costs the guest more than all the rest.
_FILESYSTEMS = 10.0

# What has no answer yet.
WAITING = "waiting"

# Channels that carry one client: between looks they are left to others.
_EXCLUSIVE = frozenset({"unix", "serial", "tcp", "vsock"})


@dataclass(slots=True)
class Seen:
    """What is known of a guest.

    Attributes:
        name: what the user calls it.
        state: a word of `Word`, or "waiting".
        sentence: why, where it is not ready.
        vitals: the last look; None where the last one failed.
        rates: what happened since the look before.
        filesystems: the last ones that were told.
    """

    name: str
    state: str = WAITING
    sentence: str = "it has not answered yet"
    vitals: Vitals | None = None
    rates: Rates | None = None
    filesystems: tuple[FileSystem, ...] = ()

    def take(self, vitals: Vitals) -> None:
        """Keep what a look has shown."""
        before, self.vitals = self.vitals, vitals
        self.rates = rates(before, vitals) if before and not vitals.frozen else None
        self.state, self.sentence = Word.READY, ""
        if vitals.frozen:
            self.state = Word.FROZEN
            self.sentence = "its file systems are frozen; `qga thaw` ends that"
        if vitals.filesystems is not None:
            self.filesystems = vitals.filesystems

    def fail(self, state: str, sentence: str) -> None:
        """Keep why a look has failed; what was seen before is no longer so."""
        self.state, self.sentence = state, sentence
        self.vitals = self.rates = None

    @property
    def answers(self) -> bool:
        """Whether the last look has shown something."""
        return self.state in {Word.READY, Word.FROZEN}


class Watch:
    """Looks at guests, on and on. Within an event loop.

    Args:
        targets: the guests.
        patience: how long a look may take, in seconds.
        changed: called whenever something new is known.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        patience: float = PATIENCE,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._guests = [_Guest(target, patience) for target in targets]
        self._looks: set[asyncio.Task[None]] = set()
        self._changed = changed

    @property
    def seen(self) -> list[Seen]:
        """What is known of the guests, in the order in which they were told."""
        return [guest.seen for guest in self._guests]

    def begin(self) -> None:
        """Begin to look at each guest that is not being looked at."""
        for guest in self._guests:
            if guest.looking:
                # What was wrong before is more telling.
                if guest.seen.answers:
                    guest.seen.fail(WAITING, "it has not answered yet")
                    self._changed()
            else:
                guest.looking = True
                task = asyncio.create_task(guest.look())
                self._looks.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._looks.discard(task)
        self._changed()

    async def settle(self, seconds: float | None) -> None:
        """Wait for the looks that are under way, for so many seconds at the most."""
        if self._looks:
            await asyncio.wait(tuple(self._looks), timeout=seconds)

    async def close(self) -> None:
        """End the looks that are under way, and close all channels."""
        looks = tuple(self._looks)
        for task in looks:
            task.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
        await asyncio.gather(*(guest.close() for guest in self._guests), return_exceptions=True)


class _Guest:
    """One of them.

    Attributes:
        seen: what is known of it.
        looking: whether an answer is waited for.
    """

    def __init__(self, target: Target, patience: float) -> None:
        self.seen = Seen(target.text)
        self.looking = False
        self._target = target
        self._patience = patience
        self._exclusive = target.full.partition(":")[0] in _EXCLUSIVE
        self._client: AsyncClient | None = None
        self._allowed: frozenset[str] | None = None
        self._measured = -_FILESYSTEMS  # when file systems were asked for

    async def look(self) -> None:
        """Look at it once."""
        try:
            with deadline(self._patience):
                vitals = await self._vitals()
        except QgaError as error:
            found = state_by(error)
            self.seen.fail(found.word, found.sentence)
            self._allowed = None  # it may be another agent that answers next
        else:
            self.seen.take(vitals)
            if vitals.frozen:
                self._allowed = None
        finally:
            self.looking = False
            if self._exclusive or not self.seen.answers:
                await self.close()

    async def _vitals(self) -> Vitals:
        if self._client is None:
            self._client = AsyncClient(self._target.aopen, timeout=self._patience)
        if self._allowed is None:
            self._allowed = await self._client.perform(allowed_commands())
        now = time.monotonic()
        filesystems = now - self._measured >= _FILESYSTEMS
        vitals = await self._client.vitals(filesystems=filesystems, allowed=self._allowed)
        if filesystems and not vitals.frozen:
            self._measured = now
        return vitals

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
