"""`qga freeze TARGET -- COMMAND...`: a command on the host, run while the guest is frozen.

Or while several guests are frozen as one: `grouping` does that. And `qga thaw`, for a guest that
something else has left frozen.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from qga.errors import InvalidTarget, QgaError
from qga.protocol.fsfreeze import FROZEN_BY_OTHERS, HookAction

from . import ending, fleet, output
from .fleet import each_guest
from .options import Settings, WithProgram, behind_dashes, leading_target, meant, with_settings
from .output import Shown
from .quantities import Seconds

if TYPE_CHECKING:
    from qga.client.freezestate import FreezeState
    from qga.client.target import Target
    from qga.protocol.fsfreeze import FreezeHook, FreezeMount

# As other programs that run a command: not confused with the exit codes that commands choose.
FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127

# After how many seconds the guest is thawed unless told: as this package's agent has it.
DEADLINE = 600.0

# How many seconds the freezes of several guests may take together.
WINDOW = 10.0

_OTHERS = "somebody else has frozen {}, so the command was not run"
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
  qga freeze web1 --dry-run --exclude-mount '/mnt/*'
  qga freeze --group db,app --window 5 -- ./snapshot-both.sh
  qga freeze -l 'shop-*' --order 'shop-db*' -- ./snapshot-all.sh
""",
)
@click.option(
    "--deadline",
    type=Seconds(),
    default=DEADLINE,
    metavar="SECONDS",
    help=f"Thaw after so long, whatever COMMAND is at; {DEADLINE:g} by default, inf for no limit of"
    " qga's.",
)
@click.option(
    "--mount",
    "mounts",
    multiple=True,
    metavar="PATTERN",
    help="Freeze what is mounted there alone, as /srv or '/srv/*'.",
)
@click.option(
    "--exclude-mount",
    "without",
    multiple=True,
    metavar="PATTERN",
    help="Not what is mounted there, or is 'type:TYPE' or 'device:DEVICE'.",
)
@click.option(
    "--dry-run", is_flag=True, help="Show what would be frozen, what not, and the guest's hooks."
)
@click.option(
    "--group",
    multiple=True,
    metavar="TARGET,...",
    help="Freeze these guests as one, in this order; as several TARGETs before the -- do.",
)
@click.option(
    "--order",
    multiple=True,
    metavar="PATTERN,...",
    help="Of several guests, freeze those first whose names match, in this order.",
)
@click.option(
    "--window",
    type=Seconds(),
    default=WINDOW,
    metavar="SECONDS",
    help="Of several guests, thaw all if not all are frozen within so long;"
    f" {WINDOW:g} by default.",
)
@fleet.choosing_options
@with_settings
@click.argument("words", nargs=-1, metavar="[TARGET]... -- COMMAND...")
@click.pass_context
def freeze(
    context: click.Context,
    settings: Settings,
    words: tuple[str, ...],
    limit: tuple[str, ...],
    *,
    all_guests: bool,
    deadline: float,
    mounts: tuple[str, ...],
    without: tuple[str, ...],
    dry_run: bool,
    group: tuple[str, ...],
    order: tuple[str, ...],
    window: float,
) -> int:
    """Run COMMAND while the guest's file systems are frozen; thaw them whatever happens.

    COMMAND runs on this machine, for example to take a snapshot. The exit code is its own; 125 when
    freezing or thawing failed, or when the freeze did not hold until the end of a COMMAND that
    succeeded; 126 or 127 when it cannot be run. Where nothing could be frozen it is not run. What
    was done is told on standard error. An interrupt goes to COMMAND; the guest is thawed when it
    ends.

    Where the agent has leases, as qga-agent does, the guest thaws by itself within half a minute if
    qga is gone; of other agents it is told what is not guaranteed.

    Several guests are frozen one after the other and thawed in reverse. Before the first one, all
    are asked whether it would work; if one of them fails, all are thawed, and COMMAND is not run.
    """
    command = behind_dashes(context)
    grouped = tuple(word for text in group for word in text.split(",") if word)
    if command is None and (grouped or limit or all_guests):
        words, command = (), words
    if grouped and words:
        raise click.UsageError(f"either {words[0]!r}, or --group")
    words = grouped or words
    if command is None:
        if dry_run:
            target = _only_target(words)
        else:
            target, command = leading_target(words)
        guests = fleet.Guests([target], many=False)
    else:
        guests = fleet.chosen(words, limit, all_guests=all_guests)
    many = guests.many or bool(grouped)
    if many:
        from . import grouping

        guests = grouping.ordered(guests, order)
    if dry_run:
        from .rehearsing import rehearse

        return fleet.run(settings, guests, lambda one: rehearse(settings, one, mounts, without))
    if not command:
        raise click.UsageError("which command? qga freeze TARGET -- COMMAND...")
    if many:
        try:
            return grouping.run(
                settings,
                guests.targets,
                partial(_run, command),
                mounts=mounts,
                without=without,
                deadline=deadline,
                window=window,
                failed=FAILED,
            )
        except InvalidTarget:
            raise
        except QgaError as error:
            raise ending.Failed(error, FAILED) from error
    target = guests.targets[0]
    try:
        with (
            settings.connect(target) as client,
            client.frozen(
                mounts or None, exclude=without, deadline=deadline, on_lost=_lost
            ) as frozen,
        ):
            if not frozen.frozen:
                others = ", ".join(frozen.frozen_by_others)
                raise QgaError(_OTHERS.format(others) if others else _NOTHING)
            if not settings.json:
                _say(f"{output.counted(frozen.frozen, 'file system')} frozen")
                if frozen.unguarded:
                    _say(frozen.unguarded)
                for path in frozen.frozen_by_others:
                    _say(f"{path} is not part of it: {FROZEN_BY_OTHERS}")
                for text in of_hooks(frozen, HookAction.FREEZE):
                    _say(text)
            code = _run(command)
    except QgaError as error:
        raise ending.Failed(error, FAILED) from error
    if not frozen.held and not code:
        code = FAILED
    if settings.json:
        print(json.dumps({**told(frozen), "exit_code": code}), file=sys.stderr)
    else:
        what = output.counted(frozen.thawed or 0, "file system")
        held = "it held" if frozen.held else f"it did not hold: {frozen.report}"
        _say(f"{what} thawed after {frozen.seconds:.1f} s: {held}")
        for text in of_hooks(frozen, HookAction.THAW):
            _say(text)
    return code


