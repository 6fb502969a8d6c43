"""The real agent as a process on this machine, confined to what does no harm there."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qga.client.aio import aconnect
from qga.client.deadline import TIMEOUT
from qga.client.sync import connect
from qga.errors import TransportError

from .server import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from qga.client.aio import AsyncClient
    from qga.client.sync import Client

HARMLESS = (
    "guest-sync",
    "guest-sync-delimited",
    "guest-ping",
    "guest-info",
    "guest-file-open",
    "guest-file-close",
    "guest-file-read",
    "guest-file-write",
    "guest-file-seek",
    "guest-file-flush",
    "guest-fsfreeze-status",
    "guest-exec-status",
    "guest-get-cpustats",
    "guest-get-devices",
    "guest-get-disks",
    "guest-get-diskstats",
    "guest-get-fsinfo",
    "guest-get-host-name",
    "guest-get-load",
    "guest-get-memory-block-info",
    "guest-get-memory-blocks",
    "guest-get-osinfo",
    "guest-get-time",
    "guest-get-timezone",
    "guest-get-users",
    "guest-get-vcpus",
    "guest-network-get-interfaces",
    "guest-network-get-route",
    "guest-ssh-get-authorized-keys",
    "qga-fsfreeze-report",
)
"""The commands that do no harm on a machine that is no guest. All others are refused by default: a
list of what is allowed cannot forget a dangerous one."""

# How long the agent may take to start, and to end when it is told to, in seconds.
_PATIENCE, _END = 30.0, 5.0


class AgentProcess:
    """A real agent that runs as a process of this machine; `agent_process` starts it.

        >>> from qga.testing import agent_process
        >>> with agent_process() as agent, agent.connect() as client:
        ...     client.write_file(f"{agent.directory}/file", b"data")
        ...     (agent.directory / "file").read_bytes()
        4
        b'data'

    Attributes:
        process: the process.
        directory: where its socket and state are, and where a test may have it write; it is removed
            at the end.
        socket: the path of its socket.
        target: what `qga.connect` and the command line take.
    """

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self._command = command
        self.directory = directory
        self.socket = directory / "agent.sock"
        self.target = f"unix:{self.socket}"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(self._command, stderr=log, cwd=self.directory)

    def restart(self) -> None:
        """Kill the process and start another one in its place, as after a crash.

        >>> with agent_process() as agent, agent.connect() as client:
        ...     agent.restart()
        ...     client.ping()

        Raises:
            RuntimeError: it does not start.
        """
        self.process.kill()
        self.process.wait()
        self.socket.unlink()
        self.process = self._start()
        self.wait()

    def wait(self) -> None:
        """Wait until it can be connected to.

        >>> with agent_process() as agent:
        ...     agent.wait()

        Raises:
            RuntimeError: it has ended, or takes longer than 30 seconds.
        """
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self.connect().close()
                return
            except TransportError as error:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"the agent does not start: {self.output}") from error
                time.sleep(0.01)

    def connect(self, *, timeout: float = TIMEOUT) -> Client:
        """A client of it.

        >>> with agent_process() as agent, agent.connect() as client:
        ...     client.ping()

        Args:
            timeout: what the client's calls may take unless they say otherwise, in seconds.
        """
        return connect(self.target, timeout=timeout)

    async def aconnect(self, *, timeout: float = TIMEOUT) -> AsyncClient:
        """An asynchronous client of it.

        >>> with agent_process() as agent:
        ...     async with await agent.aconnect() as client:
        ...         await client.ping()

        Args:
            timeout: what the client's calls may take unless they say otherwise, in seconds.
        """
        return await aconnect(self.target, timeout=timeout)

    @property
    def output(self) -> str:
        """What it has written so far: its messages.

        >>> with agent_process() as agent:
        ...     "error" in agent.output
        False
        """
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have the process not run in a `with` block (SIGSTOP), as an agent that hangs.

        >>> with agent_process() as agent, agent.connect() as client:
        ...     client.ping()
        ...     with agent.stopped():
        ...         client.ping(timeout=0.1)
        Traceback (most recent call last):
        qga.errors.AgentTimeout: guest-ping: no answer within 0.1 s
        """
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def agent_process(
    *, allow: Iterable[str] = (), options: Sequence[str] = ()
) -> Iterator[AgentProcess]:
    """Run the real agent for the length of a `with` block, on a socket that others cannot reach.

    It runs as the user who asks, on this machine, and by default executes only what is `HARMLESS`
    there. Think before you allow more: what `guest-exec` starts runs here, with your rights;
    `guest-shutdown` shuts down this machine, `guest-fsfreeze-freeze` freezes its file systems.

        >>> with agent_process(allow=["guest-exec"]) as agent, agent.connect() as client:
        ...     program = client.execute(Exec(path="true"))
        >>> agent.process.returncode is None
        False

    Args:
        allow: names of commands that are allowed besides.
        options: more of the options of `qga-agent`.

    Raises:
        RuntimeError: it does not start; the text holds what it said.
    """
    allowed = ",".join([*HARMLESS, *allow])
    with running([sys.executable, "-m", "qga.agent", "-a", allowed, *options]) as agent:
        yield agent


@contextmanager
def running(command: Sequence[str]) -> Iterator[AgentProcess]:
    """Run *command*, an agent that is not told yet where to listen, for a `with` block."""
    with short_directory() as directory:
        places = ["-m", "unix-listen", "-p", f"{directory}/agent.sock", "-t", str(directory)]
        agent = AgentProcess([*command, *places], directory)
        try:
            agent.wait()
            yield agent
        finally:
            agent.process.terminate()
            try:
                agent.process.wait(_END)
            except subprocess.TimeoutExpired:
                agent.process.kill()
                agent.process.wait()
