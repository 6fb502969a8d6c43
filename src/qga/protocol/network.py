"""The guest's network: guest-network-get-interfaces and guest-network-get-route."""

from .model import Command, Enum, Struct, UInt64, Value, member


class IpAddressType(Enum):
    """The family of an address.

    Values:
        ipv4: IP version 4
        ipv6: IP version 6
    """

    NAME = "GuestIpAddressType"
    SINCE = "1.1"

    IPV4 = Value("ipv4")
    IPV6 = Value("ipv6")


class IpAddress(Struct):
    """An address of an interface.

    Members:
        ip-address: the address as text
        ip-address-type: its family
        prefix: the length of the network's prefix, in bits
    """

    NAME = "GuestIpAddress"
    SINCE = "1.1"

    ip_address: str
    ip_address_type: IpAddressType
    prefix: int


class InterfaceStatistics(Struct):
    """What an interface has received and sent.

    Members:
        rx-bytes: bytes received
        rx-packets: packets received
        rx-errs: packets received with errors
        rx-dropped: packets received and dropped
        tx-bytes: bytes sent
        tx-packets: packets sent
        tx-errs: packets not sent because of errors
        tx-dropped: packets dropped before they were sent
    """

    NAME = "GuestNetworkInterfaceStat"
    SINCE = "2.11"

    rx_bytes: UInt64
    rx_packets: UInt64
    rx_errs: UInt64
    rx_dropped: UInt64
    tx_bytes: UInt64
    tx_packets: UInt64
    tx_errs: UInt64
    tx_dropped: UInt64


class NetworkInterface(Struct):
    """A network interface.

    Members:
        name: its name in the guest
        hardware-address: its MAC address, in lower case with colons
        ip-addresses: its addresses; absent if it has none
        statistics: what it has received and sent
    """

    NAME = "GuestNetworkInterface"
    SINCE = "1.1"

    name: str
    hardware_address: str | None = None
    ip_addresses: list[IpAddress] | None = None
    statistics: InterfaceStatistics | None = member(default=None, since="2.11")


class GetInterfaces(Command[list[NetworkInterface]]):
    """List the guest's network interfaces, with their addresses.

    Returns: one entry for each interface
    """

    NAME = "guest-network-get-interfaces"
    SINCE = "1.1"


class NetworkRoute(Struct):
    """An entry of the routing table.

    Members:
        iface: the interface that packets leave by
        destination: the network or host
        metric: the lower, the better
        gateway: the next router (IPv4)
        mask: the network's mask (IPv4)
        irtt: initial round-trip time, in ms (IPv4)
        flags: the kernel's flags
        refcnt: how many hold a reference
        use: how often it was looked up
        window: size of the TCP window, in bytes (IPv4)
        mtu: largest packet, in bytes (IPv4)
        version: 4 or 6
        desprefixlen: length of the destination's prefix, as text (IPv6)
        source: the source network (IPv6)
        srcprefixlen: length of the source's prefix, as text (IPv6)
        nexthop: the next router (IPv6)
    """

    NAME = "GuestNetworkRoute"
    SINCE = "9.1"

    iface: str
    destination: str
    metric: int
    gateway: str | None = None
    mask: str | None = None
    irtt: int | None = None
    flags: UInt64 | None = None
    refcnt: int | None = None
    use: int | None = None
    window: int | None = None
    mtu: int | None = None
    version: int
    desprefixlen: str | None = None
    source: str | None = None
    srcprefixlen: str | None = None
    nexthop: str | None = None


class GetRoute(Command[list[NetworkRoute]]):
    """Get the guest's routing table.

    Returns: its entries, those of IPv4 first
    """

    NAME = "guest-network-get-route"
    SINCE = "9.1"
