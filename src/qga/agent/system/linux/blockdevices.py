"""Block devices, as sysfs and udev's records tell of them. Used by `storage` and `filesystems`."""

import os

from qga.protocol.storage import DiskAddress

from .diskaddress import UNKNOWN, locate
from .reading import KeptFile, read_short, text

# More than any size has digits.
_SIZE = 64

_VIRTUAL = "/devices/virtual/block/"


class BlockDevice:
    """What stays the same about a device while it is there."""

    __slots__ = ("node", "path", "place", "record", "virtual")

    def __init__(self, path: str, node: str, record: str) -> None:
        self.path = path
        self.node = node
        # What udev has recorded: serial number and alias.
        self.record = KeptFile(record, _recorded)
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


class Watched:
    """A device's file of its size, kept open: the kernel tells by it that the device has gone.

    Another one may then be in its place. As long as it is there, `device` stays as it is.

    Raises:
        OSError: there is no device at *path*.
    """

    __slots__ = ("_fd", "device", "size")

    def __init__(self, path: str) -> None:
        self.device: BlockDevice | None = None
        self._fd = os.open(f"{path}/size", os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.pread(self._fd, _SIZE, 0)

    def is_there(self) -> bool:
        """Whether it is still the same; if so, `size` is that of now."""
        try:
            self.size = os.pread(self._fd, _SIZE, 0)
        except OSError:
            return False
        return True

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)


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
        said = read_short(f"{path}/uevent")
        name = _value(said, "DEVNAME")
        if name is None:
            return None
        numbers = f"{_value(said, 'MAJOR')}:{_value(said, 'MINOR')}"
        return BlockDevice(path, f"/dev/{name}", f"{self._udev}/b{numbers}")

    def recorded(self, device: BlockDevice) -> "tuple[str | None, str | None]":
        """The serial number and the alias of *device*, as udev has recorded them.

        Where there is no udev, the kernel knows the name of a volume, too. A serial number it would
        have to ask the disk for, and that disk may not answer.
        """
        try:
            return device.record.read()
        except OSError:
            if not device.virtual:
                return None, None
            try:
                return None, text(read_short(f"{device.path}/dm/name").strip())
            except OSError:
                return None, None


def _recorded(record: bytes) -> "tuple[str | None, str | None]":
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


def _value(record: bytes, key: str) -> "str | None":
    """The value in the line KEY=VALUE of *record*; None if there is none, or an empty one."""
    _, _, rest = (b"\n" + record).partition(f"\n{key}=".encode())
    return text(rest.partition(b"\n")[0]) or None
