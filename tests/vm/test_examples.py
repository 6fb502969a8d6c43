"""The example programs at work on a real guest, with either agent in it."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.test_examples import run
from tests.vm.conftest import GuestFactory
from tests.vm.qemu import AGENT, STOCK_AGENT


@pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
def test_examples(guest_factory: GuestFactory, argv: tuple[str, ...], tmp_path: Path) -> None:
    guest = guest_factory(argv)
    target = f"unix:{guest.agent_socket}"

    said = run("backup", target, "--", "echo", "snapshot")
    assert "snapshot\n" in said
    assert " file systems were frozen for " in said
    assert not said.startswith("0 ")
    guest.sh("echo still writable > /mnt/data/file")

    (row,) = csv.DictReader(io.StringIO(run("facts_to_csv", target)))
    assert row["state"] == "ready"
    assert row["name"] == guest.sh("hostname").out.strip()
    assert row["system"]
    assert row["fullest"].startswith("/")

    (tmp_path / "old").write_text("ssh-x OLD me\n")
    (tmp_path / "new").write_text("ssh-x NEW me\n")
    home = guest.sh("echo ~root").out.strip()
    guest.sh(f"mkdir -p {home}/.ssh && cat > {home}/.ssh/authorized_keys", b"ssh-x OLD me\n")
    run("rotate_ssh_keys", target, "root", tmp_path / "old", tmp_path / "new")
    assert guest.read(f"{home}/.ssh/authorized_keys").strip() == b"ssh-x NEW me"

    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("<h1>hi</h1>")
    assert "1 files, 11 bytes" in run("copy_tree", tmp_path / "site", target, "/mnt/data/site")
    assert guest.read("/mnt/data/site/index.html") == b"<h1>hi</h1>"
    assert run("run_live", target, "--", "sh", "-c", "cat /mnt/data/site/*; exit 3", code=3) == (
        "<h1>hi</h1>"
    )

    assert "% full" in run("disk_alert", "--above", 0, target, code=1)

    guest.sh("date -s @1000000000")
    assert "s off now" in run("set_time_after_resume", target)
    assert abs(int(guest.sh("date +%s").out) - 1000000000) > 86400
    assert "left alone" in run("set_time_after_resume", target, "--tolerance", 60)

    guest.sh("mkdir -p /run/cloud-init")
    guest.write("/run/cloud-init/result.json", json.dumps({"v1": {"errors": []}}).encode())
    assert " is ready at " in run("wait_for_cloud_init", target, "--timeout", 60)
