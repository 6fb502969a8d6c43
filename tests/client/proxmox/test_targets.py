"""Proxmox VE's machines as targets: by environment, targets file, list and command line."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.cli.app import run
from qga.client import TraceEvent, probing, proxmox
from qga.client.doctor import diagnose
from tests.support.proxmox import Server
from tests.support.proxmox.server import TOKEN


@pytest.fixture
def _environment(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"PROXMOX_{name.upper()}", value)


@pytest.mark.usefixtures("_environment")
def test_a_target(server: Server) -> None:
    for target in ("pve:node1/100", f"pve://{server.host}/node1/100"):
        with qga.connect(target) as client:
            client.ping()

    async def check() -> None:
        async with await qga.aconnect("pve:node1/100") as client:
            await client.ping()

    asyncio.run(check())
    with pytest.raises(qga.NoChannel, match=r"cannot open pve:other/100: .*no node other"):
        qga.connect("pve:other/100")


def test_a_name_in_a_targets_file(
    server: Server, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "targets.toml"
    lines = [f'{name} = "{value}"' for name, value in settings.items()]
    file.write_text("\n".join(["[targets.db]", 'target = "pve:node1/100"', *lines]))
    file.chmod(0o600)
    monkeypatch.setenv("QGA_TARGETS", str(file))
    with qga.connect("db") as client:
        client.ping()
    assert TOKEN not in repr(qga.Target("db"))


@pytest.mark.usefixtures("_environment")
def test_the_machines_of_a_cluster(lone_server: Server, settings: dict[str, Any]) -> None:
    found = [(known.name, known.target) for known in qga.targets("pve:")]
    assert found == [("db", "pve:node1/100"), ("web", "pve:node2/101")]
    host = f"pve://{lone_server.host}"
    assert qga.targets(host)[0].target == f"{host}/node1/100"
    assert len(proxmox.machines(**settings)) == 2
    with pytest.raises(qga.InvalidTarget, match="pve:node1"):
        qga.targets("pve:node1")


@pytest.mark.usefixtures("_environment")
def test_the_command_line(server: Server, directory: Path, capfd: Any) -> None:
    (directory / "file").write_bytes(b"text\n")
    assert run(["ping", "pve:node1/100"]) == 0
    assert run(["cat", f"pve:node1/100:{directory}/file"]) == 0
    assert run(["cat", f"pve://{server.host}/node1/100:{directory}/file"]) == 0
    assert capfd.readouterr().out.count("text\n") == 2
    assert run(["call", "pve:node1/100", "guest-get-disks"]) != 0
    assert "lsblk" in capfd.readouterr().err
    assert run(["targets", "pve:"]) == 0
    assert "pve:node2/101" in capfd.readouterr().out


@pytest.mark.usefixtures("_environment")
def test_the_doctor(server: Server) -> None:
    events: list[TraceEvent] = []
    found = diagnose("pve:node1/100", timeout=30, trace=events.append)
    assert found.reached
    steps = {finding.step: finding for finding in found.findings}
    assert steps["API"].text.startswith("the API token ")
    assert steps["API"].text.endswith(" about VM 100 on node1")
    assert steps["file systems"].grade == "ok"
    assert any(event.text.startswith("guest-info {") for event in events)
    assert TOKEN not in repr((found, events))


@pytest.mark.usefixtures("_environment")
def test_the_doctor_where_no_agent_runs(lone_server: Server) -> None:
    found = diagnose("pve:node1/100", timeout=30)
    assert not found.reached
    assert found.findings[-1].step == "agent"
    assert "does not answer Proxmox" in found.findings[-1].text
    assert probing.probe(qga.Target("pve:node1/100"), 30) == "not answering"
    assert diagnose("pve:other/100", timeout=30).findings[-1].step == "channel"
