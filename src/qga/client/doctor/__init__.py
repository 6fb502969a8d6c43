"""Why an agent does not answer, or what will not work although it does: `diagnose`.

    for finding in diagnose("web").findings:
        print(finding.grade, finding.step, finding.text, finding.advice)

Step by step from the host's side: what the name is; the channel's end on this machine (`sockets`,
`host`); whether an agent answers; what it is, what it refuses, and how the guest is (`agents`). The
rules are functions of facts; what asks for facts is here, and in functions named after that.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qga.client.deadline import Deadline
from qga.client.flows.overview import identity
from qga.client.sync import Client
from qga.client.target import Target, from_environment
from qga.errors import (
    AgentBusy,
    AgentNotResponding,
    AgentTimeout,
    CommandError,
    InvalidTarget,
    NoChannel,
    ProtocolError,
    QgaError,
)

from . import agents, host, sockets
from .finding import Diagnosis, Finding, Grade, note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qga.client.trace import Trace

__all__ = ["Diagnosis", "Finding", "Grade", "diagnose"]

# Seconds for each answer, and how often to ask for the latency.
TIMEOUT = 5.0
_PINGS = 5

_STEP = "agent"
_IN_GUEST = (
    "in the guest: install qemu-guest-agent and start it (`systemctl status qemu-guest-agent`);"
    " while the guest boots, wait"
)


def diagnose(
    target: str | Target | None = None, *, timeout: float = TIMEOUT, trace: Trace | None = None
) -> Diagnosis:
    """Examine the way to an agent, and the agent.

        >>> from qga.client.doctor import diagnose
        >>> with agent.serve() as target:
        ...     diagnose(target).healthy
        True
        >>> found = diagnose("unix:/no/such/socket").findings[-1]
        >>> found.step, str(found.grade), found.text
        ('socket', 'problem', 'there is no /no/such/socket')

    Nothing is changed, nor anything of another client's disturbed: where QEMU's socket is taken, it
    is left alone.

    Args:
        target: as `qga.connect` takes it.
        timeout: seconds for each answer of the agent.
        trace: as for `qga.connect`.
    """
    try:
        meant = _meant(target)
        meant.find()
    except InvalidTarget as error:
        told = str(target or "")
        return Diagnosis(told, told, (problem("target", error.text, error.hint),), reached=False)
    examination = _Examination(meant, timeout, trace)
    return Diagnosis(
        str(meant), meant.full, tuple(examination.findings()), reached=examination.reached
    )


def _meant(target: str | Target | None) -> Target:
    if target is None:
        return from_environment()
    return Target(target) if isinstance(target, str) else target


class _Examination:
    """Of one target."""

    def __init__(self, target: Target, timeout: float, trace: Trace | None) -> None:
        self._target = target
        self._timeout = timeout
        self._trace = trace
        self.reached = False

    def findings(self) -> Iterator[Finding]:
        yield self._name()
        wrong = False
        for finding in self._host():
            yield finding
            wrong = wrong or finding.grade is Grade.PROBLEM
        if not wrong:
            yield from self._agent()

    def _name(self) -> Finding:
        target = self._target
        if target.full == str(target):
            return ok("target", f"{target} is understood")
        where = f", says {target.where}" if target.where else ""
        return ok("target", f"{target} is {target.full}{where}")

    def _host(self) -> Iterator[Finding]:
        full = self._target.full
        scheme, _, rest = full.partition(":")
        if scheme == "unix":
            yield from sockets.findings(sockets.look(rest))
        elif scheme == "vsock":
            yield from host.vsock_findings(rest)
        elif scheme == "serial":
            yield from host.line_findings(host.line_facts(rest))
        elif scheme == "tcp":
            yield from host.tcp_findings(rest)
        elif scheme == "pve":
            yield from host.pve_findings(full)
        elif scheme.startswith("libvirt"):
            from qga.client.libvirt import split_domain

            uri, name = (None, rest)
            if scheme != "libvirt":
                uri, name = split_domain(full.removeprefix("libvirt+"))
            yield from host.libvirt_findings(uri, name, Deadline(max(self._timeout, 10)))

    def _agent(self) -> Iterator[Finding]:
        target = self._target
        if self._trace is not None:
            from qga.client.trace import traced

            target = traced(target, self._trace)
        with Client(target.open, timeout=self._timeout, target=str(target)) as client:
            began = time.monotonic()
            try:
                client.sync()
            except QgaError as error:
                if not isinstance(error, CommandError):
                    yield silent(error)
                    return
            self.reached = True
            took = (time.monotonic() - began) * 1000
            yield ok(_STEP, f"it answers the synchronisation, after {took:.1f} ms")
            yield from self._guest(client)

    def _guest(self, client: Client) -> Iterator[Finding]:
        """What is asked of an agent that answers; one step that fails does not end the others."""
        frozen = False

        def state() -> Iterator[Finding]:
            nonlocal frozen
            finding = agents.frozen(client.fsfreeze_status())
            frozen = finding.grade is Grade.PROBLEM
            yield finding

        def info() -> Iterator[Finding]:
            program, found = client.perform(identity())
            yield agents.version(found, program)
            if not frozen:  # which has it refuse nearly all
                yield from agents.commands(found)

        def latency() -> Iterator[Finding]:
            times = []
            for _ in range(_PINGS):
                began = time.monotonic()
                client.ping()
                times.append(time.monotonic() - began)
            yield agents.latency(times)

        def clock() -> Iterator[Finding]:
            yield agents.clock(client.time_offset())

        for name, step in (
            ("file systems", state),
            ("version", info),
            ("latency", latency),
            ("clock", clock),
        ):
            yield from _tried(name, step, frozen=frozen)


def _tried(name: str, step: Callable[[], Iterator[Finding]], *, frozen: bool) -> Iterator[Finding]:
    try:
        yield from step()
    except (AgentTimeout, ProtocolError) as error:
        yield problem(name, error.text, error.hint)
    except QgaError as error:
        if not frozen:
            yield note(name, f"cannot be told: {error.text}", error.hint)


def silent(error: QgaError) -> Finding:
    """What it means that the channel cannot be opened, or nobody answers."""
    if isinstance(error, NoChannel):
        return problem("channel", error.text, error.hint)
    if isinstance(error, AgentBusy):
        return problem(_STEP, error.text, error.hint)
    if isinstance(error, AgentNotResponding):
        return problem(_STEP, error.text, f"{error.hint}; {_IN_GUEST}")
    if isinstance(error, ProtocolError):
        return problem(_STEP, f"what answers is no guest agent: {error.text}", error.hint)
    return problem(_STEP, error.text, error.hint)
