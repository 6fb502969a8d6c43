"""Domains as plain names, as `qga targets` shows them, and as `qga doctor` examines them."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import qga
from qga.client import Target, libvirthost, libvirtlocal, probing
from qga.client.doctor import Diagnosis, diagnose
from qga.client.reach import Reach
from tests.cli.command import Run, qga_command
from tests.libvirt.pair import Pair
from tests.support.need import need_module

from .test_client import BARE, target, uri

__all__ = ["qga_command"]


@pytest.fixture
def local(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """The tests' own libvirt is where names are looked up."""
    need_module("libvirt", "apt-get install gcc libvirt-dev pkg-config python3-dev; make clean")
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", uri(pair.stock.daemon))
    monkeypatch.setenv("QGA_FIND", "files,libvirt")
    yield pair
    assert libvirthost._shared == {}


def last(found: Diagnosis) -> tuple[str, str]:
    return found.findings[-1].step, found.findings[-1].grade


def states(pair: Pair) -> dict[str, Reach | None]:
    return {known.name: known.state for known in qga.targets(probe=True)}


def test_a_name_is_a_domain(local: Pair, qga_command: Run) -> None:
    for domain in local:
        meant = Target(domain.name)
        with qga.connect(meant, timeout=60) as client:
            assert client.info().version
        assert meant.full == target(domain)

        async def main(name: str = domain.name) -> None:
            async with await qga.aconnect(name) as client:
                await client.ping()

        asyncio.run(main())
    assert qga_command("ping", "stock").text.startswith("stock answers in ")
    assert qga_command("call", "stock", "guest-ping", "-o", "json").json == {}
    assert qga_command("cat", "ours:/proc/version").text.startswith("Linux version")
    done = qga_command("ping", "stok")
    assert done.code == 2
    assert f"{uri(local.stock.daemon)} has no such domain; no socket has this name" in done.err
    done = qga_command("status", "--all", "--exclude", "nobody*")
    assert sorted(done.text.splitlines()) == ["ours: thawed", "stock: thawed"]
    assert done.code == 0


def test_how_domains_are(
    local: Pair, qga_command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(probing, "PATIENCE", 30.0)
    daemon = local.stock.daemon
    assert states(local) == {"ours": Reach.READY, "stock": Reach.READY}
    table = [line.split() for line in qga_command("targets").text.splitlines()]
    assert [row[:2] for row in table] == [["name", "state"], ["ours", "ready"], ["stock", "ready"]]
    found = diagnose("ours", timeout=60)
    assert found.reached
    assert found.full == target(local.ours)
    steps = [finding.step for finding in found.findings[:6]]
    assert steps == ["target", "libvirt", "domain", "running", "agent channel", "connected"]
    assert next(f for f in found.findings if f.step == "version").text.startswith("qga-agent")
    stock = diagnose(target(local.stock), timeout=60)
    assert next(f for f in stock.findings if f.step == "version").text.startswith("qemu-ga")
    # Without an agent.
    local.stock.kill_agent()
    assert states(local)["stock"] == Reach.SILENT
    assert last(diagnose("stock")) == ("connected", "problem")
    local.stock.start_agent()
    # Paused.
    assert local.stock.virsh("suspend").code == 0
    assert states(local)["stock"] == Reach.PAUSED
    assert last(diagnose("stock")) == ("running", "problem")
    assert local.stock.virsh("resume").code == 0
    # Off, and without a channel.
    description = daemon.directory / "bare.xml"
    description.write_text(BARE)
    daemon.give(description)
    assert daemon.virsh("define", str(description)).code == 0
    try:
        assert "bare" not in states(local)
        assert last(diagnose("bare")) == ("running", "problem")
        assert last(diagnose(target(local.stock, "gone"))) == ("domain", "problem")
    finally:
        assert daemon.virsh("undefine", "bare").code == 0


def test_a_daemon_that_hangs(
    local: Pair, qga_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped, and then goes on: nobody waits for it, and nothing is lost."""
    monkeypatch.setattr(libvirtlocal, "PATIENCE", 0.5)
    process = local.stock.daemon._process
    process.send_signal(signal.SIGSTOP)
    try:
        done = qga_command("ping", "stock")
        assert (done.code, "libvirt-sock does not answer" in done.err) == (2, True)
        done = qga_command("targets")
        assert (done.code, done.out) == (0, b"")
        assert "libvirt-sock does not answer\n" in done.err
    finally:
        process.send_signal(signal.SIGCONT)
    monkeypatch.setattr(libvirtlocal, "PATIENCE", 60.0)
    with qga.connect("stock", timeout=60) as client:
        client.ping()
