"""The client's side of the conversation: requests out, replies in, and both ends in step.

A channel has no connections that either side could rely on: what arrives may answer a request that
an earlier client, or an earlier call that ran out of time, has left. So a conversation begins, and
goes on after anything doubtful, with a synchronisation: the byte 0xFF, which ends whatever is half
said in either direction, and a request to echo a random number. What comes before the echo is
stale.

    unsynced ── request ──> synchronising ── echo ──> asking ── reply ──> synced
        ^                        │                       │                  │
        └────── anything else: timeout, loss, interrupt, garbage ───────────┘

Nothing here performs I/O: the methods are generators that yield `Send` and `Receive` steps to the
client's driver, be that a blocking one or one of asyncio. An error of the transport is thrown into
them by the driver.
"""

from os import urandom

from qga.errors import (
    AgentNotResponding,
    AgentTimeout,
    CommandError,
    ConnectionLost,
    ProtocolError,
)

from . import text
from .gathering import Gathering
from .refusal import concerns, refusal
from .splitter import Splitter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")
    Talk: TypeAlias = "Generator[Send | Receive, bytes, T]"
else:
    from _collections import deque

# 48 MiB, the most that agents of today read at once, are 64 MiB of base64; agents before 5.0 had no
# limit at all.
REPLY_LIMIT = 192 << 20

# How many bytes of requests may be under way together. qemu-ga reads 4096 at once, from a device in
# pieces; when it then holds a byte more while it answers one of the requests, it tries to seek in
# the device, which fails, and drops that answer.
AT_ONCE = 4096

# The same for agents that are not qemu-ga, of requests in a `exchange_each`: so many that the agent
# never waits for the next one, few enough not to fill its memory.
MUCH_AT_ONCE = 4 << 20

# What qemu-ga makes a double of, and so never gives back as it came: this agent does.
_PROBE = (1 << 64) + 1

# How long an error may take to come from a command that is silent when it succeeds. The agent waits
# for the program that begins the shutdown, so it is not immediate.
SILENCE = 3.0

_RESET = b"\xff"
_SYNC, _SYNC_DELIMITED = "guest-sync", "guest-sync-delimited"


