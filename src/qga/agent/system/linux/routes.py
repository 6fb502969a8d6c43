"""The routing tables of Linux, from /proc/net. Used by `network`."""

import sys

from qga.agent.lean import socket
from qga.protocol.network import GetRoute, NetworkRoute
from qga.protocol.writer import writer

from .reading import KeptFile, malformed, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UINT32 = 0xFFFFFFFF

# Of how many bytes of the kernel's text it is remembered what came of it: some 500 routes.
_REMEMBERED = 1 << 16

_write: "Any" = writer(GetRoute.result())


class Routes:
    """The routes.

    Args:
        proc: where /proc is.
    """

    def __init__(self, proc: str) -> None:
        self._files = KeptFile(f"{proc}/net/route"), KeptFile(f"{proc}/net/ipv6_route")
        # The kernel's text of the last time, and what came of it: the same text comes to the same.
        self._told: list[bytes] = []
        self._text = b""

    def text(self) -> bytes:
        """The routes of IPv4, then those of IPv6, as JSON text."""
        told = [_read(file) for file in self._files]
        if told == self._told:
            return self._text
        written: bytes = _write(self._understood(told)).encode("ascii")
        if sum(map(len, told)) <= _REMEMBERED:
            self._told, self._text = told, written
        return written

    def listed(self) -> list[NetworkRoute]:
        """The same as objects."""
        return self._understood([_read(file) for file in self._files])

    def _understood(self, told: list[bytes]) -> list[NetworkRoute]:
        path = self._files[0].path
        try:
            found = [
                _route(fields)
                for line in told[0].splitlines()[1:]  # the first names the columns
                if len(fields := line.split()) >= 11
            ]
            path = self._files[1].path
            found += [
                _route6(fields)
                for line in told[1].splitlines()
                if len(fields := line.split()) >= 10
            ]
        except (ValueError, OverflowError):
            raise malformed(path) from None
        return found


def _read(file: KeptFile) -> bytes:
    """What is in it; nothing where the kernel is without that version of IP."""
    try:
        return file.read()
    except FileNotFoundError:
        return b""


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
