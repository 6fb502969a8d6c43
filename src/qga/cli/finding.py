"""`qga targets`: which guests there are."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from qga.client import discovery, targetsfile
from qga.client.deadline import TIMEOUT
from qga.client.listing import targets as list_targets

from . import ending
from .fleet import Patterns
from .options import Settings, with_settings
from .output import Shown, Table

EPILOG = """\
\b
Examples:
  qga targets                              # all that can be found here, and its state
  qga targets --no-probe -l 'web*'         # only the names like that, at once
  qga targets libvirt+qemu+ssh://host/system
  qga targets -o jsonl | jq -r 'select(.state == "ready").name'

\b
STATE is one of
  ready           an agent answers
  not answering   the channel is there, and no agent answers
  busy            another client has the channel: it was left alone
  refused         nobody listens on the channel
  no permission   this user may not use it
  not running     the guest does not run, or its channel is not there
  paused          the guest is paused, or asleep
  unknown         it was not looked at, as that would disturb somebody
"""


@click.command(short_help="Show which targets there are.", epilog=EPILOG)
@click.option("--no-probe", is_flag=True, help="Do not look how each of them is.")
@click.option(
    "-l",
    "--limit",
    multiple=True,
    metavar="PATTERN",
    help="Only names that match, as 'web*,!web3'.",
)
@with_settings
@click.argument("place", required=False)
def targets(
    settings: Settings, place: str | None, limit: tuple[str, ...], *, no_probe: bool
) -> Shown:
    """Show which targets there are, and how they are.

    PLACE is libvirt: or libvirt+URI, as libvirt+qemu:///system, for the running domains there,
    pve: or pve://HOST for the running virtual machines of a Proxmox VE cluster. Without one, these
    are all that can be found here: the names in targets files, the domains of this machine's
    libvirt that have a channel for an agent, and the sockets of QEMU.

    Looking takes two seconds at most, and disturbs nobody: a channel that another client has is
    left alone. -o wide shows more.
    """
    timeout = TIMEOUT if settings.timeout is None else settings.timeout
    patterns = Patterns(limit)
    troubles: list[str] = []
    if place is None:
        found = discovery.found(timeout, troubles)
    else:
        found = list_targets(place, timeout=timeout)
    for trouble in troubles:
        print(f"qga: {ending.printable(trouble)}", file=sys.stderr)
    found = [known for known in found if patterns.match(known.name)]
    if not no_probe:
        from qga.client.probing import probed

        found = probed(found)
    if not found and not settings.json:
        print(f"qga: {_nothing(place, limit)}", file=sys.stderr)
    table = Table(
        ["name", "state", "target", "found in", "agent", "uuid"],
        [
            [
                known.name,
                known.state or "",
                known.target,
                known.source,
                known.agent or "",
                known.uuid or "",
            ]
            for known in found
        ],
        wide=frozenset({"found in", "agent", "uuid"}),
    )
    return Shown([asdict(known) for known in found], table if found else "")


def _nothing(place: str | None, limit: tuple[str, ...]) -> str:
    """Why no target is shown, and how there would be one."""
    if limit:
        return f"no target is named like {Patterns(limit)}"
    if place is not None:
        return f"no guest runs at {ending.printable(place)}"
    lacking = {
        "files": f"no name in {' and '.join(map(str, targetsfile.files()))}",
        "libvirt": "no domain of libvirt",
        "sockets": "no socket of QEMU",
    }
    told = [text for source, text in lacking.items() if source in discovery.sources()]
    return f"no target was found here: {', '.join(told)}; `qga help targets` tells more"