class Send:
    """A step: send *pieces*, one behind the other."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: "list[bytes]") -> None:
        self.pieces = pieces


class Receive:
    """A step: receive whatever comes next, for at most *within* seconds if that is not None."""

    __slots__ = ("within",)

    def __init__(self, within: "float | None" = None) -> None:
        self.within = within


class Conversation:
    """What the client knows of one open channel. One exchange at a time.

    Args:
        reply_limit: how many bytes a reply may have.
    """

    def __init__(self, reply_limit: int = REPLY_LIMIT) -> None:
        self._incoming = Gathering(Splitter(reply_limit))
        self._arrived: deque[Any] = deque()
        self._synced = False
        self._delimited = True  # until the agent says that it does not know the command
        self._at_once: int | None = None  # how many bytes may be under way, if that is known

    @property
    def synced(self) -> bool:
        """Whether the next thing to arrive will be the reply to the next request."""
        return self._synced and not self._arrived

    def exchange(
        self, name: str, arguments: "Mapping[str, Any]", *, silent: bool = False
    ) -> "Talk[Any]":
        """Ask for one command and return the value that it returns.

        Args:
            name: the command's name.
            arguments: its arguments as JSON has them, or bytes where base64 is meant.
            silent: whether it sends no reply when it succeeds. Then silence for `SILENCE` seconds
                and the end of the channel are success; so is a reply, which old agents do send.

        Raises:
            CommandError: the agent answered with an error.
            AgentTimeout: no reply in time; it is ignored if it comes later.
            ProtocolError: what came is no reply.
        """
        if not self.synced:
            yield from self.synchronise()
        # From here to the reply any exception, thrown in or raised, leaves the channel unsynced.
        self._synced = False
        try:
            yield Send(request(name, arguments))
            reply = yield from self._next(SILENCE if silent else None)
            if name == _SYNC_DELIMITED and isinstance(reply, CommandError):
                reply = yield from self._next()  # that was the 0xFF before it
        except (AgentTimeout, ConnectionLost) as error:
            if silent:
                return None
            if isinstance(error, AgentTimeout):
                raise AgentTimeout(f"{name}: {error.text}") from error
            raise
        return self._conclude(name, reply)

    def _conclude(self, name: str, reply: "Any") -> "Any":
        result = _result(name, reply)
        self._synced = True
        if isinstance(result, CommandError):
            raise result
        return result

    # `exchange`, where both are in step, without a generator: `ask`, `take` until there is a reply,
    # and `answer`.

    def plain(self, name: str) -> bool:
        """Whether the command *name* can be asked for in this way now."""
        return self._synced and not self._arrived and name != _SYNC_DELIMITED

    def ask(self, name: str, arguments: "Mapping[str, Any]") -> "list[bytes]":
        """What to send. Until the answer has been taken, the channel is unsynced."""
        self._synced = False
        return request(name, arguments)

    def take(self, data: bytes) -> bool:
        """Take what has been received; return whether there is a reply."""
        self._arrived.extend(self._incoming.feed(data))
        return bool(self._arrived)

    def answer(self, name: str) -> "Any":
        """The value that the command *name* returned. Errors are those of `exchange`."""
        return self._conclude(name, self._arrived.popleft())

    def exchange_all(
        self, requests: "Sequence[tuple[str, Mapping[str, Any]]]"
    ) -> "Talk[list[Any]]":
        """Send *requests* one behind the other, as many as `AT_ONCE` allows; take their replies.

        Args:
            requests: name and arguments of each. Not for commands that are silent, or that
                synchronise.

        Returns: for each what it returned, or the `CommandError` with which it was refused.

        Raises: as `exchange`, but for the errors of single commands.
        """
        if not self.synced:
            yield from self.synchronise()
        self._synced = False
        results: list[Any] = []
        waiting: list[str] = []
        size = 0
        for name, arguments in requests:
            pieces = request(name, arguments)
            length = sum(map(len, pieces))
            if waiting and size + length > AT_ONCE:
                yield from self._take_replies(waiting, results)
                waiting, size = [], 0
            yield Send(pieces)
            waiting.append(name)
            size += length
        yield from self._take_replies(waiting, results)
        self._synced = True
        return results

    def _take_replies(self, names: "list[str]", results: "list[Any]") -> "Talk[None]":
        for name in names:
            try:
                reply = yield from self._next()
            except AgentTimeout as error:
                raise AgentTimeout(f"{name}: {error.text}") from error
            results.append(_result(name, reply))

    def exchange_each(
        self,
        requests: "Iterable[tuple[str, Mapping[str, Any]]]",
        take: "Callable[[Any], bool]",
        ahead: int,
    ) -> "Talk[None]":
        """Send *requests* and *take* what each returns as it comes.

        Args:
            requests: name and arguments of each, as for `exchange_all`. One is asked for, and made
                to text, while the agent is at the one before.
            take: when it returns True, no more are sent.
            ahead: how many may be under way at once; with qemu-ga, within `AT_ONCE`.

        Raises: as `exchange`, when the replies to all that were sent are there.
        """
        if not self.synced:
            yield from self.synchronise()
        self._synced = False
        source = iter(requests)
        waiting: deque[tuple[str, int]] = deque()
        error: CommandError | None = None
        following = _prepared(source)
        at_once = AT_ONCE
        if following and following[1] > AT_ONCE and ahead > 1:
            at_once = yield from self._find_at_once()
        while following or waiting:
            under_way = sum(size for _, size in waiting)
            while following and (
                not waiting or (len(waiting) < ahead and under_way + following[1] <= at_once)
            ):
                name, size, pieces = following
                yield Send(pieces)
                waiting.append((name, size))
                under_way += size
                following = _prepared(source)
            name, _ = waiting.popleft()
            results: list[Any] = []
            yield from self._take_replies([name], results)
            if isinstance(results[0], CommandError):
                error = error or results[0]
                following = None
            elif error is None and take(results[0]):
                following = None
        self._synced = True
        if error is not None:
            raise error

    def _find_at_once(self) -> "Talk[int]":
        """How many bytes of requests the agent can have under way together.

        Nothing that an agent says of itself tells qemu-ga from others, but how it writes a number
        does.
        """
        if self._at_once is None:
            yield Send([b'{"execute": "guest-ping", "id": %d}\n' % _PROBE])
            try:
                reply = yield from self._next()
            except AgentTimeout as error:
                raise AgentTimeout(f"guest-ping: {error.text}") from error
            _result("guest-ping", reply)
            number = reply.get("id")
            exact = type(number) is int and number == _PROBE
            self._at_once = MUCH_AT_ONCE if exact else AT_ONCE
        return self._at_once

    def synchronise(self) -> "Talk[None]":
        """Get in step with the agent; by `exchange` done whenever it is needed.

        Raises:
            AgentNotResponding: no answer in time.
            CommandError: the agent refuses even this.
        """
        self._synced = False
        self._arrived.clear()
        self._at_once = None  # it may be another agent now
        try:
            if self._delimited:
                refused = yield from self._echo(_SYNC_DELIMITED)
                self._delimited = refused is None
            if not self._delimited:
                refused = yield from self._echo(_SYNC)
                if refused:
                    raise refused
        except AgentTimeout as error:
            raise AgentNotResponding(f"the agent does not answer: {error.text}") from error
        self._synced = True

    def _echo(self, name: str) -> "Talk[CommandError | None]":
        """Send one synchronisation; wait for its echo, or return that the agent refuses it."""
        number = int.from_bytes(urandom(6), "big")
        pieces = request(name, {"id": number})
        # An agent that is in step answers the byte with an error, which is ignored like the rest.
        yield Send([_RESET + pieces[0], *pieces[1:]])
        while True:
            reply = yield from self._next()
            # The splitter has dropped what stood before the agent's own 0xFF. That the number is
            # random makes sure of the rest.
            if type(reply) is dict:
                if type(reply.get("return")) is int and reply["return"] == number:
                    return None
                if concerns(reply.get("error"), name):
                    return refusal(reply["error"])

    def _next(self, within: "float | None" = None) -> "Talk[Any]":
        while not self._arrived:
            data = yield Receive(within)
            self._arrived.extend(self._incoming.feed(data))
        return self._arrived.popleft()


def _prepared(
    requests: "Iterator[tuple[str, Mapping[str, Any]]]",
) -> "tuple[str, int, list[bytes]] | None":
    """Name, length and text of the next one; None if there is none."""
    for name, arguments in requests:
        pieces = request(name, arguments)
        return name, sum(map(len, pieces)), pieces
    return None


def _result(name: str, reply: "Any") -> "Any":
    """What *reply* returns, or the error that it holds."""
    if isinstance(reply, CommandError):
        raise ProtocolError(f"{name}: the reply is not JSON: {reply.desc}")
    if type(reply) is not dict or ("return" in reply) == ("error" in reply):
        raise ProtocolError(f"{name}: neither a result nor an error came as reply")
    return refusal(reply["error"]) if "error" in reply else reply["return"]


def request(name: str, arguments: "Mapping[str, Any]") -> "list[bytes]":
    """The text of a request, in pieces; bytes-like arguments become base64."""
    if not arguments:
        return [f'{{"execute": {text.quote(name)}}}\n'.encode("ascii")]
    pieces = text.encode({"execute": name, "arguments": arguments})
    pieces[-1] += b"\n"
    return pieces
