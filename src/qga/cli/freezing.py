"""`qga freeze TARGET -- COMMAND...`: a command on the host, run while the guest is frozen.

And `qga thaw`, for a guest that something else has left frozen.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import click

from qga.client.target import Target, from_environment
from qga.errors import QgaError

from . import ending, output
from .caution import allows
from .fleet import each_guest
from .options import Settings, WithProgram, behind_dashes, leading_target, meant, with_settings
from .output import Shown

# As other programs that run a command: not confused with the exit codes that commands choose.
FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127

# After how many seconds the guest is thawed unless told: as this package's agent has it.
DEADLINE = 600.0

_NOTHING = "no file system was frozen, so the command was not run; `qga freeze --dry-run` tells why"


@click.command(
    short_help="Thaw the guest's file systems.",
    epilog="""\b
Examples:
  qga thaw web1
  qga thaw --all
""",
)
@each_guest
def thaw(settings: Settings, target: Target) -> Shown:
    """Thaw the guest's file systems, trying again until the agent confirms it."""
    with settings.connect(target) as client:
        count = client.thaw()
    told = f"{output.counted(count, 'file system')} thawed"
    return Shown({"thawed": count}, told if count else "nothing was frozen")


@click.command(
    cls=WithProgram,
    short_help="Run a command while the guest is frozen.",
    epilog="""\b
Examples:
  qga freeze web1 -- lvcreate -s -n snap -L 5G vg/web1
  qga freeze web1 --deadline 20 --mount / --mount /srv -- ./snapshot.sh
  qga freeze web1 --dry-run
""",
)
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=DEADLINE,
    show_default=f"{DEADLINE:g}",
    metavar="SECONDS",
    help="Thaw after so long, whatever COMMAND is at; inf for no limit of qga's.",
)
@click.option(
    "--mount", "mounts", multiple=True, metavar="PATH", help="Freeze what is mounted there alone."
)
@click.option("--dry-run", is_flag=True, help="Show what would be frozen, and what not.")
@with_settings
@click.argument("words", nargs=-1, metavar="[TARGET] -- COMMAND...")
@click.pass_context
def freeze(
    context: click.Context,
    settings: Settings,
    words: tuple[str, ...],
    *,
    deadline: float,
    mounts: tuple[str, ...],
    dry_run: bool,
) -> int:
    """Run COMMAND while the guest's file systems are frozen; thaw them whatever happens.

    COMMAND runs on this machine, for example to take a snapshot. The exit code is its own; 125 when
    freezing or thawing failed, or when the freeze did not hold until the end of a COMMAND that
    succeeded; 126 or 127 when it cannot be run. Where nothing could be frozen it is not run. What
    was done is told on standard error. An interrupt goes to COMMAND; the guest is thawed when it
    ends.
    """
    command = behind_dashes(context)
    if dry_run:
        return settings.show(_rehearse(settings, _only_target(words, command), mounts))
    if command is not None:
        if len(words) > 1:
            raise click.UsageError(f"{words[1]!r} stands before the --; only TARGET may")
        target = Target(words[0]) if words else from_environment()
    else:
        target, command = leading_target(words)
    if not command:
        raise click.UsageError("which command? qga freeze TARGET -- COMMAND...")
    try:
        with (
            settings.connect(target) as client,
            client.frozen(mounts or None, deadline=deadline) as frozen,
        ):
            if not frozen.frozen:
                raise QgaError(_NOTHING)
            if not settings.json:
                what = output.counted(frozen.frozen, "file system")
                print(f"qga: {what} frozen", file=sys.stderr)
            code = _run(command)
    except QgaError as error:
        raise ending.Failed(error, FAILED) from error
    if not frozen.held and not code:
        code = FAILED
    if settings.json:
        summary = {
            "frozen": frozen.frozen,
            "thawed": frozen.thawed or 0,
            "seconds": round(frozen.seconds, 3),
            "held": frozen.held,
            "report": frozen.report,
            "exit_code": code,
        }
        print(json.dumps(summary), file=sys.stderr)
    else:
        what = output.counted(frozen.thawed or 0, "file system")
        held = "it held" if frozen.held else f"it did not hold: {ending.printable(frozen.report)}"
        print(f"qga: {what} thawed after {frozen.seconds:.1f} s: {held}", file=sys.stderr)
    return code


def _only_target(words: tuple[str, ...], command: tuple[str, ...] | None) -> Target:
    """The target where a command may follow and need not."""
    if command is None and len(words) > 1:
        return leading_target(words)[0]
    return meant(words[0] if words else None)


def _rehearse(settings: Settings, target: Target, mounts: tuple[str, ...]) -> Shown:
    """What would be frozen, as far as the agent tells."""
    with settings.connect(target) as client:
        found = client.freezable(mounts or None)
        name = "guest-fsfreeze-freeze-list" if mounts else "guest-fsfreeze-freeze"
        allowed = allows(client, name)
    value = {
        "dry_run": True,
        "allowed": allowed,
        "filesystems": [
            {
                "mountpoint": one.mountpoint,
                "type": one.type,
                "device": one.device,
                "frozen": one.taken,
                "reason": one.reason,
            }
            for one in found
        ],
    }
    rows = [
        [one.mountpoint, one.type, one.device, "yes" if one.taken else "no", one.reason]
        for one in found
    ]
    count = output.counted(sum(one.taken for one in found), "file system")
    last = f"would freeze {count}"
    if not allowed:
        last = f"could not freeze {count}: the agent does not allow {name}"
    table = output.Table(["mount point", "type", "device", "frozen", "why not"], rows)
    return Shown(value, [table, "", last], 0 if allowed else 1)


def _run(command: tuple[str, ...]) -> int:
    # The terminal sends an interrupt to the command too: whether it ends by that is its decision.
    # A handler, unlike SIG_IGN, is not inherited by the command.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.Popen(command)
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    except OSError as error:
        print(f"qga: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code
