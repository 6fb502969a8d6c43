"""Agents for tests: in this process, to call their handlers, or running on a private socket."""

import gc
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from qga.agent.app import Agent
from qga.agent.config import Config
from qga.agent.dispatch import Deferred
from qga.agent.system.fake import FakeSystem
from tests.support import guard
from tests.support.stock import BLOCKED

# Long enough for a slow machine; a bound for what should have happened, never a measure.
PATIENCE = 30.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until *condition* is true, and return its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)
    return value


def request(name: str, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A request; *more* are its other members."""
    return {"execute": name} | ({} if arguments is None else {"arguments": arguments}) | more


# In this process.


def make_agent(statedir: Path, system: Any = None, **settings: Any) -> Agent:
    """An agent that nobody can reach but by calling it; by default on a made-up platform."""
    config = Config()
    config.statedir = str(statedir)
    for key, value in settings.items():
        if key == "compat":
            config.set(key, value)
        else:
            assert hasattr(config, key)
            setattr(config, key, value)
    platform: Any = FakeSystem("/", "/data") if system is None else system
    return Agent(config, platform)


def raw_answer(agent: Agent, message: Any) -> bytes | Deferred:
    """What the agent would write in answer to *message*, or the promise of it."""
    reply = agent.dispatcher.answer(message)
    if isinstance(reply, Deferred):
        return reply
    return b"".join(reply)


def answer(agent: Agent, message: Any) -> Any:
    """The agent's reply to *message*, decoded; None if it sends none.

    One that comes later is waited for, with the agent's loop.
    """
    raw = raw_answer(agent, message)
    if isinstance(raw, Deferred):
        raw = wait_for(agent, raw)
    return json.loads(raw.removeprefix(b"\xff")) if raw else None


def wait_for(agent: Agent, reply: Deferred) -> bytes:
    """The *reply* that comes later."""
    replies: list[list[bytes]] = []

    def done(pieces: list[bytes]) -> None:
        replies.append(pieces)
        agent.loop.stop()

    agent.loop.soon(lambda: reply.when_done(done))
    agent.loop.run()
    return b"".join(replies[0])


def turn(agent: Agent) -> None:
    """Let the agent's loop see to what has happened."""
    agent.loop.later(0, agent.loop.stop)
    agent.loop.run()


def later(agent: Agent, condition: Callable[[], Any], what: str) -> Any:
    """Run the agent's loop until *condition* is true, and return its value."""

    def seen() -> Any:
        turn(agent)
        return condition()

    return until(seen, what)


def call(agent: Agent, name: str, **arguments: Any) -> Any:
    """What a command returns; its members with `_` for `-`."""
    arguments = {member.replace("_", "-"): value for member, value in arguments.items()}
    return answer(agent, request(name, arguments))["return"]


def call_later(agent: Agent, name: str, *, whole: bool = False, **arguments: Any) -> Any:
    """What a command returns that is answered from the agent's loop; or its *whole* reply."""
    reply = raw_answer(agent, request(name, arguments))
    assert isinstance(reply, Deferred)
    found = json.loads(wait_for(agent, reply))
    return found if whole else found["return"]


def refusal(agent: Agent, name: str, **arguments: Any) -> str:
    """The text of the error with which a command is answered."""
    arguments = {member.replace("_", "-"): value for member, value in arguments.items()}
    desc = answer(agent, request(name, arguments))["error"]["desc"]
    assert isinstance(desc, str)
    return desc


# In a process of its own.


class Peer:
    """A client of a running agent that sends and receives bytes."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            # Without a time-out, or it would not wait for room in the backlog.
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(PATIENCE)
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, *messages: bytes | dict[str, Any]) -> None:
        pieces = (m if isinstance(m, bytes) else json.dumps(m).encode() + b"\n" for m in messages)
        self.socket.sendall(b"".join(pieces))

    def line(self) -> bytes:
        """The next line that the agent sends; empty at the end of the stream."""
        pieces = [self._rest]
        while b"\n" not in pieces[-1]:
            piece = self.socket.recv(1 << 20)
            if not piece:
                return b""
            pieces.append(piece)
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        return line

    def reply(self) -> Any:
        return json.loads(self.line())

    def ask(self, name: str, **arguments: Any) -> Any:
        """Send a request; return its whole reply."""
        arguments = {member.replace("_", "-"): value for member, value in arguments.items()}
        self.send(request(name, arguments))
        return self.reply()

    def call(self, name: str, **arguments: Any) -> Any:
        return self.ask(name, **arguments)["return"]


# Runs the agent after a statement of the test's, given as the first argument. Before that, it is
# made harmless: the statement may have missed what it was to replace.
_WITH_CHANGES = (
    "import sys; exec(sys.argv.pop(1), {'__name__': 'guard'}); "
    "exec(sys.argv.pop(1)); from qga.agent.__main__ import main; sys.exit(main())"
)
_GUARD = Path(guard.__file__).read_text(encoding="utf-8") + "\ninstall()\n"


class RunningAgent:
    """An agent in a process of its own, with a state directory of its own."""

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        *,
        blocked: str = ",".join(BLOCKED),
        changes: str = "",
        listening: bool = True,
        files: int | None = None,
        **popen: Any,
    ) -> None:
        """Start it in *folder*.

        Args:
            folder: where its socket and state are.
            options: more options of the command line.
            blocked: the commands that it refuses.
            changes: a Python statement to run in it before it starts.
            listening: on the unix socket `path`; else its channel is among the options.
            files: how many it may have open.
            popen: more for `Popen`.
        """
        self.folder = folder
        self._peers: list[Peer] = []
        self.path = folder / "agent.sock"
        self.statedir = folder / "state"
        self.statedir.mkdir(exist_ok=True)
        command = [sys.executable, "-I", "-c", _WITH_CHANGES, _GUARD, changes]
        if listening:
            command += ["-m", "unix-listen", "-p", str(self.path)]
        command += ["-t", str(self.statedir), "-b", blocked, *options]
        if files is not None:
            # Set by a shell, because a function to run before exec would need threads to be off.
            command = ["/bin/sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        settings: dict[str, Any] = {"stderr": subprocess.PIPE, "cwd": folder} | popen
        environment = {
            **os.environ,
            **settings.pop("env", {}),
            "QGA_CONF": str(folder / "absent.conf"),
        }
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            command, env=environment, **settings
        )
        if listening:
            until(self._listens, "the agent to listen")

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.errors()
        try:
            Peer(self.path).close()
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def errors(self) -> str:
        """What it has written to stderr; once it has ended."""
        assert self.process.stderr is not None
        text = self.process.stderr.read()
        assert isinstance(text, bytes)
        return text.decode()

    def connect(self) -> Peer:
        self._peers.append(Peer(self.path))
        return self._peers[-1]

    def call(self, name: str, **arguments: Any) -> Any:
        """What a command returns, on a connection of its own."""
        with self.connect() as peer:
            return peer.call(name, **arguments)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def close(self) -> None:
        closing(self._peers)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        if self.process.stdout is not None:
            self.process.stdout.close()


def children(pid: int) -> list[int]:
    """The processes that *pid* has started and not waited for."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(number) for number in text.split()]


def spins(agent: RunningAgent) -> bool:
    """Whether the agent uses the processor for most of half a second."""
    before = agent.cpu_seconds()
    time.sleep(0.5)
    return agent.cpu_seconds() - before > 0.25


def own_descriptors() -> int:
    """How many this process has open, without those of what nobody uses any more."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def lift_file_limit(count: int) -> bool:
    """Make room for *count* open files in this process; False where there cannot be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        return False
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return True


def closing(things: Iterable[Any]) -> None:
    for thing in things:
        thing.close()
