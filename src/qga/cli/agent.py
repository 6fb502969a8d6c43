"""`qga ping` and `status`: the agent itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from qga.protocol.fsfreeze import FreezeOutcome

from . import ending, quick
from .fleet import each_guest
from .freezing import mount
from .output import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qga.client import Target
    from qga.protocol.fsfreeze import FreezeReport

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
    """Show whether the guest's file systems are frozen: `thawed`, `frozen` or `error`.

    Agents with leases, as qga-agent, tell since when, until when, by what token and which; and
    after a freeze that did not hold, why.
    """
    with settings.connect(target) as client:
        report = client.fsfreeze_report()
    more = _MEANING.get(report.state, "")
    value: dict[str, Any] = {"status": report.state}
    lines = [ending.printable(report.state) + more]
    if report.token is not None and (report.state != "thawed" or not report.held):
        value |= _freeze(report)
        lines += [f"{name:<8} {ending.printable(text)}" for name, text in _told(report)]
    return Shown(value, "\n".join(lines))


_MEANING = {
    "frozen": ": programs that write wait, and the agent refuses most commands, until `qga thaw`",
    "error": ": some file systems could not be thawed; see to them in the guest, then `qga thaw`",
}


def _freeze(report: FreezeReport) -> dict[str, Any]:
    """The freeze that lasts, or did not hold, for programs."""
    return {
        "token": report.token,
        "since": _moment(report.began),
        "lease": None if report.deadline_ms is None else report.deadline_ms / 1000,
        "ended": _moment(report.ended),
        "held": report.held,
        "reason": report.reason,
        "mounts": [mount(one) for one in report.mounts],
    }


def _told(report: FreezeReport) -> Iterator[tuple[str, str]]:
    """The same for people."""
    ended = _moment(report.ended)
    yield "token", report.token or ""
    yield "since", f"{_moment(report.began)} by the guest's clock"
    if report.deadline_ms is not None:
        yield "lease", f"ends in {report.deadline_ms / 1000:.1f} s, unless it is renewed"
    if ended:
        yield "ended", ended
        yield "held", "yes" if report.held else f"no: {report.reason or 'nobody can tell why'}"
    for one in report.mounts:
        if one.outcome != FreezeOutcome.SKIPPED:
            reason = f": {one.reason}" if one.reason else ""
            yield str(one.outcome), f"{one.path} ({one.type}, {one.device}){reason}"


def _moment(nanoseconds: int | None) -> str | None:
    if nanoseconds is None:
        return None
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).isoformat()
