"""Programs that an agent on this machine is asked to run: harmless ones, and to their end."""

import base64
import os
import signal
from pathlib import Path
from typing import Any

from tests.agent.conftest import Starter
from tests.agent.harness import Peer, RunningAgent, until
from tests.support.stock import BLOCKED_BUT_EXEC

DATA = ("out-data", "err-data")


def start_runner(start: Starter, *options: str, **more: Any) -> RunningAgent:
    """An agent that may run programs."""
    return start(*options, blocked=",".join(BLOCKED_BUT_EXEC), **more)


def begin(peer: Peer, path: str, *words: str, **more: Any) -> int:
    """Start a program; its process number."""
    arguments = {"path": path, "arg": list(words)} if words else {"path": path}
    pid = peer.call("guest-exec", **arguments, **more)["pid"]
    assert isinstance(pid, int)
    return pid


def result(peer: Peer, pid: int) -> dict[str, Any]:
    """Ask until the program *pid* has ended; its status, with the data decoded."""

    def ended() -> Any:
        status = peer.call("guest-exec-status", pid=pid)
        assert isinstance(status["exited"], bool)
        if not status["exited"]:
            assert status == {"exited": False}
        return status["exited"] and status

    status: dict[str, Any] = until(ended, f"process {pid} to end")
    for name in DATA:
        if name in status:
            status[name] = base64.b64decode(status[name], validate=True)
    return status


def run(peer: Peer, path: str, *words: str, **more: Any) -> dict[str, Any]:
    return result(peer, begin(peer, path, *words, **more))


def output(peer: Peer, path: str, *words: str, **more: Any) -> str:
    """What a program that works writes to its standard output."""
    status = run(peer, path, *words, capture_output=True, **more)
    assert status["exitcode"] == 0, status
    assert "err-data" not in status, status
    data = status.get("out-data", b"")
    assert isinstance(data, bytes)
    return data.decode()


def refusal_of(peer: Peer, **arguments: Any) -> str:
    """The text of the error with which guest-exec is answered."""
    desc = peer.ask("guest-exec", **arguments)["error"]["desc"]
    assert isinstance(desc, str)
    return desc


def children(pid: int) -> list[int]:
    """Those of a process, ended ones that it has not reaped too."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def is_gone(pid: int) -> bool:
    """Whether the process has ended and was reaped."""
    return not Path(f"/proc/{pid}").exists()


def end(pid: int) -> None:
    """End a process that a test has started by way of an agent."""
    os.kill(pid, signal.SIGKILL)


def memory(pid: int, field: str) -> int:
    """A line of the kernel's about a process's memory, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))
