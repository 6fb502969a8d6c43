"""What goes over the way to an agent, told to a function as it goes: `connect(target, trace=...)`.

It stands between client and way, so that a client without it has no part of it. Each request and
reply is told once, also those of the synchronisation, by its time; `masking` keeps it short and
leaves out secrets.
"""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qga.errors import CommandError, QgaError
from qga.wire.handshake import REPLY_LIMIT
from qga.wire.splitter import Splitter

from .masking import shown
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from .deadline import Deadline

    Trace: TypeAlias = Callable[["TraceEvent"], object]

_SYNCS = frozenset(("guest-sync", "guest-sync-delimited"))

# Between the time and the text.
_SIGNS = {"open": "=", "request": ">", "reply": "<", "error": "!", "close": "="}


@dataclass(frozen=True, slots=True)
class TraceEvent:
    r"""Something that went over the way to an agent; as text, one line.

        >>> events = []
        >>> with agent.serve() as target:
        ...     with qga.connect(target, trace=events.append) as client:
        ...         client.read_file("/etc/hostname")
        b'fake\n'
        >>> [event.text for event in events if event.kind == "request"][1:3]
        ['guest-file-open {"path": "/etc/hostname"...}', 'guest-file-read {"handle": 1000...}']

    Attributes:
        target: of the client.
        kind: "open", "request", "reply", "error" or "close".
        text: what it was, short and without secrets.
        when: seconds since 1970.
        seconds: what it took, from the request for a reply; None if that is not known.
    """

    target: str
    kind: str
    text: str
    when: float
    seconds: float | None = None

    def __str__(self) -> str:
        whole = time.strftime("%H:%M:%S", time.localtime(self.when))
        took = "" if self.seconds is None else f"  ({self.seconds * 1000:.1f} ms)"
        sign = _SIGNS[self.kind]
        return f"{whole}.{int(self.when % 1 * 1000):03} {self.target} {sign} {self.text}{took}"


def traced(target: Target, trace: Trace) -> Target:
    """*target*, and whatever goes over its way is told to *trace*."""
    return _TracedTarget(target, _Teller(str(target), trace))


class _Teller:
    """Makes events, for one target."""

    def __init__(self, target: str, trace: Trace) -> None:
        self._target = target
        self._trace = trace

    def tell(self, kind: str, text: str, began: float | None = None) -> None:
        seconds = None if began is None else time.monotonic() - began
        self._trace(TraceEvent(self._target, kind, text, time.time(), seconds))

    def failed(self, what: str, error: BaseException, began: float | None = None) -> None:
        text = error.text if isinstance(error, QgaError) else str(error)
        self.tell("error", f"{what}: {type(error).__name__}: {text}", began)


class _TracedTarget(Target):
    def __init__(self, target: Target, teller: _Teller) -> None:
        vars(self).update(vars(target))
        self._inner = target
        self._teller = teller

    def open(self, deadline: Deadline) -> Any:
        began = time.monotonic()
        try:
            transport = self._inner.open(deadline)
        except BaseException as error:
            self._teller.failed("open", error, began)
            raise
        self._teller.tell("open", f"open {self.full}", began)
        kind = _Stream if hasattr(transport, "receive") else _Requests
        return kind(transport, self._teller)

    async def aopen(self, deadline: Deadline) -> Any:
        began = time.monotonic()
        try:
            transport = await self._inner.aopen(deadline)
        except BaseException as error:
            self._teller.failed("open", error, began)
            raise
        self._teller.tell("open", f"open {self.full}", began)
        kind = _AsyncStream if hasattr(transport, "receive") else _AsyncRequests
        return kind(transport, self._teller)


class _Around:
    """A transport of any kind, with what the inner one has besides its calls."""

    def __init__(self, transport: Any, teller: _Teller) -> None:
        self._transport = transport
        self._teller = teller
        self._open = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._teller.tell("close", "close")
        self._transport.close()


