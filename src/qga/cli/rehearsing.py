"""`qga freeze --dry-run`: what would be frozen, which hooks be run, and what is in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import CommandDisabled

from .ending import printable
from .output import Shown, Table, counted

if TYPE_CHECKING:
    from qga.client.facts import FreezePlan
    from qga.client.target import Target

    from .options import Settings


def rehearse(
    settings: Settings, target: Target, mounts: tuple[str, ...], without: tuple[str, ...]
) -> Shown:
    """What a freeze would do, as far as the agent tells.

    Args:
        settings: those of every command.
        target: the guest.
        mounts: patterns of what to freeze; all that can be if empty.
        without: patterns of what not to freeze.
    """
    with settings.connect(target) as client:
        plan = client.freeze_plan(mounts or None, exclude=without)
    parts: list[str | Table] = [_of_filesystems(plan), ""]
    if plan.hooks:
        parts += [_of_hooks(plan), ""]
    return Shown(_value(plan), [*parts, printable(_told(plan))], 1 if plan.problem else 0)


def _told(plan: FreezePlan) -> str:
    count = counted(sum(one.taken for one in plan.filesystems), "file system")
    if isinstance(plan.problem, CommandDisabled):
        return f"could not freeze {count}: {plan.problem.text}"
    if plan.problem:
        return f"could not freeze: {plan.problem.text}"
    to_run = sum(hook.ok for hook in plan.hooks or ())
    return f"would freeze {count}" + (f", after {counted(to_run, 'hook')}" if to_run else "")


def _of_filesystems(plan: FreezePlan) -> Table:
    rows = [
        [one.mountpoint, one.type, one.device, "yes" if one.taken else "no", one.reason]
        for one in plan.filesystems
    ]
    return Table(["mount point", "type", "device", "frozen", "why not"], rows)


def _of_hooks(plan: FreezePlan) -> Table:
    rows = [
        [
            hook.name,
            "yes" if hook.ok else "no",
            "yes" if hook.required else "no",
            f"{hook.timeout_ms / 1000:g} s",
            "" if hook.order is None else str(hook.order),
            hook.reason or "",
        ]
        for hook in plan.hooks or ()
    ]
    columns = ["hook", "run", "required", "time limit", "order", "note"]
    return Table(columns, rows, right=frozenset({"time limit", "order"}))


def _value(plan: FreezePlan) -> dict[str, object]:
    """For programs."""
    return {
        "dry_run": True,
        "allowed": not isinstance(plan.problem, CommandDisabled),
        "problem": plan.problem.text if plan.problem else None,
        "filesystems": [
            {
                "mountpoint": one.mountpoint,
                "type": one.type,
                "device": one.device,
                "frozen": one.taken,
                "reason": one.reason,
            }
            for one in plan.filesystems
        ],
        "hooks": None
        if plan.hooks is None
        else [
            {
                "name": hook.name,
                "ok": hook.ok,
                "required": hook.required,
                "timeout": hook.timeout_ms / 1000,
                "order": hook.order,
                "reason": hook.reason,
            }
            for hook in plan.hooks
        ],
    }
