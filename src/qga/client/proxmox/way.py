"""How the API is opened: `ProxmoxWay` is what a pve: target stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import NoChannel

from .agent import Agent

if TYPE_CHECKING:
    import ssl
    from typing import Any

    from qga.client.aiotransports import AsyncRequestTransport
    from qga.client.deadline import Deadline
    from qga.client.transports import RequestTransport

    from .settings import Settings


class ProxmoxWay:
    """The way to the agent of one virtual machine.

    Log-in and open files outlast the connection: when it breaks, nothing has changed in the guest.

    Args:
        settings: server, machine and credentials.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._agent = Agent(settings)
        self._context: ssl.SSLContext | None = None

    def open(self, deadline: Deadline) -> RequestTransport:
        self._prepare()
        from .transport import opened

        return opened(self._agent, self._secure(), deadline)

    async def aopen(self, deadline: Deadline) -> AsyncRequestTransport:
        self._prepare()
        from .transport import aopened

        return await aopened(self._agent, self._secure(), deadline)

    def machines(self, deadline: Deadline) -> list[dict[str, Any]]:
        """What the API says of each virtual machine of the cluster that we may see."""
        self._prepare()
        from .transport import ProxmoxTransport

        transport = ProxmoxTransport(self._agent, self._secure())
        try:
            return transport.hold(self._agent.session.machines(), deadline)
        finally:
            transport.close()

    def _prepare(self) -> None:
        try:
            import httpx  # noqa: F401 - only whether it is there
        except ModuleNotFoundError as error:
            if error.name != "httpx":
                raise
            raise NoChannel("this needs httpx: pip install 'qga[proxmox]'") from error

    def _secure(self) -> ssl.SSLContext:
        if self._context is None:
            from .secure import context  # ssl takes time to load

            self._context = context(self.settings)
        return self._context
