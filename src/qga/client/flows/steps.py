"""What flows are made of: the steps that they yield to the driver of a client.

A flow is an operation of several commands, written once for every kind of client. It is a generator
that yields steps and is sent their results, or has the error thrown into it; it returns the
operation's result. The steps are

- a `Command`: have the agent execute it; the answer is its result;
- `Together`: have it execute several commands, sent one behind the other without waiting;
- `Wait`: pause;
- `Leave`: have it execute a command when there is time, before the next one of any caller;
- `Timeout`: how long each of the following commands may take;
- `GetLimits`: what the channel can carry, as `Limits`.

The drivers are small: `sync.Client.perform` is one, `aio.AsyncClient.perform` the other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from qga.protocol.model import Command  # noqa: TC001 - the names below are for users

if TYPE_CHECKING:
    from qga.client.deadline import Deadline

T = TypeVar("T")
Step: TypeAlias = "Command[Any] | Together | Leave | Wait | GetLimits"
Flow: TypeAlias = Generator["Step | Timeout", Any, T]
Progress: TypeAlias = Callable[[int], None]

# How much of a file one command carries, where the channel takes as much. Larger pieces measured no
# faster, on sockets and over the port of a guest; and where that is slow, or emulated, each of them
# keeps other callers, and other clients, waiting.
CHUNK = 512 << 10

# How much input for a program one command carries.
INPUT = 1 << 20

# How many commands wait to tidy up at the most, as when an agent is gone for days; and how long the
# close of a client may take to do them, in seconds.
MOST_LEFT, TIDYING = 1000, 1.0


class Limits(NamedTuple):
    """What a channel can carry.

        >>> from qga.client import Limits
        >>> Limits().read
        524288

    Attributes:
        read: the most bytes of a file that one guest-file-read should ask for.
        write: the most bytes of a file that one guest-file-write should carry.
        input: the most bytes of input for a program that one guest-exec should carry.
        commands: the names of the commands that it can carry; None for all.
    """

    read: int = CHUNK
    write: int = CHUNK
    input: int = INPUT
    commands: frozenset[str] | None = None


class Wait:
    """A step: pause for *seconds*."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Timeout:
    """A step: from here on, each command of this flow may take *seconds*.

    Args:
        seconds: None for the client's own timeout.
        despite: also when the time of a surrounding `qga.deadline()` is over: for what undoes.
        by: the end of the whole operation's time, unless *despite*: `timing.within` sets it.
    """

    __slots__ = ("by", "despite", "seconds")

    def __init__(
        self, seconds: float | None, *, despite: bool = False, by: Deadline | None = None
    ) -> None:
        self.seconds = seconds
        self.despite = despite
        self.by = by


class Together:
    """A step: execute *commands* in order; the answer is the list of their results.

    Up to 4 KiB of requests are sent before the first reply is awaited, where the channel can do
    that, so keep them few and small. If some fail, the first error is raised when all replies are
    there.
    """

    __slots__ = ("commands",)

    def __init__(self, commands: Sequence[Command[Any]]) -> None:
        self.commands = commands


class Leave:
    """A step: have *command* executed before the next command of whatever caller, or at the close.

    It costs no time now, so it is what cancelled and late operations tidy up with. What comes of it
    is ignored; where nobody answers it is tried again. Of more than 1000 that wait, the oldest are
    forgotten.
    """

    __slots__ = ("command",)

    def __init__(self, command: Command[Any]) -> None:
        self.command = command


class GetLimits:
    """A step: the answer is what the channel can carry, as `Limits`."""

    __slots__ = ()
