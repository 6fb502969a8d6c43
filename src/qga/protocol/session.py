"""Synchronisation and introspection: guest-sync, guest-ping, guest-info."""

from .model import Command, Struct, member


class SyncDelimited(Command[int]):
    """Echo back a unique integer value, and prepend a 0xFF byte to the reply.

    The byte lets a client find the reply in a stream whose beginning it has missed: it drops
    everything up to and including 0xFF. The client may send 0xFF before the request too, so that
    the agent drops a partial request that an earlier client has left.

    Members:
        id: a random integer

    Returns: the integer *id*
    """

    NAME = "guest-sync-delimited"
    SINCE = "1.1"
    WHILE_FROZEN = True

    id: int


class Sync(Command[int]):
    """Echo back a unique integer value.

    Replies that come before the one with this value answer earlier requests, perhaps of another
    client: they are stale and to be ignored. The client may precede the request by the byte 0xFF,
    which flushes JSON that the agent has read in part.

    Members:
        id: a random integer

    Returns: the integer *id*
    """

    NAME = "guest-sync"
    SINCE = "0.15"
    WHILE_FROZEN = True

    id: int


class Ping(Command[None]):
    """Ask whether the agent answers; its reply is all that there is to it."""

    NAME = "guest-ping"
    SINCE = "0.15"
    WHILE_FROZEN = True


class AgentCommandInfo(Struct):
    """A command of the agent.

    Members:
        name: its name
        enabled: whether it can be used now, by the configuration and the freeze state
        success-response: whether it answers when it succeeds
    """

    NAME = "GuestAgentCommandInfo"
    SINCE = "0.15"

    name: str
    enabled: bool
    success_response: bool = member(default=True, since="1.7")


class AgentInfo(Struct):
    """What the agent is.

    Members:
        version: the version of QEMU whose schema the agent implements
        supported_commands: the commands that it knows, enabled or not
    """

    NAME = "GuestAgentInfo"
    SINCE = "0.15"

    version: str
    # Agents that were released before 1.1 sent the version alone.
    supported_commands: list[AgentCommandInfo] = member(default=(), name="supported_commands")


class Info(Command[AgentInfo]):
    """Get the agent's version and the list of its commands.

    Returns: `GuestAgentInfo`
    """

    NAME = "guest-info"
    SINCE = "0.15"
    WHILE_FROZEN = True
