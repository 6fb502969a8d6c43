"""The blocking client: the driver of commands and flows."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qga.errors import AgentNotResponding, CommandError, QgaError, TransportError

from . import channel, results
from .deadline import TIMEOUT, Deadline, within
from .flows import freezing
from .flows.steps import GetLimits, Leave, Timeout, Together, Wait
from .guestfile import GuestFile
from .operation import Blocking
from .operations import Operations
from .target import settled
from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from qga.protocol.model import Command

    from .channel import Channel
    from .flows.steps import Flow, Step
    from .target import Target
    from .transports import RequestTransport, Transport

    R = TypeVar("R")

# How long the close of a client may take to tidy up in the guest, in seconds.
_TIDYING = 1.0


def connect(target: str | Target | None = None, *, timeout: float | None = None) -> Client:
    """Open the channel to an agent.

    Whether an agent listens at its other end shows at the first call: a virtual machine's channel
    is open before the machine has booted.

    Args:
        target: `unix:/path`, `libvirt:DOMAIN` or another one of the forms that docs/transports.md
            lists, or a name from a targets file; by default what QGA_TARGET says.
        timeout: what the client's calls may take unless they say otherwise, in seconds; None for
            what the targets file says of a name, or else 30.

    Raises:
        InvalidTarget: *target* is none.
        NoChannel: the channel cannot be opened.
    """
    target, timeout = settled(target, timeout)
    client = Client(target.open, timeout=timeout)
    client.open_channel()
    return client


class Client(Blocking, Operations):
    """A connection to one guest agent. `connect` makes it from a target.

    Safe to use from several threads: their calls take turns, in the order in which they came. A
    channel that breaks is opened again by the next call; after a call that was interrupted or ran
    out of time, the next one gets in step with the agent first. All methods raise the exceptions of
    `qga.errors`.

    Args:
        dial: opens the channel, by the deadline that it is given.
        timeout: what a call may take unless it says otherwise, in seconds; `math.inf` for ever.
    """

    def __init__(
        self, dial: Callable[[Deadline], Transport | RequestTransport], *, timeout: float = TIMEOUT
    ) -> None:
        self.timeout = timeout
        self._dial = dial
        self._turns = Turns()
        self._channel: Channel | None = None
        self._left: deque[Command[Any]] = deque()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel. Files that are open in the guest stay open there."""
        if self._left and not self._closed and self._channel is not None:
            try:
                with self._turn(Deadline(_TIDYING)):
                    pass
            except QgaError:
                pass  # it was worth a try
        self._closed = True
        self._drop()

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
        return self._execute(command, self._deadline(timeout))

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
        deadline = self._deadline(timeout)
        with self._turn(deadline) as open_channel:
            reply = open_channel.exchange(name, arguments or {}, deadline, silent=silent)
        return reply if raw else results.plain(reply)

    def sync(self, *, timeout: float | None = None) -> None:
        """Get in step with the agent. Done by itself whenever it is needed."""
        deadline = self._deadline(timeout)
        with self._turn(deadline) as open_channel:
            open_channel.synchronise(deadline)

    def perform(self, flow: Flow[R]) -> R:
        """Carry out a flow: an operation of several commands, each with the timeout for itself.

        Args:
            flow: of `qga.client.flows`, or your own: `qga.client.flows.steps` says what it yields.
        """
        pace = Timeout(None)
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, Timeout):
                        answer, pace = None, step
                    else:
                        answer = self._take(step, pace)
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result

    def open(self, path: str, mode: str = "r") -> GuestFile:
        """Open a file of the guest, as a raw (unbuffered, binary) Python file.

        Args:
            path: full path in the guest.
            mode: one of fopen's: r, w or a, with + for both ways; b changes nothing.
        """
        return GuestFile(self, path, mode)

    def freeze(self, *, timeout: float | None = None) -> Freeze:
        """Freeze the guest's file systems for a `with` block; they are thawed whatever happens.

        Args:
            timeout: seconds for the freeze, and for each attempt to thaw.
        """
        return Freeze(self, timeout)

    def open_channel(self) -> None:
        """Open the channel now, not at the first call."""
        with self._turn(self._deadline(None), tidy=False):
            pass

    # The driver.

    def _take(self, step: Step, pace: Timeout) -> Any:
        """Do what a flow asks for."""
        if isinstance(step, Wait):
            time.sleep(min(step.seconds, self._pace(pace, step.seconds).remaining()))
            return None
        if isinstance(step, Leave):
            self._left.append(step.command)
            return None
        deadline = self._pace(pace, self.timeout)
        if isinstance(step, GetLimits):
            with self._turn(deadline, tidy=False) as open_channel:
                return open_channel.limits
        if isinstance(step, Together):
            return self._execute_all(step, deadline)
        return self._execute(step, deadline)

    def _pace(self, pace: Timeout, otherwise: float) -> Deadline:
        seconds = otherwise if pace.seconds is None else pace.seconds
        return Deadline(seconds) if pace.despite else within(seconds)

    def _deadline(self, timeout: float | None) -> Deadline:
        return within(self.timeout if timeout is None else timeout)

    def _execute(self, command: Command[R], deadline: Deadline) -> R:
        name, arguments, silent = results.request(command)
        with self._turn(deadline) as open_channel:
            reply = open_channel.exchange(name, arguments, deadline, silent=silent)
        return results.result(command, reply)

    def _execute_all(self, step: Together, deadline: Deadline) -> list[Any]:
        requests = [results.request(command)[:2] for command in step.commands]
        with self._turn(deadline) as open_channel:
            replies = open_channel.exchange_all(requests, deadline)
        return results.all_results(step.commands, replies)

    @contextmanager
    def _turn(self, deadline: Deadline, *, tidy: bool = True) -> Iterator[Channel]:
        """Wait for the calls of other threads, within the call's time; give the channel."""
        if not self._turns.take(deadline.remaining()):
            raise AgentNotResponding(f"calls of other threads took all of {deadline.seconds:g} s")
        try:
            open_channel = self._open(deadline)
            if tidy and self._left:
                self._tidy(open_channel, deadline)
            yield open_channel
        finally:
            if self._channel is not None and self._channel.closed:
                self._channel = None
            self._turns.give()

    def _tidy(self, open_channel: Channel, deadline: Deadline) -> None:
        while self._left:
            name, arguments, _ = results.request(self._left[0])
            try:
                open_channel.exchange(name, arguments, deadline)
            except CommandError:
                pass  # gone already
            self._left.popleft()

    def _open(self, deadline: Deadline) -> Channel:
        if self._closed:
            raise TransportError("this client has been closed")
        if self._channel is None:
            self._channel = channel.opened(self._dial(deadline))
        return self._channel

    def _drop(self) -> None:
        dropped, self._channel = self._channel, None
        if dropped is not None:
            dropped.close()


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
        self.frozen = self._client.perform(freezing.freeze(timeout=self._timeout))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.thawed = self._client.perform(freezing.thaw(timeout=self._timeout))
        finally:
            self.seconds = time.monotonic() - self._began
