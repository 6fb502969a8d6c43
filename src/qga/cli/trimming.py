"""`qga trim`: have the guest give back to the host what its file systems do not use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from qga.protocol import Fstrim

from .caution import rehearsed
from .fleet import each_guest
from .options import timeout_option
from .output import Shown, Table, amount

if TYPE_CHECKING:
    from qga.client import Target

    from .options import Settings

# Large disks take minutes.
PATIENCE = 600.0

_TIMEOUT = timeout_option(f"Seconds to wait for the guest to be done; {PATIENCE:g} by default.")

# How agents of all versions say that a file system or its disk has no such thing.
_CANNOT = re.compile("not supported")


def _bytes(_: click.Context, __: click.Parameter, text: str) -> int:
    """The number of bytes that *text* means."""
    found = re.fullmatch(r"(\d+) ?([KMG]?)(i?B)?", text, re.IGNORECASE | re.ASCII)
    if found is None:
        raise click.BadParameter(f"{text!r} is no size, as 65536, 64K or 1M")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()]


@click.command(
    short_help="Give back to the host what file systems do not use.",
    epilog="""\b
Examples:
  qga trim web1
  qga trim --minimum 1M --all
""",
)
@click.option(
    "--minimum",
    callback=_bytes,
    default="0",
    metavar="SIZE",
    help="Leave free ranges alone that are shorter: bytes, or 64K, 1M.",
)
@click.option("--dry-run", is_flag=True, help="Say whether the agent allows it.")
@lambda function: each_guest(function, timeout=_TIMEOUT)
def trim(settings: Settings, target: Target, *, minimum: int, dry_run: bool) -> Shown:
    """Have the guest tell its disks which blocks its file systems do not use.

    The host gets their space back, where the virtual disks pass that on (discard=unmap). The exit
    code is 1 if it failed for a file system; that one cannot be trimmed is no failure.
    """
    with settings.connect(target) as client:
        if dry_run:
            return rehearsed(client, "guest-fstrim", "trim", {"minimum": minimum})
        timeout = PATIENCE if settings.timeout is None else settings.timeout
        found = client.execute(Fstrim(minimum=minimum or None), timeout=timeout)
    value, rows, failed = [], [], False
    for one in found.paths[::-1]:  # agents tell the last one first
        value.append(
            {
                "mountpoint": one.path,
                "trimmed": one.trimmed,
                "minimum": one.minimum,
                "error": one.error,
            }
        )
        failed |= one.error is not None and not _CANNOT.search(one.error)
        trimmed = "" if one.trimmed is None else amount(one.trimmed)
        rows.append([one.path, trimmed, one.error or ""])
    people: str | Table = "done; this agent does not tell of what"
    if rows:
        people = Table(["mount point", "trimmed", "why not"], rows, right=frozenset({"trimmed"}))
    return Shown(value, people, int(failed))
