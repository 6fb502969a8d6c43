"""What flows are made of: the steps that they yield to the driver of a client.

A flow is an operation of several commands, written once for every kind of client. It is a generator
that yields steps and is sent their results, or has the error thrown into it; it returns the
operation's result. The steps are

- a `Command`: have the agent execute it; the answer is its result;
- `Together`: have it execute several commands, sent one behind the other without waiting;
- `Series`: have it execute many, each result being used while the agent is at the next ones;
- `Wait`: pause;
- `Leave`: have it execute a command when there is time, before the next one of any caller;
- `On`, or `Begin` and `End`: have another client carry out another flow;
- `Timeout`: how long each of the following commands may take;
- `GetLimits`: what the channel can carry, as `Limits`.

The drivers are small: `sync.Client.perform` is one, `aio.AsyncClient.perform` the other.
"""

from __future__ import annotations

from qga.protocol.model import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from qga.client.deadline import Deadline
    from qga.client.operation import Awaiting, Blocking
    from qga.protocol.model import Command

    from .kinds import Flow as Flow  # noqa: PLC0414 - for whoever imports them from here
    from .kinds import Progress as Progress  # noqa: PLC0414
    from .kinds import Step as Step  # noqa: PLC0414

    AnyClient = Blocking | Awaiting

# How much of a file one command carries, where the channel takes as much. Larger pieces measured no
# faster, on sockets and over the port of a guest; and where that is slow, or emulated, each of them
# keeps other callers, and other clients, waiting.
CHUNK = 512 << 10

# How much input for a program one command carries.
INPUT = 1 << 20

# How many commands wait to tidy up at the most, as when an agent is gone for days; and how long the
# close of a client may take to do them, in seconds.
MOST_LEFT, TIDYING = 1000, 1.0


class Limits(Struct):
    """What a channel can carry.

        >>> from qga.client import Limits
        >>> Limits().read
        524288

    Attributes:
        read: the most bytes of a file that one guest-file-read should ask for.
        write: the most bytes of a file that one guest-file-write should carry.
        input: the most bytes of input for a program that one guest-exec should carry.
        commands: the names of the commands that it can carry; None for all.
        doubled: whether twice as much of a file is welcome where that takes little time.
    """

    read: int = CHUNK
    write: int = CHUNK
    input: int = INPUT
    commands: frozenset[str] | None = None
    doubled: bool = False


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
    there; or each is in its place among the results where they are *optional*.
    """

    __slots__ = ("commands", "optional")

    def __init__(self, commands: Sequence[Command[Any]], *, optional: bool = False) -> None:
        self.commands = commands
        self.optional = optional


class Series:
    """A step: execute *commands* in order, and *take* each result as it comes; the answer is None.

    The channel is other callers' only afterwards, so end it in time; each command has its timeout
    for itself. A command is made, and its text, while the agent is at the one before. If one fails,
    no more are sent, and the error is raised when all replies are there.

    Args:
        commands: made when they are needed.
        take: called with each result; when it returns True, no more commands are sent.
        ahead: how many may be under way at once, as `Together` does it; large ones, too, where
            the agent is none that loses replies then, as qemu-ga does on a virtio port.
    """

    __slots__ = ("ahead", "commands", "take")

    def __init__(
        self, commands: Iterable[Command[Any]], take: Callable[[Any], bool], *, ahead: int = 1
    ) -> None:
        self.commands = commands
        self.take = take
        self.ahead = ahead


class Leave:
    """A step: have *command* executed before the next command of whatever caller, or at the close.

    It costs no time now, so it is what cancelled and late operations tidy up with. What comes of it
    is ignored; where nobody answers it is tried again. Of more than 1000 that wait, the oldest are
    forgotten.
    """

    __slots__ = ("command",)

    def __init__(self, command: Command[Any]) -> None:
        self.command = command


class On:
    """A step: have *flow* carried out by another *client*; the answer is what it returns."""

    __slots__ = ("client", "flow")

    def __init__(self, client: AnyClient, flow: Flow[Any]) -> None:
        self.client = client
        self.flow = flow


class Begin(On):
    """A step: begin that, and go on with this flow meanwhile; the answer is for `End`."""

    __slots__ = ()


class End:
    """A step: wait for what was begun; the answer is what it returned.

    Args:
        begun: the answer to `Begin`.
    """

    __slots__ = ("begun",)

    def __init__(self, begun: Any) -> None:
        self.begun = begun


class GetLimits:
    """A step: the answer is what the channel can carry, as `Limits`."""

    __slots__ = ()


if not TYPE_CHECKING:  # which would take every name for one of these

    def __getattr__(name: str) -> object:
        if name not in ("Flow", "Progress", "Step"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import kinds

        return getattr(kinds, name)
