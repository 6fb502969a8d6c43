"""From a message to its reply: request, policy, handler, reply. Called by `connection`.

The only place that maps errors, logs commands and gives account of them; handlers get typed
arguments, return typed results and may let OSError rise. What a request contains is logged nowhere.
"""

from qga.errors import AgentFrozen, CommandDisabled, CommandError, CommandNotFound, GuestOSError
from qga.protocol import PLACES, PLATFORMS, SILENT, UPSTREAM_VERSION, load
from qga.protocol.codec import Mismatch, decoder, encode
from qga.protocol.model import Later, version
from qga.protocol.writer import writer
from qga.wire import text
from qga.wire.envelope import (
    DONE,
    ECHOED,
    NO_ID,
    RETURNED,
    check_request,
    failure,
    success,
    written,
)
from qga.wire.message import long_request

from . import commands
from .accounting import ACCOUNTS, NOTHING
from .known import Known
from .later import Pending, Stream, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from qga.protocol.model import Command
    from qga.protocol.writer import Write

    from .app import Agent
    from .log import Log
    from .policy import Policy

    Reply = list[bytes]

_LATEST = version(UPSTREAM_VERSION)

# Put before the reply of guest-sync-delimited, so that a client finds it among remains.
_DELIMITER = b"\xff"


class Deferred:
    """A reply that comes later.

    Attributes:
        give_up: what has it come now, as an error; None if it has to be waited for.
    """

    def __init__(self, pending: "Pending[Any]", reply: "Callable[[], Reply]") -> None:
        self._pending = pending
        self._reply = reply
        self.give_up = pending.give_up

    def when_done(self, listener: "Callable[[Reply], None]") -> None:
        """Call *listener* with the reply when it is there."""
        self._pending.listen(lambda: listener(self._reply()))


class Entry:
    """A command that this agent has: how to decode its arguments, what to call, how to reply.

    Its declaration and its handler are loaded at its first use, in `decode` and `load`.
    """

    __slots__ = (
        "_compat", "called", "command", "decode", "failed", "handler", "name", "prefix", "replies",
        "returned", "usable",
    )  # fmt: skip

    command: "type[Command[Any]]"  # once it has been decoded

    def __init__(self, name: str, compat: "tuple[int, ...]", *, usable: bool) -> None:
        self.name = name
        self.usable = usable  # but for what a freeze forbids
        self._compat = compat
        account = ACCOUNTS.get(name, NOTHING)
        self.called, self.returned, self.failed = account.called, account.returned, account.failed
        self.handler: Callable[[Any, Any], Any] | None = None
        self.decode: Callable[[Any], Any] = self._decode_first
        # Agents before 1.1 answered every command.
        self.replies = name not in SILENT or compat < (1, 1)
        self.prefix = _DELIMITER if name == "guest-sync-delimited" else b""

    def _decode_first(self, arguments: "Any") -> "Any":
        self.command = load(self.name)
        self.decode = decoder(self.command, self._compat)
        return self.decode(arguments)

    def load(self) -> "Callable[[Any, Any], Any]":
        """The handler."""
        self.handler = handler = commands.load_for(self.command)
        return handler


