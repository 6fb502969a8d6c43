"""Disks on Linux, as made-up trees like /sys tell of them, and as this machine's own does.

What the addresses have to be is what qemu-ga makes of the same trees (see
tests/interop/test_made_up_disks).
"""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from qga.agent.system.linux.storage import LinuxStorage
from qga.errors import GuestOSError
from qga.protocol.storage import CcwAddress, DiskAddress, DiskInfo, PciAddress
from tests.agent.harness import own_descriptors
from tests.support.devices import Devices, every_controller

NO_PCI = (-1, -1, -1, -1)


def storage(devices: Devices) -> LinuxStorage:
    return LinuxStorage(str(devices.sys), str(devices.udev))


def by_name(devices: Devices) -> dict[str, DiskInfo]:
    return {disk.name.removeprefix("/dev/"): disk for disk in storage(devices).disks()}


def place(address: DiskAddress | None) -> tuple[object, ...]:
    """Bus type, bus, target, unit and PCI address of a disk."""
    assert address is not None
    pci = address.pci_controller
    numbers = (pci.domain, pci.bus, pci.slot, pci.function)
    return str(address.bus_type), address.bus, address.target, address.unit, numbers


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    return Devices(tmp_path)


def test_each_controller_has_its_rule(tmp_path: Path) -> None:
    disks = by_name(every_controller(tmp_path))
    places = {
        name: place(disk.address)
        for name, disk in disks.items()
        if not disk.partition and not name.startswith(("dm-", "loop"))
    }
    assert places == {
        "sda": ("ide", 1, 0, 0, (0, 0, 1, 1)),
        "sdb": ("ide", 1, 0, 1, (0, 0, 1, 1)),
        "sdc": ("sata", 0, 0, 1, (0, 0, 31, 2)),
        "sdd": ("scsi", 0, 0, 3, (0, 0, 5, 0)),
        "sde": ("scsi", 0, 0, 7, (0, 0, 6, 0)),
        "vda": ("virtio", 0, 0, 0, (0, 1, 0, 0)),
        "nvme0n1": ("nvme", 0, 0, 0, (1, 160, 0, 0)),
        "sdf": ("unknown", 0, 0, 0, NO_PCI),
        "sdg": ("unknown", 0, 0, 0, NO_PCI),
        "odd": ("unknown", 0, 0, 0, (0, 0, 9, 0)),
        "vdb": ("virtio", 0, 0, 0, NO_PCI),
        "sdi": ("scsi", 5, 4, 1, NO_PCI),
        "mmcblk0": ("unknown", 0, 0, 0, NO_PCI),
    }


@pytest.mark.parametrize("driver", ["xhci_hcd", "ehci-pci"])
def test_usb(devices: Devices, driver: str) -> None:
    devices.pci("pci0000:00/0000:00:1c.5", "pcieport")
    devices.pci("pci0000:00/0000:00:1c.5/0000:0b:00.0", driver)
    devices.scsi("pci0000:00/0000:00:1c.5/0000:0b:00.0/usb1/1-1/1-1:1.0", "6:0:0:0", "sda")
    assert place(by_name(devices)["sda"].address) == ("usb", 0, 0, 0, (0, 11, 0, 0))


def test_pci_that_is_itself_part_of_a_platform_device(devices: Devices) -> None:
    """As on ARM without ACPI."""
    root = "platform/4010000000.pcie/pci0000:00"
    devices.pci(f"{root}/0000:00:02.0", "virtio-pci")
    devices.disk(f"{root}/0000:00:02.0/virtio1/block", "vda")
    assert place(by_name(devices)["vda"].address) == ("virtio", 0, 0, 0, (0, 0, 2, 0))


def test_a_controller_behind_another_root(devices: Devices) -> None:
    root = "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0"
    devices.pci("pci0000:00/0000:00:0e.0", "vmd")
    devices.pci(root, "pcieport")
    devices.pci(f"{root}/10000:e1:00.0", "nvme")
    devices.disk(f"{root}/10000:e1:00.0/nvme/nvme0", "nvme0n1")
    address = by_name(devices)["nvme0n1"].address
    assert place(address) == ("nvme", 0, 0, 0, (0x10000, 0xE1, 0, 0))


