"""An agent that is stopped, killed or restarted in the middle of each operation; both agents.

Those that talk for long are struck by each as their middle request is sent, the others by one of
them. With QGA_TEST_FAULTS=all every one is struck by each, at its first and last requests, before
they are sent and after: that takes half an hour.
"""

import importlib
import os
import pkgutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

import pytest

import qga
import qga.client
from qga.client.completed import ProgramTimeout
from qga.client.files import Files
from qga.client.flows import kept, process
from qga.client.following import Follower
from qga.client.guestfile import GuestFile
from qga.client.process import Popen, ProgramInput, ProgramOutput
from qga.client.shell import Shell
from qga.testing import FakeAgent
from tests.support.stock import BLOCKED_BUT_EXEC, RunningAgent, either

from .ambush import Ambush
from .spools import Spools, spools
from .undertakings import FAKED, PATIENCE, PREPARED, SIMPLE, Scene

__all__ = ["spools"]

ALL = os.environ.get("QGA_TEST_FAULTS") == "all"
# How many agents are in trouble at once: most of the time they are waited for.
LANES = 4
# What a call may take whose agent does not answer; more, where this machine took all of it before.
TIMES = (0.4, 2.0, 10.0)
OPERATIONS = {**SIMPLE, **PREPARED, **FAKED}
SILENCE = (qga.AgentTimeout, ProgramTimeout)

BLOWS = ("stop", "kill", "restart")

# What talks for longest.
LONG = {
    "Client.frozen", "Client.run", "Client.shell", "Files.copy_tree_from", "Files.download",
    "Files.download_tree", "Files.upload", "Files.upload_tree", "GuestFile.readall",
    "ProgramInput.write", "ProgramOutput.read", "Shell.read",
}  # fmt: skip

KINDS = (qga.Client, Files, Follower, GuestFile, Popen, ProgramInput, ProgramOutput, Shell)

# What is public and asks the agent for nothing by itself, or is another one's other name; and what
# is done when nothing answers.
NOTHING_ASKED = {
    "Client.close", "Client.shutdown", "Client.open_channel", "Client.perform",
    "Files.perform", "Follower.perform", "Popen.perform", "Shell.perform",
    "GuestFile.readable", "GuestFile.seekable", "GuestFile.truncate", "GuestFile.writable",
    "ProgramInput.writable", "ProgramInput.close", "ProgramOutput.readable",
    "ProgramOutput.close", "ProgramOutput.readall", "ProgramOutput.readinto",
}  # fmt: skip

# These tell what has happened instead of raising it, try again, or wait until it is over.
PATIENT = {
    "Client.frozen", "Client.state", "Client.suspend", "Client.thaw", "Client.wait_boot",
    "Client.wait_cloud_init", "Client.wait_down", "Client.wait_for", "Client.wait_ready",
    "Popen.interact", "Shell.interact",
}  # fmt: skip


def test_all_are_undertaken() -> None:
    public = {
        f"{kind.__name__}.{name}"
        for kind in KINDS
        for base in kind.__mro__
        if base.__module__.startswith("qga.")
        for name in vars(base)
        if not name.startswith("_") and callable(getattr(kind, name))
    }
    assert public - NOTHING_ASKED == {*OPERATIONS}


class Troubled(Protocol):
    """An agent, and what befalls it."""

    target: str
    directory: Path

    def opened(self, directory: Path, /) -> list[str]: ...
    def stop(self) -> object: ...
    def go_on(self) -> object: ...
    def kill(self) -> object: ...
    def restart(self) -> object: ...


