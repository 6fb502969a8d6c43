"""Disks and file systems of Linux: /sys/block, udev's records, statvfs, FITRIM, /proc/diskstats."""

import fcntl
import os
from _struct import Struct

from qga.errors import GuestOSError
from qga.protocol.storage import DiskAddress, DiskBusType, DiskInfo, FilesystemInfo

from .diskaddress import locate
from .freezer import is_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.system.mounts import Mount

# From linux/fs.h: _IOWR('X', 121, struct fstrim_range), and that: start, length, minimum. To the
# kernel they have no sign, to the protocol they do.
_FITRIM = 0xC0185879
_RANGE = Struct("=qqq")
_ALL = -1

_VIRTUAL = "/devices/virtual/block/"

_PIECE = 1 << 13


class LinuxStorage:
    """See `qga.agent.system.Storage`.

    Args:
        sys: where sysfs is.
        udev: udev's records of devices; not there in a guest without udev.
        diskstats: the kernel's counters.
    """

    def __init__(
        self,
        sys: str = "/sys",
        udev: str = "/run/udev/data",
        diskstats: str = "/proc/diskstats",
    ) -> None:
        self._block = f"{sys}/block"
        self._numbers = f"{sys}/dev/block"
        self._udev = udev
        self._diskstats = diskstats

    # ---- disks ----

    def disks(self) -> list[DiskInfo]:
        """The disks, each followed by its partitions, in the order of /sys/block."""
        try:
            names = os.listdir(self._block)
        except OSError as error:
            raise GuestOSError(f'open("{self._block}/"): {error.strerror}', error.errno) from None
        found = []
        for name in names:
            try:
                if int(_read(f"{self._block}/{name}/size")) == 0:
                    continue
                path = _follow(self._block, name)
                node, serial, alias = self._describe(path)
                if node is not None:
                    found.append(self._disk(path, node, serial, alias))
                    found += self._partitions(path, name, node)
            except (OSError, ValueError):
                continue  # no disk, or one that has just been taken away
        return found

    def _disk(self, path: str, node: str, serial: "str | None", alias: "str | None") -> DiskInfo:
        address = smart = None
        if _VIRTUAL not in path:
            address = locate(path, node, serial)
            if address is not None and address.bus_type == DiskBusType.NVME:
                from . import nvme

                smart = nvme.smart(node)
        return DiskInfo(
            name=node,
            partition=False,
            dependencies=self._dependencies(path),
            address=address,
            alias=alias,
            smart=smart,
        )

    def _dependencies(self, path: str) -> "list[str] | None":
        try:
            slaves = os.listdir(f"{path}/slaves")
        except OSError:
            return None
        nodes = [self._describe(_follow(f"{path}/slaves", slave))[0] for slave in reversed(slaves)]
        return [node for node in nodes if node is not None]

    def _partitions(self, path: str, name: str, disk: str) -> list[DiskInfo]:
        found = []
        for entry in os.listdir(path):
            if entry.startswith(name):
                node, _, alias = self._describe(f"{path}/{entry}")
                if node is not None:
                    found.append(
                        DiskInfo(name=node, partition=True, dependencies=[disk], alias=alias)
                    )
        return found

    def _describe(self, path: str) -> "tuple[str | None, str | None, str | None]":
        """The device file, serial number and alias of the block device at *path*.

        The kernel says the first, udev the others. Where there is no udev, the kernel knows the
        name of a volume, too; a serial number it would have to ask the disk for, which may hang.
        """
        said = _read(f"{path}/uevent")
        name = _value(said, "DEVNAME")
        if name is None:
            return None, None, None
        node = f"/dev/{name}"
        numbers = f"{_value(said, 'MAJOR')}:{_value(said, 'MINOR')}"
        try:
            recorded = _read(f"{self._udev}/b{numbers}")
        except OSError:
            try:
                return node, None, os.fsdecode(_read(f"{path}/dm/name").strip())
            except OSError:
                return node, None, None
        return node, _value(recorded, "E:ID_SERIAL"), _value(recorded, "E:DM_NAME")

    # ---- file systems ----

    def filesystem(self, mount: "Mount") -> FilesystemInfo:
        """What is mounted, and where the disks are that it is on."""
        major, minor = mount.device
        if major == 0:  # Btrfs: the number is its own; its device is what it was mounted from
            number = os.stat(mount.source).st_rdev
            major, minor = os.major(number), os.minor(number)
        name = f"{major}:{minor}"
        disks: list[DiskAddress] = []
        try:
            path = _follow(self._numbers, name)
            name = path.rpartition("/")[2]
            self._add_addresses(path, disks)
        except OSError:
            pass  # a container that does not see the devices, or a device that has gone
        used = total = privileged = None
        try:
            if is_of(mount, os.stat(mount.path).st_dev):
                sizes = os.statvfs(mount.path)
                used = (sizes.f_blocks - sizes.f_bfree) * sizes.f_frsize
                total = used + sizes.f_bavail * sizes.f_frsize
                privileged = sizes.f_blocks * sizes.f_frsize
        except OSError:
            pass
        return FilesystemInfo(
            name=name,
            mountpoint=mount.path,
            type=mount.kind,
            used_bytes=used,
            total_bytes=total,
            total_bytes_privileged=privileged,
            disk=disks,
        )

    def _add_addresses(self, path: str, disks: list[DiskAddress]) -> None:
        """Add where the device at *path* is attached, or what a virtual one is made of."""
        if _VIRTUAL not in path:
            node, serial, _ = self._describe(path)
            address = locate(path, node, serial)
            if address is not None:
                disks.append(address)
            return
        slaves = f"{path}/slaves"
        if not os.path.isdir(slaves):
            slaves = f"{path.rpartition('/')[0]}/slaves"  # it is a partition of one
        for slave in reversed(os.listdir(slaves)):
            self._add_addresses(_follow(slaves, slave), disks)

    def trim(self, fd: int, minimum: int) -> "tuple[int, int]":
        """Discard what the file system behind *fd* does not use."""
        argument = bytearray(_RANGE.pack(0, _ALL, minimum))
        fcntl.ioctl(fd, _FITRIM, argument)
        _, trimmed, minimum = _RANGE.unpack(argument)
        return trimmed, minimum

    # ---- counters ----

    def counters(self) -> "list[list[bytes]]":
        """What each disk and partition has done: the fields of the lines of /proc/diskstats."""
        return [line.split() for line in _read(self._diskstats).splitlines()]


def _follow(directory: str, name: str) -> str:
    """Where the symbolic link *name* leads. (Nothing on the way is a link, in sysfs.)"""
    return os.path.normpath(f"{directory}/{os.readlink(f'{directory}/{name}')}")


def _value(text: bytes, key: str) -> "str | None":
    """The value in the line KEY=VALUE of *text*; None if there is none, or an empty one."""
    _, _, rest = (b"\n" + text).partition(f"\n{key}=".encode())
    return os.fsdecode(rest.partition(b"\n")[0]) or None


def _read(path: str) -> bytes:
    """A whole file. (By hand, which takes a fraction of the time for files as short as these.)"""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while piece := os.read(fd, _PIECE):
            data += piece
    finally:
        os.close(fd)
    return data
