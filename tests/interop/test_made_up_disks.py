"""Both agents on the same made-up machines: what qemu-ga says of disks that nobody has here.

Each runs in a mount namespace of its own, where a made-up tree is /sys, made-up records are udev's
and a made-up table is /proc/self/mountinfo.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import qga
from tests.support.devices import Devices, every_controller
from tests.support.need import missing, need_program, need_root
from tests.support.stock import running
from tests.vm.cache import Unavailable
from tests.vm.debs import stock_agent

# The agent takes the place of the shell, and so keeps the table that was mounted over its own.
IN_NAMESPACE = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/udev/data
mount --bind "$1/run/udev/data" /run/udev/data
mount --bind "$1/mountinfo" /proc/$$/mountinfo
mount --bind "$1/sys" /sys
shift
exec "$@"
"""
# Or libudev, which qemu-ga uses, would not believe that this is sysfs.
TRUST = ("SYSTEMD_SYSFS_CHECK=0", "SYSTEMD_DEVICE_VERIFY_SYSFS=0")
# A block device that nothing is behind, for btrfs to have been mounted from.
BTRFS_DEVICE = (60, 7)


def answers(agent: str, root: Path) -> dict[str, Any]:
    need_root("to make a mount namespace")
    unshare = need_program("unshare", "apt-get install util-linux")
    command = [unshare, "--mount", "--propagation", "private", "/bin/sh", "-c", IN_NAMESPACE, "sh"]
    with (
        running([*command, str(root), "/usr/bin/env", *TRUST, *agent.split()]) as started,
        qga.connect(started.target) as client,
    ):
        found = {"guest-get-fsinfo": client.call("guest-get-fsinfo")}
        try:
            found["guest-get-disks"] = client.call("guest-get-disks")
        except qga.CommandError as error:
            found["guest-get-disks"] = error.desc
        return found


