"""Which targets there are: `qga.targets`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qga.errors import InvalidTarget

from . import schemes
from .deadline import TIMEOUT

if TYPE_CHECKING:
    from .reach import Reach


@dataclass(frozen=True, slots=True)
class Known:
    """A target that there is.

    Attributes:
        target: what `qga.connect` takes.
        name: the guest's, where it runs, or the target's in a targets file.
        uuid: the guest's; None if it is not known.
        agent: "connected" if an agent has opened its channel in the guest, "disconnected" if none
            has, "none" if the guest has no such channel; None if it is not known.
        source: where it was found: "file", "libvirt", "socket" or "pve".
        state: how it is, a word or two, as `qga.client.reach` lists them; None if nobody looked.
    """

    target: str
    name: str
    uuid: str | None = None
    agent: str | None = None
    source: str = "file"
    state: Reach | None = None


def targets(
    place: str | None = None, *, timeout: float = TIMEOUT, probe: bool = False
) -> list[Known]:
    """The targets that there are, by their names.

        >>> qga.targets("unix:")
        Traceback (most recent call last):
        qga.errors.InvalidTarget: 'unix:' is no place that tells its guests: ...

    Without a *place* these are all that can be found here: the names in targets files, the domains
    of this machine's libvirt that have a channel for an agent, and the sockets of QEMU. What of
    this cannot be asked is left out. `QGA_FIND` limits it, as `files` or `files,libvirt,sockets`.

    Args:
        place: where: `libvirt:` or `libvirt+URI` for the running domains of a libvirt (as
            `libvirt+qemu:///system`), `pve:` or `pve://HOST` for the running virtual machines of a
            Proxmox VE cluster; None for all that can be found here.
        timeout: seconds that it may take to find out.
        probe: look also how each of them is, all at once, in a few seconds. Nobody is disturbed: a
            channel that another client has is left alone, others are synchronised with once.

    Raises:
        InvalidTarget: *place* is none, or a targets file is wrong.
        NoChannel: *place* cannot be reached.
        AgentTimeout: not in time.
    """
    if place is None:
        from . import discovery

        found = discovery.found(timeout)
    else:
        scheme = schemes.scheme_of(place)
        if scheme is None or scheme.listing is None:
            able = [f"{name}:" for name, found_one in schemes.SCHEMES.items() if found_one.listing]
            raise InvalidTarget(
                f"{place!r} is no place that tells its guests: use {', '.join(able)}"
            )
        found = scheme.listing(place, timeout)
    if probe:
        from . import probing

        return probing.probed(found)
    return found
