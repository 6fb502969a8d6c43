"""Whether an agent can be used, and waiting until something is so. For `operations`."""

from __future__ import annotations

import os
from types import GeneratorType
from typing import TYPE_CHECKING

from qga.client.deadline import Deadline
from qga.client.state import State, Word
from qga.errors import (
    AgentBusy,
    AgentNotResponding,
    AgentTimeout,
    CommandDisabled,
    CommandError,
    CommandNotFound,
    ProtocolError,
    QgaError,
    TransportError,
    Unsupported,
)
from qga.protocol import Exec, FsfreezeStatus, Info, Ping
from qga.protocol.fsfreeze import FsfreezeState

from . import facts
from .asking import told
from .handle import close_file, open_file
from .script import outcome, script
from .steps import GetLimits, Limits, Timeout
from .timing import LOOK, NotYet, until, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from qga.protocol.exec import ExecStarted
    from qga.protocol.session import AgentInfo

    from .script import GuestPath, Output
    from .steps import Flow

# What this library's operations rest on, and distributions like to disable.
ESSENTIAL = (
    "guest-exec",
    "guest-exec-status",
    "guest-file-open",
    "guest-file-read",
    "guest-file-write",
    "guest-file-close",
)


def state(*, needs: str | Iterable[str] | None = None, timeout: float = 5.0) -> Flow[State]:
    """How the agent is, in one word and one sentence.

    What the word explains is not raised: that the channel cannot be opened, that nobody answers,
    that commands are refused. Between "busy" and "no-agent" decides whether somebody is there at
    all: on a unix socket, the kernel tells whether the connection was accepted and the request
    taken; QEMU takes requests only while the guest has the port open. On other channels silence is
    "no-agent", unless the agent answers the synchronisation and then nothing more.

        >>> str(client.state().word)
        'ready'
        >>> with agent.stopped():
        ...     str(client.state(timeout=1).word)
        'no-agent'

    Args:
        needs: the names of the commands that matter; by default those that run programs and
            transfer files, as far as the channel carries them.
        timeout: the most seconds that it may take in all.
    """
    deadline = Deadline(timeout)
    if isinstance(needs, str):
        needs = (needs,)
    try:
        return (yield from within(deadline, _look(needs, deadline)))
    except (AgentTimeout, TransportError, ProtocolError, CommandError) as error:
        return state_by(error)


def state_by(error: QgaError) -> State:
    """How an agent is that a call has failed with *error* for, whatever the call was."""
    match error:
        case AgentBusy():
            return State(Word.BUSY, str(error))
        case AgentNotResponding():
            return State(Word.NO_AGENT, str(error))
        case AgentTimeout():
            said = f"the agent has answered before, and now does not: {error.text}"
            return State(Word.BUSY, f"{said}; is it at a long command, or stopped?")
        case TransportError():
            return State(Word.NO_CHANNEL, str(error))
        case ProtocolError():
            return State(Word.NO_AGENT, f"what answers is no guest agent: {error}")
    return State(Word.BLOCKED, f"the agent refuses even this: {error}")


def _look(needs: Iterable[str] | None, deadline: Deadline) -> Flow[State]:
    limits: Limits = yield GetLimits()
    yield from _heard(deadline)
    yield Timeout(None)
    try:
        frozen: FsfreezeState = yield FsfreezeStatus()
    except (CommandError, Unsupported):
        frozen = FsfreezeState.THAWED  # it cannot be frozen, or not be asked
    if frozen != FsfreezeState.THAWED:
        if frozen == FsfreezeState.ERROR:
            said = "file systems of the guest could not be thawed: see to them, and thaw() again"
        else:
            said = "file systems of the guest are frozen, until somebody calls thaw()"
        return State(Word.FROZEN, said)
    try:
        info: AgentInfo = yield Info()
    except Unsupported:
        return State(Word.READY, "the agent answers; the channel cannot ask what it allows")
    missing = "; ".join(_missing(needs, info, limits.commands))
    if missing:
        return State(Word.BLOCKED, missing)
    return State(Word.READY, f"the agent answers; it is of version {info.version}")


def _missing(
    needs: Iterable[str] | None, info: AgentInfo, carried: frozenset[str] | None
) -> Iterator[str]:
    """Why which of the commands that matter cannot be used."""
    if needs is None:
        needs = (name for name in ESSENTIAL if carried is None or name in carried)
    enabled = {command.name: command.enabled for command in info.supported_commands}
    lost, disabled, lacking = [], [], []
    for name in needs:
        if carried is not None and name not in carried:
            lost.append(name)
        elif name in enabled:
            disabled += [] if enabled[name] else [name]
        elif enabled:  # the first agents listed nothing
            lacking.append(name)
    if lost:
        yield f"the channel does not carry {', '.join(lost)}"
    if disabled:
        yield (
            f"the agent's configuration in the guest (block-rpcs, allow-rpcs) disables "
            f"{', '.join(disabled)}"
        )
    if lacking:
        yield f"the agent, of version {info.version}, does not have {', '.join(lacking)}"


