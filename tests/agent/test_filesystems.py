"""File systems on Linux and the disks that they are on; and the disks' counters."""

import os
from pathlib import Path

import pytest

from qga.agent.system.linux.freezer import parse_mountinfo
from qga.agent.system.linux.storage import LinuxStorage
from qga.agent.system.mounts import Mount
from qga.protocol.stats import DiskStats, DiskStatsInfo
from qga.protocol.storage import FilesystemInfo
from tests.support.devices import Devices, every_controller


def describe(devices: Devices, numbers: str, path: str = "/", kind: str = "ext4") -> FilesystemInfo:
    major, _, minor = numbers.partition(":")
    mount = Mount(path, (int(major), int(minor)), kind, "/dev/x")
    return LinuxStorage(str(devices.sys), str(devices.udev)).filesystem(mount)


def nodes(info: FilesystemInfo) -> list[str]:
    return sorted(address.dev or "" for address in info.disk)


@pytest.mark.parametrize(
    ("name", "disks"),
    [
        ("vda1", ["/dev/vda1"]),
        ("sda", ["/dev/sda"]),
        ("nvme0n1p1", ["/dev/nvme0n1p1"]),
        ("dm-0", ["/dev/sdc1", "/dev/vda1"]),
        ("dm-1", ["/dev/sdc1", "/dev/vda1"]),
        ("loop0", []),
    ],
)
def test_the_disks_below(tmp_path: Path, name: str, disks: list[str]) -> None:
    devices = every_controller(tmp_path)
    info = describe(devices, devices.numbers[name])
    assert (info.name, nodes(info)) == (name, disks)


def test_a_partition_has_the_serial_number_of_its_disk(tmp_path: Path) -> None:
    devices = every_controller(tmp_path)
    (address,) = describe(devices, devices.numbers["vda1"]).disk
    assert (address.dev, address.serial) == ("/dev/vda1", "DISK-1")


def test_a_partition_of_an_array(tmp_path: Path) -> None:
    devices = Devices(tmp_path)
    devices.disk("virtio1/block", "vda")
    devices.disk("virtio2/block", "vdb")
    slaves = ("virtio1/block/vda", "virtio2/block/vdb")
    devices.disk("virtual/block", "md127", partitions=("md127p1",), slaves=slaves)
    assert nodes(describe(devices, devices.numbers["md127p1"])) == ["/dev/vda", "/dev/vdb"]


def test_devices_that_sysfs_does_not_show(tmp_path: Path) -> None:
    """As in a container."""
    info = describe(Devices(tmp_path), "99:1")
    assert (info.name, info.disk) == ("99:1", [])


def test_a_device_that_goes(tmp_path: Path) -> None:
    devices = Devices(tmp_path)
    devices.disk("virtio1/block", "vda")
    (devices.sys / "devices/virtio1/block/vda/uevent").unlink()
    info = describe(devices, devices.numbers["vda"])
    assert (info.name, info.disk) == ("vda", [])


def test_sizes(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    here = f"{os.major(device)}:{os.minor(device)}"
    info = describe(
        Devices(tmp_path / "made"), here, str(tmp_path), "btrfs" if here[0] == "0" else "x"
    )
    sizes = os.statvfs(tmp_path)
    assert info.total_bytes_privileged == sizes.f_blocks * sizes.f_frsize
    assert info.used_bytes is not None
    assert info.total_bytes is not None
    assert info.used_bytes < info.total_bytes <= info.total_bytes_privileged


@pytest.mark.parametrize("path", ["/absent", "/proc"])
def test_no_sizes_but_its_own(tmp_path: Path, path: str) -> None:
    """A mount point that has gone, or that something else is mounted over."""
    info = describe(Devices(tmp_path), "8:1", path)
    assert (info.used_bytes, info.total_bytes, info.total_bytes_privileged) == (None, None, None)


def test_btrfs_is_on_the_device_that_it_was_mounted_from(tmp_path: Path) -> None:
    devices = every_controller(tmp_path)
    block = next(path for path in Path("/dev").iterdir() if path.is_block_device())
    number = block.stat().st_rdev
    link = devices.sys / f"dev/block/{os.major(number)}:{os.minor(number)}"
    link.unlink(missing_ok=True)
    link.symlink_to((devices.sys / "dev/block" / devices.numbers["sdc1"]).readlink())
    mount = Mount("/absent", (0, 47), "btrfs", str(block))
    info = LinuxStorage(str(devices.sys), str(devices.udev)).filesystem(mount)
    assert (info.name, nodes(info)) == ("sdc1", ["/dev/sdc1"])


def test_ten_thousand_mounts(tmp_path: Path) -> None:
    devices = Devices(tmp_path)
    devices.disk("virtio1/block", "vda")
    lines = [f"{n} 1 8:0 /{n} /absent/{n} rw - ext4 /dev/vda rw\n" for n in range(5000)]
    lines += [f"{n} 1 9:{n} / /absent/x{n} rw - ext4 /dev/x rw\n" for n in range(5000)]
    places = parse_mountinfo("".join(lines).encode())
    linux = LinuxStorage(str(devices.sys), str(devices.udev))
    infos = [linux.filesystem(mounts[0]) for mounts in places]
    assert [info.name for info in infos] == ["vda", *(f"9:{n}" for n in range(5000))]


# Counters.


def counters(tmp_path: Path, table: str) -> list[DiskStatsInfo]:
    path = tmp_path / "diskstats"
    path.write_text(table)
    return LinuxStorage(diskstats=str(path)).counters()


FIRST = {
    "read_ios": 1, "read_merges": 2, "read_sectors": 3, "read_ticks": 4, "write_ios": 5,
    "write_merges": 6, "write_sectors": 7, "write_ticks": 8, "ios_pgr": 9, "total_ticks": 10,
    "weight_ticks": 11,
}  # fmt: skip
DISCARD = {"discard_ios": 12, "discard_merges": 13, "discard_sectors": 14, "discard_ticks": 15}
FLUSH = {"flush_ios": 16, "flush_ticks": 17}


@pytest.mark.parametrize(
    ("fields", "stats"),
    [
        (4, {"read_ios": 1, "read_sectors": 2, "write_ios": 3, "write_sectors": 4}),
        (5, {}),
        (10, {}),
        (11, FIRST),
        (12, FIRST),
        (14, FIRST),
        (15, FIRST | DISCARD),
        (16, FIRST | DISCARD),
        (17, FIRST | DISCARD | FLUSH),
        (25, FIRST | DISCARD | FLUSH),
    ],
)
def test_counters_of_all_kernels(tmp_path: Path, fields: int, stats: dict[str, int]) -> None:
    line = " 254       0 vda " + " ".join(str(n + 1) for n in range(fields)) + "\n"
    expected = DiskStatsInfo(name="vda", major=254, minor=0, stats=DiskStats(**stats))
    assert counters(tmp_path, line) == [expected]


def test_counters_in_the_kernels_order(tmp_path: Path) -> None:
    line = " ".join("0" * 17)
    table = f"8 16 sdb {line}\n\n8 0 sda {line}\n8 1 sda1 1 2 3\n104 0 cciss/c0d0 {line}\n"
    assert [info.name for info in counters(tmp_path, table)] == ["sdb", "sda", "cciss/c0d0"]


def test_the_counters_of_this_machine() -> None:
    names = [info.name for info in LinuxStorage().counters()]
    assert names == [line.split()[2] for line in Path("/proc/diskstats").read_text().splitlines()]
