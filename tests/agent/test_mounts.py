"""The mount table of Linux: which of its entries can be frozen."""

import errno
import os
from pathlib import Path

import pytest

from qga.agent.system.linux import freezer
from qga.agent.system.linux.freezer import LinuxFreezer, parse_mountinfo
from qga.agent.system.mounts import Mount

TABLE = rb"""
21 28 0:20 / /sys rw,nosuid - sysfs sysfs rw
22 28 0:21 / /proc rw - proc proc rw
28 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw,errors=remount-ro
29 28 0:25 / /run rw,nosuid - tmpfs tmpfs rw,size=1g
30 28 8:17 / /mnt/with\040blank\011and\134more rw - xfs /dev/sd\040b rw
31 28 8:1 /srv/data /bind rw - ext4 /dev/sda1 rw
32 28 0:40 / /btrfs rw - btrfs /dev/block rw,subvol=/
33 28 0:40 /sub /btrfs/sub rw - btrfs /dev/block rw,subvol=/sub
34 28 0:41 / /net rw - nfs server:/export rw
35 28 0:42 / /lost rw - btrfs /dev/absent rw
36 28 253:0 / /gr\303\274n/\377 rw - ext4 /dev/mapper/vg-lv rw
37 28 7:0 / /snap ro,nodev,relatime - squashfs /dev/loop0 ro
38 28 0:50 / /var/lib/x rw shared:5 - overlay overlay rw,lowerdir=/a\040-\040b
"""


def paths(table: bytes) -> list[str]:
    return [mount.path for mount, *_ in parse_mountinfo(table)]


def test_local_block_devices_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezer, "_is_block_device", lambda path: path == "/dev/block")
    found = [(mount.path, mount.device, mount.kind) for mount, *_ in parse_mountinfo(TABLE)]
    assert found == [
        ("/", (8, 1), "ext4"),
        ("/mnt/with blank\tand\\more", (8, 17), "xfs"),
        ("/btrfs", (0, 40), "btrfs"),
        (os.fsdecode(b"/gr\xc3\xbcn/\xff"), (253, 0), "ext4"),
        ("/snap", (7, 0), "squashfs"),
    ]
    assert parse_mountinfo(TABLE)[1][0].source == "/dev/sd b"


@pytest.mark.parametrize(
    "line",
    [b"", b"\n\n", b"garbage", b"1 2 3:4 /", b"1 2 3:4 / / rw - ext4", b"1 2 - ext4 /dev/x rw"],
)
def test_lines_that_are_cut_short_are_skipped(line: bytes) -> None:
    assert paths(line) == []
    assert paths(line + b"\n28 1 8:1 / / rw - ext4 /dev/sda1 rw\n") == ["/"]


def test_optional_fields_may_be_many_or_none() -> None:
    table = (
        b"1 1 8:1 / /a rw - ext4 /dev/sda1 rw\n"
        b"2 1 8:2 / /b rw shared:1 master:2 propagate_from:3 unbindable - ext4 /dev/sda2 rw\n"
    )
    assert paths(table) == ["/a", "/b"]


def test_only_a_block_device_is_one(tmp_path: Path) -> None:
    assert not freezer._is_block_device("/dev/null")
    assert not freezer._is_block_device(str(tmp_path / "absent"))


def test_the_table_of_this_machine_can_be_read() -> None:
    mounts = LinuxFreezer().mounts()
    devices = [mount.device for mount in mounts]
    assert len(devices) == len(set(devices))
    assert all(mount.path.startswith("/") for mount in mounts)


def test_a_mount_that_has_been_covered_is_not_opened(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="another file system is mounted there") as caught:
        LinuxFreezer().open(Mount(str(tmp_path), (4095, 1), "ext4", "/dev/absent"))
    assert caught.value.errno == errno.ESTALE
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_descriptors_of_file_systems_that_cannot_freeze(tmp_path: Path) -> None:
    """/proc does not support it, whoever asks; without rights it is refused."""
    fd = os.open("/proc", os.O_RDONLY)
    try:
        if os.geteuid() == 0:
            with pytest.raises(OSError, match="Operation not supported"):
                LinuxFreezer().freeze(fd)
            assert not LinuxFreezer().thaw(fd)
        else:
            with pytest.raises(PermissionError):
                LinuxFreezer().freeze(fd)
    finally:
        os.close(fd)
