"""`qga targets`: which guests there are."""

from __future__ import annotations

from dataclasses import asdict

import click

from qga.client.deadline import TIMEOUT
from qga.client.listing import targets as list_targets

from .options import Settings, with_settings
from .output import Shown, Table


@click.command(short_help="Show which targets there are.")
@with_settings
@click.argument("place", required=False)
def targets(settings: Settings, place: str | None) -> Shown:
    """Show which targets there are.

    PLACE is libvirt: or libvirt+URI, as libvirt+qemu:///system, for the running domains there,
    pve: or pve://HOST for the running virtual machines of a Proxmox VE cluster;
    without one the names in targets files are shown.
    """
    found = list_targets(place, timeout=TIMEOUT if settings.timeout is None else settings.timeout)
    table = Table(
        ["name", "agent", "target"],
        [[known.name, known.agent or "", known.target] for known in found],
    )
    return Shown([asdict(known) for known in found], table if found else "")
