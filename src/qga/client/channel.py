"""An open way to one agent that carries one exchange at a time; what the blocking client drives.

`StreamChannel` holds the conversation over a byte stream, `RequestChannel` passes whole requests to
a transport that takes care of the conversation itself. `aiochannel` has their asynchronous twins.
"""

from __future__ import annotations

from qga.errors import AgentNotResponding, AgentTimeout, CommandError, TransportError, Unsupported
from qga.wire.handshake import Conversation, Send

from . import results
from .flows.steps import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol, TypeAlias, TypeVar

    from qga.wire.handshake import Receive, Talk

    from .deadline import Deadline
    from .flows.steps import Series
    from .transports import RequestTransport, Transport

    R = TypeVar("R")
    Request: TypeAlias = tuple[str, Mapping[str, Any]]

    class Channel(Protocol):
        """What a client needs of its channel."""

        limits: Limits
        closed: bool

        def exchange(
            self,
            name: str,
            arguments: Mapping[str, Any],
            deadline: Deadline,
            *,
            silent: bool = False,
        ) -> Any:
            """Have a command executed; return what it returned, or raise its error."""

        def exchange_all(self, requests: Sequence[Request], deadline: Deadline) -> list[Any]:
            """Have commands executed in order; a refused one's place in the list has its error."""

        def exchange_each(self, series: Series, pace: Callable[[], Deadline]) -> None:
            """Have commands executed one by one; *pace* says until when, as each is sent."""

        def synchronise(self, deadline: Deadline) -> None:
            """Get in step with the agent."""

        def hung_up(self) -> bool:
            """Whether it is known that the other side has closed it: nothing would arrive there."""

        def close(self) -> None:
            """Close it. May be repeated."""


def opened(transport: Transport | RequestTransport) -> Channel:
    """The channel over *transport*."""
    # The two have no method in common but `close`.
    if hasattr(transport, "receive"):
        return StreamChannel(transport)  # type: ignore[arg-type]
    return RequestChannel(transport)


class StreamChannel:
    """A channel over a byte stream."""

    limits = Limits(doubled=True)

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._conversation = Conversation()
        self.closed = False

    def exchange(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        conversation = self._conversation
        if silent or not conversation.plain(name):
            talk = conversation.exchange(name, arguments, silent=silent)
            return self._hold(talk, deadline)
        # In step with the agent, as nearly always, a call is one request and one reply: no need of
        # the generator, which costs as much as the rest. What ends this early leaves the
        # conversation out of step, as there.
        try:
            self._transport.send(conversation.ask(name, arguments), deadline)
            while not conversation.take(self._transport.receive(deadline)):
                pass
        except AgentTimeout as error:
            raise AgentTimeout(f"{name}: {error.text}") from error
        except TransportError:
            self.close()
            raise
        return conversation.answer(name)

    def exchange_all(self, requests: Sequence[Request], deadline: Deadline) -> list[Any]:
        return self._hold(self._conversation.exchange_all(requests), deadline)

    def exchange_each(self, series: Series, pace: Callable[[], Deadline]) -> None:
        requests, take = results.series(series)
        talk = self._conversation.exchange_each(requests, take, series.ahead)
        self._hold(talk, pace(), pace)

    def synchronise(self, deadline: Deadline) -> None:
        self._hold(self._conversation.synchronise(), deadline)

    def hung_up(self) -> bool:
        # Transports of others need not know.
        return hasattr(self._transport, "hung_up") and bool(self._transport.hung_up())

    def close(self) -> None:
        self.closed = True
        self._transport.close()

    def _hold(
        self, talk: Talk[R], deadline: Deadline, pace: Callable[[], Deadline] | None = None
    ) -> R:
        """Hold *talk*, until *deadline*; with *pace*, until what that says as something is sent."""
        try:
            step = next(talk)
            while True:
                if pace is not None and isinstance(step, Send):
                    deadline = pace()
                try:
                    answer = self._take(step, deadline)
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

    def _take(self, step: Send | Receive, deadline: Deadline) -> bytes:
        if isinstance(step, Send):
            self._transport.send(step.pieces, deadline)
            return b""
        if step.within is not None:
            deadline = deadline.sooner(step.within)
        return self._transport.receive(deadline)


class RequestChannel:
    """A channel over a transport that carries whole requests."""

    def __init__(self, transport: RequestTransport) -> None:
        self._transport = transport
        self.limits = transport.limits
        self.closed = False

    def exchange(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        try:
            return self._transport.request(name, arguments, deadline, silent=silent)
        except TransportError:
            self.close()
            raise

    def exchange_all(self, requests: Sequence[Request], deadline: Deadline) -> list[Any]:
        results: list[Any] = []
        for name, arguments in requests:
            try:
                results.append(self.exchange(name, arguments, deadline))
            except (CommandError, Unsupported) as error:
                results.append(error)
        return results

    def exchange_each(self, series: Series, pace: Callable[[], Deadline]) -> None:
        requests, take = results.series(series)
        for name, arguments in requests:
            if take(self.exchange(name, arguments, pace())):
                return

    def synchronise(self, deadline: Deadline) -> None:
        self.exchange("guest-ping", {}, deadline)

    def hung_up(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
        self._transport.close()
