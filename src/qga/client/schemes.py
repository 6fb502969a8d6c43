"""The kinds of targets: what may stand before the first colon, and the way that each means.

For `target`. A new kind is one line of `SCHEMES`; what needs a library of its own is loaded when it
is first used.
"""

from __future__ import annotations

import _socket as socket

from qga.errors import InvalidTarget

from .streams import SocketWay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from .listing import Known
    from .transports import Way

    # Gets the whole target, what follows its first colon (never empty), and the further settings
    # that a targets file has for it. Raises InvalidTarget.
    Parser: TypeAlias = Callable[[str, str, Mapping[str, Any]], Way]

# As `proxmox.settings` has them, which is loaded only when it is needed.
_PROXMOX = frozenset(("host", "port", "token", "user", "password", "otp", "ca", "fingerprint"))

_VSOCK_LIMIT = (1 << 32) - 1  # that number itself means "any"


class Scheme:
    """A kind of targets.

    Args:
        form: how one is written, for errors and help.
        parse: makes the way of it.
        settings: the keys that its table in a targets file may have besides `target` and `timeout`.
        transport: whether the scheme may be followed by `+` and another one, as `libvirt+qemu:`.
        listing: finds the targets at a place, within a time in seconds; None if no place can tell.
    """

    def __init__(
        self,
        form: str,
        parse: Parser,
        settings: frozenset[str] = frozenset(),
        *,
        transport: bool = False,
        listing: Callable[[str, float], list[Known]] | None = None,
    ) -> None:
        self.form = form
        self.parse = parse
        self.settings = settings
        self.transport = transport
        self.listing = listing


def _module(name: str) -> Any:
    return __import__(f"{__package__}.{name}", fromlist=[name])


def _elsewhere(module: str) -> Parser:
    """The function `way` of *module* in this package."""

    def parse(text: str, rest: str, settings: Mapping[str, Any]) -> Way:
        found: Way = _module(module).way(text, rest, settings)
        return found

    return parse


def _listed_by(module: str) -> Callable[[str, float], list[Known]]:
    """The function `listing` of *module* in this package."""

    def listing(place: str, timeout: float) -> list[Known]:
        found: list[Known] = _module(module).listing(place, timeout)
        return found

    return listing


def _unix(_: str, rest: str, __: Mapping[str, Any]) -> Way:
    return SocketWay(socket.AF_UNIX, rest)


def _vsock(text: str, rest: str, _: Mapping[str, Any]) -> Way:
    numbers = [_number(part) for part in rest.split(":")]
    if len(numbers) != 2 or not all(0 <= number < _VSOCK_LIMIT for number in numbers):
        raise InvalidTarget(f"{text!r} is not vsock:CID:PORT with two numbers below 2**32 - 1")
    return SocketWay(socket.AF_VSOCK, tuple(numbers))


def _serial(_: str, rest: str, __: Mapping[str, Any]) -> Way:
    from .ways import SerialWay

    return SerialWay(rest)


def _tcp(text: str, rest: str, _: Mapping[str, Any]) -> Way:
    from .ways import TcpWay

    host, separator, port = rest.rpartition(":")
    number = _number(port)
    if not separator or not host or not 0 < number < 1 << 16:
        raise InvalidTarget(f"{text!r} is not tcp:HOST:PORT with a port from 1 to 65535")
    if host.startswith("[") and host.endswith("]") and host != "[]":
        return TcpWay(host[1:-1], number)
    if ":" in host:
        raise InvalidTarget(f"{text!r}: write an IPv6 address in brackets, as in tcp:[::1]:{port}")
    return TcpWay(host, number)


def _descriptor(text: str, rest: str, _: Mapping[str, Any]) -> Way:
    number = _number(rest)
    if not 0 <= number < 1 << 31:
        raise InvalidTarget(f"{text!r} is not fd:N with the number of an open file descriptor")
    from .ways import DescriptorWay

    return DescriptorWay(number)


def _number(text: str) -> int:
    """The number that *text* is; -1 if it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else -1


SCHEMES: dict[str, Scheme] = {
    "unix": Scheme("unix:/path/to/socket", _unix),
    "vsock": Scheme("vsock:CID:PORT", _vsock),
    "serial": Scheme("serial:/dev/pts/N", _serial),
    "tcp": Scheme("tcp:HOST:PORT", _tcp),
    "fd": Scheme("fd:N", _descriptor),
    "libvirt": Scheme(
        "libvirt:DOMAIN",
        _elsewhere("libvirt"),
        transport=True,
        listing=_listed_by("libvirt"),
    ),
    "pve": Scheme("pve:NODE/VMID", _elsewhere("proxmox"), _PROXMOX, listing=_listed_by("proxmox")),
}


def scheme_of(text: str) -> Scheme | None:
    """The kind of the target that *text* begins like; None if it is not one of a known kind."""
    name, colon, _ = text.partition(":")
    name, plus, _ = name.partition("+")
    found = SCHEMES.get(name)
    if found is None or not colon or (plus and not found.transport):
        return None
    return found


def grammar() -> str:
    """How targets are written, in words for errors."""
    *forms, last = (scheme.form for scheme in SCHEMES.values())
    return f"{', '.join(forms)} or {last}"
