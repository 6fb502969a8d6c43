"""Which targets there are: `qga.targets`."""

from __future__ import annotations

from dataclasses import dataclass

from qga.errors import InvalidTarget

from . import schemes
from .deadline import TIMEOUT


@dataclass(frozen=True, slots=True)
class Known:
    """A target that there is.

    Attributes:
        target: what `qga.connect` takes.
        name: the guest's, where it runs, or the target's in a targets file.
        uuid: the guest's; None if it is not known.
        agent: "connected" if an agent has opened its channel in the guest, "disconnected" if none
            has, "none" if the guest has no such channel; None if it is not known.
    """

    target: str
    name: str
    uuid: str | None = None
    agent: str | None = None


def targets(place: str | None = None, *, timeout: float = TIMEOUT) -> list[Known]:
    """The targets that there are, by their names.

        >>> qga.targets("unix:")
        Traceback (most recent call last):
        qga.errors.InvalidTarget: 'unix:' is no place that tells its guests: ...

    Args:
        place: where: `libvirt:` or `libvirt+URI` for the running domains of a libvirt (as
            `libvirt+qemu:///system`), `pve:` or `pve://HOST` for the running virtual machines of a
            Proxmox VE cluster; None for those that the targets files name.
        timeout: seconds that it may take to find out.

    Raises:
        InvalidTarget: *place* is none, or a targets file is wrong.
        NoChannel: *place* cannot be reached.
        AgentTimeout: not in time.
    """
    if place is None:
        from . import targetsfile

        return [Known(entry.target, name) for name, entry in targetsfile.entries()]
    scheme = schemes.scheme_of(place)
    if scheme is None or scheme.listing is None:
        able = [f"{name}:" for name, found in schemes.SCHEMES.items() if found.listing]
        raise InvalidTarget(f"{place!r} is no place that tells its guests: use {', '.join(able)}")
    return scheme.listing(place, timeout)
