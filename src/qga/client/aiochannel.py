"""The channels of the asynchronous client: `channel` says what each is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from qga.errors import AgentNotResponding, AgentTimeout, CommandError, TransportError, Unsupported
from qga.wire.handshake import Conversation, Send

from . import results
from .flows.steps import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol, TypeVar

    from qga.wire.handshake import Receive, Talk

    from .aiotransports import AsyncRequestTransport, AsyncTransport
    from .channel import Request
    from .deadline import Deadline
    from .flows.steps import Series

    R = TypeVar("R")

    class AsyncChannel(Protocol):
        """What an asynchronous client needs of its channel: `channel.Channel`, to be awaited."""

        limits: Limits
        closed: bool

        async def exchange(
            self,
            name: str,
            arguments: Mapping[str, Any],
            deadline: Deadline,
            *,
            silent: bool = False,
        ) -> Any: ...

        async def exchange_all(
            self, requests: Sequence[Request], deadline: Deadline
        ) -> list[Any]: ...

        async def exchange_each(self, series: Series, pace: Callable[[], Deadline]) -> None: ...

        async def synchronise(self, deadline: Deadline) -> None: ...

        def hung_up(self) -> bool: ...

        def close(self) -> None: ...


def opened(transport: AsyncTransport | AsyncRequestTransport) -> AsyncChannel:
    """The channel over *transport*."""
    if hasattr(transport, "receive"):
        return AsyncStreamChannel(cast("AsyncTransport", transport))
    return AsyncRequestChannel(transport)


class AsyncStreamChannel:
    """A channel over a byte stream."""

    limits = Limits(doubled=True)

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._conversation = Conversation()
        self.closed = False

    async def exchange(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        conversation = self._conversation
        if silent or not conversation.plain(name):
            talk = conversation.exchange(name, arguments, silent=silent)
            return await self._hold(talk, deadline)
        # In step with the agent, as nearly always, a call is one request and one reply: no need of
        # the generator, which costs as much as the rest. What ends this early leaves the
        # conversation out of step, as there.
        try:
            await self._transport.send(conversation.ask(name, arguments), deadline)
            while not conversation.take(await self._transport.receive(deadline)):
                pass
        except AgentTimeout as error:
            raise AgentTimeout(f"{name}: {error.text}") from error
        except TransportError:
            self.close()
            raise
        return conversation.answer(name)

    async def exchange_all(self, requests: Sequence[Request], deadline: Deadline) -> list[Any]:
        return await self._hold(self._conversation.exchange_all(requests), deadline)

    async def exchange_each(self, series: Series, pace: Callable[[], Deadline]) -> None:
        requests, take = results.series(series)
        talk = self._conversation.exchange_each(requests, take, series.ahead)
        await self._hold(talk, pace(), pace)

    async def synchronise(self, deadline: Deadline) -> None:
        await self._hold(self._conversation.synchronise(), deadline)

    def hung_up(self) -> bool:
        # Transports of others need not know.
        return hasattr(self._transport, "hung_up") and bool(self._transport.hung_up())

    def close(self) -> None:
        self.closed = True
        self._transport.close()

    async def _hold(
        self, talk: Talk[R], deadline: Deadline, pace: Callable[[], Deadline] | None = None
    ) -> R:
        """Hold *talk*, until *deadline*; with *pace*, until what that says as something is sent."""
        try:
            step = next(talk)
            while True:
                if pace is not None and isinstance(step, Send):
                    deadline = pace()
                try:
                    answer = await self._take(step, deadline)
                except BaseException as error:  # noqa: BLE001 - the conversation has to know
                    if isinstance(error, TransportError):
                        self.close()
                    step = talk.throw(error)
                else:
                    step = talk.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result
        except AgentNotResponding as error:
            from . import silence

            raise silence.explained(error, self._transport) from error.__cause__

    async def _take(self, step: Send | Receive, deadline: Deadline) -> bytes:
        if isinstance(step, Send):
            await self._transport.send(step.pieces, deadline)
            return b""
        if step.within is not None:
            deadline = deadline.sooner(step.within)
        return await self._transport.receive(deadline)


class AsyncRequestChannel:
    """A channel over a transport that carries whole requests."""

    def __init__(self, transport: AsyncRequestTransport) -> None:
        self._transport = transport
        self.limits = transport.limits
        self.closed = False

    async def exchange(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        try:
            return await self._transport.request(name, arguments, deadline, silent=silent)
        except TransportError:
            self.close()
            raise

    async def exchange_all(self, requests: Sequence[Request], deadline: Deadline) -> list[Any]:
        results: list[Any] = []
        for name, arguments in requests:
            try:
                results.append(await self.exchange(name, arguments, deadline))
            except (CommandError, Unsupported) as error:
                results.append(error)
        return results

    async def exchange_each(self, series: Series, pace: Callable[[], Deadline]) -> None:
        requests, take = results.series(series)
        for name, arguments in requests:
            if take(await self.exchange(name, arguments, pace())):
                return

    async def synchronise(self, deadline: Deadline) -> None:
        await self.exchange("guest-ping", {}, deadline)

    def hung_up(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
        self._transport.close()
