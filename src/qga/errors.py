"""The exceptions of qga, one tree for both sides of the channel.

    QgaError
    ├── InvalidTarget            a target that cannot be understood (also a ValueError)
    ├── TransportError           the channel could not be opened, or broke (also an OSError)
    │   ├── NoChannel            there is none, or it cannot be opened: nothing was sent
    │   └── ConnectionLost       it broke while a reply was awaited
    ├── AgentTimeout             no reply in time (also a TimeoutError)
    │   ├── AgentNotResponding   not even to the synchronisation: nothing was sent
    │   │   └── AgentBusy        somebody is there, but not for this client now
    │   └── WaitTimeout          what was waited for did not come in time
    ├── Unsupported              the channel or the guest has no way to do this: nothing was sent
    ├── ProtocolError            what came over the channel is not the guest agent protocol
    └── CommandError             the agent answered with an error
        ├── CommandNotFound      it does not know the command
        ├── CommandDisabled      it knows the command and refuses it
        │   └── AgentFrozen      because file systems are frozen
        ├── BadArgument          an argument is missing, unknown, or of the wrong type or value
        └── GuestOSError         the guest's operating system refused; `errno` tells why

The agent raises the `CommandError` branch from its handlers and sends it as an error reply; the
client raises the same classes from the reply that it received, and adds a hint at what to do.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    LegacyError = tuple[str, dict[str, Any]]


class QgaError(Exception):
    """Root of everything that qga raises on purpose.

    `hint` says in one clause what to do about it; the text of the exception ends with it.

        >>> try:
        ...     client.read_file("/no/such/file")
        ... except qga.QgaError as error:
        ...     print(type(error).__name__)
        GuestOSError
    """

    hint = ""

    @property
    def text(self) -> str:
        """What was wrong, without the hint."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.text}; {self.hint}" if self.hint else self.text


class InvalidTarget(QgaError, ValueError):
    """A target, or the path that follows it, cannot be understood.

    >>> qga.connect("unix:")
    Traceback (most recent call last):
    qga.errors.InvalidTarget: 'unix:' lacks what follows the colon
    """


class TransportError(QgaError, OSError):
    """The channel could not be opened, or broke.

    >>> client.close()
    >>> client.ping()
    Traceback (most recent call last):
    qga.errors.TransportError: this client has been closed
    """

    hint = "is the virtual machine running, and is this its agent's channel?"


class NoChannel(TransportError):
    """There is no channel, or it cannot be opened. Nothing was sent.

    `off` says whether it is known that no virtual machine runs behind it: the socket that QEMU has
    is gone, or who runs the machine says so. `asleep` says whether it is known that nobody there
    can answer now: the machine is paused or asleep, or no agent listens.

        >>> qga.connect("unix:/no/such/socket")
        Traceback (most recent call last):
        qga.errors.NoChannel: cannot open unix:/no/such/socket: No such file or directory
    """

    off = asleep = False


class ConnectionLost(TransportError):
    """The channel was closed while a reply was awaited.

    Or the agent has been restarted meanwhile, and does not know any more what it is asked about: a
    file that was open, or how a program ended.

        >>> agent.disturb("guest-ping", cut=0)
        >>> client.ping()
        Traceback (most recent call last):
        qga.errors.ConnectionLost: the agent's side closed the channel
    """

    hint = "was the guest or its agent stopped?"


class AgentTimeout(QgaError, TimeoutError):
    """The agent did not reply in time; the command may still be carried out.

    >>> agent.disturb("guest-info", delay=60)
    >>> client.info(timeout=10)
    Traceback (most recent call last):
    qga.errors.AgentTimeout: guest-info: no answer within 10 s
    """

    hint = "the guest may still be at it: a longer timeout waits for it"


class AgentNotResponding(AgentTimeout):
    """The channel is taken, or nobody in the guest answers the synchronisation.

    The command has not even been sent.

        >>> with agent.stopped():
        ...     client.ping(timeout=10)
        Traceback (most recent call last):
        qga.errors.AgentNotResponding: the agent does not answer: no answer within 10 s
    """

    hint = (
        "is qemu-guest-agent installed and running in the guest, "
        "and no other client on the channel?"
    )


class AgentBusy(AgentNotResponding):
    """Somebody is there, but not for this client now.

    Another client holds the channel, calls of other threads took all the time, or the agent took
    the question and does not answer it (then `taken` is true: it, or the whole guest, may be
    asleep). Nothing was sent but the synchronisation.

        >>> issubclass(qga.AgentBusy, qga.AgentNotResponding)
        True
    """

    hint = "wait until it is free"
    taken = False


