"""The blocking client: one driver for the conversation and the flows, and thin named helpers."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qga.errors import AgentNotResponding, ProtocolError, TransportError
from qga.protocol import FsfreezeStatus, Info, Ping, Shutdown, codec
from qga.wire.blob import Blob
from qga.wire.handshake import Conversation, Send

from . import flows
from .guestfile import GuestFile
from .target import Target, from_environment
from .transports import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from qga.protocol.fsfreeze import FsfreezeState
    from qga.protocol.model import Command
    from qga.protocol.session import AgentInfo
    from qga.wire.handshake import Receive, Talk

    from .transports import Transport

    R = TypeVar("R")

TIMEOUT = 30.0


def connect(target: str | Target | None = None, *, timeout: float = TIMEOUT) -> Client:
    """Open the channel to an agent.

    Whether an agent listens at its other end shows at the first call: a virtual machine's channel
    is open before the machine has booted.

    Args:
        target: `unix:/path`, `vsock:CID:PORT` or `serial:/dev/pts/N`; by default what QGA_TARGET
            says.
        timeout: what the client's calls may take unless they say otherwise, in seconds.

    Raises:
        InvalidTarget: *target* is none.
        TransportError: the channel cannot be opened.
    """
    if target is None:
        target = from_environment()
    elif isinstance(target, str):
        target = Target(target)
    client = Client(target.open, timeout=timeout)
    client.open_channel()
    return client


class Client:
    """A connection to one guest agent. `connect` makes it from a target.

    Safe to use from several threads: their calls take turns. A channel that breaks is opened again
    by the next call. All methods raise the exceptions of `qga.errors`.

    Args:
        dial: opens the channel, by the deadline that it is given.
        timeout: what a call may take unless it says otherwise, in seconds; `math.inf` for ever.
    """

    def __init__(self, dial: Callable[[Deadline], Transport], *, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self._dial = dial
        self._turn = threading.Lock()
        self._transport: Transport | None = None
        self._conversation = Conversation()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel. Files that are open in the guest stay open there."""
        self._closed = True
        self._drop()

    # Calls.

    def execute(self, command: Command[R], *, timeout: float | None = None) -> R:
        """Have the agent execute *command* and return its result.

        Args:
            command: the command with its arguments.
            timeout: seconds for the whole call; the client's own if None.

        Raises:
            CommandError: the agent answered with an error.
            AgentTimeout: no reply in time. The agent may still carry the command out; its reply
                will be ignored. When it is an AgentNotResponding nothing was sent.
            TransportError: the channel cannot be opened, or broke.
            ProtocolError: what came is not what the protocol says.
        """
        reply = self.call(
            command.NAME,
            codec.encode(command),
            timeout=timeout,
            silent=not command.SUCCESS_RESPONSE,
            raw=True,
        )
        if not command.SUCCESS_RESPONSE:
            reply = None
        try:
            result: R = codec.reader(type(command).result())(reply)
        except codec.Mismatch as mismatch:
            raise ProtocolError(f"{command.NAME}: the result is wrong: {mismatch}") from None
        return result

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        silent: bool = False,
        raw: bool = False,
    ) -> Any:
        """Have the agent execute a command by its name, for commands that qga does not know.

        Args:
            name: the command's name.
            arguments: its arguments as JSON has them; bytes become base64.
            timeout: seconds for the whole call; the client's own if None.
            silent: whether the agent sends no reply when it succeeds.
            raw: leave long strings in the form that the protocol's codec reads.

        Returns: what the agent returned, as JSON has it.

        Raises: as `execute`.
        """
        with self._turn_by(timeout) as deadline:
            self._ensure_open(deadline)
            talk = self._conversation.exchange(name, arguments or {}, silent=silent)
            reply = self._converse(talk, deadline)
        return reply if raw else _plain(reply)

    def run(self, flow: flows.Flow[R], *, timeout: float | None = None) -> R:
        """Carry out a flow: an operation of several commands, each with *timeout* for itself."""
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, flows.Wait):
                        answer = None
                        time.sleep(step.seconds)
                    else:
                        answer = self.execute(step, timeout=timeout)
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result

    # Helpers, one for each thing that one wants of an agent.

    def ping(self, *, timeout: float | None = None) -> None:
        """Return when the agent has answered."""
        self.execute(Ping(), timeout=timeout)

    def sync(self, *, timeout: float | None = None) -> None:
        """Get in step with the agent. Done by itself whenever it is needed."""
        with self._turn_by(timeout) as deadline:
            self._ensure_open(deadline)
            self._converse(self._conversation.synchronise(), deadline)

    def info(self, *, timeout: float | None = None) -> AgentInfo:
        """The agent's version and commands."""
        return self.execute(Info(), timeout=timeout)

    def shutdown(self, mode: str | None = None, *, timeout: float | None = None) -> None:
        """Begin a shutdown of the guest.

        The agent is silent when it could begin one, so this returns after 3 seconds without an
        error, or when the channel closes. That it worked shows in the guest's going away.

        Args:
            mode: "powerdown" (the default), "halt" or "reboot".
            timeout: seconds for the whole call.
        """
        self.execute(Shutdown(mode=mode), timeout=timeout)

    def open(self, path: str, mode: str = "r") -> GuestFile:
        """Open a file of the guest, as a raw (unbuffered, binary) Python file.

        Args:
            path: full path in the guest.
            mode: one of fopen's: r, w or a, with + for both ways; b changes nothing.
        """
        return GuestFile(self, path, mode)

    def read_file(
        self,
        path: str,
        *,
        limit: int | None = None,
        progress: flows.Progress | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """The content of a file of the guest.

        Args:
            path: full path in the guest.
            limit: read at most so many bytes.
            progress: called with the number of bytes so far.
            timeout: seconds for each piece of 1 MiB.
        """
        return self.run(flows.read_file(path, limit=limit, progress=progress), timeout=timeout)

    def write_file(
        self,
        path: str,
        data: bytes | bytearray | memoryview,
        *,
        append: bool = False,
        progress: flows.Progress | None = None,
        timeout: float | None = None,
    ) -> int:
        """Make *data* the content of a file of the guest, or append it; return its length.

        Args:
            path: full path in the guest.
            data: the bytes.
            append: keep what the file holds.
            progress: called with the number of bytes so far.
            timeout: seconds for each piece of 1 MiB.
        """
        mode = "a" if append else "w"
        flow = flows.upload(path, [data], mode=mode, progress=progress)
        return self.run(flow, timeout=timeout)

    def download(
        self,
        path: str,
        sink: Callable[[bytes], object],
        *,
        progress: flows.Progress | None = None,
        timeout: float | None = None,
    ) -> int:
        """Pass a file of the guest piece by piece to *sink*; return its length in bytes."""
        return self.run(flows.download(path, sink, progress=progress), timeout=timeout)

    def upload(
        self,
        path: str,
        pieces: Iterable[bytes],
        *,
        progress: flows.Progress | None = None,
        timeout: float | None = None,
    ) -> int:
        """Write *pieces* one behind the other to a file of the guest; return their length."""
        return self.run(flows.upload(path, pieces, progress=progress), timeout=timeout)

    def fsfreeze_status(self, *, timeout: float | None = None) -> FsfreezeState:
        """Whether the guest's file systems are frozen."""
        return self.execute(FsfreezeStatus(), timeout=timeout)

    def freeze(self, *, timeout: float | None = None) -> Freeze:
        """Freeze the guest's file systems for a `with` block; they are thawed whatever happens.

        Args:
            timeout: seconds for the freeze, and for each attempt to thaw.
        """
        return Freeze(self, timeout)

    def thaw(self, *, timeout: float | None = None) -> int:
        """Thaw the guest's file systems, trying again until it is confirmed; return how many."""
        return self.run(flows.thaw(), timeout=timeout)

    # The channel.

    def open_channel(self) -> None:
        """Open the channel now, not at the first call."""
        with self._turn_by(None) as deadline:
            self._ensure_open(deadline)

    @contextmanager
    def _turn_by(self, timeout: float | None) -> Iterator[Deadline]:
        """Wait for the calls of other threads; what that takes is part of the call's time."""
        deadline = Deadline(self.timeout if timeout is None else timeout)
        if not self._turn.acquire(timeout=min(deadline.seconds, threading.TIMEOUT_MAX)):
            raise AgentNotResponding(f"calls of other threads took all of {deadline.seconds:g} s")
        try:
            yield deadline
        finally:
            self._turn.release()

    def _ensure_open(self, deadline: Deadline) -> None:
        if self._closed:
            raise TransportError("this client has been closed")
        if self._transport is None:
            self._transport = self._dial(deadline)
            self._conversation = Conversation()

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _converse(self, talk: Talk[R], deadline: Deadline) -> R:
        try:
            step = next(talk)
            while True:
                try:
                    answer = self._perform(step, deadline)
                except BaseException as error:  # noqa: BLE001 - the conversation has to know
                    if isinstance(error, TransportError):
                        self._drop()
                    step = talk.throw(error)
                else:
                    step = talk.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result

    def _perform(self, step: Send | Receive, deadline: Deadline) -> bytes:
        if self._transport is None:
            raise TransportError("the channel is closed")
        if isinstance(step, Send):
            self._transport.send(step.pieces, deadline)
            return b""
        if step.within is not None:
            deadline = deadline.sooner(step.within)
        return self._transport.receive(deadline)


class Freeze:
    """A freeze that lasts as long as its `with` block; `Client.freeze` makes it.

    The end of the block thaws, also when it raised or was interrupted; so does a freeze that failed
    or took too long. An interrupt during the thaw is raised when the guest is thawed.

    Attributes:
        frozen: the number of file systems that were frozen.
        thawed: the number that were thawed; None until then.
        seconds: how long they were frozen, as seen from here.
    """

    def __init__(self, client: Client, timeout: float | None) -> None:
        self._client = client
        self._timeout = timeout
        self._began = 0.0
        self.frozen = 0
        self.thawed: int | None = None
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self.frozen = self._client.run(flows.freeze(), timeout=self._timeout)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.thawed = self._client.run(flows.thaw(), timeout=self._timeout)
        finally:
            self.seconds = time.monotonic() - self._began


def _plain(value: Any) -> Any:
    """*value* without `Blob`s."""
    if isinstance(value, Blob):
        return value.text
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
