"""What the guest of a fake agent is: a small Debian with one disk and one network interface.

Everything that a command tells comes from a `Guest`, and what a command changes shows in it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from qga import protocol
from qga.errors import CommandError
from qga.protocol.accounts import AuthorizedKeys, User
from qga.protocol.clock import Timezone
from qga.protocol.cpu import LogicalProcessor
from qga.protocol.memory import (
    MemoryBlock,
    MemoryBlockInfo,
    MemoryBlockOutcome,
    MemoryBlockResponse,
)
from qga.protocol.network import IpAddress, IpAddressType, NetworkInterface, NetworkRoute
from qga.protocol.stats import CpuStatsType, DiskStats, DiskStatsInfo, LinuxCpuStats, LoadAverage
from qga.protocol.storage import (
    DiskAddress,
    DiskBusType,
    DiskInfo,
    FilesystemInfo,
    PciAddress,
    TrimResponse,
    TrimResult,
)
from qga.protocol.system import HostName, OsInfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from qga.protocol.model import Command

    from .files import Files

_GIB = 1 << 30


def _interfaces() -> list[NetworkInterface]:
    def address(text: str, kind: IpAddressType, prefix: int) -> IpAddress:
        return IpAddress(ip_address=text, ip_address_type=kind, prefix=prefix)

    v4, v6 = IpAddressType.IPV4, IpAddressType.IPV6
    return [
        NetworkInterface(
            name="lo",
            hardware_address="00:00:00:00:00:00",
            ip_addresses=[address("127.0.0.1", v4, 8), address("::1", v6, 128)],
        ),
        NetworkInterface(
            name="eth0",
            hardware_address="52:54:00:12:34:56",
            ip_addresses=[
                address("192.0.2.10", v4, 24),
                address("2001:db8::10", v6, 64),
                address("fe80::5054:ff:fe12:3456", v6, 64),
            ],
        ),
    ]


def _routes() -> list[NetworkRoute]:
    def route(destination: str, mask: str, gateway: str, flags: int) -> NetworkRoute:
        return NetworkRoute(
            iface="eth0", destination=destination, mask=mask, gateway=gateway, metric=0,
            flags=flags, refcnt=0, use=0, window=0, mtu=0, irtt=0, version=4,
        )  # fmt: skip

    return [
        route("0.0.0.0", "0.0.0.0", "192.0.2.1", 3),  # noqa: S104 - the default route
        route("192.0.2.0", "255.255.255.0", "0.0.0.0", 1),  # noqa: S104 - no gateway
    ]


def _disk() -> DiskAddress:
    controller = PciAddress(domain=0, bus=0, slot=4, function=0)
    return DiskAddress(
        pci_controller=controller, bus_type=DiskBusType.VIRTIO, bus=0, target=0, unit=0,
        serial="fake", dev="/dev/vda",
    )  # fmt: skip


def _filesystems() -> list[FilesystemInfo]:
    def mounted(name: str, mountpoint: str, used: int, total: int) -> FilesystemInfo:
        return FilesystemInfo(
            name=name, mountpoint=mountpoint, type="ext4", used_bytes=used, total_bytes=total,
            total_bytes_privileged=total * 20 // 19, disk=[_disk()],
        )  # fmt: skip

    return [
        mounted("vda1", "/", 3 * _GIB, 19 * _GIB),
        mounted("vda2", "/srv", 1 * _GIB, 38 * _GIB),
    ]


@dataclass
class Guest:
    """The guest that a fake agent tells of and changes; the agent has it as `guest`.

        >>> agent.guest.host_name = "web1"
        >>> client.execute(GetHostName()).host_name
        'web1'
        >>> client.execute(SetUserPassword(username="root", password=b"secret", crypted=False))
        >>> agent.guest.passwords
        {'root': b'secret'}

    Attributes:
        host_name: its name, which is in /etc/hostname too.
        os: its operating system.
        clock_offset: seconds that its clock is ahead of this machine's.
        timezone: its time zone.
        interfaces: its network interfaces.
        routes: its routing table.
        filesystems: what is mounted; freezing and trimming count these.
        users: who is logged in.
        accounts: the users that there are, with the home directory of each, where SSH keys are.
        passwords: those that have been set.
        processors: its processors; by default two, of which the first stays online.
        memory: its blocks of memory.
        memory_block: the size of one, in bytes.
        load: its load.
        slept: how it has been suspended: "disk", "ram" or "hybrid", in order.
        shut_down: how its shutdown has been begun: "powerdown", "halt" or "reboot", in order.
    """

    host_name: str = "fake"
    os: OsInfo = field(
        default_factory=lambda: OsInfo(
            kernel_release="6.12.0-fake-amd64", kernel_version="#1 SMP Debian 6.12.0-1",
            machine="x86_64", id="debian", name="Debian GNU/Linux",
            pretty_name="Debian GNU/Linux 13 (trixie)", version="13 (trixie)", version_id="13",
        )
    )  # fmt: skip
    clock_offset: float = 0.0
    timezone: Timezone = field(default_factory=lambda: Timezone(zone="UTC", offset=0))
    interfaces: list[NetworkInterface] = field(default_factory=_interfaces)
    routes: list[NetworkRoute] = field(default_factory=_routes)
    filesystems: list[FilesystemInfo] = field(default_factory=_filesystems)
    users: list[User] = field(default_factory=list)
    accounts: dict[str, str] = field(
        default_factory=lambda: {"root": "/root", "debian": "/home/debian"}
    )
    passwords: dict[str, bytes] = field(default_factory=dict)
    processors: list[LogicalProcessor] = field(
        default_factory=lambda: [
            LogicalProcessor(logical_id=0, online=True, can_offline=False),
            LogicalProcessor(logical_id=1, online=True, can_offline=True),
        ]
    )
    memory: list[MemoryBlock] = field(
        default_factory=lambda: [
            MemoryBlock(phys_index=number, online=True, can_offline=bool(number))
            for number in range(4)
        ]
    )
    memory_block: int = 128 << 20
    load: LoadAverage = field(
        default_factory=lambda: LoadAverage(load1m=0.1, load5m=0.05, load15m=0.01)
    )
    slept: list[str] = field(default_factory=list)
    shut_down: list[str] = field(default_factory=list)

    def _furnish(self, files: Files) -> None:
        """Put into *files* what such a guest has."""
        files["/etc/hostname"] = f"{self.host_name}\n".encode()
        files["/etc/os-release"] = (
            f'PRETTY_NAME="{self.os.pretty_name}"\nNAME="{self.os.name}"\n'
            f'VERSION_ID="{self.os.version_id}"\nVERSION="{self.os.version}"\nID={self.os.id}\n'
        ).encode()
        files["/proc/uptime"] = b"4242.42 8484.84\n"
        files["/proc/meminfo"] = (
            b"MemTotal:        2048000 kB\nMemFree:          512000 kB\n"
            b"MemAvailable:    1536000 kB\nBuffers:           64000 kB\n"
            b"Cached:          960000 kB\nSwapTotal:       1024000 kB\n"
            b"SwapFree:        1024000 kB\n"
        )
        files["/proc/sys/kernel/random/boot_id"] = b"5b2c0f7e-8f3a-4c65-9a51-3f0c9d1e7a42\n"
        for home in self.accounts.values():
            files.mkdir(home)
        for path in ("/run", "/srv", "/tmp", "/var/log", "/var/tmp"):  # noqa: S108 - the guest's
            files.mkdir(path)

    def _boot(self, files: Files) -> None:
        """Change what another boot changes."""
        files["/proc/sys/kernel/random/boot_id"] = f"{uuid4()}\n".encode()
        files["/proc/uptime"] = b"4.20 3.90\n"

    # The commands.

    def _answers(self, files: Files) -> dict[type[Command[Any]], Callable[[Any], Any]]:
        keys = _Keys(self, files)
        return {
            protocol.GetHostName: lambda _: HostName(host_name=self.host_name),
            protocol.GetOsInfo: lambda _: self.os,
            protocol.GetTime: lambda _: time.time_ns() + round(self.clock_offset * 1e9),
            protocol.SetTime: self._on_set_time,
            protocol.GetTimezone: lambda _: self.timezone,
            protocol.GetInterfaces: lambda _: self.interfaces,
            protocol.GetRoute: lambda _: self.routes,
            protocol.GetFsinfo: lambda _: self.filesystems,
            protocol.GetDisks: self._on_disks,
            protocol.Fstrim: self._on_trim,
            protocol.GetUsers: lambda _: self.users,
            protocol.SetUserPassword: self._on_password,
            protocol.SshGetAuthorizedKeys: keys.on_get,
            protocol.SshAddAuthorizedKeys: keys.on_add,
            protocol.SshRemoveAuthorizedKeys: keys.on_remove,
            protocol.GetVcpus: lambda _: self.processors,
            protocol.SetVcpus: self._on_set_vcpus,
            protocol.GetMemoryBlocks: lambda _: self.memory,
            protocol.GetMemoryBlockInfo: lambda _: MemoryBlockInfo(size=self.memory_block),
            protocol.SetMemoryBlocks: self._on_set_memory,
            protocol.GetLoad: lambda _: self.load,
            protocol.GetCpuStats: self._on_cpu_stats,
            protocol.GetDiskStats: self._on_disk_stats,
            protocol.SuspendDisk: lambda _: self.slept.append("disk"),
            protocol.SuspendRam: lambda _: self.slept.append("ram"),
            protocol.SuspendHybrid: lambda _: self.slept.append("hybrid"),
        }

    def _on_set_time(self, command: protocol.SetTime) -> None:
        # Without a time it is that of the hardware clock, which the host keeps right.
        self.clock_offset = 0 if command.time is None else (command.time - time.time_ns()) / 1e9

    def _on_disks(self, _: protocol.GetDisks) -> list[DiskInfo]:
        parts = [
            DiskInfo(name=f"/dev/{mounted.name}", partition=True, dependencies=["/dev/vda"])
            for mounted in self.filesystems
        ]
        return [DiskInfo(name="/dev/vda", partition=False, address=_disk()), *parts]

    def _on_trim(self, command: protocol.Fstrim) -> TrimResponse:
        return TrimResponse(
            paths=[
                TrimResult(
                    path=mounted.mountpoint,
                    trimmed=(mounted.total_bytes or 0) - (mounted.used_bytes or 0),
                    minimum=command.minimum or 0,
                )
                for mounted in self.filesystems
            ]
        )

    def _on_password(self, command: protocol.SetUserPassword) -> None:
        if command.username not in self.accounts:
            raise CommandError("child process has failed to set user password")
        self.passwords[command.username] = command.password

    def _on_set_vcpus(self, command: protocol.SetVcpus) -> int:
        known = {each.logical_id: index for index, each in enumerate(self.processors)}
        done = 0
        for wanted in command.vcpus:
            index = known.get(wanted.logical_id)
            failure = None
            if index is None:
                path = f"/sys/devices/system/cpu/cpu{wanted.logical_id}/"
                failure = f'open("{path}"): No such file or directory'
            elif not (wanted.online or self.processors[index].can_offline):
                failure = f"logical processor #{wanted.logical_id} can't be offlined"
            if index is None or failure is not None:
                if done == 0:
                    raise CommandError(str(failure))
                break
            self.processors[index] = LogicalProcessor(
                logical_id=wanted.logical_id,
                online=wanted.online,
                can_offline=self.processors[index].can_offline,
            )
            done += 1
        return done

    def _on_set_memory(self, command: protocol.SetMemoryBlocks) -> list[MemoryBlockResponse]:
        known = {block.phys_index: index for index, block in enumerate(self.memory)}
        responses = []
        for wanted in command.mem_blks:
            outcome = MemoryBlockOutcome.SUCCESS
            index = known.get(wanted.phys_index)
            if index is None:
                outcome = MemoryBlockOutcome.NOT_FOUND
            elif not (wanted.online or self.memory[index].can_offline):
                outcome = MemoryBlockOutcome.OPERATION_FAILED
            else:
                self.memory[index] = MemoryBlock(
                    phys_index=wanted.phys_index,
                    online=wanted.online,
                    can_offline=self.memory[index].can_offline,
                )
            responses.append(MemoryBlockResponse(phys_index=wanted.phys_index, response=outcome))
        return responses

    def _on_cpu_stats(self, _: protocol.GetCpuStats) -> list[LinuxCpuStats]:
        return [
            LinuxCpuStats(
                type=CpuStatsType.LINUX, cpu=each.logical_id, user=1200, nice=0, system=300,
                idle=98_500,
            )
            for each in self.processors
            if each.online
        ]  # fmt: skip

    def _on_disk_stats(self, _: protocol.GetDiskStats) -> list[DiskStatsInfo]:
        stats = DiskStats(read_sectors=81_920, read_ios=1024, write_sectors=8192, write_ios=256)
        return [DiskStatsInfo(name="vda", major=254, minor=0, stats=stats)]


class _Keys:
    """The authorized_keys of the guest's users."""

    def __init__(self, guest: Guest, files: Files) -> None:
        self._guest = guest
        self._files = files

    def on_get(self, command: protocol.SshGetAuthorizedKeys) -> AuthorizedKeys:
        path = self._path(command.username)
        if path not in self._files:
            raise CommandError(
                f"failed to read '{path}': "
                f"Failed to open file \u201c{path}\u201d: No such file or directory"
            )
        # Agents tell them from the last to the first.
        return AuthorizedKeys(keys=self._read(path)[::-1])

    def on_add(self, command: protocol.SshAddAuthorizedKeys) -> None:
        path = self._path(command.username)
        keys = [] if command.reset else self._read(path)
        keys += [key for key in dict.fromkeys(command.keys) if key not in keys]
        self._write(path, keys)

    def on_remove(self, command: protocol.SshRemoveAuthorizedKeys) -> None:
        path = self._path(command.username)
        if path in self._files:
            self._write(path, [key for key in self._read(path) if key not in command.keys])

    def _path(self, user: str) -> str:
        home = self._guest.accounts.get(user)
        if home is None:
            raise CommandError(f"failed to lookup user '{user}'")
        return f"{home}/.ssh/authorized_keys"

    def _read(self, path: str) -> list[str]:
        lines = self._files.get(path, b"").decode().split("\n")
        return [line for line in lines if line and not line.startswith("#")]

    def _write(self, path: str, keys: list[str]) -> None:
        self._files[path] = "".join(f"{key}\n" for key in keys).encode()
