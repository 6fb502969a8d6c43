"""The way to an agent through the API of Proxmox VE, over HTTPS. Needs the extra `proxmox` (httpx).

    with qga.connect("pve:node1/100") as guest: ...

    from qga.client import proxmox
    with proxmox.connect("node1", 100, host="pve.example.com", token="...") as guest: ...

The API passes a fixed set of verbs on to the agent, so this is a `RequestTransport`:

- `settings` knows server, credentials and TLS; `secure` makes the TLS context;
- `api` holds the conversation with the API without I/O: log-in, calls, and in `answers` what its
  answers and errors mean;
- `agent` translates commands of the protocol to calls, `programs` those that start a program,
  `files` and `handles` the guest-file commands, which the API does not have;
- `transport` drives that with httpx, for both clients; `way` opens it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.client.deadline import TIMEOUT

from .settings import KEYS, Settings, read, target
from .way import ProxmoxWay

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from qga.client.aio import AsyncClient
    from qga.client.sync import Client
    from qga.client.transports import Way

__all__ = ["KEYS", "Settings", "aconnect", "connect", "way"]


def way(text: str, rest: str, settings: Mapping[str, Any]) -> Way:
    """The way that a target means.

    Args:
        text: the whole target.
        rest: what follows `pve:` in it.
        settings: further ones, of a targets file; `KEYS` are their names. What is in none of them
            comes from the environment.

    Raises:
        InvalidTarget: something is wrong or missing.
    """
    return ProxmoxWay(target(text, rest, settings))


def connect(
    node: str, vmid: int | str, *, timeout: float = TIMEOUT, **settings: str | int
) -> Client:
    """Open the way to the agent of a virtual machine.

    Args:
        node: the node of the cluster that the machine is on.
        vmid: the machine's number.
        timeout: what the client's calls may take unless they say otherwise, in seconds.
        settings: `host` (may have a port, or be a URL), `port`, `token` (USER@REALM!ID=SECRET), or
            `user` (USER@REALM), `password` and `otp`; `ca` (a file with certificates to trust) or
            `fingerprint` (SHA-256 of the server's certificate). What is missing comes from the
            environment.

    Raises:
        InvalidTarget: a setting is wrong or missing.
        NoChannel: the API cannot be reached, or does not let us in.
    """
    from qga.client.sync import Client

    client = Client(ProxmoxWay(read(node, vmid, settings)).open, timeout=timeout)
    client.open_channel()
    return client


async def aconnect(
    node: str, vmid: int | str, *, timeout: float = TIMEOUT, **settings: str | int
) -> AsyncClient:
    """The same for asyncio. Arguments and errors are those of `connect`."""
    from qga.client.aio import AsyncClient

    client = AsyncClient(ProxmoxWay(read(node, vmid, settings)).aopen, timeout=timeout)
    await client.open_channel()
    return client
