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


@click.command(
    epilog="""\b
Examples:
  qga ping web
  qga ping --timeout 2 unix:/run/vm1/qga.sock
  qga ping --all -o jsonl
""",
)
@each_guest
def ping(settings: Settings, target: Target) -> Shown:
    """See whether the agent answers, and how fast."""
    with settings.connect(target) as client:
        milliseconds = quick.milliseconds(client)
    return Shown(
        {"target": str(target), "milliseconds": milliseconds},
        quick.answered(target, milliseconds),
    )


@click.command(
    short_help="Show whether the guest's file systems are frozen.",
    epilog="""\b
Examples:
  qga status web1
  qga status --all -o jsonl
""",
)
@each_guest
def status(settings: Settings, target: Target) -> Shown:
    """Show whether the guest's file systems are frozen: `thawed`, `frozen` or `error`."""
    with settings.connect(target) as client:
        state = client.fsfreeze_status()
    more = _MEANING.get(state, "")
    return Shown({"status": state}, ending.printable(state) + more)


# Agents do not tell since when, nor by whom.
_MEANING = {
    "frozen": ": programs that write wait, and the agent refuses most commands, until `qga thaw`",
    "error": ": some file systems could not be thawed; see to them in the guest, then `qga thaw`",
}
