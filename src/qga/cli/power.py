"""`qga shutdown`: the guest's going down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .fleet import each_guest
from .output import Shown

if TYPE_CHECKING:
    from qga.client import Target

    from .options import Settings


@click.command()
@click.option(
    "--mode",
    type=click.Choice(["powerdown", "halt", "reboot"]),
    default="powerdown",
    show_default=True,
    help="What is to happen.",
)
@each_guest
def shutdown(settings: Settings, target: Target, mode: str) -> Shown:
    """Begin a shutdown of the guest.

    The agent is silent when it could begin one: qga waits 3 seconds for an error.
    """
    with settings.connect(target) as client:
        client.shutdown(mode)
    return Shown(
        {"mode": mode, "refused": False},
        f"{mode}: the agent did not refuse; the guest goes down if it can",
    )
