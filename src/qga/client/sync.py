"""The blocking client: the driver of commands and flows."""

from __future__ import annotations

import time

from qga.errors import AgentBusy, AgentTimeout, CommandError, QgaError, TransportError
from qga.protocol.model import Command

from . import channel, results
from .deadline import TIMEOUT, Deadline, Paced
from .flows.steps import MOST_LEFT, TIDYING, End, GetLimits, Leave, On, Series, Timeout, Wait
from .operation import Blocking
from .operations import Operations
from .target import settled
from .turns import Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Self, TypeVar

    from .channel import Channel
    from .files import Files
    from .flows.script import GuestPath
    from .flows.steps import Flow, Step, Together
    from .frozen import Freeze
    from .guestfile import GuestFile
    from .target import Target
    from .trace import Trace
    from .transports import RequestTransport, Transport

    R = TypeVar("R")
else:
    # `collections` takes as long to load as the rest of this.
    from _collections import deque


def connect(
    target: str | Target | None = None,
    *,
    timeout: float | None = None,
    wait: float | None = None,
    trace: Trace | None = None,
) -> Client:
    r"""Open the channel to an agent.

    Whether an agent listens at its other end shows at the first call: a virtual machine's channel
    is open before the machine has booted. With *wait* it is certain that one does, and neither the
    agent nor the channel needs to be there yet.

        >>> with agent.serve() as target:
        ...     with qga.connect(target, timeout=5) as client:
        ...         client.read_file("/etc/hostname")
        b'fake\n'
        >>> qga.connect("unix:/no/such/socket")
        Traceback (most recent call last):
        qga.errors.NoChannel: cannot open unix:/no/such/socket: No such file or directory

    Args:
        target: `unix:/path`, `libvirt:DOMAIN` or another one of the forms that docs/transports.md
            lists, or a name from a targets file; by default what QGA_TARGET says.
        timeout: what the client's calls may take unless they say otherwise, in seconds; None for
            what the targets file says of a name, or else 30.
        wait: wait so many seconds until the agent is ready, as `Client.wait_ready` does.
        trace: a function that is told of each request and reply, a `TraceEvent`; `print` will do.

    Raises:
        InvalidTarget: *target* is none.
        NoChannel: the channel cannot be opened.
        WaitTimeout: the agent was not ready in time.
    """
    target, timeout = settled(target, timeout)
    if trace is not None:
        from .trace import traced

        target = traced(target, trace)
    client = Client(target.open, timeout=timeout, target=str(target))
    try:
        if wait is None:
            client.open_channel()
        else:
            client.wait_ready(wait)
    except BaseException:
        client.close()
        raise
    return client


