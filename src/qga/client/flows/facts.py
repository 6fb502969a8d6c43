"""What the guest is: addresses, file systems, users, system. For `operations`.

Each asks the command that is made for it. Where an agent is too old for that, or may not, the
guest's files tell, or a program; the last resort is the error of the first command.
"""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from qga.client.facts import (
    Address,
    FileSystem,
    Interface,
    OperatingSystem,
    User,
    preferred,
)
from qga.errors import (
    CommandDisabled,
    CommandError,
    CommandNotFound,
    GuestOSError,
    QgaError,
    Unsupported,
)
from qga.protocol import (
    GetFsinfo,
    GetHostName,
    GetInterfaces,
    GetOsInfo,
    GetRoute,
    GetUsers,
)

from .script import script
from .steps import Timeout
from .transfer import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qga.protocol.accounts import User as WireUser
    from qga.protocol.network import NetworkInterface, NetworkRoute
    from qga.protocol.storage import FilesystemInfo
    from qga.protocol.system import HostName, OsInfo

    from .steps import Flow

# The agent cannot do it, or may not: another way may be open.
_CLOSED = (CommandNotFound, CommandDisabled, Unsupported)

ROUTE_FILES = ("/proc/net/route", "/proc/net/ipv6_route")
_REJECT = 0x200  # a route that refuses
_NO_MAC = "00:00:00:00:00:00"

# One after the other, so that names are no matter.
_DF = 'for path; do df -kP -- "$path" 2>/dev/null; printf "\\0"; done'
_DF_LINE = re.compile(rb"\s(\d+)\s+(\d+)\s+(\d+)\s+(?:\d+%|-)\s+/")


def interfaces(*, timeout: float | None = None) -> Flow[list[Interface]]:
    """The guest's network interfaces with their addresses, all of them, as the guest lists them.

        >>> [interface.name for interface in client.interfaces()]
        ['lo', 'eth0']

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    listed: list[NetworkInterface] = yield GetInterfaces()
    return [interface_of(one) for one in listed]


def interface_of(one: NetworkInterface) -> Interface:
    """The interface that an agent has told of."""
    import ipaddress

    mac = None if one.hardware_address in (None, "", _NO_MAC) else one.hardware_address
    addresses = tuple(
        Address(
            ipaddress.ip_address(address.ip_address.partition("%")[0]),
            address.prefix,
            one.name,
            mac,
        )
        for address in one.ip_addresses or ()
    )
    counted = one.statistics
    received, sent = (counted.rx_bytes, counted.tx_bytes) if counted else (None, None)
    return Interface(one.name, mac, addresses, received, sent)


def addresses(
    family: int | None = None, *, virtual: bool = False, timeout: float | None = None
) -> Flow[list[Address]]:
    """The addresses by which the guest may be reached, the primary one first.

    Loopback and the interfaces of containers, inner virtual machines and tunnels are left out.
    Before others come: IPv4; what belongs to the interface with the default route; and global
    addresses. Last are those of the link alone.

        >>> [str(address) for address in client.addresses()]
        ['192.0.2.10', '2001:db8::10', 'fe80::5054:ff:fe12:3456']

    Args:
        family: 4 or 6, for those of that version of IP only.
        virtual: add those of the interfaces that are left out, behind all others.
        timeout: seconds for each call; the client's own if None.
    """
    if family not in (None, 4, 6):
        raise ValueError(f"the version of IP is 4 or 6, not {family!r}")
    found = yield from interfaces(timeout=timeout)
    defaults = yield from _default_routes()
    return preferred(found, family=family, defaults=defaults, virtual=virtual)


def address(family: int | None = None, *, timeout: float | None = None) -> Flow[Address | None]:
    """The guest's primary address, the first of `addresses`; None while it has none.

        >>> str(client.address())
        '192.0.2.10'
        >>> str(client.address(6))
        '2001:db8::10'

    Args:
        family: 4 or 6, for one of that version of IP.
        timeout: seconds for each call; the client's own if None.
    """
    found = yield from addresses(family, timeout=timeout)
    return found[0] if found else None


def _default_routes() -> Flow[dict[tuple[int, str], int]]:
    """The metric of the default route, by version of IP and interface; nothing if unknown."""
    try:
        routes: list[NetworkRoute] = yield GetRoute()
    except (CommandError, Unsupported):
        # Agents before 9.1; and those that fail where the kernel has no IPv6.
        held: dict[str, str] = {}
        for path in ROUTE_FILES:
            try:
                held[path] = yield from text_of(path)
            except (CommandError, Unsupported):
                continue
        return defaults_in(held)
    return defaults_of(routes)


def defaults_in(held: Mapping[str, str]) -> dict[tuple[int, str], int]:
    """The same as `defaults_of`, of what the `ROUTE_FILES` hold."""
    four, six = (held.get(path, "") for path in ROUTE_FILES)
    return _best([*_four(four), *_six(six)])


def defaults_of(routes: list[NetworkRoute]) -> dict[tuple[int, str], int]:
    """The metric of the default route, by version of IP and interface, of an agent's *routes*."""
    return _best(_listed_defaults(routes))


