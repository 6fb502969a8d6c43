"""Disks and file systems of the guest: guest-get-disks, guest-get-fsinfo and guest-fstrim."""

from .model import Command, Enum, Struct, UInt64, Value, member


class DiskBusType(Enum):
    """The bus that a disk is attached to.

    Values:
        ide: IDE
        fdc: floppy
        scsi: SCSI
        virtio: virtio
        xen: Xen
        usb: USB
        uml: User-mode Linux
        sata: SATA
        sd: SD card
        unknown: not known
        ieee1394: Windows' IEEE 1394
        ssa: Windows' SSA
        fibre: Windows' fibre channel
        raid: Windows' RAID
        iscsi: Windows' iSCSI
        sas: Windows' SAS
        mmc: Windows' MMC
        virtual: Windows' virtual disk
        file-backed-virtual: Windows' virtual disk in a file
        nvme: NVMe
    """

    NAME = "GuestDiskBusType"
    SINCE = "2.2"

    IDE = Value("ide")
    FDC = Value("fdc")
    SCSI = Value("scsi")
    VIRTIO = Value("virtio")
    XEN = Value("xen")
    USB = Value("usb")
    UML = Value("uml")
    SATA = Value("sata")
    SD = Value("sd")
    UNKNOWN = Value("unknown", since="2.4")
    IEEE1394 = Value("ieee1394", since="2.4")
    SSA = Value("ssa", since="2.4")
    FIBRE = Value("fibre", since="2.4")
    RAID = Value("raid", since="2.4")
    ISCSI = Value("iscsi", since="2.4")
    SAS = Value("sas", since="2.4")
    MMC = Value("mmc", since="2.4")
    VIRTUAL = Value("virtual", since="2.4")
    FILE_BACKED_VIRTUAL = Value("file-backed-virtual", since="2.4")
    NVME = Value("nvme", since="7.1")


class PciAddress(Struct):
    """The address of a PCI device.

    Members:
        domain: domain
        bus: bus
        slot: slot
        function: function
    """

    NAME = "GuestPCIAddress"
    SINCE = "2.2"

    domain: int
    bus: int
    slot: int
    function: int


class CcwAddress(Struct):
    """The address of a CCW device (s390x).

    Members:
        cssid: channel subsystem
        ssid: subchannel set
        subchno: subchannel
        devno: device
    """

    NAME = "GuestCCWAddress"
    SINCE = "6.0"

    cssid: int
    ssid: int
    subchno: int
    devno: int


class DiskAddress(Struct):
    """Where a disk is attached.

    Members:
        pci-controller: the PCI address of its controller; -1 everywhere if it is not known
        bus-type: the bus between controller and disk
        bus: number of that bus
        target: number of the target on it
        unit: number of the unit of the target
        serial: the disk's serial number
        dev: its device file
        ccw-address: the CCW address of the device
    """

    NAME = "GuestDiskAddress"
    SINCE = "2.2"

    pci_controller: PciAddress
    bus_type: DiskBusType
    bus: int
    target: int
    unit: int
    serial: str | None = member(default=None, since="3.1")
    dev: str | None = member(default=None, since="3.1")
    ccw_address: CcwAddress | None = member(default=None, since="6.0")


class DiskSmart(Struct):
    """What a disk tells of its health.

    Members:
        type: the bus, which says what is told
    """

    NAME = "GuestDiskSmart"
    SINCE = "7.1"
    DISCRIMINATOR = "type"

    type: DiskBusType