class Process:
    def __init__(self, agent: RunningAgent) -> None:
        self.target = agent.target
        self.directory = agent.directory
        self.restart = agent.restart
        self._agent = agent

    def stop(self) -> None:
        self._agent.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._agent.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._agent.process.kill()
        self._agent.process.wait()

    def opened(self, directory: Path) -> list[str]:
        """What it has open below *directory*."""
        found = []
        for descriptor in Path(f"/proc/{self._agent.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since
                found.append(str(descriptor.readlink()))
        return [path for path in found if path.startswith(f"{directory}/")]


class Fake:
    def __init__(self, agent: FakeAgent, target: str, directory: Path) -> None:
        self.target = target
        self.directory = directory
        self.kill = agent.kill
        self._agent = agent
        self._stopped = ExitStack()

    def stop(self) -> None:
        self._stopped.enter_context(self._agent.stopped())

    def go_on(self) -> None:
        self._stopped.close()

    def restart(self) -> None:
        self._agent.kill()
        self._agent.start()

    def opened(self, _directory: Path) -> list[str]:
        """None: its files are none of this machine."""
        return []


class Trial:
    """One operation after the other with one agent, and what befalls that in the middle."""

    def __init__(
        self, agent: Troubled, directory: Path, client: qga.Client, ambush: Ambush
    ) -> None:
        self._agent = agent
        self._client = client
        self._ambush = ambush
        self._scene = Scene(client, agent.directory / "guest", directory)
        self._scene.furnish()

    def of(self, name: str) -> Iterator[str]:
        """What is wrong with the operation of that *name*."""
        wrong = self._undisturbed(name)
        count = self._ambush.sent
        for number, sent in [] if wrong else _moments(count):
            for blow in _blows(name):
                for what in self._strike(name, blow, number, sent=sent):
                    yield f"{name}: {blow} {'behind' if sent else 'at'} {number} of {count}: {what}"
        if ALL and not wrong:
            wrong = self._undisturbed(name)
        for what in wrong:
            yield f"{name}: {what}"

    def _undisturbed(self, name: str) -> list[str]:
        _, error = self._undertake(name)
        return [] if error is None else [f"undisturbed: {error!r}"]

    def _strike(self, name: str, blow: str, number: int, *, sent: bool) -> Iterator[str]:
        expected = SILENCE if blow == "stop" else (qga.TransportError,)
        if name in PATIENT:
            expected = (*expected, *SILENCE)
        for seconds in TIMES:
            self._client.timeout = seconds if blow == "stop" else PATIENCE
            result, error = self._undertake(name, number, getattr(self._agent, blow), after=sent)
            self._client.timeout = PATIENCE
            struck, request = self._ambush.struck, self._ambush.request
            self._ambush.lay()
            if struck and blow == "stop":
                self._agent.go_on()
            elif struck and blow == "kill":
                self._agent.restart()
            self._client.ping()
            yield from self._left(lost=request)
            if struck or not isinstance(error, SILENCE):
                break
        if error is not None and not (struck and isinstance(error, expected)):
            yield repr(error)
        # What is sent last may have been answered before.
        if struck and error is None and not sent and name not in PATIENT:
            yield f"it returned {result!r}"

    def _undertake(
        self, name: str, number: int = 0, strike: Callable[[], object] = int, *, after: bool = False
    ) -> tuple[object, Exception | None]:
        """Undertake it, with a blow at that request; return its result and its error."""

        def begin() -> None:
            self._ambush.lay(number, strike, after=after)

        self._ambush.lay()
        self._client.ping()
        self._scene.begin = begin
        if name not in PREPARED:
            begin()
        try:
            return OPERATIONS[name](self._scene), None
        except Exception as error:  # noqa: BLE001 - what is expected depends
            return None, error

    def _left(self, *, lost: bytes) -> Iterator[str]:
        """What is still there a while later; *lost* is the request without a reply."""
        end = time.monotonic() + PATIENCE
        # Of a file that is opened when nobody waits for it any more, nobody knows the handle.
        unknown = b"guest-file-open" in lost
        guest = self._scene.guest
        while found := self._scene.left() + ([] if unknown else self._agent.opened(guest)):
            if time.monotonic() > end:
                yield f"left behind: {found}"
                return
            time.sleep(0.02)


def _blows(name: str) -> tuple[str, ...]:
    number = [*OPERATIONS].index(name)
    return BLOWS if ALL or name in LONG else (BLOWS[number % len(BLOWS)],)


def _moments(count: int) -> list[tuple[int, bool]]:
    """At which of so many requests the agent is struck, and whether these have been sent."""
    if not ALL:
        return [((count + 1) // 2, False)]
    numbers = {*range(1, min(count, 6) + 1), *range(max(1, count - 5), count + 1)}
    return [(number, sent) for number in sorted(numbers) for sent in (False, True)]


def tried(agents: list[Troubled], names: list[str], directory: Path) -> list[str]:
    """What is wrong with the operations of these *names*; each agent takes the next one."""
    waiting = iter(names)
    wrong: list[str] = []

    def work(agent: Troubled, number: int) -> None:
        ambush = Ambush(agent.target)
        try:
            with qga.Client(ambush.dial, timeout=PATIENCE) as client:
                trial = Trial(agent, directory / str(number), client, ambush)
                while (name := next(waiting, None)) is not None:
                    wrong.append(f"{name}: not tried to its end")
                    found = [*trial.of(name)]
                    wrong.remove(f"{name}: not tried to its end")
                    wrong.extend(found)
        except Exception as error:  # noqa: BLE001 - for the test's thread
            wrong.append(repr(error))

    threads = [
        threading.Thread(target=work, args=(agent, number)) for number, agent in enumerate(agents)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


@pytest.fixture(autouse=True, scope="module")
def _all_loaded() -> None:
    """Modules that are loaded when they are needed are rewritten by pytest, in one thread only."""
    for module in pkgutil.walk_packages(qga.client.__path__, "qga.client."):
        importlib.import_module(module.name)


@pytest.fixture(autouse=True)
def _no_long_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a program is not tried for long where nobody answers."""
    for module in (kept, process):
        monkeypatch.setattr(module, "ENDING", 1.0)


@pytest.mark.timeout(2 * 3600 if ALL else 900)
@pytest.mark.parametrize("which", ["ours", pytest.param("stock", marks=pytest.mark.interop)])
def test_each_operation(which: str, tmp_path: Path, spools: Spools) -> None:
    with ExitStack() as stack:
        agents: list[Troubled] = [
            Process(stack.enter_context(either(which, BLOCKED_BUT_EXEC))) for _ in range(LANES)
        ]
        wrong = tried(agents, [*SIMPLE, *PREPARED], tmp_path)
    assert "\n".join(wrong) == ""
    spools.wait_gone()


def test_a_program_whose_end_an_agent_does_not_hear_of(
    exec_agent: RunningAgent, spools: Spools
) -> None:
    """One that is restarted at each of the last requests: nothing waits for the lease to end."""
    ambush = Ambush(exec_agent.target)
    with qga.Client(ambush.dial, timeout=PATIENCE) as client:
        client.run(["true"])
        count = ambush.sent
        for number in range(max(1, count - 5), count + 1):
            client.ping()
            ambush.lay(number, exec_agent.restart)
            with suppress(qga.TransportError):
                client.run(["true"])
            ambush.lay()
            client.ping()
            spools.wait_gone()


def test_each_that_no_machine_but_a_guest_takes(tmp_path: Path) -> None:
    fakes = [FakeAgent() for _ in range(LANES)]
    with ExitStack() as stack:
        agents: list[Troubled] = []
        for number, fake in enumerate(fakes):
            fake.files.mkdir("/run/cloud-init")
            fake.files["/run/cloud-init/result.json"] = b'{"v1": {"errors": []}}'
            directory = tmp_path / f"fake-{number}"
            directory.mkdir()
            agents.append(Fake(fake, stack.enter_context(fake.serve()), directory))
        wrong = tried(agents, [*FAKED], tmp_path)
    assert "\n".join(wrong) == ""
    assert {fake.state for fake in fakes} == {"thawed"}