def both(devices: Devices, table: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What qemu-ga and our agent say of *devices* with the mount table *table*."""
    try:
        stock = str(stock_agent())
    except Unavailable as error:
        missing(error.what, error.remedy)
    (devices.root / "mountinfo").write_text(table)
    found = answers(stock, devices.root), answers(f"{sys.executable} -m qga.agent", devices.root)
    for answer in found:
        for info in answer["guest-get-fsinfo"]:
            # Of the file system that really is at the mount point, if at all.
            for name in ("used-bytes", "total-bytes", "total-bytes-privileged"):
                info.pop(name, None)
    return found


def mounts(devices: Devices) -> str:
    """A table in which each device is mounted."""
    lines = [
        f"{at} 1 {numbers} / /mnt/{name} rw - ext4 /dev/{name} rw\n"
        for at, (name, numbers) in enumerate(devices.numbers.items())
    ]
    return "".join(lines)


def test_every_controller(tmp_path: Path) -> None:
    devices = every_controller(tmp_path)
    stock, ours = both(devices, mounts(devices))
    assert len(stock["guest-get-disks"]) == 21
    assert len(stock["guest-get-fsinfo"]) == len(devices.numbers)
    assert ours == stock


def test_without_sysfs(tmp_path: Path) -> None:
    devices = every_controller(tmp_path)
    for path in ("block", "dev/block"):
        shutil.rmtree(devices.sys / path)
    stock, ours = both(devices, mounts(devices))
    assert "/sys/block" in stock["guest-get-disks"]
    assert ours == stock


def test_records_of_udev(tmp_path: Path) -> None:
    devices = Devices(tmp_path)
    devices.disk("virtio1/block", "vda", udev={"ID_SERIAL": "é x"}, partitions=("vda1",))
    devices.disk("virtio2/block", "vdb", udev={"DM_NAME": "name", "ID_SERIAL_SHORT": "short"})
    devices.disk("virtual/block", "dm-0", udev={"DM_NAME": "", "ID_SERIAL": '"quoted\\'})
    devices.disk("virtual/block", "md0", udev={"DM_NAME": "odd"}, partitions=("md0p1",))
    devices.disk("virtio4/block", "vdd", partitions=("vdd1",))
    shutil.rmtree(devices.sys / "devices/virtio4/block/vdd/slaves")
    stock, ours = both(devices, mounts(devices))
    assert ours == stock


def test_mounts(tmp_path: Path) -> None:
    devices = every_controller(tmp_path)
    node = tmp_path / "dev" / "btrfs source"
    node.parent.mkdir()
    os.mknod(node, 0o600 | 0o060000, os.makedev(*BTRFS_DEVICE))
    link = devices.sys / "dev/block" / ":".join(map(str, BTRFS_DEVICE))
    link.symlink_to((devices.sys / "dev/block" / devices.numbers["sdc1"]).readlink())
    vda1, dm = devices.numbers["vda1"], devices.numbers["dm-1"]
    source = str(node).replace(" ", "\\040")
    table = f"""\
1 0 0:20 / / rw - overlay overlay rw
2 1 {vda1} / /with\\040blank rw shared:1 - xfs /dev/vda1 rw
3 1 0:44 / /nfs rw - nfs server:/ rw
4 1 {dm} / /volume rw - ext4 /dev/mapper/inner rw
5 1 0:47 / /btrfs rw - btrfs {source} rw,subvol=/
6 1 0:48 / /odd rw - btrfs /dev/null rw
7 1 77:1 / /gone rw - vfat /dev/gone rw
"""
    stock, ours = both(devices, table)
    points = [info["mountpoint"] for info in stock["guest-get-fsinfo"]]
    assert points == ["/gone", "/btrfs", "/volume", "/with blank"]
    assert ours == stock


def test_a_device_mounted_twice_is_listed_once(tmp_path: Path) -> None:
    """As newer versions of qemu-ga do."""
    devices = every_controller(tmp_path)
    vda1 = devices.numbers["vda1"]
    table = f"1 0 {vda1} / /a rw - ext4 x rw\n2 0 {vda1} / /b rw - ext4 x rw\n"
    stock, ours = both(devices, table)
    first = [info for info in stock["guest-get-fsinfo"] if info["mountpoint"] == "/a"]
    assert len(stock["guest-get-fsinfo"]) == 2
    assert ours["guest-get-fsinfo"] == first


def test_the_kernel_tells_what_udev_would(tmp_path: Path) -> None:
    """In a guest without udev, qemu-ga has no aliases."""
    devices = Devices(tmp_path)
    devices.pci("pci0000:00/0000:00:04.0", "virtio-pci")
    devices.disk("pci0000:00/0000:00:04.0/virtio1/block", "vda", partitions=("vda1",))
    devices.disk("virtual/block", "dm-0")
    (devices.sys / "devices/virtual/block/dm-0/dm").mkdir()
    (devices.sys / "devices/virtual/block/dm-0/dm/name").write_text("volume\n")
    stock, ours = both(devices, mounts(devices))
    aliases = [disk.pop("alias") for disk in ours["guest-get-disks"] if "alias" in disk]
    assert aliases == ["volume"]
    assert ours == stock


@pytest.mark.parametrize(
    ("parent", "drivers", "place"),
    [
        # Known to qemu-ga since 8.1.
        ("pci0000:00/0000:00:05.0", {"pci0000:00/0000:00:05.0": "xhci_hcd"}, ("usb", 5)),
        # Unknown to it.
        (
            "platform/1.pcie/pci0000:00/0000:00:02.0/nvme/nvme0",
            {"platform/1.pcie/pci0000:00/0000:00:02.0": "nvme"},
            ("nvme", 2),
        ),
    ],
)
def test_controllers_that_only_we_know(
    tmp_path: Path, parent: str, drivers: dict[str, str], place: tuple[str, int]
) -> None:
    devices = Devices(tmp_path)
    for path, driver in drivers.items():
        devices.pci(path, driver)
    devices.disk(parent, "sda", udev={"ID_SERIAL": "1"})
    stock, ours = both(devices, "")
    (theirs,), (known,) = (found["guest-get-disks"] for found in (stock, ours))
    unknown = {"domain": -1, "bus": -1, "slot": -1, "function": -1}
    assert theirs["address"]["pci-controller"] == unknown
    assert theirs["address"]["bus-type"] == "unknown"
    pci = {"domain": 0, "bus": 0, "slot": place[1], "function": 0}
    changed = {"pci-controller": pci, "bus-type": place[0]}
    assert known == theirs | {"address": theirs["address"] | changed}
