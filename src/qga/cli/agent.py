"""`qga ping` and `status`: the agent itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import ending, quick
from .fleet import each_guest
from .output import Shown

if TYPE_CHECKING:
    from qga.client import Target

    from .options import Settings


@click.command()
@each_guest
def ping(settings: Settings, target: Target) -> Shown:
    """See whether the agent answers, and how fast."""
    with settings.connect(target) as client:
        milliseconds = quick.milliseconds(client)
    return Shown(
        {"target": str(target), "milliseconds": milliseconds},
        quick.answered(target, milliseconds),
    )


@click.command()
@each_guest
def status(settings: Settings, target: Target) -> Shown:
    """Show whether the guest's file systems are frozen."""
    with settings.connect(target) as client:
        state = client.fsfreeze_status()
    return Shown({"status": state}, ending.printable(state))