class Dispatcher:
    """Answers messages.

    Args:
        agent: what handlers get as their first argument.
        policy: which commands may be used now.
        log: where commands and mishaps are recorded.
        compat: the upstream version whose dialect is spoken.
    """

    def __init__(
        self, agent: "Agent", policy: "Policy", log: "Log", compat: "tuple[int, ...]"
    ) -> None:
        self._agent = agent
        self._policy = policy
        self._log = log
        self._compat = compat
        self._legacy = compat < (1, 2)  # errors as class and data
        self._ids = compat >= (4, 0)
        # Of the commands that were answered; None for what only `encode` can.
        self._writers: dict[type[Command[Any]], Write | None] = {}
        self.entries = {
            name: Entry(name, compat, usable=policy.usable(name))
            for name in PLACES
            # Agents before 9.1 had those of other platforms too, as disabled ones.
            if (name not in PLATFORMS or compat < (9, 1))
            and (compat >= _LATEST or version(load(name).SINCE) <= compat)
        }
        self.known = Known()
        # The last error of the splitter, and its reply.
        self._garbage: CommandError | None = None
        self._garbage_reply: Reply = []
        self._whole = self.known.whole

    def answer(self, message: "Any") -> "Reply | Deferred | Iterator[bytes]":
        """The reply to *message*, empty for a command that sends none.

        *message* is a decoded value, or the exception that it ended in.
        """
        if isinstance(message, Exception):
            return self._not_json(message)
        request_id: object = NO_ID
        entry = None
        try:
            if type(message) is dict and self._ids:
                request_id = message.get("id", NO_ID)
            name, arguments = check_request(message, ids=self._ids)
            entry = self.entries.get(name)
            if entry is None:
                raise CommandNotFound.named(name)
            if not self._policy.allows(name):
                raise self._refusal(name)
            command = entry.decode(arguments)
        except Exception as error:  # noqa: BLE001 - whatever was sent, the agent goes on
            return self._failure(entry, None, error, request_id)
        self.known.learn(entry, arguments, command)
        return self._perform(entry, command, request_id)

    def _not_json(self, error: Exception) -> "Reply":
        """The reply for what is no message; garbage is worth the same error many times over."""
        if error is self._garbage:
            return self._garbage_reply
        reply = self._failure(None, None, error, NO_ID)
        if type(error) is CommandError:  # which has no frames that would be kept
            self._garbage, self._garbage_reply = error, reply
        return reply

    def answer_known(self, entry: Entry, command: "Any") -> "Reply | Deferred | Iterator[bytes]":
        """The same for a request that is one of `known`."""
        if self._policy.allows(entry.name):
            return self._perform(entry, command, NO_ID)
        return self._failure(entry, None, self._refusal(entry.name), NO_ID)

    def answer_short(self, data: bytes) -> "Reply | Deferred | Iterator[bytes] | None":
        """The same if *data* is one request, short but for a string; None for anything else.

        Together with `_perform` this is the way of nearly every request. What is refused here, the
        long way refuses too, and says why.
        """
        if len(data) > text.SHORT:  # too long to look it up, too
            request = long_request(data)
        else:
            known = self.known
            found = known.again if data == known.last else self._whole.get(data)
            if found is None:
                found = known.numbered(data)
            if found is not None:
                entry, command = found
                if self._policy.frozen or not entry.usable:
                    return None
                if type(command) is bytes:  # the number that is returned
                    if self._log.verbose:
                        self._log.command(entry.command)
                    return [ECHOED % (entry.prefix, command)]
                return self._perform(entry, command, NO_ID)
            request = text.short_request(data)
        if request is None:
            return None
        name, arguments = request
        asked = self.entries.get(name)
        if asked is None or self._policy.frozen or not asked.usable:
            return None
        try:
            command = asked.decode(arguments)
        except (Mismatch, CommandError):
            return None
        self.known.learn(asked, arguments, command)
        if len(data) <= text.SHORT:
            self.known.remember(data, asked, command)
        return self._perform(asked, command, NO_ID)

    def _refusal(self, name: str) -> CommandError:
        return (AgentFrozen if self._policy.frozen else CommandDisabled).named(name)

    def _perform(
        self, entry: Entry, command: "Any", request_id: object
    ) -> "Reply | Deferred | Iterator[bytes]":
        try:
            log = self._log
            if log.verbose:
                log.command(entry.command)
            if entry.called is not None:
                log.account(entry.called, command)
            result = (entry.handler or entry.load())(self._agent, command)
            if entry.returned is None and entry.replies and request_id is NO_ID:
                # Nothing, or a number, is most of what is returned.
                if result is None:
                    return [entry.prefix + DONE]
                if type(result) is int:
                    return [RETURNED % (entry.prefix, result)]
            if isinstance(result, Later):
                return self._later(entry, command, result, request_id)
            return self._success(entry, command, result, request_id)
        except Exception as error:  # noqa: BLE001 - whatever a handler does, the agent goes on
            return self._failure(entry, command, error, request_id)

    def _later(
        self, entry: Entry, command: "Any", result: "Any", request_id: object
    ) -> "Reply | Deferred | Iterator[bytes]":
        if isinstance(result, Text):
            if request_id is NO_ID and len(result.pieces) == 1:
                return [b'{"return": %b}\n' % result.pieces]
            return list(self._streamed(result.pieces, request_id))
        if isinstance(result, Stream):
            return self._streamed(result.pieces, request_id)
        pending: Pending[Any] = result
        self._policy.begins(entry.command, pending)
        return Deferred(pending, lambda: self._outcome(entry, command, pending.result, request_id))

    def _outcome(
        self, entry: Entry, command: "Any", result: "Callable[[], Any]", request_id: object
    ) -> "Reply":
        try:
            return self._success(entry, command, result(), request_id)
        except Exception as error:  # noqa: BLE001 - as above
            return self._failure(entry, command, error, request_id)

    def _success(self, entry: Entry, command: "Any", result: "Any", request_id: object) -> "Reply":
        if entry.returned is not None:
            self._log.account(entry.returned, command, result)
        if not entry.replies:
            return []
        if result is not None and type(result) is not int:
            write = self._writer(entry.command)
            if write is not None:
                return written(write(result), request_id)
            result = encode(result, self._compat)
        return success(result, request_id, entry.prefix)

    def _writer(self, command: "type[Command[Any]]") -> "Write | None":
        try:
            return self._writers[command]
        except KeyError:
            made = self._writers[command] = writer(command.result(), self._compat)
            return made

    def _streamed(self, pieces: "Iterable[bytes]", request_id: object) -> "Iterator[bytes]":
        yield b'{"return": '
        yield from pieces
        if request_id is not NO_ID:
            yield b', "id": ' + b"".join(text.encode(request_id))
        yield b"}\n"

    def _failure(
        self, entry: "Entry | None", command: "Any", error: Exception, request_id: object
    ) -> "Reply":
        if (
            command is not None
            and entry is not None
            and entry.failed is not None
            and isinstance(error, GuestOSError | OSError)
        ):
            self._log.account(entry.failed, command)
        if isinstance(error, Mismatch):
            error = error.error()
        elif isinstance(error, MemoryError):
            error = CommandError("not enough memory in the guest for this request")
        elif isinstance(error, OSError):
            error = GuestOSError(str(error.strerror or error), error.errno)
        elif not isinstance(error, CommandError):
            self._log.mishap(error)
            error = CommandError(f"internal error: {type(error).__name__}")
        return [failure(error, request_id, legacy=self._legacy)]
