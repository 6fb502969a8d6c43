"""`qga targets` and `qga doctor` with the socket of a real QEMU: its guest off, booting, without an
agent, with one that hangs, is busy, or is well; with both agents.
"""

import os
import signal
from pathlib import Path

import pytest

import qga
from qga.client import Target, discovery, libvirtlocal, probing, qemuprocesses, unixsockets
from qga.client.doctor import Diagnosis, Finding, diagnose
from qga.client.reach import Reach
from tests.vm.conftest import GuestFactory
from tests.vm.observe import PATIENCE, wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

# Seconds for an answer that cannot come.
QUICK = 0.3


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine is found but what the test links into `proc`."""
    for name in ("root", "run", "proc"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(discovery, "ROOT", tmp_path / "root")
    monkeypatch.setattr(libvirtlocal, "RUN", tmp_path / "root")
    monkeypatch.setattr(unixsockets, "PROC", tmp_path / "proc")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("QGA_FIND", "sockets")
    return tmp_path / "proc"


def show(proc: Path, guest: Guest) -> None:
    """Let the guest's QEMU be found."""
    number = str(guest.process.pid)
    if not (proc / number).exists():
        (proc / number).symlink_to(Path("/proc") / number)


def finding(found: Diagnosis, step: str) -> Finding:
    return next(one for one in found.findings if one.step == step)


def states(proc: Path) -> list[Reach | None]:
    return [known.state for known in qga.targets(probe=True)]


@pytest.mark.parametrize("agent", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
def test_a_guest(
    agent: tuple[str, ...],
    guest_factory: GuestFactory,
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "PATIENCE", QUICK)
    guest = guest_factory(None)
    target = f"unix:{guest.agent_socket}"
    show(alone, guest)
    # The guest runs, and no agent: as while it boots, or where none is installed.
    (known,) = qga.targets()
    assert (known.target, known.source) == (target, "socket")
    assert next(qemuprocesses.sockets())[1] == guest.agent_socket
    # QEMU may be slow to take the connection.
    wait_until(lambda: probing.probe(Target(target), QUICK) == Reach.SILENT, "no agent")
    wait_until(lambda: "install" in diagnose(target, timeout=QUICK).findings[-1].advice, "advice")
    found = diagnose(target, timeout=QUICK)
    assert finding(found, "listener").text.startswith(("qemu", "kvm"))
    assert found.findings[-1].step == "agent"
    assert not found.reached
    # The agent is well. A name that was found is a target.
    guest.start_agent(agent)
    assert probing.probe(Target(target), PATIENCE) == Reach.READY
    with qga.connect(known.name, timeout=PATIENCE) as client:
        client.ping()
        # Another client has the channel: it is left alone, and told who that is.
        assert states(alone) == [Reach.BUSY]
        (alone / str(os.getpid())).symlink_to("/proc/self")
        busy = diagnose(target)
        assert f"(process {os.getpid()}) is connected" in finding(busy, "other clients").text
        assert finding(busy, "other clients").grade == "problem"
        assert busy.findings[-1].step == "other clients"
        client.ping()  # undisturbed
    found = diagnose(target, timeout=PATIENCE)
    assert found.reached
    kind = "qga-agent" if agent is AGENT else "qemu-ga"
    assert finding(found, "version").text.startswith(kind)
    assert finding(found, "commands").text.startswith("all ")
    assert finding(found, "file systems").grade == "ok"
    # Frozen, by somebody who has left the channel.
    with qga.connect(target, timeout=PATIENCE) as client:
        client.call("guest-fsfreeze-freeze")
    found = diagnose(target, timeout=PATIENCE)
    assert finding(found, "file systems").grade == "problem"
    assert (found.reached, found.healthy) == (True, False)
    with qga.connect(target, timeout=PATIENCE) as client:
        assert client.thaw() == 2
    # It hangs.
    guest.signal_agent(signal.SIGSTOP)
    assert probing.probe(Target(target), QUICK) in {Reach.SILENT, Reach.BUSY}
    found = diagnose(target, timeout=QUICK)
    assert (found.reached, found.findings[-1].step) == (False, "agent")
    guest.signal_agent(signal.SIGCONT)
    assert probing.probe(Target(target), PATIENCE) == Reach.READY
    # QEMU is gone, and its socket is still there.
    guest.process.kill()
    guest.process.wait()
    assert probing.probe(Target(target)) == Reach.REFUSED
    assert diagnose(target).findings[-1].step == "listener"
    guest.agent_socket.unlink()
    assert probing.probe(Target(target)) == Reach.OFF
    assert diagnose(target).findings[-1].step == "socket"


# In the guest, where our library and a vsock are; again until the agent listens.
EXAMINATION = """
from qga.client.doctor import diagnose
for _ in range(50):
    found = diagnose("vsock:1:1234", timeout=60)
    if found.reached:
        break
for one in found.findings:
    print(one.step, one.grade, one.text)
"""


def test_vsock_inside_a_guest(guest: Guest) -> None:
    guest.kill_agent()
    argv = [*AGENT[:4], "-m", "vsock-listen", "-p", "4294967295:1234", "-t", "/run"]
    guest.start_agent(argv, port=None)
    out = guest.sh("python3 -", EXAMINATION.encode(), 240).out
    assert "vsock note CID 1 is this machine, not a guest" in out
    assert "version ok qga-agent, " in out
