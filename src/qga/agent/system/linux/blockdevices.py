"""Block devices, as sysfs and udev's records tell of them. Used by `storage` and `filesystems`."""

import os

from qga.protocol.storage import DiskAddress

from .diskaddress import UNKNOWN, locate
from .reading import text

_VIRTUAL = "/devices/virtual/block/"
# Files of sysfs are shorter, udev's records are, and one read is all of them.
_LONGEST = 1 << 14


class BlockDevice:
    """What stays the same about a device while it is there."""

    __slots__ = ("node", "numbers", "path", "place", "virtual")

    def __init__(self, path: str, node: str, numbers: str) -> None:
        self.path = path
        self.node = node
        self.numbers = numbers
        # Made of other devices, or of none: not on any hardware of its own.
        self.virtual = is_virtual(path)
        self.place = UNKNOWN if self.virtual else locate(path)

    def address(self, serial: "str | None") -> DiskAddress:
        """Where it is attached."""
        place = self.place
        return DiskAddress(
            pci_controller=place.pci_controller,
            bus_type=place.bus_type,
            bus=place.bus,
            target=place.target,
            unit=place.unit,
            serial=serial,
            dev=self.node,
            ccw_address=place.ccw_address,
        )


class BlockDevices:
    """Finds them.

    Args:
        sys: where sysfs is.
        udev: udev's records; not there in a guest without udev.
    """

    def __init__(self, sys: str, udev: str) -> None:
        self.all = f"{sys}/block"
        self.by_number = f"{sys}/dev/block"
        self._udev = udev

    def device(self, path: str) -> "BlockDevice | None":
        """The device at *path*, which has no symbolic links; None if it has no device file.

        Raises:
            OSError: there is none.
        """
        said = read(f"{path}/uevent")
        name = _value(said, "DEVNAME")
        if name is None:
            return None
        return BlockDevice(path, f"/dev/{name}", f"{_value(said, 'MAJOR')}:{_value(said, 'MINOR')}")

    def recorded(self, device: BlockDevice) -> "tuple[str | None, str | None]":
        """The serial number and the alias of *device*, as udev has recorded them.

        Where there is no udev, the kernel knows the name of a volume, too. A serial number it would
        have to ask the disk for, and that disk may not answer.
        """
        try:
            record = read(f"{self._udev}/b{device.numbers}")
        except OSError:
            if not device.virtual:
                return None, None
            try:
                return None, text(read(f"{device.path}/dm/name").strip())
            except OSError:
                return None, None
        return _value(record, "E:ID_SERIAL"), _value(record, "E:DM_NAME")


def is_virtual(path: str) -> bool:
    """Whether the device at *path* is made of other devices, or of none."""
    return _VIRTUAL in path


def slaves(path: str) -> list[str]:
    """The paths of what the virtual device at *path* is made of, in upstream's order.

    Raises:
        OSError: it does not say.
    """
    directory = f"{path}/slaves"
    return [follow(directory, name) for name in reversed(os.listdir(directory))]


def follow(directory: str, name: str) -> str:
    """Where the symbolic link *name* leads. (Nothing on the way is a link, in sysfs.)"""
    return os.path.normpath(f"{directory}/{os.readlink(f'{directory}/{name}')}")


def read(path: str) -> bytes:
    """A short file. (By hand, which takes a fraction of the time.)"""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _LONGEST)
    finally:
        os.close(fd)


def _value(text: bytes, key: str) -> "str | None":
    """The value in the line KEY=VALUE of *text*; None if there is none, or an empty one."""
    _, _, rest = (b"\n" + text).partition(f"\n{key}=".encode())
    return rest.partition(b"\n")[0].decode("utf-8", "replace") or None
