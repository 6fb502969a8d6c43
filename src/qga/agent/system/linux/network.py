"""The network on Linux: interfaces and addresses over rtnetlink; the routes are in `routes`.

What is asked for often is answered by `listing`, of what it knows and fresh counters.
"""

from _struct import Struct
from _struct import error as struct_error  # type: ignore[attr-defined]

from qga.agent.lean import socket
from qga.protocol.network import (
    InterfaceStatistics,
    IpAddress,
    IpAddressType,
    NetworkInterface,
)

from . import netlink
from .listing import Listing
from .reading import malformed, text
from .routes import Routes

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

_UINT64 = 0xFFFFFFFFFFFFFFFF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class _Link:
    """What is known of a link, for as long as the kernel's message about it begins with *head*.

    That is all before the counters, which change with every packet.
    """

    __slots__ = ("counts", "hardware_address", "head", "name")

    def __init__(self, message: bytes) -> None:
        places = netlink.attributes(message, _IFINFOMSG.size, _OF_LINKS)
        start, end = places[_IFLA_IFNAME]
        self.name = _name(message[start:end])
        start, end = places.get(_IFLA_ADDRESS, (0, 0))
        # Six bytes, whatever the link has, as programs get them from ioctl(SIOCGIFHWADDR).
        self.hardware_address = message[start:end][:6].ljust(6, b"\0").hex(":")
        self.counts = _IFLA_STATS64 in places
        self.head = message[: places.get(_IFLA_STATS64, (len(message), 0))[0]]

    def statistics(self, message: bytes) -> InterfaceStatistics | None:
        """The numbers that /proc/net/dev shows."""
        if not self.counts:
            return None
        counters = _STATS.unpack_from(message, len(self.head))
        return InterfaceStatistics(
            rx_bytes=counters[2],
            rx_packets=counters[0],
            rx_errs=counters[4],
            # Dropped, and missed because there was no room for them.
            rx_dropped=(counters[6] + counters[15]) & _UINT64,
            tx_bytes=counters[3],
            tx_packets=counters[1],
            tx_errs=counters[5],
            tx_dropped=counters[7],
        )


class _Address:
    """An address, and where it belongs: to the link of that index, or to a label of its own."""

    __slots__ = ("address", "index", "label")

    def __init__(self, message: bytes, family: int) -> None:
        _, prefix, _, _, self.index = _IFADDRMSG.unpack_from(message)
        kind, wanted = _FAMILIES[family]
        places = netlink.attributes(message, _IFADDRMSG.size, wanted)
        # Of a link with two ends, IFA_ADDRESS is the other one.
        start, end = places.get(_IFA_LOCAL) or places.get(_IFA_ADDRESS, (0, 0))
        # The kernel leaves out 0.0.0.0.
        self.address: IpAddress | None = None
        if start:
            self.address = IpAddress(
                ip_address=socket.inet_ntop(family, message[start:end]),
                ip_address_type=kind,
                prefix=prefix,
            )
        start, end = places.get(_IFA_LABEL, (0, 0))
        self.label = _name(message[start:end])


class LinuxNetwork:
    """See `qga.agent.system.asked.Network`.

    Args:
        proc: where /proc is.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._listing = Listing(self.interfaces, proc)
        self._routes = Routes(proc)
        self._netlink = netlink.Netlink()
        # What the kernel said the last time, taken apart: most of it comes again.
        self._links: dict[int, _Link] = {}
        self._addresses: dict[bytes, _Address] = {}

    def interfaces(self) -> list[NetworkInterface]:
        """All interfaces with their addresses.

        One for each link, in the kernel's order; then one for each label of an IPv4 address that
        is no link's name, such as eth0:1. What has no address has no statistics either, as
        upstream.
        """
        try:
            return self._understood(*self._netlink.dump(_ALL_LINKS, _ALL_ADDRESSES))
        except (struct_error, ValueError, OverflowError, LookupError):
            raise malformed("netlink's answer") from None

    def _understood(self, links: list[bytes], addresses: list[bytes]) -> list[NetworkInterface]:
        messages: dict[str, tuple[_Link, bytes]] = {}
        known: dict[int, _Link] = {}
        found: dict[str, list[IpAddress]] = {}
        for message in links:
            index = _IFINFOMSG.unpack_from(message)[2]
            link = self._links.get(index)
            if link is None or not message.startswith(link.head):
                link = _Link(message)
            known[index] = link
            messages[link.name] = link, message
            found[link.name] = []
        self._links = known
        for address in self._apart(addresses):
            # What belongs to a link newer than the list of links is left out with it.
            if address.address is not None and address.index in known:
                name = address.label or known[address.index].name
                found.setdefault(name, []).append(address.address)
        return [_interface(name, own, messages) for name, own in found.items()]

    def _apart(self, messages: list[bytes]) -> "Iterator[_Address]":
        known: dict[bytes, _Address] = {}
        for message in messages:
            # The other families' have no type in a reply.
            if (family := message[0]) in _FAMILIES:
                address = self._addresses.get(message) or _Address(message, family)
                known[message] = address
                yield address
        self._addresses = known

    def interfaces_text(self, since: "tuple[int, ...]") -> bytes:
        """The interfaces as JSON text, as the version *since* knew them."""
        return self._listing.text(since)

    def routes_text(self) -> bytes:
        """The routes of IPv4, then those of IPv6, as JSON text."""
        return self._routes.text()


def _interface(
    name: str, addresses: list[IpAddress], links: "dict[str, tuple[_Link, bytes]]"
) -> NetworkInterface:
    if name in links:
        link, message = links[name]
        return NetworkInterface(
            name=name,
            hardware_address=link.hardware_address,
            ip_addresses=addresses or None,
            statistics=link.statistics(message) if addresses else None,
        )
    # A label such as eth0:1 has the hardware address of what is before the colon.
    base = links.get(name.partition(":")[0])
    return NetworkInterface(
        name=name,
        hardware_address=base[0].hardware_address if base else None,
        ip_addresses=addresses,
        statistics=None,
    )


def _name(attribute: bytes) -> str:
    return text(attribute.rstrip(b"\0"))