def _best(found: Iterable[tuple[int, str, int]]) -> dict[tuple[int, str], int]:
    best: dict[tuple[int, str], int] = {}
    for version, interface, metric in found:
        key = version, interface
        best[key] = min(metric, best.get(key, metric))
    return best


def _listed_defaults(routes: list[NetworkRoute]) -> Iterator[tuple[int, str, int]]:
    for route in routes:
        if (route.flags or 0) & _REJECT or route.iface == "lo":
            continue
        if route.version == 4 and route.destination == route.mask == "0.0.0.0":  # noqa: S104
            yield 4, route.iface, route.metric
        elif route.version == 6 and (route.destination, route.desprefixlen) == ("::", "0"):
            yield 6, route.iface, route.metric


def _four(table: str) -> Iterator[tuple[int, str, int]]:
    # Iface Destination Gateway Flags RefCnt Use Metric Mask ...
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or int(fields[3], 16) & _REJECT:
            continue
        if fields[1] == fields[7] == "00000000":
            yield 4, fields[0], int(fields[6])


def _six(table: str) -> Iterator[tuple[int, str, int]]:
    # destination, length, source, length, next hop, metric, references, use, flags, interface
    for line in table.splitlines():
        fields = line.split()
        if len(fields) < 10 or int(fields[8], 16) & _REJECT or fields[9] == "lo":
            continue
        if (fields[0], fields[1]) == ("0" * 32, "00"):
            yield 6, fields[9], int(fields[5], 16)


def filesystems(*, timeout: float | None = None) -> Flow[list[FileSystem]]:
    """The guest's file systems that are on disks, and how much of them is used.

    Agents before 3.0 do not tell of the use: the guest's `df` does then. Where that may not be run
    either, `total` and `used` are None.

        >>> for disk in client.filesystems():
        ...     print(f"{disk.mountpoint}: {disk.percent:.0f} % used")
        /: 16 % used
        /srv: 3 % used

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    listed: list[FilesystemInfo] = yield GetFsinfo()
    unknown = [one.mountpoint for one in listed if one.total_bytes is None]
    measured: dict[str, tuple[int, int]] = {}
    if unknown:
        try:
            measured = yield from _df(unknown)
        except (CommandError, Unsupported):
            pass  # left unknown
    return [filesystem_of(one, measured) for one in listed]


def filesystem_of(
    one: FilesystemInfo, measured: Mapping[str, tuple[int, int]] | None = None
) -> FileSystem:
    """The file system that an agent has told of, with its use as *measured* by mount point."""
    total, used = (measured or {}).get(one.mountpoint, (one.total_bytes, one.used_bytes))
    disks = tuple(disk.dev for disk in one.disk if disk.dev)
    return FileSystem(one.mountpoint, one.name, one.type, total, used, disks)


def _df(mountpoints: Sequence[str]) -> Flow[dict[str, tuple[int, int]]]:
    done = yield from script(_DF, *mountpoints)
    found = {}
    for mountpoint, text in zip(mountpoints, done.out.split(b"\0"), strict=False):
        numbers = _DF_LINE.search(text)
        if numbers:
            # As the agents count: what is kept for the administrator is no part of the total.
            used, available = int(numbers[2]) * 1024, int(numbers[3]) * 1024
            found[mountpoint] = used + available, used
    return found


def users(*, timeout: float | None = None) -> Flow[list[User]]:
    """The users who are logged in, each once.

        >>> client.users()  # nobody is logged in
        []

    Args:
        timeout: seconds for the call; the client's own if None.

    Raises:
        CommandNotFound: the agent is older than 2.10.
    """
    yield Timeout(timeout)
    listed: list[WireUser] = yield GetUsers()
    return [user_of(one) for one in listed]


def user_of(one: WireUser) -> User:
    """The user that an agent has told of."""
    return User(one.user, datetime.fromtimestamp(one.login_time, UTC), one.domain)


def os(*, timeout: float | None = None) -> Flow[OperatingSystem]:
    """The guest's operating system and kernel.

    Agents before 2.10 do not tell: /etc/os-release and the kernel's own files do then.

        >>> client.os().pretty_name
        'Debian GNU/Linux 13 (trixie)'

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    try:
        told: OsInfo = yield GetOsInfo()
    except _CLOSED as error:
        return (yield from _os_by_files(error))
    return system_of(told)