class _Dialogue:
    """What is said over a stream: finds the requests and replies in it."""

    def __init__(self, teller: _Teller) -> None:
        self._teller = teller
        self._splitter = Splitter(REPLY_LIMIT)
        # Name of each request without a reply so far, when it was sent, and a sync's number.
        self._waiting: deque[tuple[str, float, Any]] = deque()

    def sent(self, pieces: Sequence[bytes]) -> None:
        data = b"".join(pieces)
        try:
            request = json.loads(data.lstrip(b"\xff"))
        except ValueError:
            self._teller.tell("request", repr(data[:100]))
            return
        name, arguments = request["execute"], request.get("arguments", {})
        if name in _SYNCS:
            self._waiting.clear()
        self._waiting.append((name, time.monotonic(), arguments.get("id")))
        reset = "0xFF " if data.startswith(b"\xff") else ""
        self._teller.tell("request", f"{reset}{_request(name, arguments)}")

    def received(self, data: bytes) -> None:
        # An agent begins with this byte when it synchronises; what is before it is cut off.
        for number, part in enumerate(data.split(b"\xff")):
            if number:
                self._splitter.reset()
            for message in self._splitter.feed(part) if part else ():
                self._reply(message)

    def _reply(self, message: Any) -> None:
        if isinstance(message, CommandError) or not isinstance(message, dict):
            self._teller.tell("reply", f"no reply: {message}")
            return
        text = shown(message["return"]) if "return" in message else f"error {shown(message)}"
        if not self._waiting:
            self._teller.tell("reply", f"unasked for: {text}")
            return
        name, began, number = self._waiting[0]
        if name in _SYNCS and message.get("return") != number and not _refused(message, name):
            self._teller.tell("reply", f"before the synchronisation: {text}")
            return
        self._waiting.popleft()
        self._teller.tell("reply", f"{name} {text}", began)

    def failed(self, error: BaseException) -> None:
        name, began, _ = self._waiting[0] if self._waiting else ("channel", time.monotonic(), None)
        self._teller.failed(name, error, began)


def _refused(message: dict[str, Any], name: str) -> bool:
    error = message.get("error")
    return isinstance(error, dict) and name in str(error.get("desc"))


def _request(name: str, arguments: Mapping[str, Any]) -> str:
    return f"{name} {shown(dict(arguments))}" if arguments else name


class _Stream(_Around):
    def __init__(self, transport: Any, teller: _Teller) -> None:
        super().__init__(transport, teller)
        self._dialogue = _Dialogue(teller)

    def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:
        self._dialogue.sent(pieces)
        try:
            self._transport.send(pieces, deadline)
        except BaseException as error:
            self._dialogue.failed(error)
            raise

    def receive(self, deadline: Deadline) -> bytes:
        try:
            data: bytes = self._transport.receive(deadline)
        except BaseException as error:
            self._dialogue.failed(error)
            raise
        self._dialogue.received(data)
        return data


class _AsyncStream(_Around):
    def __init__(self, transport: Any, teller: _Teller) -> None:
        super().__init__(transport, teller)
        self._dialogue = _Dialogue(teller)

    async def send(self, pieces: Sequence[bytes], deadline: Deadline) -> None:
        self._dialogue.sent(pieces)
        try:
            await self._transport.send(pieces, deadline)
        except BaseException as error:
            self._dialogue.failed(error)
            raise

    async def receive(self, deadline: Deadline) -> bytes:
        try:
            data: bytes = await self._transport.receive(deadline)
        except BaseException as error:
            self._dialogue.failed(error)
            raise
        self._dialogue.received(data)
        return data


class _Requests(_Around):
    def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        self._teller.tell("request", _request(name, arguments))
        began = time.monotonic()
        try:
            reply = self._transport.request(name, arguments, deadline, silent=silent)
        except BaseException as error:
            self._teller.failed(name, error, began)
            raise
        self._teller.tell("reply", f"{name} {shown(reply)}", began)
        return reply


class _AsyncRequests(_Around):
    async def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        self._teller.tell("request", _request(name, arguments))
        began = time.monotonic()
        try:
            reply = await self._transport.request(name, arguments, deadline, silent=silent)
        except BaseException as error:
            self._teller.failed(name, error, began)
            raise
        self._teller.tell("reply", f"{name} {shown(reply)}", began)
        return reply
