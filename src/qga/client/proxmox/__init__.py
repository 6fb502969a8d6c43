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

from qga.client.deadline import TIMEOUT, Deadline
from qga.client.listing import Known

from .settings import KEYS, Settings, cluster, place, read, target
from .way import ProxmoxWay

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from qga.client.aio import AsyncClient
    from qga.client.sync import Client
    from qga.client.transports import Way

__all__ = ["KEYS", "Settings", "aconnect", "connect", "listing", "machines", "way"]


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


def machines(*, timeout: float = TIMEOUT, **settings: str | int) -> list[Known]:
    """The running virtual machines of a cluster that we may see, by their names.

    Args:
        timeout: seconds that it may take.
        settings: as for `connect`.

    Raises:
        InvalidTarget: a setting is wrong or missing.
        NoChannel: the API cannot be reached, or does not let us in.
        AgentTimeout: it does not answer in time.
    """
    return _machines(cluster(settings), "pve:", timeout)


def listing(where: str, timeout: float) -> list[Known]:
    """The same for `qga.targets`: *where* is `pve:` or `pve://HOST[:PORT]`."""
    return _machines(*place(where), timeout)


def _machines(settings: Settings, prefix: str, timeout: float) -> list[Known]:
    found = ProxmoxWay(settings).machines(Deadline(timeout))
    known = [
        Known(
            f"{prefix}{entry['node']}/{entry['vmid']}",
            str(entry.get("name", entry["vmid"])),
            source="pve",
        )
        for entry in found
        if entry.get("status") == "running"
    ]
    return sorted(known, key=lambda each: (each.name, each.target))
