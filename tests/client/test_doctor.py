"""Why an agent does not answer: the rules, and the steps on real channels."""

import errno
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.client import Target, TraceEvent, discovery, unixsockets
from qga.client.doctor import Diagnosis, Finding, Grade, agents, diagnose, host, silent, sockets
from qga.client.facts import TimeOffset
from qga.client.libvirtlocal import DomainFacts
from qga.client.unixsockets import Seen
from qga.protocol.session import AgentCommandInfo, AgentInfo
from qga.testing import FakeAgent
from qga.testing.server import short_directory
from tests.support.stock import RunningAgent

FAMILY = {
    "guest-file-open", "guest-file-close", "guest-file-read", "guest-file-write",
    "guest-file-seek", "guest-file-flush", "guest-exec", "guest-exec-status",
}  # fmt: skip


def by_step(found: Diagnosis) -> dict[str, Finding]:
    return {finding.step: finding for finding in found.findings}


def last(found: Diagnosis) -> tuple[str, str, str]:
    finding = found.findings[-1]
    return finding.step, finding.grade, finding.text


def test_an_agent_that_is_well(agent: RunningAgent) -> None:
    events: list[TraceEvent] = []
    found = diagnose(agent.target, timeout=30, trace=events.append)
    assert found.healthy
    assert found.reached
    steps = by_step(found)
    assert list(steps) == [
        "target", "socket", "permission", "listener", "other clients", "agent", "file systems",
        "version", "commands", "latency", "clock",
    ]  # fmt: skip
    ours = agent.process.args[0] == sys.executable  # type: ignore[index]
    kind = "qga-agent" if ours else "qemu-ga"
    assert steps["version"].text.startswith(f"{kind}, ")
    assert f"(process {agent.process.pid}) listens on it" in steps["listener"].text
    assert steps["commands"].grade == Grade.NOTE
    assert "blocked by its configuration: running programs (guest-exec), " in steps["commands"].text
    assert "/etc/qemu/qemu-ga.conf" in steps["commands"].advice
    assert events


def test_an_agent_that_hangs(agent: RunningAgent) -> None:
    with agent.stopped():
        found = diagnose(agent.target, timeout=0.5)
    assert not found.healthy
    assert not found.reached
    assert found.findings[-1].step == "agent"
    assert "no answer within 0.5 s" in found.findings[-1].text
    assert found.findings[-1].advice


def test_another_client(agent: RunningAgent) -> None:
    with qga.connect(agent.target) as other:
        other.ping()
        finding = by_step(diagnose(agent.target, timeout=0.5))["other clients"]
    assert finding.grade == Grade.NOTE  # ours serves many
    assert f"(process {os.getpid()}) is connected" in finding.text


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("unix:/nonexistent/s", ("socket", "problem", "there is no /nonexistent/s")),
        ("/etc", ("socket", "problem", "/etc is a directory, not a socket")),
        ("serial:/nonexistent", ("device", "problem", "/nonexistent: No such file or directory")),
        ("serial:/etc/passwd",
         ("device", "problem", "/etc/passwd is neither a terminal nor a character device")),
        ("nobody", ("target", "problem", "")),
        ("libvirt+qemu:///session?socket=/nonexistent&domain=x", ("libvirt", "problem", "")),
    ],
)  # fmt: skip
def test_what_is_not_there(
    target: str, expected: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, grade, text = last(diagnose(target))
    assert (step, grade) == expected[:2]
    assert text.startswith(expected[2])


def test_a_port_that_is_refused() -> None:
    steps = by_step(diagnose("tcp:127.0.0.1:1"))
    assert "network" not in steps
    assert "refused" in steps["channel"].text
    (finding,) = host.tcp_findings("vm.example:1")
    assert (finding.grade, "ssh" in finding.advice) == (Grade.NOTE, True)


def test_a_socket_that_was_left_behind() -> None:
    with short_directory() as folder:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "s"))
        assert last(diagnose(f"unix:{folder}/s"))[0] == "listener"


