"""Single commands about the agent and the guest as a whole. For `operations`."""

from __future__ import annotations

from qga.protocol import Info, Ping

from .steps import Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.protocol.session import AgentInfo

    from .steps import Flow


def ping(*, timeout: float | None = None) -> Flow[None]:
    """Return when the agent has answered.

        >>> client.ping()

    Args:
        timeout: seconds for the call; the client's own if None.
    """
    if timeout is not None:  # a step less: this may be called often
        yield Timeout(timeout)
    yield Ping()


def info(*, timeout: float | None = None) -> Flow[AgentInfo]:
    """The agent's version and commands.

        >>> info = client.info()
        >>> info.version
        '10.2.0'
        >>> [command.name for command in info.supported_commands if not command.enabled]
        []

    Args:
        timeout: seconds for the call; the client's own if None.
    """
    yield Timeout(timeout)
    found: AgentInfo = yield Info()
    return found


def shutdown(mode: str | None = None, *, timeout: float | None = None) -> Flow[None]:
    """Begin a shutdown of the guest.

    The agent is silent when it could begin one, so this returns after 3 seconds without an error,
    or when the channel closes. That it worked shows in the guest's going away.

        >>> client.shutdown("powerdown")
        >>> client.ping()
        Traceback (most recent call last):
        qga.errors.NoChannel: no agent

    Args:
        mode: "powerdown" (the default), "halt" or "reboot".
        timeout: seconds for the call; the client's own if None.
    """
    from qga.protocol import Shutdown  # another topic; most only ping

    yield Timeout(timeout)
    yield Shutdown(mode=mode)
