"""Disks and file systems of Linux: /sys/block, FITRIM."""

import fcntl
import os
from _struct import Struct

from qga.errors import GuestOSError
from qga.protocol.storage import DiskBusType, DiskInfo

from .blockdevices import BlockDevice, BlockDevices, Watched, follow, slaves
from .filesystems import Filesystems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.system.mounts import Filesystem

# From linux/fs.h: _IOWR('X', 121, struct fstrim_range), and that: start, length, minimum. To the
# kernel they have no sign, to the protocol they do.
_FITRIM = 0xC0185879
_RANGE = Struct("=qqq")
_ALL = -1

# As many files are kept open, at most; of what more there is, all is found out each time.
_MOST_WATCHED = 32


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
        # Devices that were there the last time, by path.
        self._watched: dict[str, Watched] = {}
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
        before, self._watched = self._watched, {}
        for name in names:
            try:
                disk = self._watch(f"{directory}/{name}", before)
                if int(disk.size) == 0:
                    continue  # not in use
                if disk.device is None:
                    disk.device = self._devices.device(follow(directory, name))
                if disk.device is not None:
                    found.append(self._disk(disk.device))
                    found += self._partitions(disk.device, name, before)
            except (OSError, ValueError):
                continue  # no disk, or one that has just been taken away
        return found

    def _watch(self, path: str, before: "dict[str, Watched]") -> Watched:
        """The device at *path*, which may be known from *before*.

        Raises:
            OSError: there is none.
        """
        watched = before.get(path)
        if watched is None or not watched.is_there():
            watched = Watched(path)
        if len(self._watched) < _MOST_WATCHED:
            self._watched[path] = watched
        return watched

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

    def _partitions(
        self, disk: BlockDevice, name: str, before: "dict[str, Watched]"
    ) -> list[DiskInfo]:
        found = []
        for entry in os.listdir(disk.path):
            if entry.startswith(name):
                path = f"{disk.path}/{entry}"
                partition = self._watch(path, before)
                if partition.device is None:
                    partition.device = self._devices.device(path)
                if (device := partition.device) is not None:
                    found.append(
                        DiskInfo(name=device.node, partition=True, dependencies=[disk.node])
                    )
        return found

    def filesystems(self) -> "list[Filesystem]":
        """The mounted file systems that are on block devices, in the order of the mount table."""
        return self._filesystems.told()

    def trim(self, fd: int, minimum: int) -> "tuple[int, int]":
        """Discard what the file system behind *fd* does not use."""
        argument = bytearray(_RANGE.pack(0, _ALL, minimum))
        fcntl.ioctl(fd, _FITRIM, argument)
        _, trimmed, minimum = _RANGE.unpack(argument)
        return trimmed, minimum