def system_of(told: OsInfo) -> OperatingSystem:
    """The operating system that an agent has told of."""
    return OperatingSystem(
        pretty_name=told.pretty_name,
        id=told.id,
        name=told.name,
        version=told.version,
        version_id=told.version_id,
        variant=told.variant,
        variant_id=told.variant_id,
        kernel=told.kernel_release,
        kernel_version=told.kernel_version,
        machine=told.machine,
    )


def _os_by_files(refused: QgaError) -> Flow[OperatingSystem]:
    try:
        release = yield from text_of("/proc/sys/kernel/osrelease")
        version = yield from text_of("/proc/sys/kernel/version")
    except (CommandError, Unsupported):
        raise refused from None
    about: dict[str, str] = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            about = dict(_assignments((yield from text_of(path))))
            break
        except GuestOSError:
            continue
    machine = None
    try:
        machine = yield from text_of("/proc/sys/kernel/arch")
    except GuestOSError:  # kernels before 6.1
        try:
            done = yield from script("uname -m")
            machine = done.out.decode(errors="replace")
        except (CommandError, Unsupported):
            pass  # left unknown
    return OperatingSystem(
        pretty_name=about.get("PRETTY_NAME"),
        id=about.get("ID"),
        name=about.get("NAME"),
        version=about.get("VERSION"),
        version_id=about.get("VERSION_ID"),
        variant=about.get("VARIANT"),
        variant_id=about.get("VARIANT_ID"),
        kernel=release.strip(),
        kernel_version=version.strip(),
        machine=machine.strip() if machine else None,
    )


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """The shell's assignments in *text*, as os-release has them."""
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if not separator or name.startswith("#"):
            continue
        try:
            yield name, "".join(shlex.split(value))
        except ValueError:
            yield name, value  # an open quote


def hostname(*, timeout: float | None = None) -> Flow[str]:
    """The guest's host name, as the guest tells it: with or without a domain.

        >>> client.hostname()
        'fake'

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    try:
        told: HostName = yield GetHostName()
        return told.host_name
    except _CLOSED as error:  # agents before 2.10
        try:
            return (yield from text_of("/proc/sys/kernel/hostname")).strip()
        except (CommandError, Unsupported):
            raise error from None


def uptime(*, timeout: float | None = None) -> Flow[float]:
    """For how many seconds the guest has been running since it was booted.

        >>> client.uptime()
        4242.42

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    return float((yield from text_of("/proc/uptime")).split()[0])


def boot_id(*, timeout: float | None = None) -> Flow[str]:
    """What differs from one boot of the guest to the next, and is the same in between.

        >>> client.boot_id()
        '5b2c0f7e-8f3a-4c65-9a51-3f0c9d1e7a42'

    Args:
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    return (yield from text_of("/proc/sys/kernel/random/boot_id")).strip()


def text_of(path: str) -> Flow[str]:
    """The content of a file, by the file commands or else by a program."""
    try:
        data: bytes = yield from read_file(path)
    except _CLOSED as error:
        try:
            done = yield from script('cat -- "$1"', path)
        except _CLOSED:
            raise error from None
        if done.code:
            raise GuestOSError(done.err.decode(errors="replace").strip()) from None
        data = done.out
    return data.decode(errors="replace")
