"""What the guest is: the objects that `flows.facts` returns, and the rules by which it chooses.

The primary address is the one by which a host or its user most likely reaches the guest. Guests
have many: bridges of containers, tunnels, addresses of the link alone. So `preferred` leaves out
what cannot be it and sorts the rest; its documentation has the rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from ipaddress import IPv4Address, IPv6Address

    from qga.errors import QgaError
    from qga.protocol.fsfreeze import PlannedHook

# Interfaces that lead to containers, to virtual machines inside the guest, or into a tunnel. What
# may carry a guest's primary address is not here: br0, br-lan and br-ex, bond0, team0, eth0.10.
_VIRTUAL = re.compile(
    r"""
    lo\d* | dummy\d* | ifb\d* | sit\d* | gre\d* | gretap\d* | erspan\d* | ip6?tnl\d* | ip6gre\d*
    | ip_vti\d* | ip6_vti\d* | tunl\d* | teql\d*
    | docker\w* | br-[0-9a-f]{12} | podman\d* | cni[-\w]* | nerdctl\d* | lxcbr\d* | lxdbr\d*
    | incusbr\d* | veth.* | vethwe.* | lxc.*
    | flannel.* | cali.* | vxlan.* | weave.* | datapath | cilium.* | kube-.* | nodelocaldns | azv.*
    | eni[0-9a-f]{10,} | antrea-.* | genev_sys_.* | ovn-k8s-.* | ovs-system | br-int | br-tun
    | virbr.* | vnet\d* | tap.* | macvtap\d* | vmnet\d*
    | tun.* | wg.* | zt.* | tailscale\d* | ppp\d* | utun\d*
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address of the guest.

    Attributes:
        ip: the address.
        prefix: the length of its network's prefix, in bits.
        interface: the name of the interface that has it.
        mac: the hardware address of that, in lower case with colons; None if it has none.
    """

    ip: IPv4Address | IPv6Address
    prefix: int
    interface: str
    mac: str | None

    def __str__(self) -> str:
        return str(self.ip)


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the guest.

    Attributes:
        name: its name in the guest.
        mac: its hardware address, in lower case with colons; None if it has none.
        addresses: all addresses that it has, as the guest lists them.
        received: bytes; None where the agent (before 2.11) does not tell.
        sent: the same.
    """

    name: str
    mac: str | None
    addresses: tuple[Address, ...]
    received: int | None = None
    sent: int | None = None

    @property
    def virtual(self) -> bool:
        """Whether by its name it leads to containers, inner virtual machines or a tunnel."""
        return _VIRTUAL.fullmatch(self.name.partition(":")[0].partition("@")[0]) is not None


