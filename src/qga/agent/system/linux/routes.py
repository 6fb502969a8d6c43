"""The routing tables of Linux, from /proc/net, as JSON text. Used by `network`.

There may be many thousands of routes, and to make objects of them, and text of those, would take
twice as long.
"""

import sys
from _json import encode_basestring_ascii as quote

from qga.agent.lean import socket

from .reading import KernelFile, malformed, text

_UINT32 = 0xFFFFFFFF

# Of how many bytes of the kernel's text it is remembered what came of it: some 500 routes.
_REMEMBERED = 1 << 16

# The members of `NetworkRoute` that a route of IPv4 has, and one of IPv6.
_IPV4 = (
    '{"iface": %s, "destination": "%s", "metric": %d, "gateway": "%s", "mask": "%s", "irtt": %d, '
    '"flags": %d, "refcnt": %d, "use": %d, "window": %d, "mtu": %d, "version": 4}'
)
_IPV6 = (
    '{"iface": %s, "destination": "%s", "metric": %d, "flags": %d, "refcnt": %d, "use": %d, '
    '"version": 6, "desprefixlen": "%d", "source": "%s", "srcprefixlen": "%d", "nexthop": "%s"}'
)


class Routes:
    """The routes.

    Args:
        proc: where /proc is.
    """

    def __init__(self, proc: str) -> None:
        self._files = (
            KernelFile(f"{proc}/net/route", short_lines=True),
            KernelFile(f"{proc}/net/ipv6_route", short_lines=True),
        )
        # The kernel's text of the last time, and what came of it: the same text comes to the same.
        self._told: list[bytes] = []
        self._text = b""

    def text(self) -> bytes:
        """The routes of IPv4, then those of IPv6, as JSON text."""
        told = [_read(file) for file in self._files]
        if told == self._told:
            return self._text
        written = self._understood(told)
        if sum(map(len, told)) <= _REMEMBERED:
            self._told, self._text = told, written
        return written

    def _understood(self, told: list[bytes]) -> bytes:
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
        return f"[{', '.join(found)}]".encode("ascii")


def _read(file: KernelFile) -> bytes:
    """What is in it; nothing where the kernel is without that version of IP."""
    try:
        return file.read()
    except FileNotFoundError:
        return b""


def _route(fields: list[bytes]) -> str:
    iface, destination, gateway, flags, refcnt, use, metric, mask, mtu, window, irtt = fields[:11]
    return _IPV4 % (
        quote(text(iface)),
        _ipv4(destination),
        int(metric) & _UINT32,  # the kernel shows the highest as -1
        _ipv4(gateway),
        _ipv4(mask),
        int(irtt),
        int(flags, 16),
        int(refcnt),
        int(use),
        int(window),
        int(mtu),
    )


def _ipv4(digits: bytes) -> str:
    """From the kernel's hexadecimal number, whose bytes are in the processor's order."""
    return socket.inet_ntop(socket.AF_INET, int(digits, 16).to_bytes(4, sys.byteorder))


def _route6(fields: list[bytes]) -> str:
    destination, length, source, source_length, nexthop, metric, refcnt, use, flags = fields[:9]
    return _IPV6 % (
        quote(text(fields[9])),
        _ipv6(destination),
        int(metric, 16),
        int(flags, 16),
        int(refcnt, 16),
        int(use, 16),
        int(length, 16),
        _ipv6(source),
        int(source_length, 16),
        _ipv6(nexthop),
    )


def _ipv6(digits: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits.decode("ascii")))
