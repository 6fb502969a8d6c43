"""Files of a guest that are followed; `Files.follow` and its twin make these objects of them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from .flows.following import Following
from .operation import Awaiting, Blocking, method

if TYPE_CHECKING:
    from typing import Self, TypeVar

    from .flows.script import GuestPath
    from .flows.steps import Flow

    R = TypeVar("R")


class _Follows:
    """What both kinds of client do with a file that is followed."""

    _state: Following

    poll = method(Following.poll)
    read = method(Following.read)
    close = method(Following.close)

    @property
    def path(self) -> GuestPath:
        """The full path of the file in the guest."""
        return self._state.path

    @property
    def closed(self) -> bool:
        """Whether it is followed no longer."""
        return self._state.closed

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__} {self.path!r} {state}>"

    def __del__(self) -> None:
        # Not closed from here: the collector may run in the middle of another call.
        if not self._state.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            self._state.closed = True


class Follower(_Follows, Blocking):
    r"""A file of the guest that is followed: an iterator of what comes; `Files.follow` makes it.

        >>> with guest.files.follow(f"{folder}/log") as log:
        ...     guest.files.append(f"{folder}/log", b"one\n")
        ...     next(log)
        4
        b'one\n'

    Args:
        client: what carries out the operations.
        state: the file.
    """

    def __init__(self, client: Blocking, state: Following) -> None:
        self._client = client
        self._state = state

    def perform(self, flow: Flow[R]) -> R:
        return self._client.perform(flow)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncFollower(_Follows, Awaiting):
    r"""The same for asyncio: an asynchronous iterator; `AsyncFiles.follow` makes it.

        >>> async with await aguest.files.follow(f"{folder}/log") as log:
        ...     await aguest.files.append(f"{folder}/log", b"one\n")
        ...     async for data in log:
        ...         print(data)
        ...         break
        4
        b'one\n'

    Args:
        client: what carries out the operations.
        state: the file.
    """

    def __init__(self, client: Awaiting, state: Following) -> None:
        self._client = client
        self._state = state

    async def perform(self, flow: Flow[R]) -> R:
        return await self._client.perform(flow)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await self.read()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
