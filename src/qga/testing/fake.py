"""The fake agent: it speaks the protocol as an agent does, and does what a test tells it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, overload

from qga.client.aio import AsyncClient
from qga.client.deadline import TIMEOUT
from qga.client.sync import Client
from qga.errors import CommandError, NoChannel
from qga.protocol import UPSTREAM_VERSION
from qga.protocol.codec import encode
from qga.wire.envelope import NO_ID, check_request, failure, success

from .commands import SYNCHRONISATIONS, Commands
from .guest import Guest
from .line import HANGUP, Line
from .transports import FakeAsyncTransport, FakeTransport
from .trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import Any, TypeVar

    from qga.client.aiotransports import AsyncTransport
    from qga.client.deadline import Deadline
    from qga.client.transports import Transport
    from qga.protocol.model import Command

    C = TypeVar("C", bound=Command[Any])
    R = TypeVar("R")

_DELIMITER = b"\xff"


class FakeAgent(Commands):
    r"""An agent that needs no virtual machine, and a small guest in memory.

    Clients are real ones, and every byte goes through the real protocol, with its synchronisation
    and framing. Nothing that the agent is asked for is done to this machine.

        >>> from qga.testing import FakeAgent
        >>> agent = FakeAgent()
        >>> client = agent.connect()
        >>> client.read_file("/etc/hostname")
        b'fake\n'

    For a blocking client in the same process no time passes: a reply that is late counts against
    deadlines, and nobody waits for it. Asynchronous clients, and those of `serve`, do wait.

    Args:
        version: the version of qemu-ga whose commands and dialect it has, as "2.5".
        blocked: names of commands that its configuration refuses.
        unknown: names of commands that it does not know.
        piece: how many bytes of its replies come at a time; None for all that there are.
        guest: what it tells of; by default a small Debian.

    Attributes:
        guest: what it tells of and changes, a `Guest`.
        files: the guest's files, a `Files`: a mapping from paths to bytes.
        programs: what guest-exec can start, a `Programs`.
        requests: what it has been asked, a `Request` each, without the synchronisations.
        synchronisations: how often a client has got in step with it.
        state: the freeze state, "thawed", "frozen" or "error"; may be set.
        frozen: how many file systems are frozen.
        freezing: the lease of a freeze, as qga-agent has it, a `Freezing`.
        running: whether it runs; `kill` ends it, and a shutdown of the guest.
        version, blocked, unknown, piece: as above; may be changed. `piece` is for new channels.
    """

    def __init__(
        self,
        *,
        version: str = UPSTREAM_VERSION,
        blocked: Iterable[str] = (),
        unknown: Iterable[str] = (),
        piece: int | None = None,
        guest: Guest | None = None,
    ) -> None:
        super().__init__(version, blocked, unknown, guest or Guest())
        self.piece = piece
        self.running = True
        self._held = False
        self._lines: list[Line] = []
        self._troubles: list[Trouble] = []
        self._lock = threading.RLock()

    # Ways to it.

    def connect(self, *, timeout: float = TIMEOUT) -> Client:
        """A client of it, as `qga.connect` gives.

            >>> with agent.connect() as client:
            ...     client.ping()

        Args:
            timeout: what the client's calls may take unless they say otherwise, in seconds.

        Raises:
            NoChannel: the agent has been killed.
        """
        client = Client(self.dial, timeout=timeout)
        client.open_channel()
        return client

    async def aconnect(self, *, timeout: float = TIMEOUT) -> AsyncClient:
        r"""An asynchronous client of it, as `qga.aconnect` gives.

            >>> async with await agent.aconnect() as client:
            ...     await client.read_file("/etc/hostname")
            b'fake\n'

        Arguments and errors are those of `connect`.
        """
        client = AsyncClient(self.adial, timeout=timeout)
        await client.open_channel()
        return client

    def dial(self, deadline: Deadline) -> Transport:  # noqa: ARG002 - it is there at once
        """Open a channel; what `qga.Client` takes.

            >>> client = qga.Client(agent.dial, timeout=5)
            >>> client.ping()

        Raises:
            NoChannel: the agent has been killed.
        """
        self._check_running()
        return FakeTransport(self._plug, self._unplug)

    async def adial(self, deadline: Deadline) -> AsyncTransport:  # noqa: ARG002
        """Open a channel; what `qga.AsyncClient` takes.

            >>> client = qga.AsyncClient(agent.adial, timeout=5)
            >>> await client.ping()

        Raises:
            NoChannel: the agent has been killed.
        """
        self._check_running()
        return FakeAsyncTransport(self._plug, self._unplug)

    @contextmanager
    def serve(self, path: str | Path | None = None) -> Iterator[str]:
        """Have it listen on a unix socket for the length of a `with` block; give its target.

        For programs that take a target, such as the command `qga`. A thread of its own serves any
        number of clients, in real time.

            >>> with agent.serve() as target, qga.connect(target) as client:
            ...     client.fsfreeze_status()
            FsfreezeState('thawed')

        Args:
            path: of the socket; by default one in a directory of its own.
        """
        from .server import served

        with served(self, path) as target:
            yield target

    # What it is asked, and answers.

    def asked(self, command: type[C]) -> list[C]:
        """The commands of one class that it has been asked for, in order.

        >>> client.write_file("/tmp/report", b"done")
        4
        >>> [each.path for each in agent.asked(FileOpen)]
        ['/tmp/report']
        """
        return [each.command for each in self.requests if isinstance(each.command, command)]

    @overload
    def reply(
        self, command: type[Command[R]], result: R | CommandError | Callable[[Any], R]
    ) -> None: ...
    @overload
    def reply(self, command: str, result: Any) -> None: ...
    def reply(self, command: type[Command[Any]] | str, result: Any) -> None:
        """Set what a command returns from now on.

            >>> agent.reply(GetHostName, HostName(host_name="web1"))
            >>> client.execute(GetHostName())
            HostName(host_name='web1')
            >>> agent.reply("guest-get-load", qga.CommandError("no idea"))
            >>> client.execute(GetLoad())
            Traceback (most recent call last):
            qga.errors.CommandError: no idea
            >>> agent.reply("guest-new", lambda arguments: {"sum": sum(arguments["numbers"])})
            >>> client.call("guest-new", {"numbers": [1, 2]})
            {'sum': 3}

        Args:
            command: a class of `qga.protocol`, or a name, which may be one that qga does not know.
            result: what the command returns, as the protocol declares it or as JSON has it; a
                `CommandError` that it fails with; or a function that is called with the command
                (the arguments, as JSON has them, for a name that qga does not know), and returns
                either or raises that error.
        """
        name = command if isinstance(command, str) else command.NAME

        def given(_: Any) -> Any:
            if isinstance(result, CommandError):
                raise result
            return result

        self._replies[name] = result if callable(result) else given

    def disturb(
        self,
        command: type[Command[Any]] | str | None = None,
        *,
        delay: float = 0.0,
        garbage: bytes = b"",
        silent: bool = False,
        cut: int | None = None,
        skip: int = 0,
        times: int = 1,
    ) -> None:
        """Have something go wrong with the reply to a coming request, which is carried out.

            >>> agent.disturb(Info, delay=60)
            >>> client.info(timeout=10)
            Traceback (most recent call last):
            qga.errors.AgentTimeout: guest-info: no answer within 10 s
            >>> agent.disturb("guest-ping", cut=0)
            >>> client.ping(timeout=120)
            Traceback (most recent call last):
            qga.errors.ConnectionLost: the agent's side closed the channel
            >>> client.ping()

        Args:
            command: a class of `qga.protocol` or a name; None for whatever comes next that is no
                synchronisation.
            delay: seconds by which the reply, and all after it, come later.
            garbage: bytes that come before the reply: noise, or a stale reply.
            silent: whether no reply comes.
            cut: how many bytes of the reply come before the channel breaks: 0 for none.
            skip: how many such requests are answered well before.
            times: how often it happens.
        """
        name = command if isinstance(command, str) or command is None else command.NAME
        with self._lock:
            self._troubles.append(Trouble(name, delay, garbage, silent, cut, skip, times))

    # Its life.

    def kill(self) -> None:
        """End it: channels break, open files and programs are forgotten.

        >>> agent.kill()
        >>> client.ping()
        Traceback (most recent call last):
        qga.errors.ConnectionLost: the agent's side closed the channel
        >>> client.ping()
        Traceback (most recent call last):
        qga.errors.NoChannel: no agent: this one has been killed
        >>> agent.start()
        >>> client.ping()
        """
        with self._lock:
            self.running = False
            self.files.forget_handles()
            self.programs.forget()
            for line in self._lines:
                line.put(HANGUP)
            self._lines.clear()

    def start(self) -> None:
        """Have it run again after `kill`.

        >>> agent.kill()
        >>> agent.running
        False
        >>> agent.start()
        >>> agent.connect().ping()
        """
        self.running = True

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have it answer nothing in a `with` block, as one that hangs; after it, all.

        >>> with agent.stopped():
        ...     client.ping(timeout=5)
        Traceback (most recent call last):
        qga.errors.AgentNotResponding: the agent does not answer: no answer within 5 s
        >>> client.ping()
        """
        self._hold(True)
        try:
            yield
        finally:
            self._hold(False)

    def _hold(self, held: bool) -> None:  # noqa: FBT001
        with self._lock:
            self._held = held
            for line in list(self._lines):
                line.held = held
                line.go_on()

    def _check_running(self) -> None:
        if not self.running:
            gone = NoChannel("no agent: this one has been killed")
            gone.off = True
            raise gone

    def _plug(self, listener: Callable[[], None] | None) -> Line:
        with self._lock:
            line = Line(self._answer, self.piece, listener)
            line.held = self._held
            self._lines.append(line)
            return line

    def _unplug(self, line: Line) -> None:
        with self._lock:
            line.over = True
            if line in self._lines:
                self._lines.remove(line)

    def _go_down(self, mode: str) -> None:
        self.kill()
        if mode == "reboot":
            self.freezing.reset()
            self.guest._boot(self.files)  # noqa: SLF001 - parts of one thing
            self.start()

    # From a message to its reply.

    def _answer(self, line: Line, message: Any) -> None:
        legacy, ids = self._age < (1, 2), self._age >= (4, 0)
        request_id: object = NO_ID
        name = ""
        with self._lock:
            if isinstance(message, CommandError):  # what has come is not JSON
                self._send(line, name, failure(message, legacy=legacy))
                return
            try:
                if isinstance(message, dict) and ids:
                    request_id = message.get("id", NO_ID)
                name, arguments = check_request(message, ids=ids)
                result, silent = self._execute(name, arguments)
                reply = b""
                if not silent:
                    reply = b"".join(success(encode(result, self._age), request_id))
                if name == "guest-sync-delimited":
                    reply = _DELIMITER + reply
            except CommandError as error:
                reply = failure(error, request_id, legacy=legacy)
            self._send(line, name, reply)

    def _send(self, line: Line, name: str, reply: bytes) -> None:
        # The 0xFF before a synchronisation is none of the requests that somebody means either.
        synchronises = name in SYNCHRONISATIONS or not name
        for trouble in self._troubles:
            if trouble.strikes(name, synchronises=synchronises):
                break
        else:
            if reply:
                line.put(reply)
            return
        if trouble.silent:
            return
        data = trouble.garbage + reply
        line.put(data if trouble.cut is None else data[: trouble.cut], trouble.delay)
        if trouble.cut is not None:
            line.put(HANGUP)
            self._unplug(line)