@pytest.mark.parametrize(("virtio", "bus"), [("virtio3/", "virtio"), ("", "unknown")])
def test_channel_devices(devices: Devices, virtio: str, bus: str) -> None:
    """As on s390x: disks of virtio, and of the mainframe's own kind."""
    devices.disk(f"css0/0.1.001a/0.0.02fe/{virtio}block", "dasda", partitions=("dasda1",))
    address = by_name(devices)["dasda"].address
    assert address is not None
    assert place(address) == (bus, 0, 0, 0, NO_PCI)
    assert address.ccw_address == CcwAddress(cssid=0, ssid=1, subchno=0x1A, devno=0x2FE)


@pytest.mark.parametrize(
    "parent",
    [
        "pci0000:00/0000:00:01.1/ata1/host0/target0:0:0/odd/block",
        "pci0000:00/0000:00:01.1/ata1/host0/block",
        "pci0000:00/0000:00:01.1/atax/target0:0:0/0:0:0:0/block",
        "css0/0.0/0.0.1/block",
        "css0/x/y/virtio0x/block",
        "pci0000:00/0000:00:zz.1/block",
        "css0",
    ],
)
def test_paths_that_are_odd(devices: Devices, parent: str) -> None:
    devices.pci("pci0000:00/0000:00:01.1", "ata_piix")
    devices.disk(parent, "sda")
    kind, *numbers, pci = place(by_name(devices)["sda"].address)
    assert kind in {"unknown", "virtio"}
    assert numbers == [0, 0, 0]
    assert pci in {NO_PCI, (0, 0, 1, 1)}


def test_more_ports_than_one_can_count_on_fingers(devices: Devices) -> None:
    controller = "pci0000:00/0000:00:1f.2"
    devices.pci(controller, "ahci")
    for port in range(32):
        devices.scsi(f"{controller}/ata{port + 7}", f"{port}:0:0:0", f"sd{port}")
    units = {name: disk.address.unit for name, disk in by_name(devices).items() if disk.address}
    assert units == {f"sd{port}": port for port in range(32)}


def test_partitions_and_volumes(tmp_path: Path) -> None:
    disks = by_name(every_controller(tmp_path))
    partition = DiskInfo(name="/dev/sdc2", partition=True, dependencies=["/dev/sdc"])
    assert disks["sdc2"] == partition
    assert (disks["sdc"].partition, disks["sdc"].dependencies) == (False, [])
    volume = disks["dm-0"]
    assert sorted(volume.dependencies or []) == ["/dev/sdc1", "/dev/vda1"]
    assert (volume.alias, volume.partition, volume.address) == ("group-volume", False, None)
    assert (disks["dm-1"].alias, disks["dm-1"].dependencies) == ("inner", ["/dev/dm-0"])
    # What is not in use, and what has no device file, is no disk.
    assert "loop0" in disks
    assert "loop1" not in disks
    assert "hidden" not in disks


def test_a_disk_comes_before_its_partitions(tmp_path: Path) -> None:
    names = [disk.name for disk in storage(every_controller(tmp_path)).disks()]
    at = names.index("/dev/sdc")
    assert set(names[at + 1 : at + 3]) == {"/dev/sdc1", "/dev/sdc2"}


def test_serial_numbers_are_what_udev_says(devices: Devices) -> None:
    devices.disk("virtual/one/block", "vda", serial="ours", udev={"ID_SERIAL": "udev's"})
    devices.disk("virtual/two/block", "vdb", serial="ours", udev={"ID_SERIAL": ""})
    devices.disk("virtual/three/block", "vdc", serial="ours", udev={"ID_SERIAL_SHORT": "x"})
    devices.disk("virtual/four/block", "vdd", udev={"ID_SERIAL": "caf\xe9 =", "X": "ID_SERIAL=1"})
    found = {n: disk.address.serial for n, disk in by_name(devices).items() if disk.address}
    assert found == {"vda": "udev's", "vdb": None, "vdc": None, "vdd": "caf\xe9 ="}


def test_a_guest_without_udev(devices: Devices) -> None:
    """The kernel knows the names of volumes; a serial number it would have to ask the disk for."""
    devices.disk("virtio1/block", "vda", partitions=("vda1",), serial="DISK-1\n")
    devices.disk("virtual/block", "dm-0")
    (devices.sys / "devices/virtual/block/dm-0/dm").mkdir()
    (devices.sys / "devices/virtual/block/dm-0/dm/name").write_text("group-volume\n")
    devices.disk("virtual/block", "md0")
    disks = by_name(devices)
    assert disks["dm-0"].alias == "group-volume"
    assert disks["md0"].alias is None
    address = disks["vda"].address
    assert address is not None
    assert (address.serial, address.dev) == (None, "/dev/vda")


