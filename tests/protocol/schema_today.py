"""What upstream's schema has beyond that of 2011, as of 10.2. Used by `test_export`.

Members are written as `name type`, optional ones with `*` in front of the name, lists in brackets.
"""

from typing import Any


def members(text: str) -> dict[str, Any]:
    pairs = (member.split() for member in text.split(","))
    return {name: kind_of(kind) for name, kind in pairs} if text else {}


def kind_of(kind: str) -> Any:
    return [kind[1:-1]] if kind.startswith("[") else kind


# Name, arguments, result, version.
_COMMANDS = (
    ("guest-sync-delimited", "id int", "int", "1.1"),
    ("guest-get-time", "", "int", "1.5"),
    ("guest-set-time", "*time int", None, "1.5"),
    ("guest-fsfreeze-freeze-list", "*mountpoints [str]", "int", "2.2"),
    ("guest-fstrim", "*minimum int", "GuestFilesystemTrimResponse", "1.2"),
    ("guest-suspend-disk", "", None, "1.1"),
    ("guest-suspend-ram", "", None, "1.1"),
    ("guest-suspend-hybrid", "", None, "1.1"),
    ("guest-network-get-interfaces", "", "[GuestNetworkInterface]", "1.1"),
    ("guest-get-vcpus", "", "[GuestLogicalProcessor]", "1.5"),
    ("guest-set-vcpus", "vcpus [GuestLogicalProcessor]", "int", "1.5"),
    ("guest-get-disks", "", "[GuestDiskInfo]", "5.2"),
    ("guest-get-fsinfo", "", "[GuestFilesystemInfo]", "2.2"),
    ("guest-set-user-password", "username str, password str, crypted bool", None, "2.3"),
    ("guest-get-memory-blocks", "", "[GuestMemoryBlock]", "2.3"),
    (
        "guest-set-memory-blocks",
        "mem-blks [GuestMemoryBlock]",
        "[GuestMemoryBlockResponse]",
        "2.3",
    ),
    ("guest-get-memory-block-info", "", "GuestMemoryBlockInfo", "2.3"),
    ("guest-exec-status", "pid int", "GuestExecStatus", "2.5"),
    (
        "guest-exec",
        "path str, *arg [str], *env [str], *input-data str, *capture-output GuestExecCaptureOutput",
        "GuestExec",
        "2.5",
    ),
    ("guest-get-host-name", "", "GuestHostName", "2.10"),
    ("guest-get-users", "", "[GuestUser]", "2.10"),
    ("guest-get-timezone", "", "GuestTimezone", "2.10"),
    ("guest-get-osinfo", "", "GuestOSInfo", "2.10"),
    ("guest-get-devices", "", "[GuestDeviceInfo]", "5.2"),
    ("guest-ssh-get-authorized-keys", "username str", "GuestAuthorizedKeys", "5.2"),
    ("guest-ssh-add-authorized-keys", "username str, keys [str], *reset bool", None, "5.2"),
    ("guest-ssh-remove-authorized-keys", "username str, keys [str]", None, "5.2"),
    ("guest-get-diskstats", "", "[GuestDiskStatsInfo]", "7.1"),
    ("guest-get-cpustats", "", "[GuestCpuStats]", "7.1"),
    ("guest-get-load", "", "GuestLoadAverage", "10.0"),
    ("guest-network-get-route", "", "[GuestNetworkRoute]", "9.1"),
)

COMMANDS_ADDED: dict[str, tuple[dict[str, Any], Any, str]] = {
    name: (members(arguments), None if result is None else kind_of(result), since)
    for name, arguments, result, since in _COMMANDS
}

NO_SUCCESS_RESPONSE = {
    "guest-shutdown",
    "guest-suspend-disk",
    "guest-suspend-ram",
    "guest-suspend-hybrid",
}

_BUSES = (
    "ide fdc scsi virtio xen usb uml sata sd unknown ieee1394 ssa fibre raid iscsi sas mmc virtual "
    "file-backed-virtual nvme"
)

_PAIRS = ", ".join(
    f"{name}-{half} uint64"
    for name in (
        "data-units-read", "data-units-written", "host-read-commands", "host-write-commands",
        "controller-busy-time", "power-cycles", "power-on-hours", "unsafe-shutdowns",
        "media-errors", "number-of-error-log-entries",
    )
    for half in ("lo", "hi")
)  # fmt: skip

_COUNTERS = (
    "rx-bytes", "rx-packets", "rx-errs", "rx-dropped",
    "tx-bytes", "tx-packets", "tx-errs", "tx-dropped",
)  # fmt: skip

_DISK_COUNTERS = (
    "read-sectors", "read-ios", "read-merges", "write-sectors", "write-ios", "write-merges",
    "discard-sectors", "discard-ios", "discard-merges", "flush-ios", "read-ticks", "write-ticks",
    "discard-ticks", "flush-ticks", "ios-pgr", "total-ticks", "weight-ticks",
)  # fmt: skip

