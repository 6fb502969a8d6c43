"""The network on Linux: interfaces and addresses over rtnetlink, routes from /proc/net."""

import sys
from _struct import Struct

from qga.agent.lean import socket
from qga.protocol.network import (
    InterfaceStatistics,
    IpAddress,
    IpAddressType,
    NetworkInterface,
    NetworkRoute,
)

from . import netlink
from .reading import read_file, text

_IFINFOMSG = Struct("=BxHiII")  # family, hardware type, index, flags, changed flags
_IFADDRMSG = Struct("=BBBBI")  # family, length of the prefix, flags, scope, index
_ALL_LINKS = (netlink.RTM_GETLINK, _IFINFOMSG.pack(0, 0, 0, 0, 0))
_ALL_ADDRESSES = (netlink.RTM_GETADDR, _IFADDRMSG.pack(0, 0, 0, 0, 0))

_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_STATS64 = 23
_OF_LINKS = frozenset((_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_STATS64))
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_LABEL = 3
_OF_IPV4 = frozenset((_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL))
_OF_IPV6 = frozenset((_IFA_ADDRESS, _IFA_LOCAL))

# The first 16 counters of struct rtnl_link_stats64, as far as rx_missed_errors.
_STATS = Struct("=16Q")

_FAMILIES = {
    socket.AF_INET: (IpAddressType.IPV4, _OF_IPV4),
    socket.AF_INET6: (IpAddressType.IPV6, _OF_IPV6),
}

_UINT32 = 0xFFFFFFFF


class LinuxNetwork:
    """See `qga.agent.system.Network`.

    Args:
        proc: where /proc is.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._routes = f"{proc}/net/route"
        self._routes6 = f"{proc}/net/ipv6_route"

    def interfaces(self) -> list[NetworkInterface]:
        """All interfaces with their addresses."""
        links, addresses = netlink.dump(_ALL_LINKS, _ALL_ADDRESSES)
        return list_interfaces(links, addresses)

    def routes(self) -> list[NetworkRoute]:
        """The routes of IPv4, then those of IPv6."""
        found = [
            _route(fields)
            for line in _lines(self._routes)[1:]  # the first names the columns
            if len(fields := line.split()) >= 11
        ]
        found += [
            _route6(fields) for line in _lines(self._routes6) if len(fields := line.split()) >= 10
        ]
        return found


def list_interfaces(links: list[bytes], addresses: list[bytes]) -> list[NetworkInterface]:
    """The interfaces that the kernel's answers tell of.

    One for each link, in the kernel's order; then one for each label of an IPv4 address that is no
    link's name, such as eth0:1. What has no address has no statistics either, as upstream.
    """
    names: dict[int, str] = {}
    details: dict[str, dict[int, bytes]] = {}
    found: dict[str, list[IpAddress]] = {}
    for message in links:
        link = netlink.attributes(message, _IFINFOMSG.size, _OF_LINKS)
        name = _name(link[_IFLA_IFNAME])
        names[_IFINFOMSG.unpack_from(message)[2]] = name
        details[name] = link
        found[name] = []
    for message in addresses:
        family, prefix, _, _, index = _IFADDRMSG.unpack_from(message)
        # The rest belongs to protocols that replies have no type for, or to a link that is newer
        # than the list of links.
        if family in _FAMILIES and index in names:
            kind, wanted = _FAMILIES[family]
            given = netlink.attributes(message, _IFADDRMSG.size, wanted)
            # Of a link with two ends, IFA_ADDRESS is the other one.
            address = given.get(_IFA_LOCAL) or given.get(_IFA_ADDRESS)
            if address:
                label = given.get(_IFA_LABEL)
                found.setdefault(_name(label) if label else names[index], []).append(
                    IpAddress(
                        ip_address=socket.inet_ntop(family, address),
                        ip_address_type=kind,
                        prefix=prefix,
                    )
                )
    return [
        NetworkInterface(
            name=name,
            hardware_address=_hardware_address(details, name),
            ip_addresses=own or None,
            statistics=_statistics(details.get(name, {})) if own else None,
        )
        for name, own in found.items()
    ]


def _name(attribute: bytes) -> str:
    return text(attribute.rstrip(b"\0"))


def _hardware_address(details: dict[str, dict[int, bytes]], name: str) -> str | None:
    """Six bytes, whatever the link has, as programs get them from ioctl(SIOCGIFHWADDR).

    An alias has its link's.
    """
    link = details.get(name.partition(":")[0])
    if link is None:
        return None
    return link.get(_IFLA_ADDRESS, b"")[:6].ljust(6, b"\0").hex(":")


def _statistics(link: dict[int, bytes]) -> InterfaceStatistics | None:
    """The numbers that /proc/net/dev shows."""
    if _IFLA_STATS64 not in link:
        return None
    counters = _STATS.unpack_from(link[_IFLA_STATS64])
    return InterfaceStatistics(
        rx_bytes=counters[2],
        rx_packets=counters[0],
        rx_errs=counters[4],
        # Dropped, and missed because there was no room for them.
        rx_dropped=counters[6] + counters[15],
        tx_bytes=counters[3],
        tx_packets=counters[1],
        tx_errs=counters[5],
        tx_dropped=counters[7],
    )


def _lines(path: str) -> list[bytes]:
    """The lines of a file; none where the kernel is without that version of IP."""
    try:
        return read_file(path).splitlines()
    except FileNotFoundError:
        return []


def _route(fields: list[bytes]) -> NetworkRoute:
    iface, destination, gateway, flags, refcnt, use, metric, mask, mtu, window, irtt = fields[:11]
    return NetworkRoute(
        iface=text(iface),
        destination=_ipv4(destination),
        # The kernel shows the highest as -1.
        metric=int(metric) & _UINT32,
        gateway=_ipv4(gateway),
        mask=_ipv4(mask),
        irtt=int(irtt),
        flags=int(flags, 16),
        refcnt=int(refcnt),
        use=int(use),
        window=int(window),
        mtu=int(mtu),
        version=4,
    )


def _ipv4(digits: bytes) -> str:
    """From the kernel's hexadecimal number, whose bytes are in the processor's order."""
    number = int(digits, 16).to_bytes(4, sys.byteorder)
    return socket.inet_ntop(socket.AF_INET, number)


def _route6(fields: list[bytes]) -> NetworkRoute:
    destination, length, source, source_length, nexthop, metric, refcnt, use, flags = fields[:9]
    return NetworkRoute(
        iface=text(fields[9]),
        destination=_ipv6(destination),
        metric=int(metric, 16),
        flags=int(flags, 16),
        refcnt=int(refcnt, 16),
        use=int(use, 16),
        version=6,
        desprefixlen=str(int(length, 16)),
        source=_ipv6(source),
        srcprefixlen=str(int(source_length, 16)),
        nexthop=_ipv6(nexthop),
    )


def _ipv6(digits: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits.decode("ascii")))