class WaitTimeout(AgentTimeout):
    """What was waited for did not come in time: the text says what was seen last.

    >>> client.wait_for(file="/no/such/file", timeout=0)
    Traceback (most recent call last):
    qga.errors.WaitTimeout: there is no /no/such/file after 0 s
    """

    hint = ""


class Unsupported(QgaError):
    """The channel cannot carry this command, or the guest lacks what the operation needs.

    >>> client.files.mkdir("/srv/new")  # by the guest's shell, which the fake agent has not
    Traceback (most recent call last):
    qga.errors.Unsupported: the guest has no /bin/sh, which this operation needs
    """


class ProtocolError(QgaError):
    r"""What came over the channel is not the guest agent protocol.

    >>> agent.disturb("guest-ping", garbage=b"# noise\n")
    >>> client.ping()
    Traceback (most recent call last):
    qga.errors.ProtocolError: guest-ping: the reply is not JSON: ...
    """

    hint = "is this the channel of an agent, and no other client on it?"


class CommandError(QgaError):
    """An error reply: `desc` is its text, `error_class` its QAPI class.

    `legacy` is the class and data by which agents before 1.2 tell the same error.

        >>> agent.reply("guest-fstrim", qga.CommandError("no disk takes it"))
        >>> client.execute(Fstrim())
        Traceback (most recent call last):
        qga.errors.CommandError: no disk takes it
    """

    error_class = "GenericError"

    def __init__(self, desc: str, legacy: "LegacyError | None" = None) -> None:
        super().__init__(desc)
        self.desc = desc
        self.legacy: LegacyError = legacy or ("QgaCommandFailed", {"message": desc})


class CommandNotFound(CommandError):
    """The agent does not know the command.

    >>> client.call("guest-nonsense")
    Traceback (most recent call last):
    qga.errors.CommandNotFound: The command guest-nonsense has not been found
    """

    error_class = "CommandNotFound"

    @classmethod
    def named(cls, name: str) -> "CommandNotFound":
        """The error that tells the command's name; what the agent raises.

        >>> print(qga.CommandNotFound.named("guest-x").desc)
        The command guest-x has not been found
        """
        return cls(
            f"The command {name} has not been found", legacy=("CommandNotFound", {"name": name})
        )


class CommandDisabled(CommandError):
    """The agent knows the command and refuses it: by its configuration, or for now.

    >>> agent.blocked.add("guest-exec")
    >>> client.execute(Exec(path="true"))
    Traceback (most recent call last):
    qga.errors.CommandDisabled: Command guest-exec has been disabled: the command is not allowed
    """

    error_class = "CommandNotFound"

    @classmethod
    def named(cls, name: str) -> "CommandDisabled":
        """The error that tells the command's name; what the agent raises.

        >>> print(qga.CommandDisabled.named("guest-x").desc)
        Command guest-x has been disabled: the command is not allowed
        """
        return cls(
            f"Command {name} has been disabled: the command is not allowed",
            legacy=("CommandDisabled", {"name": name}),
        )


class AgentFrozen(CommandDisabled):
    """The command is refused because file systems of the guest are frozen.

    >>> agent.version = "7.2"
    >>> agent.state = "frozen"
    >>> client.read_file("/etc/hostname")
    Traceback (most recent call last):
    qga.errors.AgentFrozen: Command guest-file-open has been disabled: the agent is in frozen state
    """


class BadArgument(CommandError):
    """An argument is missing, not known, or of the wrong type or value.

    >>> client.call("guest-file-close", {"handle": "one"})
    Traceback (most recent call last):
    qga.errors.BadArgument: Invalid parameter type for 'handle', expected: integer
    """

    @classmethod
    def value(cls, member: str, value: object) -> "BadArgument":
        """The error that tells which *value* an argument cannot have; what the agent raises.

        >>> print(qga.BadArgument.value("mode", "x").desc)
        value 'x' is invalid for argument mode
        """
        return cls(
            f"value '{value}' is invalid for argument {member}",
            legacy=("InvalidParameter", {"name": member}),
        )


class GuestOSError(CommandError):
    """The guest's operating system refused; `errno` is its number, None when it is not known.

    >>> client.read_file("/no/such/file")
    Traceback (most recent call last):
    qga.errors.GuestOSError: failed to open file '/no/such/file' (mode: 'r'): No such file...
    """

    def __init__(
        self, desc: str, errno: int | None = None, legacy: "LegacyError | None" = None
    ) -> None:
        super().__init__(desc, legacy)
        self.errno = errno