_STRUCTS = {
    "GuestFilesystemTrimResponse": "paths [GuestFilesystemTrimResult]",
    "GuestFilesystemTrimResult": "path str, *trimmed int, *minimum int, *error str",
    "GuestIpAddress": "ip-address str, ip-address-type GuestIpAddressType, prefix int",
    "GuestNetworkInterface": (
        "name str, *hardware-address str, *ip-addresses [GuestIpAddress], "
        "*statistics GuestNetworkInterfaceStat"
    ),
    "GuestNetworkInterfaceStat": ", ".join(f"{name} uint64" for name in _COUNTERS),
    "GuestLogicalProcessor": "logical-id int, online bool, *can-offline bool",
    "GuestPCIAddress": "domain int, bus int, slot int, function int",
    "GuestCCWAddress": "cssid int, ssid int, subchno int, devno int",
    "GuestDiskAddress": (
        "pci-controller GuestPCIAddress, bus-type GuestDiskBusType, bus int, target int, "
        "unit int, *serial str, *dev str, *ccw-address GuestCCWAddress"
    ),
    "GuestNVMeSmart": (
        "critical-warning int, temperature int, available-spare int, "
        f"available-spare-threshold int, percentage-used int, {_PAIRS}"
    ),
    "GuestDiskInfo": (
        "name str, partition bool, *dependencies [str], *address GuestDiskAddress, *alias str, "
        "*smart GuestDiskSmart"
    ),
    "GuestFilesystemInfo": (
        "name str, mountpoint str, type str, *used-bytes uint64, *total-bytes uint64, "
        "*total-bytes-privileged uint64, disk [GuestDiskAddress]"
    ),
    "GuestMemoryBlock": "phys-index uint64, online bool, *can-offline bool",
    "GuestMemoryBlockInfo": "size uint64",
    "GuestMemoryBlockResponse": (
        "phys-index uint64, response GuestMemoryBlockResponseType, *error-code int"
    ),
    "GuestExec": "pid int",
    "GuestExecStatus": (
        "exited bool, *exitcode int, *signal int, *out-data str, *err-data str, "
        "*out-truncated bool, *err-truncated bool"
    ),
    "GuestHostName": "host-name str",
    "GuestUser": "user str, login-time number, *domain str",
    "GuestTimezone": "*zone str, offset int",
    "GuestOSInfo": (
        "*kernel-release str, *kernel-version str, *machine str, *id str, *name str, "
        "*pretty-name str, *version str, *version-id str, *variant str, *variant-id str"
    ),
    "GuestAuthorizedKeys": "keys [str]",
    "GuestDiskStatsInfo": "name str, major uint64, minor uint64, stats GuestDiskStats",
    "GuestDiskStats": ", ".join(f"*{name} uint64" for name in _DISK_COUNTERS),
    "GuestLinuxCpuStats": (
        "cpu int, user uint64, nice uint64, system uint64, idle uint64, *iowait uint64, "
        "*irq uint64, *softirq uint64, *steal uint64, *guest uint64, *guestnice uint64"
    ),
    "GuestLoadAverage": "load1m number, load5m number, load15m number",
    "GuestNetworkRoute": (
        "iface str, destination str, metric int, *gateway str, *mask str, *irtt int, "
        "*flags uint64, *refcnt int, *use int, *window int, *mtu int, version int, "
        "*desprefixlen str, *source str, *srcprefixlen str, *nexthop str"
    ),
    "GuestDeviceInfo": (
        "driver-name str, *driver-date int, *driver-version str, *id GuestDeviceId"
    ),
    "GuestDeviceIdPCI": "vendor-id uint16, device-id uint16",
}

STRUCTS_ADDED = {name: members(text) for name, text in _STRUCTS.items()}

ENUMS_ADDED = {
    name: values.split()
    for name, values in {
        "QGASeek": "set cur end",
        "GuestIpAddressType": "ipv4 ipv6",
        "GuestDiskBusType": _BUSES,
        "GuestMemoryBlockResponseType": (
            "success not-found operation-not-supported operation-failed"
        ),
        "GuestExecCaptureOutputMode": "none stdout stderr separated merged",
        "GuestCpuStatsType": "linux",
        "GuestDeviceType": "pci",
    }.items()
}

# The alternates' branches, and the unions' common member and branches.
ALTERNATES_ADDED = {
    "GuestFileWhence": {"value": "int", "name": "QGASeek"},
    "GuestExecCaptureOutput": {"flag": "bool", "mode": "GuestExecCaptureOutputMode"},
}
UNIONS_ADDED = {
    "GuestDiskSmart": ("type GuestDiskBusType", {"nvme": "GuestNVMeSmart"}),
    "GuestCpuStats": ("type GuestCpuStatsType", {"linux": "GuestLinuxCpuStats"}),
    "GuestDeviceId": ("type GuestDeviceType", {"pci": "GuestDeviceIdPCI"}),
}
