"""Between commands and what channels carry, for both clients."""

from __future__ import annotations

from qga.errors import CommandError, ProtocolError, Unsupported
from qga.protocol import codec
from qga.wire.blob import Blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, TypeVar

    from qga.protocol.model import Command

    from .flows.steps import Series, Together

    R = TypeVar("R")
else:
    from _collections import deque  # `collections` takes longer to load than this module

# By the agent, or by a channel that does not carry it.
_REFUSED = (CommandError, Unsupported)


def request(command: Command[Any]) -> tuple[str, dict[str, Any], bool]:
    """The name and arguments of *command*, and whether its success is silent."""
    return command.NAME, codec.encode(command), not command.SUCCESS_RESPONSE


def result(command: Command[R], reply: Any) -> R:
    """The result of *command* from what the agent returned.

    Raises:
        ProtocolError: it is not what the protocol says.
    """
    if not command.SUCCESS_RESPONSE:
        reply = None
    try:
        value: R = _reader(type(command))(reply)
    except codec.Mismatch as mismatch:
        raise ProtocolError(f"{command.NAME}: the result is wrong: {mismatch}") from None
    return value


_readers: dict[type, Callable[[Any], Any]] = {}


def _reader(kind: type[Command[Any]]) -> Callable[[Any], Any]:
    found = _readers.get(kind)
    if found is None:
        found = _readers[kind] = codec.reader(kind.result())
    return found


def all_results(step: Together, replies: Sequence[Any]) -> list[Any]:
    """The results of the commands; raises the first error among *replies*, unless optional."""
    for reply in replies:
        if isinstance(reply, _REFUSED):
            from . import hints

            if isinstance(reply, CommandError):
                hints.advise(reply)
            if not step.optional:
                raise reply
    return [
        reply if isinstance(reply, _REFUSED) else result(command, reply)
        for command, reply in zip(step.commands, replies, strict=True)
    ]


def series(step: Series) -> tuple[Iterator[tuple[str, Mapping[str, Any]]], Callable[[Any], bool]]:
    """The requests of *step*, and what to call with their replies."""
    waiting: deque[Command[Any]] = deque()

    def requests() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for command in step.commands:
            waiting.append(command)
            yield request(command)[:2]

    def take(reply: Any) -> bool:
        return step.take(result(waiting.popleft(), reply))

    return requests(), take


def plain(value: Any) -> Any:
    """*value* without `Blob`s."""
    if isinstance(value, Blob):
        return value.text
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value
