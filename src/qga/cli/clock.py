"""`qga time`: the guest's clock, beside this machine's; and setting it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from qga.errors import CommandError, Unsupported
from qga.protocol import GetTimezone

from . import ending
from .caution import allows
from .fleet import each_guest
from .output import Shown, Table

if TYPE_CHECKING:
    from qga.client import Client, Target
    from qga.client.facts import TimeOffset, TimeSync
    from qga.protocol.clock import Timezone

    from .options import Settings

# Up to so many seconds, two clocks are the same for people.
_SAME = 0.001


@click.command(
    "time",
    epilog="""\b
Examples:
  qga time web1
  qga time --all -o json | jq '.[] | select(.result.offset | fabs > 1) | .guest'
  qga time --sync web1       # after it was suspended, restored or migrated
  qga time --sync --from-rtc web1
""",
)
@click.option("--sync", is_flag=True, help="Set the guest's clocks to this machine's.")
@click.option(
    "--from-rtc",
    is_flag=True,
    help="With --sync: set its system clock to its hardware clock, which the host keeps right.",
)
@click.option("--dry-run", is_flag=True, help="With --sync: say by how much they would be set.")
@each_guest
def clock(
    settings: Settings, target: Target, *, sync: bool, from_rtc: bool, dry_run: bool
) -> Shown:
    """Show the guest's clock, and how far it is from this machine's.

    The guest is asked several times. Each answer was given between question and reply, so that each
    bounds the difference from both sides.
    """
    if (from_rtc or dry_run) and not sync:
        raise click.UsageError(f"--{'from-rtc' if from_rtc else 'dry-run'} goes with --sync")
    with settings.connect(target) as client:
        if not sync:
            return _shown(client)
        source = "rtc" if from_rtc else "host"
        if dry_run:
            return _rehearsed(client, source)
        return _set(client.sync_time(rtc=from_rtc), source)


def _shown(client: Client) -> Shown:
    offset = client.time_offset()
    host = datetime.now(UTC)
    guest = host + timedelta(seconds=offset.seconds)
    zone = _zone(client)
    value = {
        "guest": _iso(guest),
        "host": _iso(host),
        **_record(offset),
        "timezone": None if zone is None else {"zone": zone.zone, "offset": zone.offset},
    }
    rows = [["guest", _people(guest)], ["this machine", _people(host)]]
    if zone is not None:
        local = guest + timedelta(seconds=zone.offset)
        name = ending.printable(zone.zone or "")
        rows.insert(1, ["there", f"{local:%Y-%m-%d %H:%M:%S} {name}".rstrip()])
    rows.append(["difference", _difference(offset)])
    return Shown(value, Table(["clock", "time"], rows))


def _zone(client: Client) -> Timezone | None:
    try:
        return client.execute(GetTimezone())
    except (CommandError, Unsupported):
        return None  # an agent before 2.10


def _rehearsed(client: Client, source: str) -> Shown:
    offset = client.time_offset()
    allowed = allows(client, "guest-set-time")
    value = {"source": source, "before": _record(offset), "dry_run": True, "allowed": allowed}
    to = "its hardware clock" if source == "rtc" else "this machine's"
    text = f"would set the guest's clock to {to}; it is {_difference(offset)}"
    if not allowed:
        text = f"could not set the guest's clock: the agent does not allow guest-set-time; it is \
{_difference(offset)}"
    return Shown(value, text, 0 if allowed else 1)


def _set(done: TimeSync, source: str) -> Shown:
    value = {
        "source": source,
        "before": _record(done.before),
        "after": _record(done.after),
        "warning": done.warning,
    }
    told = f"was {_difference(done.before)}, is {_difference(done.after)}"
    if done.warning:
        told += f"; but: {ending.printable(done.warning)}"
    return Shown(value, told)


def _record(offset: TimeOffset) -> dict[str, Any]:
    return {
        "offset": round(offset.seconds, 6),
        "uncertainty": round(offset.uncertainty, 6),
        "round_trip": round(offset.round_trip, 6),
    }


def _difference(offset: TimeOffset) -> str:
    seconds, doubt = abs(offset.seconds), offset.uncertainty
    if seconds <= max(doubt, _SAME):
        return f"the same, within {max(doubt, _SAME) * 1000:.0f} ms"
    amount = f"{seconds:.3f} s" if seconds < 60 else f"{seconds:.1f} s"
    if seconds >= 120:
        amount += f" ({timedelta(seconds=round(seconds))})"
    return f"{amount} {'ahead' if offset.seconds > 0 else 'behind'}, ± {doubt * 1000:.1f} ms"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _people(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} UTC"
