"""`qga freeze` for several guests as one: a command on the host while all of them are frozen."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from qga.client.group import freeze_group
from qga.protocol.fsfreeze import HookAction

from . import ending, freezing
from .output import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qga.client.group import GroupFreeze, GroupMember
    from qga.client.target import Target

    from .fleet import Guests
    from .options import Settings


def ordered(guests: Guests, order: Sequence[str]) -> Guests:
    """*guests*, those first that match a pattern of *order*, by the place of that."""
    patterns = [word for text in order for word in text.split(",") if word]

    def place(target: Target) -> int:
        match = (at for at, each in enumerate(patterns) if fnmatchcase(target.text, each))
        return next(match, len(patterns))

    return replace(guests, targets=sorted(guests.targets, key=place))


def run(
    settings: Settings,
    targets: Sequence[Target],
    command: Callable[[], int],
    *,
    mounts: tuple[str, ...],
    without: tuple[str, ...],
    deadline: float,
    window: float,
    failed: int,
) -> int:
    """Do *command* while all are frozen; return its exit code.

    Args:
        settings: those of every command.
        targets: the guests, in the order of their freezes.
        command: returns an exit code.
        mounts: as for `qga freeze`, for each guest.
        without: likewise.
        deadline: the most seconds that each may be frozen.
        window: the most seconds until all are.
        failed: the exit code if the command succeeds and the freeze did not hold.
    """
    group = freeze_group(
        targets,
        mountpoints=mounts or None,
        exclude=without,
        deadline=deadline,
        window=window,
        timeout=settings.timeout,
        trace=ending.show_event if settings.debug else None,
    )
    with group:
        if not settings.json:
            for one in group.members:
                _tell(one, f"{counted(one.frozen, 'file system')} frozen")
                if one.unguarded:
                    _tell(one, one.unguarded)
                for text in freezing.of_hooks(one, HookAction.FREEZE):
                    _tell(one, text)
            _say(f"all {len(group.members)} frozen within {group.took:.1f} s")
        code = command()
    if not group.held and not code:
        code = failed
    if settings.json:
        print(json.dumps(_summary(group, code)), file=sys.stderr)
        return code
    for one in group.members[::-1]:
        what = counted(one.thawed or 0, "file system")
        held = "it held" if one.held else f"it did not hold: {one.report}"
        _tell(one, f"{what} thawed after {one.seconds:.1f} s: {held}")
        for text in freezing.of_hooks(one, HookAction.THAW):
            _tell(one, text)
    _say(group.report if group.held else "not all stayed frozen until the end")
    return code


def _summary(group: GroupFreeze, code: int) -> dict[str, object]:
    guests = [{"guest": one.name, **freezing.told(one)} for one in group.members]
    return {
        "guests": guests,
        "took": round(group.took, 3),
        "together": round(group.together, 3),
        "held": group.held,
        "report": group.report,
        "exit_code": code,
    }


def _tell(one: GroupMember, text: str) -> None:
    _say(f"{one.name}: {text}")


def _say(text: str) -> None:
    print(f"qga: {ending.printable(text)}", file=sys.stderr)