def _heard(deadline: Deadline) -> Flow[None]:
    """Return when the agent has answered, whatever."""
    for share in (0.5, 1):
        # The first silence may be one in the middle. The second time begins with getting in step,
        # and tells whether anybody is there at all.
        yield Timeout(deadline.remaining() * share)
        try:
            yield Ping()
            return
        except (CommandDisabled, CommandNotFound, Unsupported):
            return
        except AgentTimeout:
            if share == 1:
                raise


def wait_ready(
    timeout: float = 60.0,
    *,
    needs: str | Iterable[str] = (),
    seen: Callable[[str], object] | None = None,
) -> Flow[State]:
    """Wait until the agent is ready: it answers, and nothing is frozen.

    Opens the channel again and again if need be, so that it does not matter whether the virtual
    machine runs yet, or the agent is started or the guest rebooted meanwhile. Just after a reboot
    was asked for, the agent may still answer: wait until `boot_id` has changed.

        >>> client.wait_ready(10).ready
        True

    Args:
        timeout: how many seconds to wait.
        needs: the names of commands that must be enabled, too. What the configuration forbids does
            not change by waiting, so only what is named here is waited for.
        seen: called with what each look has seen instead: to show how it goes.

    Returns: what `state` says in the end.

    Raises:
        WaitTimeout: it was not ready in time; the text says how it was.
    """
    needs = (needs,) if isinstance(needs, str) else tuple(needs)
    deadline = Deadline(timeout)

    def look() -> Flow[State]:
        found = yield from state(needs=needs, timeout=min(LOOK, deadline.remaining()))
        if not found.ready:
            raise NotYet(str(found))
        return found

    found: State = yield from until(deadline, look, "the agent is not ready", seen)
    return found


def wait_for(
    *,
    address: bool | int = False,
    command: str | Sequence[str] | None = None,
    file: GuestPath | None = None,
    condition: Callable[[], Flow[Any] | Any] | None = None,
    timeout: float = 60.0,
    seen: Callable[[str], object] | None = None,
) -> Flow[Any]:
    """Wait until something is so in the guest. One thing is to be given.

    That the agent cannot be reached meanwhile is no error: it may start, or the guest boot, later.

        >>> str(client.wait_for(address=True))
        '192.0.2.10'
        >>> client.wait_for(file="/etc/hostname", timeout=10)
        True

    Args:
        address: the guest has a primary address, as `address()` tells it; 4 or 6 for one of that
            version of IP.
        command: this program and its arguments exits with 0; a single text is the program alone.
        file: there is a file, or anything else, of that name.
        condition: this returns something true: a function without arguments, called for each look,
            which returns a value or a flow (a generator, carried out to its result). Errors of the
            library that it raises mean "not yet".
        timeout: how many seconds to wait.
        seen: called with what each look has seen instead: to show how it goes.

    Returns: the address; what the command has printed, as `Output`; True for a file; what the
        condition returned.

    Raises:
        ValueError: not one thing was given.
        WaitTimeout: it was not so in time; the text says what was seen last.
    """
    deadline = Deadline(timeout)
    wanted: list[tuple[str, Callable[[], Flow[Any]]]] = []
    if address:
        if address not in (True, 4, 6):
            raise ValueError(f"the version of IP is 4 or 6, not {address!r}")
        family = None if address is True else address
        wanted.append(("no primary address", lambda: _address(family)))
    if command is not None:
        words = [command] if isinstance(command, str) else list(command)
        if not words:
            raise ValueError("there is no command to wait for")
        wanted.append((f"{words[0]} did not succeed", lambda: _command(words)))
    if file is not None:
        wanted.append((f"there is no {told(os.fsencode(file))}", lambda: _file(file)))
    if condition is not None:
        wanted.append(("the condition did not come true", lambda: _condition(condition)))
    if len(wanted) != 1:
        raise ValueError("wait for one thing: address, command, file or condition")
    ((what, look),) = wanted
    return (yield from until(deadline, look, what, seen))


def _address(family: int | None) -> Flow[Any]:
    found = yield from facts.address(family, timeout=LOOK)
    if found is None:
        raise NotYet("the guest has none yet that could be reached")
    return found


def _command(command: Sequence[str]) -> Flow[Output]:
    started: ExecStarted = yield Exec(path=command[0], arg=list(command[1:]), capture_output=True)
    done = yield from outcome(started.pid)
    if done.code:
        said = (done.err.strip() or done.out.strip()).decode(errors="replace").splitlines()
        raise NotYet(": ".join([f"exit code {done.code}", *said[-1:]]))
    return done


def _file(path: GuestPath) -> Flow[bool]:
    try:
        done = yield from script('test -e "$1"', path)
    except (CommandDisabled, CommandNotFound, Unsupported):
        # Only now: to open a FIFO wakes who waits to write to it, and agents may wait for that.
        yield from close_file((yield from open_file(path, "r")))
        return True
    if done.code:
        raise NotYet("it is not there")
    return True


def _condition(condition: Callable[[], Flow[Any] | Any]) -> Flow[Any]:
    value = condition()
    if isinstance(value, GeneratorType):
        value = yield from value
    if not value:
        raise NotYet(f"it returned {value!r}")
    return value
