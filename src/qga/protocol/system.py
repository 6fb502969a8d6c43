"""What the guest is: guest-get-host-name, guest-get-osinfo and guest-get-devices."""

from .model import Command, Enum, Struct, UInt16, Value


class HostName(Struct):
    """The guest's name.

    Members:
        host-name: as the guest tells it, which may be with or without a domain
    """

    NAME = "GuestHostName"
    SINCE = "2.10"

    host_name: str


class GetHostName(Command[HostName]):
    """Get the guest's host name.

    Returns: `GuestHostName`
    """

    NAME = "guest-get-host-name"
    SINCE = "2.10"


class OsInfo(Struct):
    """The guest's kernel and operating system. What the guest does not tell is absent.

    Members:
        kernel-release: release of the kernel
        kernel-version: version of the kernel
        machine: hardware type, such as x86_64
        id: the system's name for programs, such as debian
        name: the system's name for people
        pretty-name: its name with the version
        version: its version for people, perhaps with a code name
        version-id: its version for programs
        variant: edition of the system, for people
        variant-id: edition of the system, for programs
    """

    NAME = "GuestOSInfo"
    SINCE = "2.10"

    kernel_release: str | None = None
    kernel_version: str | None = None
    machine: str | None = None
    id: str | None = None
    name: str | None = None
    pretty_name: str | None = None
    version: str | None = None
    version_id: str | None = None
    variant: str | None = None
    variant_id: str | None = None


class GetOsInfo(Command[OsInfo]):
    """Get what the guest's kernel and operating system are.

    Returns: `GuestOSInfo`
    """

    NAME = "guest-get-osinfo"
    SINCE = "2.10"


class DeviceIdType(Enum):
    """The kind of a device's identity.

    Values:
        pci: a PCI device
    """

    NAME = "GuestDeviceType"
    SINCE = "5.2"

    PCI = Value("pci")


class DeviceId(Struct):
    """The identity of a device.

    Members:
        type: its kind
    """

    NAME = "GuestDeviceId"
    SINCE = "5.2"
    DISCRIMINATOR = "type"

    type: DeviceIdType


class PciDeviceId(DeviceId):
    """The identity of a PCI device.

    Members:
        vendor-id: the vendor's number
        device-id: the device's number
    """

    NAME = "GuestDeviceIdPCI"
    SINCE = "5.2"
    BRANCH = "pci"

    vendor_id: UInt16
    device_id: UInt16


class DeviceInfo(Struct):
    """A driver of the guest.

    Members:
        driver-name: its name
        driver-date: when it was made, in nanoseconds since 1970-01-01 00:00 UTC
        driver-version: its version
        id: the device that it drives
    """

    NAME = "GuestDeviceInfo"
    SINCE = "5.2"

    driver_name: str
    driver_date: int | None = None
    driver_version: str | None = None
    id: DeviceId | None = None


class GetDevices(Command[list[DeviceInfo]]):
    """List the drivers of a Windows guest.

    Returns: one entry for each device
    """

    NAME = "guest-get-devices"
    SINCE = "5.2"
    PLATFORM = "windows"
