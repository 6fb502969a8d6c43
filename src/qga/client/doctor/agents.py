"""The agent itself, once it answers: what it is, what it allows, how the guest is.

Without I/O: findings of what the agent has said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.protocol import OWN
from qga.protocol.fsfreeze import FsfreezeState

from .finding import note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qga.client.facts import TimeOffset
    from qga.protocol.session import AgentInfo

    from .finding import Finding

# What people miss when it is not there, and the commands that it takes.
USES = {
    "running programs": ("guest-exec", "guest-exec-status"),
    "files": ("guest-file-open", "guest-file-read", "guest-file-write", "guest-file-close"),
    "freezing": ("guest-fsfreeze-freeze", "guest-fsfreeze-thaw"),
    "shutting down": ("guest-shutdown",),
    "addresses": ("guest-network-get-interfaces",),
    "passwords": ("guest-set-user-password",),
    "the clock": ("guest-get-time", "guest-set-time"),
}

_EXEC = {"guest-exec", "guest-exec-status"}
_OPEN = {"guest-file-open", "guest-file-read", "guest-file-write"}
_SYSCONFIG = (
    "in the guest, edit /etc/sysconfig/qemu-ga (BLACKLIST_RPC in RHEL 7 and 8; BLOCK_RPCS or"
    " FILTER_RPC_ARGS since 9), then `systemctl restart qemu-guest-agent`"
)
_CONFIGURED = (
    "in the guest, look at block-rpcs and allow-rpcs in /etc/qemu/qemu-ga.conf, and at the options"
    " of its service; then restart the agent"
)

# Seconds: what is more than this is noticed by people, or by TLS.
_SLOW, _WRONG = 0.5, 5.0


def version(info: AgentInfo, program: str | None) -> Finding:
    """Which agent it is; *program* is its name, as "qemu-ga", if that is known."""
    name = program or "the agent"
    count = sum(not command.name.startswith(OWN) for command in info.supported_commands)
    text = f"{name}, version {info.version}, with {count} commands"
    if program == "qga-agent":
        text = f"{name}, with the {count} commands of qemu-ga {info.version}"
        if own := len(info.supported_commands) - count:
            text += f" and {own} of its own"
    return ok("version", text)


def commands(info: AgentInfo) -> Iterator[Finding]:
    """What the agent refuses, and by what."""
    enabled = {command.name: command.enabled for command in info.supported_commands}
    off = {name for name, allowed in enabled.items() if not allowed}
    if not enabled:
        yield note("commands", "an agent of this age does not list its commands")
        return
    for use, names in USES.items():
        lacking = [name for name in names if name not in enabled]
        if lacking:
            advice = "install a newer agent in the guest"
            text = f"it is too old for {use}: it lacks {', '.join(lacking)}"
            yield note("commands", text, advice)
    refused = {use: off.intersection(names) for use, names in USES.items()}
    if any(refused.values()):
        by, advice = blocked_by(off)
        uses = (f"{use} ({', '.join(sorted(names))})" for use, names in refused.items() if names)
        yield note("commands", f"blocked {by}: {', '.join(uses)}", advice)
    elif off:
        yield ok("commands", f"all that matter are allowed; blocked: {', '.join(sorted(off))}")
    else:
        yield ok("commands", "all are allowed")


def blocked_by(off: set[str]) -> tuple[str, str]:
    """Who has blocked the commands *off*, as far as it can be told, and what to do."""
    if off >= _EXEC | _OPEN:
        return "as RHEL and its relatives ship it", _SYSCONFIG
    if off == _EXEC:
        return "as openSUSE ships it", _SYSCONFIG
    return "by its configuration", _CONFIGURED


def frozen(state: str) -> Finding:
    """How the guest's file systems are."""
    if state == FsfreezeState.THAWED:
        return ok("file systems", "they are not frozen")
    if state == FsfreezeState.ERROR:
        return problem(
            "file systems",
            "some could not be thawed",
            "`qga thaw` tries again; then look into the guest's log",
        )
    return problem(
        "file systems",
        "they are frozen: programs that write hang, and the agent refuses most commands",
        "is a backup under way? if none is, `qga thaw` ends it",
    )


def latency(seconds: list[float]) -> Finding:
    """How fast it answers, of several times."""
    middle = sorted(seconds)[len(seconds) // 2]
    text = f"it answers in {middle * 1000:.1f} ms ({min(seconds) * 1000:.1f} to"
    text += f" {max(seconds) * 1000:.1f} ms)"
    if middle > _SLOW:
        advice = "is the guest, or this machine, short of processor time or memory?"
        return note("latency", text, advice)
    return ok("latency", text)


def clock(offset: TimeOffset) -> Finding:
    """How right the guest's clock is."""
    seconds = abs(offset.seconds)
    text = f"the guest's clock is {seconds:.3f} s {'ahead' if offset.seconds > 0 else 'behind'}"
    if seconds > _WRONG + offset.uncertainty:
        advice = "certificates and tokens will seem invalid there: `qga time --sync` sets it"
        return problem("clock", text, advice)
    return ok("clock", text)
