"""Makes up the disks of machines that nobody has here: a tree like /sys, and udev's records.

Used by the tests of the agent, which give it the folder, and by the interop tests, which show it to
both agents as /sys.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path


class Devices:
    """What the kernel and udev tell of block devices.

    Args:
        root: an empty folder; in it will be ``sys``, ``run/udev/data`` and ``dev``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sys = root / "sys"
        self.udev = root / "run/udev/data"
        self.numbers: dict[str, str] = {}
        """Major and minor number of each device, by its name."""
        for path in (self.sys / "block", self.sys / "dev/block", self.sys / "bus", self.udev):
            path.mkdir(parents=True)

    def pci(self, path: str, driver: str | None) -> None:
        """A PCI device under /sys/devices, and the driver that it has."""
        directory = self.sys / "devices" / path
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "uevent").touch()
        (directory / "subsystem").symlink_to(_up(directory, self.sys) + "bus/pci")
        if driver is not None:
            target = self.sys / "bus/pci/drivers" / driver
            target.mkdir(parents=True, exist_ok=True)
            (directory / "driver").symlink_to(
                _up(directory, self.sys) + f"bus/pci/drivers/{driver}"
            )

    def directory(self, path: str) -> None:
        """One more directory under /sys/devices, such as a host that has no disk."""
        (self.sys / "devices" / path).mkdir(parents=True)

    def disk(
        self,
        parent: str,
        name: str,
        *,
        partitions: Sequence[str] = (),
        slaves: Sequence[str] = (),
        size: int = 2048,
        udev: Mapping[str, str] = {},
        serial: str | None = None,
        node: bool = True,
    ) -> None:
        """A block device under /sys/devices/*parent*, with its partitions.

        Args:
            parent: without the ``block`` that most have; for virtual ones `virtual`.
            slaves: the paths under /sys/devices of what it is made of.
            udev: what udev has recorded, for it and its partitions.
            serial: what the driver says is its serial number.
            node: whether it has a device file.
        """
        path = self._device(f"{parent}/{name}", name, "disk", size, udev, node=node)
        directory = self.sys / "devices" / path
        (self.sys / "block" / name).symlink_to(f"../devices/{path}")
        if serial is not None:
            (directory / "serial").write_text(serial)
        (directory / "slaves").mkdir()
        for slave in slaves:
            link = directory / "slaves" / slave.rpartition("/")[2]
            link.symlink_to(_up(link.parent, self.sys) + f"devices/{slave}")
        for partition in partitions:
            self._device(f"{path}/{partition}", partition, "partition", size // 2, udev)
        (directory / "queue").mkdir()
        (directory / "holders").mkdir()

    def scsi(
        self,
        parent: str,
        address: str,
        name: str,
        *,
        partitions: Sequence[str] = (),
        udev: Mapping[str, str] = {},
    ) -> None:
        """A SCSI disk at *address*, such as 2:0:0:0, of a controller."""
        host, channel, target, _ = address.split(":")
        place = f"{parent}/host{host}/target{host}:{channel}:{target}/{address}/block"
        self.disk(place, name, partitions=partitions, udev=udev)

    def _device(
        self,
        path: str,
        name: str,
        kind: str,
        size: int,
        udev: Mapping[str, str],
        *,
        node: bool = True,
    ) -> str:
        directory = self.sys / "devices" / path
        directory.mkdir(parents=True)
        (directory / "size").write_text(f"{size}\n")
        (directory / "subsystem").symlink_to(_up(directory, self.sys) + "class/block")
        if not node:
            (directory / "uevent").write_text(f"DEVTYPE={kind}\n")
            return path
        numbers = self.numbers[name] = f"8:{len(self.numbers)}"
        (directory / "dev").write_text(numbers + "\n")
        major, _, minor = numbers.partition(":")
        (directory / "uevent").write_text(
            f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE={kind}\n"
        )
        (self.sys / "dev/block" / numbers).symlink_to(f"../../devices/{path}")
        if udev:
            record = "".join(f"E:{key}={value}\n" for key, value in udev.items())
            (self.udev / f"b{numbers}").write_text(f"I:1\n{record}")
        return path


def _up(directory: Path, root: Path) -> str:
    """The way from *directory* up to *root*, as links in /sys have it."""
    return "../" * len(directory.relative_to(root).parts)


def every_controller(root: Path) -> Devices:
    """A machine with a disk on each controller that qemu-ga 7.2 has a rule for, and some others."""
    made = Devices(root)
    scsi = made.scsi
    pci = "pci0000:00"

    made.pci(f"{pci}/0000:00:01.1", "ata_piix")
    made.directory(f"{pci}/0000:00:01.1/ata1/host0")
    made.directory(f"{pci}/0000:00:01.1/ata10/host9")
    scsi(f"{pci}/0000:00:01.1/ata2", "1:0:0:0", "sda", udev={"ID_SERIAL": "IDE_1"})
    scsi(f"{pci}/0000:00:01.1/ata2", "1:0:1:0", "sdb")
    made.pci(f"{pci}/0000:00:1f.2", "ahci")
    made.directory(f"{pci}/0000:00:1f.2/ata3/host2")
    scsi(f"{pci}/0000:00:1f.2/ata4", "3:0:0:0", "sdc", partitions=("sdc1", "sdc2"),
         udev={"ID_SERIAL": "SATA 1", "ID_SERIAL_SHORT": "1"})  # fmt: skip
    made.pci(f"{pci}/0000:00:05.0", "sym53c8xx")
    scsi(f"{pci}/0000:00:05.0", "4:0:3:0", "sdd")
    made.pci(f"{pci}/0000:00:06.0", "virtio-pci")
    scsi(f"{pci}/0000:00:06.0/virtio3", "5:1:2:7", "sde", udev={"ID_SERIAL": ""})
    made.pci(f"{pci}/0000:00:1c.0", "pcieport")
    made.pci(f"{pci}/0000:00:1c.0/0000:01:00.0", "virtio-pci")
    made.disk(f"{pci}/0000:00:1c.0/0000:01:00.0/virtio4/block", "vda", partitions=("vda1",),
              serial="DISK-1", udev={"ID_SERIAL": "DISK-1"})  # fmt: skip
    made.pci("pci0001:a0/0001:a0:00.0", "nvme")
    made.disk("pci0001:a0/0001:a0:00.0/nvme/nvme0", "nvme0n1", partitions=("nvme0n1p1",),
              udev={"ID_SERIAL": "QEMU_NVMe_Ctrl_1"})  # fmt: skip
    made.pci(f"{pci}/0000:00:07.0", "vmw_pvscsi")
    scsi(f"{pci}/0000:00:07.0", "8:0:0:0", "sdf")
    made.pci(f"{pci}/0000:00:08.0", None)
    scsi(f"{pci}/0000:00:08.0", "9:0:0:0", "sdg", udev={"ID_SERIAL": "no driver"})
    made.pci(f"{pci}/0000:00:09.0", "ata_piix")
    made.disk(f"{pci}/0000:00:09.0/block", "odd")  # no host, no target
    made.disk("platform/a003e00.virtio_mmio/virtio7/block", "vdb", udev={"ID_SERIAL": "MMIO"})
    scsi("platform/a004000.virtio_mmio/virtio8", "11:5:4:1", "sdi")
    made.disk("platform/mmc0/mmc0:0001/block", "mmcblk0", partitions=("mmcblk0p1",))
    made.disk("virtual/block", "dm-0", slaves=(
        f"{pci}/0000:00:1f.2/ata4/host3/target3:0:0/3:0:0:0/block/sdc/sdc1",
        f"{pci}/0000:00:1c.0/0000:01:00.0/virtio4/block/vda/vda1",
    ), udev={"DM_NAME": "group-volume"})  # fmt: skip
    made.disk("virtual/block", "dm-1", slaves=("virtual/block/dm-0",), udev={"DM_NAME": "inner"})
    made.disk("virtual/block", "loop0")
    made.disk("virtual/block", "loop1", size=0)
    made.disk("virtual/block", "hidden", node=False)
    return made
