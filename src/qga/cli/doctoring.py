"""`qga doctor`: why an agent does not answer, step by step."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from . import ending
from .fleet import each_guest
from .output import Shown

if TYPE_CHECKING:
    from qga.client import Target
    from qga.client.doctor import Diagnosis

    from .options import Settings

EPILOG = """\
\b
Examples:
  qga doctor web
  qga doctor unix:/run/vm/qga.sock -o json | jq -r '.findings[].advice'
  qga doctor --all -o jsonl

The exit code is 0 if no step found a problem, 3 if the agent did not answer, 2 if the target is
none, and 1 if it answers and something else is wrong. A note, as about commands that the guest's
configuration blocks, is no problem.
"""


@click.command(short_help="Find out why the agent does not answer.", epilog=EPILOG)
@each_guest
def doctor(settings: Settings, target: Target) -> Shown:
    """Find out why the agent does not answer, or what will not work although it does.

    Step by step from this machine's side: what the name is, the domain, the channel, its socket and
    who has it, whether an agent answers; then which one it is, what it refuses and why, whether the
    guest is frozen, its clock. Each step that is not right says what to do. Nothing is changed.
    """
    from qga.client.doctor import TIMEOUT, diagnose

    timeout = TIMEOUT if settings.timeout is None else settings.timeout
    found = diagnose(target, timeout=timeout, trace=ending.show_event if settings.debug else None)
    value = {
        "target": found.target,
        "full": found.full,
        "healthy": found.healthy,
        "findings": [asdict(finding) for finding in found.findings],
    }
    return Shown(value, _people(found), _code(found))


def _code(found: Diagnosis) -> int:
    if found.healthy:
        return 0
    if found.findings[0].grade == "problem":  # the target is none
        return ending.USAGE
    return ending.AGENT_ERROR if found.reached else ending.UNREACHABLE


def _people(found: Diagnosis) -> str:
    width = max(len(finding.step) for finding in found.findings)
    lines = []
    for finding in found.findings:
        text = ending.printable(finding.text)
        lines.append(f"{finding.grade:<7}  {finding.step:<{width}}  {text}")
        if finding.advice:
            lines.append(f"{'':<7}  {'':<{width}}  -> {ending.printable(finding.advice)}")
    return "\n".join(lines)