class NvmeSmart(DiskSmart):
    """The SMART log of an NVMe disk. Numbers of 128 bits come in two halves.

    Members:
        critical-warning: bits that warn
        temperature: in kelvins
        available-spare: what is left of the spare capacity, in percent
        available-spare-threshold: below which the disk warns, in percent
        percentage-used: how much of its life is used up, in percent
        data-units-read-lo: thousands of 512 bytes read, low half
        data-units-read-hi: thousands of 512 bytes read, high half
        data-units-written-lo: thousands of 512 bytes written, low half
        data-units-written-hi: thousands of 512 bytes written, high half
        host-read-commands-lo: read commands completed, low half
        host-read-commands-hi: read commands completed, high half
        host-write-commands-lo: write commands completed, low half
        host-write-commands-hi: write commands completed, high half
        controller-busy-time-lo: minutes with commands under way, low half
        controller-busy-time-hi: minutes with commands under way, high half
        power-cycles-lo: power cycles, low half
        power-cycles-hi: power cycles, high half
        power-on-hours-lo: hours with power, low half
        power-on-hours-hi: hours with power, high half
        unsafe-shutdowns-lo: losses of power without notice, low half
        unsafe-shutdowns-hi: losses of power without notice, high half
        media-errors-lo: unrecovered errors of data integrity, low half
        media-errors-hi: unrecovered errors of data integrity, high half
        number-of-error-log-entries-lo: entries of the error log in the disk's life, low half
        number-of-error-log-entries-hi: entries of the error log in the disk's life, high half
    """

    NAME = "GuestNVMeSmart"
    SINCE = "7.1"
    BRANCH = "nvme"

    critical_warning: int
    temperature: int
    available_spare: int
    available_spare_threshold: int
    percentage_used: int
    data_units_read_lo: UInt64
    data_units_read_hi: UInt64
    data_units_written_lo: UInt64
    data_units_written_hi: UInt64
    host_read_commands_lo: UInt64
    host_read_commands_hi: UInt64
    host_write_commands_lo: UInt64
    host_write_commands_hi: UInt64
    controller_busy_time_lo: UInt64
    controller_busy_time_hi: UInt64
    power_cycles_lo: UInt64
    power_cycles_hi: UInt64
    power_on_hours_lo: UInt64
    power_on_hours_hi: UInt64
    unsafe_shutdowns_lo: UInt64
    unsafe_shutdowns_hi: UInt64
    media_errors_lo: UInt64
    media_errors_hi: UInt64
    number_of_error_log_entries_lo: UInt64
    number_of_error_log_entries_hi: UInt64


class DiskInfo(Struct):
    """A disk or a partition.

    Members:
        name: its device file
        partition: whether it is a partition
        dependencies: what it is made of: the disk of a partition, the parts of a volume
        address: where it is attached, for disks that are
        alias: another name, such as that of a logical volume
        smart: what it tells of its health
    """

    NAME = "GuestDiskInfo"
    SINCE = "5.2"

    name: str
    partition: bool
    dependencies: list[str] | None = None
    address: DiskAddress | None = None
    alias: str | None = None
    smart: DiskSmart | None = member(default=None, since="7.1")


class GetDisks(Command[list[DiskInfo]]):
    """List the guest's disks and partitions.

    Returns: one entry for each
    """

    NAME = "guest-get-disks"
    SINCE = "5.2"


class FilesystemInfo(Struct):
    """A mounted file system.

    Members:
        name: the name of its device
        mountpoint: where it is mounted
        type: what it is, such as ext4
        used-bytes: bytes in use
        total-bytes: bytes that users have in all, without what is kept for the administrator
        total-bytes-privileged: bytes in all
        disk: where the disks are attached that it is on; none if that is not known
    """

    NAME = "GuestFilesystemInfo"
    SINCE = "2.2"

    name: str
    mountpoint: str
    type: str
    used_bytes: UInt64 | None = member(default=None, since="3.0")
    total_bytes: UInt64 | None = member(default=None, since="3.0")
    total_bytes_privileged: UInt64 | None = member(default=None, since="9.1")
    disk: list[DiskAddress]


class GetFsinfo(Command[list[FilesystemInfo]]):
    """List the guest's file systems that are on disks.

    Returns: one entry for each
    """

    NAME = "guest-get-fsinfo"
    SINCE = "2.2"


class TrimResult(Struct):
    """What became of the trimming of one file system.

    Members:
        path: where it is mounted
        trimmed: bytes trimmed
        minimum: the least length of a free range that was trimmed, in bytes
        error: why it failed, if it did
    """

    NAME = "GuestFilesystemTrimResult"
    SINCE = "2.4"

    path: str
    trimmed: int | None = None
    minimum: int | None = None
    error: str | None = None


class TrimResponse(Struct):
    """What became of the trimming; agents before 2.4 do not tell.

    Members:
        paths: of each file system
    """

    NAME = "GuestFilesystemTrimResponse"
    SINCE = "2.4"

    paths: list[TrimResult] = member(default=(), since="2.4")


class Fstrim(Command[TrimResponse]):
    """Tell the disks which blocks the file systems do not use (discard), so that the host gets
    them back.

    Members:
        minimum: do not bother with free ranges shorter than this, in bytes; 0 by default

    Returns: `GuestFilesystemTrimResponse`
    """

    NAME = "guest-fstrim"
    SINCE = "1.2"

    minimum: int | None = None