def test_a_fake_agent_that_is_frozen_and_late(fake_agent: FakeAgent) -> None:
    fake_agent.guest.clock_offset = -3600
    with fake_agent.serve() as target:
        found = diagnose(target, timeout=30)
        assert by_step(found)["clock"].grade == Grade.PROBLEM
        assert (found.reached, found.healthy) == (True, False)
        fake_agent.state = "frozen"
        steps = by_step(diagnose(target, timeout=30))
    assert steps["file systems"].grade == Grade.PROBLEM
    assert "`qga thaw` ends it" in steps["file systems"].advice
    assert "commands" not in steps


def test_a_step_that_fails_does_not_end_the_others(fake_agent: FakeAgent) -> None:
    fake_agent.blocked |= {"guest-get-time", "guest-fsfreeze-status"}
    fake_agent.disturb("guest-info", garbage=b"# noise\n")
    with fake_agent.serve() as target:
        steps = by_step(diagnose(target, timeout=30))
    assert steps["file systems"].text.startswith("cannot be told: ")
    assert steps["version"].grade == Grade.PROBLEM
    assert steps["latency"].grade == Grade.OK
    assert steps["clock"].grade == Grade.NOTE


def test_an_agent_that_refuses_even_the_synchronisation(fake_agent: FakeAgent) -> None:
    fake_agent.blocked |= {"guest-sync", "guest-sync-delimited"}
    with fake_agent.serve() as target:
        assert diagnose(target, timeout=30).reached


