"""What rests on what, and why some mounts cannot be frozen: by tables and a tree like sysfs."""

from pathlib import Path

import pytest

from qga.agent.system.linux import freezer, surveying
from qga.agent.system.mounts import Survey

# Number, path, options of the file system.
TABLE = """\
20 1 8:1 / / rw - ext4 /dev/sda1 rw
21 20 0:5 / /proc rw - proc proc rw
22 20 0:30 / /tmp rw shared:3 - tmpfs tmpfs rw
23 20 8:16 / /data rw shared:1 master:2 - xfs /dev/sdb rw
24 20 7:0 / /inner rw - ext4 /dev/loop0 rw
25 20 7:1 / /twice rw - ext4 /dev/loop1 rw
26 20 253:0 / /volume rw - xfs /dev/mapper/v rw
27 20 8:16 /sub /bound rw - xfs /dev/sdb rw
28 20 0:31 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/data/up\\040per,workdir=/w
29 20 0:32 / /net rw - nfs4 server:/x rw
30 20 0:33 / /host rw - virtiofs tag rw
31 20 0:34 / /served rw - fuse.sshfs x rw
32 20 0:35 / /pool rw - zfs pool rw
33 20 8:32 / /cd ro - iso9660 /dev/sdc ro
34 20 0:36 / /odd rw - odd odd rw
35 20 7:2 / /layered rw - ext4 /dev/loop2 rw
"""
SWAPS = b"""\
Filename Type Size Used Priority
/data/swap\\040file file 1 0 -2
/dev/sda2 partition 1 0 -3
"""


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """Loop 0 is in a file of /data, loop 1 in one of /inner, its volume over loop 1's partition."""
    devices = {
        "8:1": "sda/sda1", "8:16": "sdb", "8:32": "sdc", "7:0": "loop0", "7:1": "loop1",
        "7:2": "loop2", "253:0": "dm-0",
    }  # fmt: skip
    (tmp_path / "dev/block").mkdir(parents=True)
    for number, path in devices.items():
        (tmp_path / "devices" / path).mkdir(parents=True, exist_ok=True)
        (tmp_path / "dev/block" / number).symlink_to(f"../../devices/{path}")
    for name, file in (("0", "/data/image"), ("1", "/inner/a (deleted)"), ("2", "/merged/x")):
        (tmp_path / f"devices/loop{name}/loop").mkdir()
        (tmp_path / f"devices/loop{name}/loop/backing_file").write_text(f"{file}\n")
    part = tmp_path / "devices/loop1/loop1p1"
    part.mkdir()
    (part / "partition").write_text("1\n")
    (tmp_path / "devices/dm-0/slaves").mkdir()
    (tmp_path / "devices/dm-0/slaves/loop1p1").symlink_to("../../loop1/loop1p1")
    return tmp_path


@pytest.fixture
def found(sys: Path) -> Survey:
    return surveying.survey(TABLE.encode(), SWAPS, str(sys))


def test_what_rests_on_what(found: Survey) -> None:
    names = [mount.path for mount in found.mounts]
    below = {
        names[at]: {names[each] for each in positions}
        for at, positions in enumerate(found.below)
        if positions
    }
    assert below == {
        "/inner": {"/data"},
        "/twice": {"/inner"},
        "/volume": {"/inner"},
        "/layered": {"/data"},  # in a file of an overlay, which is written to its upper layer
    }


def test_what_else_is_to_be_known(found: Survey) -> None:
    names = [mount.path for mount in found.mounts]
    assert {names[at]: note for at, note in found.notes.items()} == {
        "/data": "the swap file /data/swap file in it is written to even while it is frozen",
        "/cd": "read-only: nothing of it waits to be written",
    }


def test_why_not_the_others(found: Survey) -> None:
    assert {mount.path: reason for mount, reason in found.others} == {
        "/tmp": "in memory: nothing of it is on a disk",
        "/bound": "the same file system as /data",
        "/merged": "it has no device: frozen with the file systems of its layers",
        "/net": "on the network: it can be frozen only where it is served",
        "/host": "a directory of the host, which alone could freeze it",
        "/served": "a program serves it, which frozen file systems might stop",
        "/pool": "ZFS cannot be frozen: take a snapshot of its pool instead",
        "/odd": "it has no block device",
    }


def test_btrfs_on_several_devices(sys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It rests on what any of them rests on; its own number is no device's."""
    table = b"""\
20 1 8:1 / / rw - ext4 /dev/sda1 rw
23 20 8:16 / /data rw - xfs /dev/sdb rw
24 20 0:50 /one /one rw - btrfs /dev/null rw,subvol=/one
25 20 0:50 /two /two rw - btrfs /dev/null rw,subvol=/two
"""
    monkeypatch.setattr(freezer, "_is_block_device", lambda _: True)
    for name, number in (("a", "1:3"), ("b", "7:0")):  # /dev/null is the first, a loop the other
        folder = sys / f"fs/btrfs/uuid/devices/{name}"
        folder.mkdir(parents=True)
        (folder / "dev").write_text(f"{number}\n")
    found = surveying.survey(table, b"", str(sys))
    assert [mount.path for mount in found.mounts] == ["/", "/data", "/one"]
    assert found.below == [set(), set(), {1}]
    assert [(mount.path, reason) for mount, reason in found.others] == [
        ("/two", "the same file system as /one")
    ]


def test_this_machine() -> None:
    """Whatever is mounted here, the order of its mounts is that of the table."""
    found = freezer.LinuxFreezer().survey()
    paths = [mount.path for mount in freezer.LinuxFreezer().mounts()]
    assert [mount.path for mount in found.mounts] == paths
    assert len(found.below) == len(paths)
