"""Where a disk is attached, read out of its path under /sys/devices. Used by `blockdevices`.

On its way from the root, such a path names each bridge, controller, host and target:

    /sys/devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda

Which of the numbers become bus, target and unit is upstream's choice; programs on the host compare
them with the addresses that they have given to their disks.
"""

import os
from itertools import pairwise

from qga.protocol.storage import CcwAddress, DiskAddress, DiskBusType, PciAddress

_UNKNOWN_PCI = PciAddress(domain=-1, bus=-1, slot=-1, function=-1)
UNKNOWN = DiskAddress(
    pci_controller=_UNKNOWN_PCI, bus_type=DiskBusType.UNKNOWN, bus=0, target=0, unit=0
)

# The drivers of PCI controllers that are known, and the bus that they drive. To virtio_pci belong
# disks of their own and SCSI controllers.
_BUSES = {
    "ata_piix": DiskBusType.IDE,
    "sym53c8xx": DiskBusType.SCSI,
    "virtio-pci": DiskBusType.VIRTIO,
    "ahci": DiskBusType.SATA,
    "nvme": DiskBusType.NVME,
    "xhci_hcd": DiskBusType.USB,
    "ehci-pci": DiskBusType.USB,
}


def locate(path: str) -> DiskAddress:
    """The address of the disk (or partition) at *path*, which has no symbolic links."""
    parts = path.split("/")
    pci, ccw = _UNKNOWN_PCI, None
    place: tuple[DiskBusType, int, int, int] | None = None
    controller = _pci_controller(path, parts)
    if controller is not None:
        pci, driver = controller
        place = _on_pci(path, parts, driver)
    elif not any(map(_is_pci_root, parts)):
        ccw = _ccw_address(parts)
        if any(part.startswith("virtio") for part in parts):
            place = _on_virtio(parts)
    bus_type, bus, target, unit = place or (DiskBusType.UNKNOWN, 0, 0, 0)
    return DiskAddress(
        pci_controller=pci,
        bus_type=bus_type,
        bus=bus,
        target=target,
        unit=unit,
        ccw_address=ccw,
    )


def _pci_controller(path: str, parts: "list[str]") -> "tuple[PciAddress, str] | None":
    """Address and driver of the first known controller on the way."""
    end = 0
    for part in parts:
        end += len(part) + 1
        if part.count(":") == 2 and (address := _pci_address(part)) is not None:
            try:
                driver = os.readlink(f"{path[: end - 1]}/driver").rpartition("/")[2]
            except OSError:
                continue
            if driver in _BUSES:
                return address, driver
    return None


def _pci_address(part: str) -> "PciAddress | None":
    """What *part*, such as 0000:00:1f.2, says."""
    left, _, function = part.partition(".")
    numbers = left.split(":")
    try:
        domain, bus, slot = (int(number, 16) for number in numbers)
        return PciAddress(domain=domain, bus=bus, slot=slot, function=int(function, 16))
    except ValueError:
        return None


def _is_pci_root(part: str) -> bool:
    return part.startswith("pci") and ":" in part


def _on_pci(
    path: str, parts: "list[str]", driver: str
) -> "tuple[DiskBusType, int, int, int] | None":
    """Bus type, bus, target and unit behind a PCI controller; None if the path does not say."""
    bus_type = _BUSES[driver]
    target = _target(parts)
    if driver in {"ata_piix", "ahci"}:
        # A host for each cable: two disks for an IDE one, numbered by their targets, one for SATA.
        number = _number_among_hosts(path, parts)
        if number is None or target is None:
            return None
        return (
            (bus_type, number, 0, target[1]) if driver == "ata_piix" else (bus_type, 0, 0, number)
        )
    if driver == "sym53c8xx":
        return None if target is None else (bus_type, 0, 0, target[1])
    if driver == "virtio-pci" and target is not None:
        return DiskBusType.SCSI, 0, 0, target[2]
    return bus_type, 0, 0, 0


def _on_virtio(parts: "list[str]") -> "tuple[DiskBusType, int, int, int]":
    """The same for a virtio device that is not on PCI."""
    target = _target(parts)
    return (DiskBusType.VIRTIO, 0, 0, 0) if target is None else (DiskBusType.SCSI, *target)


def _target(parts: "list[str]") -> "tuple[int, int, int] | None":
    """Channel, target and unit of a SCSI device: 0, 3 and 1 of target2:0:3/2:0:3:1."""
    for part, following in pairwise(parts):
        if part.startswith("target"):
            try:
                _, channel, target, unit = map(int, following.split(":"))
            except ValueError:
                return None
            return channel, target, unit
    return None


def _number_among_hosts(path: str, parts: "list[str]") -> "int | None":
    """How many ATA ports, or SCSI hosts, of the same controller come before the disk's own."""
    for prefix in ("ata", "host"):
        for part in parts:
            if part.startswith(prefix) and part[len(prefix) :].isdecimal():
                own = int(part[len(prefix) :])
                try:
                    names = os.listdir(path[: path.index(f"/{part}/")])
                except OSError:
                    return None
                numbers = (name[len(prefix) :] for name in names if name.startswith(prefix))
                return sum(number.isdecimal() and int(number) < own for number in numbers)
    return None


def _ccw_address(parts: "list[str]") -> "CcwAddress | None":
    """The address of a channel device (s390x): in css0/0.0.0001/0.0.0200, the last two count."""
    for index, part in enumerate(parts[:-2]):
        if part.startswith("css"):
            try:
                css, ssid, subchannel = (int(n, 16) for n in parts[index + 1].split("."))
                *_, device = (int(n, 16) for n in parts[index + 2].split("."))
                return CcwAddress(cssid=css, ssid=ssid, subchno=subchannel, devno=device)
            except ValueError:
                return None
    return None