def test_disks_that_go_while_they_are_listed(devices: Devices) -> None:
    for name in ("vda", "vdb", "vdc", "vdd", "vde"):
        devices.disk(f"virtio-{name}/block", name, partitions=(f"{name}1",))
    at = devices.sys / "devices"
    (at / "virtio-vda/block/vda/size").unlink()
    (at / "virtio-vdb/block/vdb/uevent").unlink()
    (at / "virtio-vdc/block/vdc/size").write_text("")
    (devices.sys / "block/vde").unlink()
    (devices.sys / "block/vde").write_text("no link")
    assert by_name(devices).keys() == {"vdd", "vdd1"}


def test_without_sysfs(tmp_path: Path) -> None:
    with pytest.raises(GuestOSError) as caught:
        LinuxStorage(str(tmp_path)).disks()
    expected = f'Can\'t open directory "{tmp_path}/block": No such file or directory'
    assert caught.value.desc == expected


def test_hundreds_of_disks(devices: Devices) -> None:
    devices.pci("pci0000:00/0000:00:06.0", "virtio-pci")
    for number in range(300):
        devices.scsi("pci0000:00/0000:00:06.0/virtio0", f"0:0:{number}:{number}", f"sd{number}")
    units = [disk.address.unit for disk in storage(devices).disks() if disk.address]
    assert sorted(units) == list(range(300))


def test_the_disks_of_this_machine() -> None:
    disks = LinuxStorage().disks()
    names = [disk.name for disk in disks]
    assert len(names) == len(set(names))
    for disk in disks:
        assert Path("/sys/class/block", disk.name.removeprefix("/dev/").replace("/", "!")).exists()
        assert disk.address is None or isinstance(disk.address.pci_controller, PciAddress)


def test_what_is_kept_of_disks_that_stay(devices: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    devices.disk("virtio1/block", "vda", partitions=("vda1",), serial="ONE")
    devices.disk("virtio2/block", "vdb", size=0)
    linux = storage(devices)
    opened: list[str] = []
    gone: list[int] = []

    def open_(path: str, *arguments: Any, open_: Any = os.open) -> int:
        opened.append(path)
        return int(open_(path, *arguments))

    def pread(fd: int, *arguments: Any, pread: Any = os.pread) -> bytes:
        # The kernel refuses to read what belongs to a device that has gone.
        if fd in gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return bytes(pread(fd, *arguments))

    monkeypatch.setattr("os.open", open_)
    monkeypatch.setattr("os.pread", pread)

    def names() -> list[str]:
        return sorted(disk.name for disk in linux.disks())

    before = own_descriptors()
    assert names() == ["/dev/vda", "/dev/vda1"]
    opened.clear()
    assert names() == ["/dev/vda", "/dev/vda1"]
    assert [path for path in opened if not path.startswith(str(devices.udev))] == []
    # A medium was inserted; a partition made, another deleted.
    (devices.sys / "devices/virtio2/block/vdb/size").write_text("8\n")
    parts = devices.sys / "devices/virtio1/block/vda"
    (parts / "vda1").rename(parts / "vda2")
    (parts / "vda2/uevent").write_text("MAJOR=250\nMINOR=2\nDEVNAME=vda2\n")
    assert names() == ["/dev/vda", "/dev/vda2", "/dev/vdb"]
    assert own_descriptors() == before + 3
    # Another disk in the place of the first one.
    files = Path("/proc/self/fd").iterdir()
    gone += [int(file.name) for file in files if os.path.realpath(file).endswith("/size")]
    assert len(gone) == 3
    (parts / "uevent").write_text("MAJOR=250\nMINOR=9\nDEVNAME=new\n")
    (devices.udev / "b250:9").write_text("E:ID_SERIAL=TWO\n")
    found = {disk.name: disk for disk in linux.disks()}
    address = found["/dev/new"].address
    assert address is not None
    assert address.serial == "TWO"
    assert "/dev/vda" not in found
    gone.clear()
    # What is no longer there is not watched any more.
    for link in (devices.sys / "block").iterdir():
        link.unlink()
    assert names() == []
    assert own_descriptors() == before


def test_no_more_files_are_kept_open_than_some(devices: Devices) -> None:
    for number in range(50):
        devices.disk(f"virtio{number}/block", f"d{number}", partitions=(f"d{number}p1",))
    linux = storage(devices)
    before = own_descriptors()
    for _ in range(3):
        assert len(linux.disks()) == 100
        assert own_descriptors() == before + 32
