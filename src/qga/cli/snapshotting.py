"""`qga snapshot`: a libvirt domain's disks, as they are while its guest is frozen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from qga.errors import InvalidTarget

from . import ending
from .options import target_argument, with_settings
from .output import Shown, Table, counted
from .quantities import Seconds

if TYPE_CHECKING:
    from datetime import datetime

    from qga.client.domainsnapshot import Snapshot
    from qga.client.target import Target

    from .options import Settings

# How many seconds the guest may be frozen unless told: libvirt needs one or two.
DEADLINE = 60.0


def _disks(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> dict[str, str] | None:
    """Disks and files, as the words NAME or NAME=FILE tell them."""
    found = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not name or (equals and not file.startswith("/")):
            raise click.BadParameter(f"{word!r} is not NAME, nor NAME=/PATH of the libvirt's host")
        found[name] = file
    return found or None


@click.command(
    short_help="Take a snapshot of the disks of a frozen libvirt domain.",
    epilog="""\b
Examples:
  qga snapshot web1
  qga snapshot web1 --name before-upgrade --deadline 10
  qga snapshot libvirt:db1 --disk vdb=/var/lib/libvirt/images/db1-data.new -o json
  qga snapshot unix:/run/vm/qga.sock --domain libvirt:web1
""",
)
@click.option("--name", metavar="NAME", help="The snapshot's; by default made of the time.")
@click.option(
    "--disk",
    "disks",
    multiple=True,
    callback=_disks,
    metavar="NAME[=FILE]",
    help="Take this disk alone, as vda; the guest goes on in FILE. By default all disks.",
)
@click.option(
    "--mount", "mounts", multiple=True, metavar="PATH", help="Freeze what is mounted there alone."
)
@click.option(
    "--deadline",
    type=Seconds(),
    default=DEADLINE,
    metavar="SECONDS",
    help=f"Thaw after so long, whether libvirt is done or not; {DEADLINE:g} by default.",
)
@click.option(
    "--no-metadata", is_flag=True, help="Have libvirt forget the snapshot: its files stay."
)
@click.option(
    "--domain", metavar="TARGET", help="The domain, where TARGET is another way to its agent."
)
@with_settings
@target_argument
def snapshot(
    settings: Settings,
    target: Target,
    *,
    name: str | None,
    disks: dict[str, str] | None,
    mounts: tuple[str, ...],
    deadline: float,
    no_metadata: bool,
    domain: str | None,
) -> Shown | int:
    """Take a snapshot of a libvirt domain's disks while the guest is frozen.

    The file systems are frozen, libvirt takes an external snapshot of all disks at once, and the
    guest is thawed, whatever happens. What is shown proves that the snapshot lies within the
    freeze; if it does not, the exit code is 1, and so it is if libvirt refuses the snapshot. From
    then on the guest writes to new files (overlays), which `virsh blockcommit` brings back.
    """
    from qga.client import domainsnapshot

    try:
        found = domainsnapshot.snapshot(
            target,
            name,
            disks=disks,
            mountpoints=mounts or None,
            deadline=deadline,
            metadata=not no_metadata,
            domain=domain,
            timeout=settings.timeout,
            trace=ending.show_event if settings.debug else None,
        )
    except InvalidTarget as error:
        if domain is None:
            error.hint = "--domain libvirt:NAME tells it"
        raise
    except domainsnapshot.SnapshotFailed as error:
        raise ending.Failed(error, ending.AGENT_ERROR) from error
    except (KeyboardInterrupt, SystemExit) as interrupt:
        told = ["interrupted", *getattr(interrupt, "__notes__", ())]
        print(f"qga: {ending.printable('; '.join(told))}", file=sys.stderr)
        raise
    return _shown(found)


def _shown(found: Snapshot) -> Shown:
    moments = {
        "frozen": found.confirmed,
        "snapshot begun": found.begun,
        "snapshot made": found.made,
        "thaw begun": found.ended,
    }
    value = {
        "name": found.name,
        "domain": found.domain,
        "disks": [
            {"name": disk.name, "image": disk.image, "overlay": disk.overlay}
            for disk in found.disks
        ],
        "frozen": found.frozen,
        "thawed": found.thawed,
        "times": {name.replace(" ", "_"): moment.timestamp() for name, moment in moments.items()},
        "consistent": found.consistent,
        "report": found.report,
    }
    rows = [
        [name, _clock(moment), f"{(moment - found.confirmed).total_seconds():.3f}"]
        for name, moment in moments.items()
    ]
    disks = [[disk.name, disk.image, disk.overlay] for disk in found.disks]
    frozen = counted(found.frozen, "file system")
    return Shown(
        value,
        [
            ending.printable(f"snapshot {found.name} of {found.domain}, {frozen} frozen"),
            "",
            Table(["moment", "time (UTC)", "seconds"], rows, right=frozenset({"seconds"})),
            "",
            Table(["disk", "image of the snapshot", "the guest goes on in"], disks),
            "",
            ending.printable(found.report),
        ],
        0 if found.consistent else 1,
    )


def _clock(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S.%f")[:-3]