class Client(Blocking, Paced, Operations):
    """A connection to one guest agent. `connect` makes it from a target.

    Safe to use from several threads: their calls take turns, in the order in which they came. A
    channel that breaks is opened again by the next call; after a call that was interrupted or ran
    out of time, the next one gets in step with the agent first. All methods raise the exceptions of
    `qga.errors`.

        >>> with qga.Client(agent.dial, timeout=5) as client:
        ...     client.info().version
        '10.2.0'

    Args:
        dial: opens the channel, by the deadline that it is given.
        timeout: what a call may take unless it says otherwise, in seconds; `math.inf` for ever.
        target: as what another process can open the same channel, if it can: for `frozen`.
    """

    def __init__(
        self,
        dial: Callable[[Deadline], Transport | RequestTransport],
        *,
        timeout: float = TIMEOUT,
        target: str | None = None,
    ) -> None:
        self.timeout = timeout
        self.target = target
        self._dial = dial
        self._turns = Turns()
        self._channel: Channel | None = None
        self._left: deque[Command[Any]] = deque(maxlen=MOST_LEFT)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel. Files that are open in the guest stay open there.

        >>> client.close()
        >>> client.ping()
        Traceback (most recent call last):
        qga.errors.TransportError: this client has been closed
        """
        try:
            if self._left and not self._closed and self._has_channel():
                self._use(Deadline(TIDYING), _nothing)
        except QgaError:
            pass  # it was worth a try
        finally:
            self._closed = True
            self._drop()

    def execute(self, command: Command[R], *, timeout: float | None = None) -> R:
        """Have the agent execute *command* and return its result.

            >>> handle = client.execute(FileOpen(path="/etc/hostname"))
            >>> client.execute(FileRead(handle=handle, count=64))
            FileChunk(count=5, data=<5 bytes>, eof=True)
            >>> client.execute(FileClose(handle=handle))

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

            >>> client.call("guest-get-host-name")
            {'host-name': 'fake'}
            >>> client.call("guest-file-open", {"path": "/tmp/new", "mode": "w"}, timeout=5)
            1000

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
        reply = self._use(
            deadline,
            lambda channel: channel.exchange(name, arguments or {}, deadline, silent=silent),
        )
        return reply if raw else results.plain(reply)

    def sync(self, *, timeout: float | None = None) -> None:
        """Get in step with the agent. Done by itself whenever it is needed.

        >>> client.sync(timeout=5)
        """
        deadline = self._deadline(timeout)
        self._use(deadline, lambda channel: channel.synchronise(deadline))

    def perform(self, flow: Flow[R]) -> R:
        """Carry out a flow: an operation of several commands, each with the timeout for itself.

            >>> from qga.client.flows.steps import Together
            >>> def names():
            ...     name, system = yield Together([GetHostName(), GetOsInfo()])
            ...     return name.host_name, system.id
            >>> client.perform(names())
            ('fake', 'debian')

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

    def open(self, path: GuestPath, mode: str = "r") -> GuestFile:
        r"""Open a file of the guest, as a raw (unbuffered, binary) Python file.

            >>> with client.open("/tmp/notes", "w+") as file:
            ...     file.write(b"one\ntwo\n")
            ...     file.seek(4)
            ...     file.read()
            8
            4
            b'two\n'

        Args:
            path: full path in the guest.
            mode: one of fopen's: r, w or a, with + for both ways; b changes nothing.
        """
        from .guestfile import GuestFile

        return GuestFile(self, path, mode)

    @property
    def files(self) -> Files:
        """The guest's files, and what can be done with them."""
        from .files import Files

        return Files(self)

    def frozen(
        self,
        mountpoints: str | Sequence[str] | None = None,
        *,
        exclude: str | Sequence[str] = (),
        deadline: float = 60.0,
        timeout: float | None = None,
        on_lost: Callable[[str], object] | None = None,
    ) -> Freeze:
        """Freeze the guest's file systems for a `with` block; they are thawed whatever happens.

            >>> with client.frozen() as freeze:
            ...     client.fsfreeze_status()  # and take a snapshot
            FsfreezeState('frozen')
            >>> freeze.frozen, freeze.thawed, freeze.held
            (2, 2, True)

        The end of the block thaws, also when it raised; so does a freeze that failed or took too
        long. In the main thread, SIGTERM and SIGHUP raise SystemExit in the block, unless the
        program handles or ignores them itself; a signal during the thaw is raised when that is
        done. At the deadline a thread thaws, whatever the block is at. If this process is killed,
        another one thaws, for targets that can be opened again (`freeze.watched` tells).

        Where the agent has leases, the guest is frozen for half a minute, again and again while the
        block runs, and thaws by itself when nobody is left who says so; where it has none,
        `freeze.unguarded` tells what is not guaranteed.

        Args:
            mountpoints: of the file systems to freeze, or patterns such as "/srv/*", "type:xfs" or
                "device:/dev/vd*"; all that can be if None. What cannot be frozen is an error with
                leases; other agents ignore it: `freeze.frozen` is the number that were frozen.
            exclude: mount points, or patterns, of what not to freeze.
            deadline: the most seconds that they may be frozen, the freeze itself included;
                `math.inf` for no limit.
            timeout: seconds for the freeze, and for each attempt to thaw; the client's own if None.
            on_lost: called, in another thread, when a freeze for a lease turns out to be over
                before the block is, with the reason.

        Returns: a context manager; its attributes, as `held` and `report`, are documented there.

        Raises:
            CommandDisabled: freezing is not allowed, or somebody else's freeze lasts: that one is
                not touched.
            CommandError: the guest refused, or could not thaw all.
            AgentTimeout: no reply in time. Without the note "the guest may still be frozen", it
                has been thawed.
            TransportError: the channel cannot be opened, or broke; as for AgentTimeout.
        """
        from .frozen import Freeze

        return Freeze(self, mountpoints, deadline, timeout, exclude=exclude, on_lost=on_lost)

    def open_channel(self) -> None:
        """Open the channel now, not at the first call.

        >>> client = qga.Client(agent.dial)
        >>> client.open_channel()
        """
        self._use(self._deadline(None), _nothing, tidy=False)

    # The driver.

    def _take(self, step: Step, pace: Timeout) -> Any:
        """Do what a flow asks for."""
        if isinstance(step, Command):
            return self._execute(step, self._pace(pace, self.timeout))
        if isinstance(step, Wait):
            time.sleep(min(step.seconds, self._pace(pace, step.seconds).remaining()))
            return None
        if isinstance(step, Leave):
            self._left.append(step.command)
            return None
        deadline = self._pace(pace, self.timeout)
        if isinstance(step, GetLimits):
            return self._use(deadline, lambda channel: channel.limits, tidy=False)
        if isinstance(step, Series):

            def paced() -> Deadline:
                return self._pace(pace, self.timeout)

            return self._use(deadline, lambda channel: channel.exchange_each(step, paced))
        if isinstance(step, On | End):
            from . import elsewhere

            return elsewhere.block(step)
        return self._execute_all(step, deadline)

    def _execute(self, command: Command[R], deadline: Deadline) -> R:
        name, arguments, silent = results.request(command)
        reply = self._use(
            deadline, lambda channel: channel.exchange(name, arguments, deadline, silent=silent)
        )
        return results.result(command, reply)

    def _execute_all(self, step: Together, deadline: Deadline) -> list[Any]:
        requests = [results.request(command)[:2] for command in step.commands]
        replies = self._use(deadline, lambda channel: channel.exchange_all(requests, deadline))
        return results.all_results(step, replies)

    def _use(self, deadline: Deadline, use: Callable[[Channel], R], *, tidy: bool = True) -> R:
        """Wait for the calls of other threads, within the call's time; *use* the channel."""
        # No context manager: as a generator it would cost as much as the rest of this.
        try:
            if not self._turns.take(deadline):
                raise AgentBusy(f"calls of other threads took all of {deadline.seconds:g} s")
            open_channel = self._open(deadline)
            if tidy and self._left:
                self._tidy(open_channel, deadline)
            return use(open_channel)
        except CommandError as error:
            from . import hints

            hints.advise(error)
            raise
        finally:
            self._turns.give()

    def _tidy(self, open_channel: Channel, deadline: Deadline) -> None:
        while self._left:
            command = self._left[0]
            name, arguments, _ = results.request(command)
            try:
                open_channel.exchange(name, arguments, deadline)
            except (AgentTimeout, TransportError):
                raise
            except QgaError:
                pass  # gone already, or not for this channel
            if self._left[0] is command:  # unless so many came meanwhile that it was forgotten
                self._left.popleft()

    def _open(self, deadline: Deadline) -> Channel:
        if self._closed:
            closed = TransportError("this client has been closed")
            closed.hint = "make another one"
            raise closed
        found = self._channel
        if found is not None and not found.closed and not found.hung_up():
            return found
        self._drop()  # it broke, or the agent or the guest has been started again
        self._channel = found = channel.opened(self._dial(deadline))
        return found

    def _has_channel(self) -> bool:
        return self._channel is not None and not self._channel.closed

    def _drop(self) -> None:
        dropped, self._channel = self._channel, None
        if dropped is not None:
            dropped.close()


def _nothing(_: Channel) -> None:
    pass
