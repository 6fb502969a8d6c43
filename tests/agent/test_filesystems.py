"""File systems on Linux, and the disks that they are on."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.freezer import LinuxFreezer
from qga.agent.system.linux.storage import LinuxStorage
from qga.protocol.codec import reader
from qga.protocol.storage import FilesystemInfo
from tests.agent.harness import answer, make_agent, request
from tests.agent.loopdevices import in_namespace, make_image
from tests.support.devices import Devices, every_controller
from tests.support.need import missing


def storage(devices: Devices, *mounts: str) -> LinuxStorage:
    """A platform with a table of these *mounts*: numbers, path, kind and source of each."""
    table = devices.root / "mountinfo"
    lines = []
    for at, mount in enumerate(mounts):
        numbers, path, kind, source = mount.split()
        lines.append(f"{at} 1 {numbers} / {path} rw - {kind} {source} rw\n")
    table.write_bytes(os.fsencode("".join(lines)))
    return LinuxStorage(str(devices.sys), str(devices.udev), str(table))


def told(linux: LinuxStorage) -> list[FilesystemInfo]:
    """What guest-get-fsinfo replies, in the order of the mount table."""
    with TemporaryDirectory() as folder:
        agent = make_agent(Path(folder), FakeSystem(storage=linux))
        found = answer(agent, request("guest-get-fsinfo"))
        agent.close()
    if "error" in found:
        raise OSError(found["error"]["desc"])
    infos: list[FilesystemInfo] = reader(list[FilesystemInfo])(found["return"])
    return infos[::-1]


def describe(devices: Devices, numbers: str, path: str = "/") -> FilesystemInfo:
    """The entry for one mount."""
    (info,) = told(storage(devices, f"{numbers} {path} ext4 /dev/x"))
    return info


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


def test_a_mount_point_that_is_not_utf_8(tmp_path: Path) -> None:
    assert describe(Devices(tmp_path), "8:1", "/m\udcff").mountpoint == "/m\ufffd"


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
    if os.major(device) == 0:
        missing(f"a block device below {tmp_path}", "set TMPDIR to a directory on a disk")
    devices = Devices(tmp_path / "made")
    info = describe(devices, f"{os.major(device)}:{os.minor(device)}", str(tmp_path))
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
    (info,) = told(storage(devices, f"0:47 /absent btrfs {block}"))
    assert (info.name, nodes(info)) == ("sdc1", ["/dev/sdc1"])


def test_ten_thousand_mounts(tmp_path: Path) -> None:
    devices = Devices(tmp_path)
    devices.disk("virtio1/block", "vda")
    many = [f"8:0 /absent/{n} ext4 /dev/vda" for n in range(5000)]
    many += [f"9:{n} /absent/x{n} ext4 /dev/x" for n in range(5000)]
    infos = told(storage(devices, *many))
    assert [info.name for info in infos] == ["vda", *(f"9:{n}" for n in range(5000))]


def test_what_may_change_is_read_again(tmp_path: Path) -> None:
    devices = Devices(tmp_path)
    devices.disk("virtio1/block", "vda")
    devices.disk("virtio2/block", "vdb")
    devices.disk("virtual/block", "dm-0", slaves=("virtio1/block/vda",))
    linux = storage(devices, f"{devices.numbers['dm-0']} /absent ext4 x")

    def disks() -> list[tuple[str | None, str | None]]:
        (info,) = told(linux)
        return sorted((disk.dev, disk.serial) for disk in info.disk)

    assert disks() == [("/dev/vda", None)]
    (devices.udev / f"b{devices.numbers['vda']}").write_text("E:ID_SERIAL=late\n")
    assert disks() == [("/dev/vda", "late")]
    # A volume that grows onto another disk.
    link = devices.sys / "devices/virtual/block/dm-0/slaves/vdb"
    link.symlink_to("../../../../virtio2/block/vdb")
    assert disks() == [("/dev/vda", "late"), ("/dev/vdb", None)]


def test_mount_points_that_move(tmp_path: Path) -> None:
    """A directory on the way was renamed: the kernel does not say that the table has changed."""
    devices = Devices(tmp_path)
    linux = storage(devices, "77:1 /absent/a ext4 x")
    assert [info.mountpoint for info in told(linux)] == ["/absent/a"]
    storage(devices, "77:1 /absent/b ext4 x")
    assert [info.mountpoint for info in told(linux)] == ["/absent/b"]


def test_a_mount_table_that_is_not_there(tmp_path: Path) -> None:
    linux = LinuxStorage(mountinfo=str(tmp_path / "mountinfo"))
    with pytest.raises(OSError, match="No such file"):
        told(linux)
    (tmp_path / "mountinfo").write_text("")
    assert told(linux) == []


def test_the_file_systems_of_this_machine() -> None:
    linux = LinuxStorage()
    for _ in range(2):
        assert [info.mountpoint for info in told(linux)] == [
            mount.path for mount in LinuxFreezer().mounts()
        ]


def test_mounts_that_come_and_go(tmp_path: Path) -> None:
    """What is kept is never too old, and the work grows no faster than the mount table."""
    make_image(tmp_path / "image", 16)
    make_image(tmp_path / "other", 24)
    in_namespace("tests.agent.on_mounts", tmp_path, str(tmp_path))