def test_the_variable(fake_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QGA_TARGET", raising=False)
    assert last(diagnose()) == ("target", "problem", diagnose().findings[0].text)
    with fake_agent.serve() as target:
        monkeypatch.setenv("QGA_TARGET", target)
        assert diagnose(timeout=30).full == target
        assert diagnose(Target(target), timeout=30).reached


# The rules.


def facts(seen: Seen | None = None, **named: Any) -> list[Finding]:
    return list(sockets.findings(sockets.SocketFacts("/s", seen=seen, **named)))


def test_rights_to_a_socket() -> None:
    (closed,) = facts(error=errno.EACCES, denied="enter not", enforcing=True)
    assert closed.text == "/s is behind a directory that is closed"
    assert closed.advice.startswith("enter not; SELinux is enforcing here")
    _, denied = facts(denied="of root")
    assert (denied.step, denied.advice) == ("permission", "of root")
    (odd,) = facts(error=errno.ELOOP)
    assert odd.text.startswith("/s: Too many")


def test_who_has_a_socket() -> None:
    assert facts()[-1].text == "this machine does not tell who listens on it"
    seen = Seen(1, (2,), (3,))
    qemu = {1: (10, "qemu-system-x86"), 2: (11, "libvirtd")}
    *_, listener, others = facts(seen, processes=qemu)
    assert listener.text == "qemu-system-x86 (process 10) listens on it"
    assert others.grade == Grade.PROBLEM
    assert others.text == (
        "libvirtd (process 11) is connected; a process of another user waits to be"
    )
    assert facts(seen, processes={})[-1].grade == Grade.NOTE
    assert facts(Seen(1, (), (3,)), processes=qemu)[-1].text.startswith("a process of another")


def test_selinux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content, enforcing in (("1", True), ("0", False), (None, False)):
        path = tmp_path / f"enforce{content}"
        if content:
            path.write_text(content)
        monkeypatch.setattr(sockets, "ENFORCING", path)
        assert sockets.look("/nonexistent").enforcing is enforcing


def test_rights_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeAgent().serve() as target:
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert sockets.look(target.removeprefix("unix:")).denied
    assert host.line_facts("/dev/null").denied


@pytest.mark.parametrize(
    ("state", "channel", "step", "grade", "advice"),
    [
        (0, None, "running", "problem", "`virsh start web` starts it"),
        (3, "connected", "running", "problem", "`virsh resume web`"),
        (7, "connected", "running", "problem", "`virsh dompmwakeup web`"),
        (1, None, "agent channel", "problem", "virsh edit web"),
        (1, "disconnected", "connected", "problem", "install qemu-guest-agent"),
        (1, "connected", "connected", "ok", ""),
    ],
)
def test_domains(state: int, channel: str | None, step: str, grade: str, advice: str) -> None:
    *_, finding = host.domain_findings(DomainFacts("web", "uuid", state, channel))
    assert (finding.step, finding.grade) == (step, grade)
    assert advice in finding.advice


def test_vsock(monkeypatch: pytest.MonkeyPatch) -> None:
    (known,) = host.vsock_findings("42:1")
    assert known.step == "vsock"
    assert next(host.vsock_findings("1:1")).grade == Grade.NOTE

    def no_socket(*_: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", no_socket)
    (none,) = host.vsock_findings("42:1")
    assert (none.grade, none.advice) == (Grade.PROBLEM, "`modprobe vhost_vsock`")


@pytest.fixture
def reader() -> Iterator[tuple[str, int]]:
    """A terminal that another program reads, and its number."""
    ours, theirs = pty.openpty()
    path = os.ttyname(theirs)
    with subprocess.Popen(["cat"], stdin=theirs) as process:
        os.close(theirs)
        yield path, process.pid
        process.send_signal(signal.SIGKILL)
    os.close(ours)


def test_a_line_that_another_program_reads(reader: tuple[str, int]) -> None:
    path, number = reader
    found = diagnose(f"serial:{path}", timeout=0.5)
    step, grade, text = last(found)
    assert (step, grade) == ("other clients", "problem")
    assert f"cat (process {number})" in text


def test_lines() -> None:
    _, denied = host.line_findings(host.LineFacts("/dev/x", denied="of root"))
    assert (denied.step, denied.grade) == ("permission", Grade.PROBLEM)
    *_, free = host.line_findings(host.LineFacts("/dev/x", users=((1, "qemu-kvm"),)))
    assert free.grade == Grade.OK


def test_proxmox() -> None:
    assert list(host.pve_findings("pve:nowhere")) == []


def info(off: set[str], *, lacking: str = "") -> AgentInfo:
    names = {name for names in agents.USES.values() for name in names} | FAMILY | {"guest-x"}
    return AgentInfo(
        version="9.0",
        supported_commands=[
            AgentCommandInfo(name=n, enabled=n not in off) for n in sorted(names) if n != lacking
        ],
    )


def test_what_is_blocked_and_by_whom() -> None:
    (found,) = agents.commands(info(FAMILY))
    assert found.text.startswith("blocked as RHEL and its relatives ship it: running programs (gue")
    assert "/etc/sysconfig/qemu-ga" in found.advice
    (found,) = agents.commands(info({"guest-exec", "guest-exec-status"}))
    assert found.text.startswith("blocked as openSUSE ships it: ")
    (found,) = agents.commands(info({"guest-set-time"}))
    assert found.text == "blocked by its configuration: the clock (guest-set-time)"
    (found,) = agents.commands(info({"guest-x"}))
    assert (found.grade, found.text) == ("ok", "all that matter are allowed; blocked: guest-x")
    (found,) = agents.commands(info(set()))
    assert found.text == "all are allowed"
    (found, _) = agents.commands(info(set(), lacking="guest-set-user-password"))
    assert found.text == "it is too old for passwords: it lacks guest-set-user-password"
    (found,) = agents.commands(AgentInfo(version="0.15", supported_commands=[]))
    assert found.grade == Grade.NOTE


def test_how_the_guest_is() -> None:
    assert agents.frozen("error").grade == Grade.PROBLEM
    assert agents.latency([0.001, 0.9, 0.7]).grade == Grade.NOTE
    assert agents.latency([0.001, 0.9, 0.002]).grade == Grade.OK
    assert agents.clock(TimeOffset(5.5, 1, 1)).grade == Grade.OK
    assert agents.clock(TimeOffset(5.5, 0.1, 1)).text.endswith("5.500 s ahead")
    assert agents.clock(TimeOffset(-5.5, 0.1, 1)).grade == Grade.PROBLEM
    assert agents.version(AgentInfo(version="1.0", supported_commands=[]), "").text.startswith(
        "the agent, version 1.0"
    )


def test_silence() -> None:
    assert silent(qga.NoChannel("x")).step == "channel"
    assert "install" in silent(qga.AgentNotResponding("x")).advice
    assert "install" not in silent(qga.AgentBusy("x")).advice
    assert silent(qga.ProtocolError("x")).text.startswith("what answers is no guest agent")
    assert silent(qga.ConnectionLost("x")).text == "x"


def test_nothing_of_this_machine_is_found_by_the_tests() -> None:
    assert discovery.sources() == {"files"}
    assert Path("/proc") == unixsockets.PROC
