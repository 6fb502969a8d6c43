"""A snapshot of a libvirt domain's disks in an event loop: the twin of `domainsnapshot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import QgaError

from .aio import aconnect
from .domainsnapshot import PATIENCE, Host, check_frozen, nothing
from .target import settled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .domainsnapshot import Snapshot
    from .target import Target
    from .trace import Trace


async def asnapshot(
    target: str | Target | None = None,
    name: str | None = None,
    *,
    disks: Mapping[str, str] | Sequence[str] | None = None,
    mountpoints: str | Sequence[str] | None = None,
    deadline: float = 60.0,
    metadata: bool = True,
    domain: str | Target | None = None,
    timeout: float | None = None,
    trace: Trace | None = None,
) -> Snapshot:
    """Freeze a libvirt domain's file systems, take a snapshot of its disks, and thaw.

        >>> found = await qga.asnapshot("libvirt:web1", "before-upgrade")
        >>> found.name, found.consistent
        ('before-upgrade', True)

    As `qga.snapshot`, with the same arguments and errors. Cancelled, it thaws at once, and then
    waits until libvirt has done what it was asked for: a note of the exception tells what became
    of the snapshot.
    """
    found, timeout = settled(target, timeout)
    async with await aconnect(found, timeout=timeout, trace=trace) as client:
        host = Host(found if domain is None else domain, name, disks, metadata=metadata)
        try:
            await host.arun(host.look, client.timeout)
            freeze = client.frozen(mountpoints, deadline=deadline, timeout=timeout)
            try:
                async with freeze:
                    check_frozen(freeze)
                    await host.arun(host.create, deadline + PATIENCE)
                await host.arun(host.look, client.timeout)
            except BaseException as error:
                if host.leaves_open(error):
                    try:
                        await host.arun(nothing, PATIENCE)
                    except QgaError:
                        host.answers = False
                    host.explain(error)
                raise
            return host.judged(freeze)
        finally:
            host.close()
