"""The agent of our package, a service of systemd, is upgraded, or killed, while it is frozen."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.vm.conftest import GuestFactory
from tests.vm.installing import INSTALLING, UNIT, build, install, shown, succeeded
from tests.vm.machine import SYSTEMD
from tests.vm.observe import Delay, Writer, blocked_writers, connect, wait_until
from tests.vm.qemu import Guest

pytestmark = pytest.mark.timeout(900)  # the first one may have to make the guest
ROOT = Path(__file__).parents[2]
UPGRADE = "/var/cache/upgrade.deb"
LEASE_MS = 6000


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    with ExitStack() as guests:
        made = GuestFactory(guests)(None, SYSTEMD)
        install(made, build(tmp_path_factory.mktemp("deb")))
        yield made


def main_pid(guest: Guest) -> int:
    return int(shown(guest, "MainPID"))


def build_next(directory: Path) -> Path:
    """The package of the version after this one."""
    shutil.copytree(ROOT / "src/qga", directory / "src/qga")
    shutil.copytree(ROOT / "packaging", directory / "packaging")
    shutil.copy(ROOT / "CHANGELOG.md", directory)
    (directory / "src/qga/_version.py").write_text('VERSION = "999.1"\n', encoding="utf-8")
    made = subprocess.run(
        [sys.executable, str(directory / "packaging/build_deb.py"), str(directory)],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(made.stdout[:-1])


def test_upgraded_while_frozen(guest: Guest, tmp_path: Path) -> None:
    """One disk is; the package is written to the other."""
    guest.write(UPGRADE, build_next(tmp_path).read_bytes())
    lease = {"deadline-ms": 600_000, "token": "of the backup"}
    with connect(guest) as client:
        made = client.call("qga-fsfreeze-freeze", {**lease, "mountpoints": ["/mnt/data"]})
        assert made["count"] == 1
    before = main_pid(guest)
    writer = Writer(guest, "/mnt/data")
    wait_until(lambda: writer.blocked, "the disk is frozen")
    succeeded(guest.sh(f"dpkg -i {UPGRADE}", timeout=INSTALLING))
    guest.wait_agent()
    assert main_pid(guest) not in {0, before}
    assert succeeded(guest.sh("dpkg-query -W qga-agent")) == "qga-agent\t999.1\n"
    assert "qga 999.1" in succeeded(guest.sh("qga-agent --version"))
    with connect(guest) as client:
        assert client.fsfreeze_status() == "frozen"
        found = client.call("qga-fsfreeze-report")
        for name in ("token", "began", "began-monotonic", "frozen-monotonic", "mounts", "count"):
            assert found[name] == made[name]
        assert 0 < found["deadline-ms"] < made["deadline-ms"]
        renewed = client.call("qga-fsfreeze-renew", {**lease, "deadline-ms": 700_000})
        assert renewed["deadline-ms"] > made["deadline-ms"]
        assert writer.blocked
        thawed = client.call("qga-fsfreeze-thaw", {"token": "of the backup"})
        assert (thawed["held"], thawed["end"], thawed["count"]) == (True, "thawed", 1)
    writer.finish()


def test_killed_with_the_root_frozen_and_the_journal_stopped(guest: Guest) -> None:
    """Nobody can log anything, and nobody comes to thaw."""
    lease = {"deadline-ms": LEASE_MS, "token": "of the backup"}
    journal = shown(guest, "MainPID", unit="systemd-journald")
    before = main_pid(guest)
    with connect(guest) as client:
        assert client.call("qga-fsfreeze-freeze", lease)["count"] == 2
    guest.sh(f"kill -STOP {journal}; kill -KILL {before}")
    with blocked_writers(guest):
        delay = Delay(guest)
    guest.sh(f"kill -CONT {journal}")
    guest.wait_agent()
    assert main_pid(guest) not in {0, before}
    with connect(guest) as client:
        report = client.call("qga-fsfreeze-report")
        assert (report["state"], report["token"]) == ("thawed", "of the backup")
        assert (report["held"], report["end"]) == (False, "lease")
        delay.after(report, LEASE_MS)
    assert "the lease ended" in succeeded(guest.sh(f"journalctl -qb -u {UNIT}; journalctl -qb"))
