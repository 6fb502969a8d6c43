"""Mounted file systems and the disks that they are on. Used by `storage`.

What cannot change while the same is mounted is kept: programs on the host ask often.
"""

import os
import select

from qga.protocol.storage import DiskAddress, FilesystemInfo

from .blockdevices import BlockDevice, BlockDevices, follow, is_virtual, slaves
from .freezer import leads_to, mounts_in
from .reading import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.system.mounts import Mount

_PIECE = 1 << 16


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
        self._mounts: list[Mount] | None = None
        # By the numbers of a device, and by its path.
        self._paths: dict[tuple[int, int], str] = {}
        self._known: dict[str, BlockDevice] = {}

    def infos(self) -> list[FilesystemInfo]:
        """One for each device, in the order of the mount table."""
        mounts = self._read() if self._changed() or self._mounts is None else self._mounts
        reachable = list(map(leads_to, mounts))
        if not all(reachable):
            # When a directory is renamed, mount points in it change, and the kernel does not tell.
            mounts = self._read()
            reachable = list(map(leads_to, mounts))
        return [self._info(mount, leads) for mount, leads in zip(mounts, reachable, strict=True)]

    def _changed(self) -> bool:
        if self._table < 0:
            self._table = os.open(self._mountinfo, os.O_RDONLY | os.O_CLOEXEC)
            self._changes.register(self._table, select.POLLPRI)
        return bool(self._changes.poll(0))

    def _read(self) -> "list[Mount]":
        self._mounts = None
        self._paths.clear()
        self._known.clear()
        os.lseek(self._table, 0, os.SEEK_SET)
        pieces = []
        while piece := os.read(self._table, _PIECE):
            pieces.append(piece)
        self._mounts = mounts_in(b"".join(pieces))
        return self._mounts

    def _info(self, mount: "Mount", leads: bool) -> FilesystemInfo:  # noqa: FBT001
        name = ""
        disks: list[DiskAddress] = []
        try:
            path = self._path(mount)
            name = path.rpartition("/")[2]
            self._add_addresses(path, disks)
        except OSError:
            pass  # a container that does not see the devices, or a device that has gone
        used = total = privileged = None
        if leads:
            try:
                sizes = os.statvfs(mount.path)
                used = (sizes.f_blocks - sizes.f_bfree) * sizes.f_frsize
                total = used + sizes.f_bavail * sizes.f_frsize
                privileged = sizes.f_blocks * sizes.f_frsize
            except OSError:
                pass
        return FilesystemInfo(
            name=shown(name) or "{}:{}".format(*_numbers(mount)),
            mountpoint=mount.shown,
            type=mount.kind,
            used_bytes=used,
            total_bytes=total,
            total_bytes_privileged=privileged,
            disk=disks,
        )

    def _path(self, mount: "Mount") -> str:
        path = self._paths.get(mount.device)
        if path is None:
            path = follow(self._devices.by_number, "{}:{}".format(*_numbers(mount)))
            self._paths[mount.device] = path
        return path

    def _add_addresses(self, path: str, disks: list[DiskAddress]) -> None:
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


def _numbers(mount: "Mount") -> "tuple[int, int]":
    """Those of the device that *mount* is on."""
    if mount.device[0]:
        return mount.device
    # Btrfs: the number is its own; its device is what it was mounted from.
    try:
        number = os.stat(mount.source).st_rdev
    except OSError:
        return mount.device
    return os.major(number), os.minor(number)