def of_hooks(frozen: FreezeState, action: HookAction) -> list[str]:
    """What people are told of the guest's hooks: of those that failed, when told of *action*."""
    hooks = (frozen.details and frozen.details.hooks) or []
    return [
        f"the hook {one.name} failed after {one.milliseconds / 1000:.1f} s when told to"
        f" {action}: {one.reason or 'no reason is known'}"
        for one in hooks
        if one.action == action and not one.ok
    ]


def told(frozen: FreezeState) -> dict[str, object]:
    """What became of a freeze, for programs."""
    mounts = frozen.details.mounts if frozen.details else ()
    return {
        "frozen": frozen.frozen,
        "thawed": frozen.thawed or 0,
        "seconds": round(frozen.seconds, 3),
        "held": frozen.held,
        "report": frozen.report,
        "lease": frozen.lease,
        "unguarded": frozen.unguarded or None,
        "mounts": [mount(each) for each in mounts],
        "hooks": [_hook(each) for each in (frozen.details and frozen.details.hooks) or ()],
    }


def _hook(one: FreezeHook) -> dict[str, object]:
    return {
        "name": one.name,
        "action": str(one.action),
        "ok": one.ok,
        "required": one.required,
        "milliseconds": one.milliseconds,
        "reason": one.reason,
        "output": one.output,
    }


def mount(one: FreezeMount) -> dict[str, object]:
    """What became of a mount, for programs."""
    return {
        "mountpoint": one.path,
        "type": one.type,
        "device": one.device,
        "outcome": str(one.outcome),
        "milliseconds": one.milliseconds,
        "reason": one.reason,
    }


def _lost(reason: str) -> None:
    _say(f"the freeze is over: {reason}")


def _say(text: str) -> None:
    # At once, with its end: it may come from another thread.
    ending.tell(text, 0)


def _only_target(words: tuple[str, ...]) -> Target:
    """The target where a command may follow and need not."""
    if len(words) > 1:
        return leading_target(words)[0]
    return meant(words[0] if words else None)


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