def preferred(
    interfaces: Iterable[Interface],
    *,
    family: int | None = None,
    defaults: Mapping[tuple[int, str], int] | None = None,
    virtual: bool = False,
) -> list[Address]:
    """The addresses by which the guest may be reached, the primary one first.

    1. Left out are loopback, unspecified and multicast addresses, and all of virtual interfaces:
       containers and tunnels have networks that the host is not in.
    2. Addresses of the link alone (169.254.0.0/16, fe80::/10) come last: they need no
       configuration, so a guest may have nothing else; but they cannot be used from elsewhere.
    3. IPv4 before IPv6: it is what is asked for, mostly, and every host has it.
    4. Those of the interface with the default route first, the lowest metric first: that is
       where the guest's network is. It says more than public or private, since many guests
       have a public address only for what is exposed, or none.
    5. Global before private: more places can reach it.
    6. As the guest lists them.

    Args:
        interfaces: the guest's.
        family: 4 or 6, for those only.
        defaults: the metric of the default route by version of IP and interface.
        virtual: add those of virtual interfaces, behind all others.
    """
    ranked: list[tuple[tuple[object, ...], Address]] = []
    for interface in interfaces:
        if interface.virtual and not virtual:
            continue
        for address in interface.addresses:
            ip = address.ip
            if ip.is_loopback or ip.is_unspecified or ip.is_multicast:
                continue
            if family not in (None, ip.version):
                continue
            metric = (defaults or {}).get((ip.version, interface.name.partition(":")[0]))
            rank = (
                interface.virtual, ip.is_link_local, ip.version,
                metric is None, metric or 0, not ip.is_global, len(ranked),
            )  # fmt: skip
            ranked.append((rank, address))
    ranked.sort(key=lambda found: found[0])
    return [address for _, address in ranked]


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system of the guest that is on a disk.

    Attributes:
        mountpoint: where it is mounted.
        device: the name of its device.
        type: what it is, such as ext4.
        total: bytes that users have in all; None if nobody tells.
        used: bytes in use; None as well.
        disks: the device files of the disks that it is on, where the agent tells.
    """

    mountpoint: str
    device: str
    type: str
    total: int | None
    used: int | None
    disks: tuple[str, ...] = ()

    @property
    def free(self) -> int | None:
        """Bytes that users may still write."""
        return None if self.total is None or self.used is None else self.total - self.used

    @property
    def percent(self) -> float | None:
        """How much of it is used, from 0.0 to 100.0."""
        if self.total is None or self.used is None:
            return None
        return 100.0 * self.used / self.total if self.total else 100.0


@dataclass(frozen=True, slots=True)
class Freezable:
    """A file system of the guest, and whether a freeze takes it.

    Attributes:
        mountpoint: where it is mounted.
        type: what it is, such as ext4; empty where nothing is mounted.
        device: what it is on.
        taken: whether it would be frozen.
        reason: why not; empty if it would.
    """

    mountpoint: str
    type: str
    device: str
    taken: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FreezePlan:
    """What a freeze would do.

    Attributes:
        filesystems: what would be frozen, in that order, and what not and why.
        hooks: the hooks of the guest that would be run before, in that order; None where the agent
            does not tell.
        problem: why the freeze would fail, as far as can be seen; None if nothing is in the way.
    """

    filesystems: list[Freezable]
    hooks: list[PlannedHook] | None = None
    problem: QgaError | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A user who is logged in.

    Attributes:
        name: the user's name.
        since: the earliest login, in UTC.
        domain: the domain of the account, of Windows.
    """

    name: str
    since: datetime
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """The guest's operating system. What the guest does not tell is None.

    Attributes:
        pretty_name: the name for people, with the version.
        id: the name for programs, such as debian.
        name: the name for people.
        version: for people, perhaps with a code name.
        version_id: for programs.
        variant: the edition, for people.
        variant_id: the edition, for programs.
        kernel: the release of the kernel, such as 6.1.0-18-amd64.
        kernel_version: the version of the kernel, such as #1 SMP.
        machine: the hardware, such as x86_64.
    """

    pretty_name: str | None = None
    id: str | None = None
    name: str | None = None
    version: str | None = None
    version_id: str | None = None
    variant: str | None = None
    variant_id: str | None = None
    kernel: str | None = None
    kernel_version: str | None = None
    machine: str | None = None


@dataclass(frozen=True, slots=True)
class TimeOffset:
    """How far the guest's clock is from this machine's.

    Attributes:
        seconds: guest minus host: positive where the guest is ahead.
        uncertainty: the true offset is within so many seconds of it.
        round_trip: the shortest time that asking for the time took, in seconds.
    """

    seconds: float
    uncertainty: float
    round_trip: float

    def __str__(self) -> str:
        return f"{self.seconds:+.6f} s ± {self.uncertainty:.6f} s"


@dataclass(frozen=True, slots=True)
class TimeSync:
    """What setting the guest's clock has changed.

    Attributes:
        before: the offset before.
        after: the offset after.
        warning: what the agent complained of although the clock was set: mostly that the hardware
            clock could not be; empty if nothing.
    """

    before: TimeOffset
    after: TimeOffset
    warning: str = ""


@dataclass(frozen=True, slots=True)
class CloudInit:
    """What cloud-init has made of a guest.

    Attributes:
        status: "done", or "disabled": then it does nothing in this guest.
        errors: what it complains of, if it is done.
        datasource: where its data came from, as it tells it.
    """

    status: str
    errors: tuple[str, ...] = ()
    datasource: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it is done, without an error."""
        return self.status == "done" and not self.errors
