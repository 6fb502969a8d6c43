"""Disks and file systems of Linux: /sys/block, FITRIM."""

import fcntl
import os
from _struct import Struct

from qga.errors import GuestOSError
from qga.protocol.storage import DiskBusType, DiskInfo, FilesystemInfo

from .blockdevices import BlockDevice, BlockDevices, follow, slaves
from .filesystems import Filesystems
from .reading import read_short

# From linux/fs.h: _IOWR('X', 121, struct fstrim_range), and that: start, length, minimum. To the
# kernel they have no sign, to the protocol they do.
_FITRIM = 0xC0185879
_RANGE = Struct("=qqq")
_ALL = -1


class LinuxStorage:
    """See `qga.agent.system.asked.Storage`.

    Args:
        sys: where sysfs is.
        udev: udev's records of devices; not there in a guest without udev.
        mountinfo: the mount table.
    """

    def __init__(
        self,
        sys: str = "/sys",
        udev: str = "/run/udev/data",
        mountinfo: str = "/proc/self/mountinfo",
    ) -> None:
        self._devices = BlockDevices(sys, udev)
        self._filesystems = Filesystems(self._devices, mountinfo)

    def disks(self) -> list[DiskInfo]:
        """The disks, each followed by its partitions, in the order of /sys/block."""
        directory = self._devices.all
        try:
            names = os.listdir(directory)
        except OSError as error:
            reason = f'Can\'t open directory "{directory}": {error.strerror}'
            raise GuestOSError(reason, error.errno) from None
        found = []
        for name in names:
            try:
                if int(read_short(f"{directory}/{name}/size")) == 0:
                    continue  # not in use
                device = self._devices.device(follow(directory, name))
                if device is not None:
                    found.append(self._disk(device))
                    found += self._partitions(device, name)
            except (OSError, ValueError):
                continue  # no disk, or one that has just been taken away
        return found

    def _disk(self, device: BlockDevice) -> DiskInfo:
        serial, alias = self._devices.recorded(device)
        address = smart = None
        if not device.virtual:
            address = device.address(serial)
            if address.bus_type == DiskBusType.NVME:
                from . import nvme

                smart = nvme.smart(device.node)
        return DiskInfo(
            name=device.node,
            partition=False,
            dependencies=self._dependencies(device),
            address=address,
            alias=alias,
            smart=smart,
        )

    def _dependencies(self, device: BlockDevice) -> "list[str] | None":
        try:
            parts = map(self._devices.device, slaves(device.path))
            return [part.node for part in parts if part is not None]
        except OSError:
            return None

    def _partitions(self, disk: BlockDevice, name: str) -> list[DiskInfo]:
        found = []
        for entry in os.listdir(disk.path):
            if entry.startswith(name):
                device = self._devices.device(f"{disk.path}/{entry}")
                if device is not None:
                    found.append(
                        DiskInfo(name=device.node, partition=True, dependencies=[disk.node])
                    )
        return found

    def filesystems(self) -> list[FilesystemInfo]:
        """The mounted file systems that are on block devices, in the order of the mount table."""
        return self._filesystems.infos()

    def trim(self, fd: int, minimum: int) -> "tuple[int, int]":
        """Discard what the file system behind *fd* does not use."""
        argument = bytearray(_RANGE.pack(0, _ALL, minimum))
        fcntl.ioctl(fd, _FITRIM, argument)
        _, trimmed, minimum = _RANGE.unpack(argument)
        return trimmed, minimum
