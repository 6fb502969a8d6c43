"""Mounted file systems and the disks that they are on. Used by `storage`.

What cannot change while the same is mounted is kept: programs on the host ask often.
"""

import os
import select

from qga.agent.system.mounts import Filesystem
from qga.protocol.storage import DiskAddress, FilesystemInfo

from .blockdevices import BlockDevice, BlockDevices, follow, is_virtual, slaves
from .freezer import mounts_in
from .reading import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.system.mounts import Mount

_PIECE = 1 << 16

# Of one that nobody has looked at.
_UNKNOWN = FilesystemInfo(name="", mountpoint="", type="", disk=[])


class _Mounted(Filesystem):
    """A file system with what is needed to look at it again."""

    __slots__ = ("btrfs", "device", "mount", "number", "path", "serial")

    def __init__(self, mount: "Mount") -> None:
        super().__init__(_UNKNOWN)
        self.mount = mount
        self.number = os.makedev(*mount.device)
        # Its numbers are its own, and no device's.
        self.btrfs = mount.kind == "btrfs"
        # Its device's path in sysfs.
        self.path = ""
        # The disk (or partition) that it is on, with the serial number that it had; None if it is
        # not directly on one.
        self.device: BlockDevice | None = None
        self.serial: str | None = None

    def measure(self) -> bool:
        """Learn its sizes. False if the path does not lead to it: mounted over, or gone."""
        try:
            leads = os.stat(self.mount.path).st_dev == self.number or self.btrfs
        except OSError:
            leads = False
        self.sizes = None
        if leads:
            try:
                sizes = os.statvfs(self.mount.path)
            except OSError:
                return True
            used = (sizes.f_blocks - sizes.f_bfree) * sizes.f_frsize
            total = used + sizes.f_bavail * sizes.f_frsize
            self.sizes = used, total, sizes.f_blocks * sizes.f_frsize
        return leads


class Filesystems:
    """The file systems that are on block devices.

    Args:
        devices: where those are found.
        mountinfo: the mount table.
    """

    def __init__(self, devices: BlockDevices, mountinfo: str) -> None:
        self._devices = devices
        self._mountinfo = mountinfo
        # Kept open, since the kernel tells by it that the table has changed.
        self._table = -1
        self._changes = select.poll()
        self._mounted: list[_Mounted] | None = None
        # By its path, what was found out about a device.
        self._known: dict[str, BlockDevice] = {}

    def told(self) -> "list[Filesystem]":
        """One for each device, in the order of the mount table."""
        mounted = self._read() if self._changed() or self._mounted is None else self._mounted
        if not all(map(_Mounted.measure, mounted)):
            # When a directory is renamed, mount points in it change, and the kernel does not tell.
            mounted = self._read()
            for one in mounted:
                one.measure()
        recorded = self._devices.recorded
        for one in mounted:
            if one.device is None or recorded(one.device)[0] != one.serial:
                self._look(one)
        return [*mounted]

    def _changed(self) -> bool:
        if self._table < 0:
            self._table = os.open(self._mountinfo, os.O_RDONLY | os.O_CLOEXEC)
            self._changes.register(self._table, select.POLLPRI)
        return bool(self._changes.poll(0))

    def _read(self) -> "list[_Mounted]":
        self._mounted = None
        self._known.clear()
        os.lseek(self._table, 0, os.SEEK_SET)
        pieces = []
        while piece := os.read(self._table, _PIECE):
            pieces.append(piece)
        self._mounted = [_Mounted(mount) for mount in mounts_in(b"".join(pieces))]
        return self._mounted

    def _look(self, one: _Mounted) -> None:
        """Find out which disks it is on."""
        mount = one.mount
        disks: list[DiskAddress] = []
        one.device = None
        try:
            if not one.path:
                one.path = follow(self._devices.by_number, _numbers(mount))
            self._add_addresses(one.path, disks)
            # What a virtual device is made of may change without another mount.
            one.device = self._known.get(one.path)
            one.serial = disks[0].serial if disks else None
        except OSError:
            pass  # a container that does not see the devices, or a device that has gone
        name = shown(one.path.rpartition("/")[2]) or _numbers(mount)
        info = FilesystemInfo(name=name, mountpoint=mount.shown, type=mount.kind, disk=disks)
        if info != one.info:
            one.info = info
            one.text = None

    def _add_addresses(self, path: str, disks: "list[DiskAddress]") -> None:
        """Add where the device at *path* is attached, or what a virtual one is made of."""
        if is_virtual(path):
            if not os.path.isdir(f"{path}/slaves"):
                path = path.rpartition("/")[0]  # it is a partition of one
            for slave in slaves(path):
                self._add_addresses(slave, disks)
            return
        device = self._known.get(path)
        if device is None:
            device = self._devices.device(path)
            if device is None:
                return
            self._known[path] = device
        disks.append(device.address(self._devices.recorded(device)[0]))


def _numbers(mount: "Mount") -> str:
    """Those of the device that *mount* is on, as sysfs writes them."""
    major, minor = mount.device
    if not major:
        # Btrfs: the number is its own; its device is what it was mounted from.
        try:
            number = os.stat(mount.source).st_rdev
            major, minor = os.major(number), os.minor(number)
        except OSError:
            pass
    return f"{major}:{minor}"
