"""The interfaces as JSON text, of what is known already and fresh counters. Used by `network`.

To ask the kernel for all links and addresses takes longer than all else together, and little of it
ever changes. So the text is kept, with gaps for the counters, as long as nothing of these says that
there is something new:

- rtnetlink, which tells of each change of a link or of an address;
- /proc/net/if_inet6: of an address that the kernel is still trying out, rtnetlink tells late;
- the names in /proc/net/dev, in which the counters are.

Whatever is not as expected is answered the long way, which is the right answer at any time.
"""

from _operator import itemgetter

from qga.protocol.codec import outline
from qga.protocol.model import version
from qga.protocol.network import GetInterfaces, InterfaceStatistics, NetworkInterface
from qga.protocol.writer import writer

from . import netlink
from .reading import KernelFile, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

# /proc/net/dev: words in the two lines at its head, and in that of a link, the first being its name
# with a colon. Behind it, where the numbers are, in the order of `InterfaceStatistics`.
_HEAD = 20
_WIDTH = 17
_NUMBERS = (1, 2, 3, 4, 9, 10, 11, 12)

# The last member of an interface, with gaps.
_STATISTICS = ", ".join([f'"{wire}": %b' for _, wire, _ in outline(InterfaceStatistics)])
_STATISTICS = f', "statistics": {{{_STATISTICS}}}}}'
_WITH_STATISTICS = version("2.11")

_write: "Any" = writer(NetworkInterface)


class Listing:
    """The text of the interfaces.

    Args:
        interfaces: the long way to know them.
        proc: where /proc is.
    """

    def __init__(self, interfaces: "Callable[[], list[NetworkInterface]]", proc: str) -> None:
        self._interfaces = interfaces
        self._changes = netlink.Changes(netlink.OF_LINKS | netlink.OF_IPV4 | netlink.OF_IPV6)
        self._dev = KernelFile(f"{proc}/net/dev", short_lines=True)
        self._inet6 = KernelFile(f"{proc}/net/if_inet6", short_lines=True)
        # What /proc/net/if_inet6 said, and the names in /proc/net/dev, when the text was made.
        self._told = b""
        self._names: list[bytes] | None = None
        self._template = b""
        self._numbers: Callable[[Sequence[bytes]], tuple[bytes, ...]] = lambda _: ()

    def text(self, since: "tuple[int, ...]") -> bytes:
        """The interfaces as JSON text, as the version *since* knew them.

        Raises:
            OSError: the kernel does not tell.
        """
        if since >= _WITH_STATISTICS:
            known = self._known()
            if known is not None:
                return known
        write: Any = writer(GetInterfaces.result(), since)
        written: bytes = write(self._interfaces()).encode("ascii")
        return written

    def _known(self) -> bytes | None:
        try:
            changed = self._changes.any()
            told = self._addresses6()
            if changed or told != self._told:
                self._learn(told)
            words = self._dev.read().split()
        except OSError:
            self._changes.close()  # so that all is looked at again the next time
            return None
        if words[_HEAD::_WIDTH] != self._names:
            return None
        return self._template % self._numbers(words)

    def _learn(self, told: bytes) -> None:
        """Make the text, from what the kernel says after all that it is kept by was looked at."""
        self._told = told
        self._names = None
        interfaces = self._interfaces()
        words = self._dev.read().split()
        names = words[_HEAD::_WIDTH]
        places = {
            text(name[:-1]): _HEAD + number * _WIDTH
            for number, name in enumerate(names)
            if name.endswith(b":")
        }
        counted = [interface.name for interface in interfaces if interface.statistics is not None]
        if len(places) * _WIDTH != len(words) - _HEAD or not places.keys() >= set(counted):
            return  # names that are one when decoded, or of a link that came or went just now
        numbers = [places[name] + at for name in counted for at in _NUMBERS]
        self._numbers = itemgetter(*numbers) if numbers else lambda _: ()
        self._template = f"[{', '.join(map(_with_gaps, interfaces))}]".encode("ascii")
        self._names = names

    def _addresses6(self) -> bytes:
        try:
            return self._inet6.read()
        except FileNotFoundError:  # a kernel without IPv6
            return b""


def _with_gaps(interface: NetworkInterface) -> str:
    without = NetworkInterface(
        name=interface.name,
        hardware_address=interface.hardware_address,
        ip_addresses=interface.ip_addresses,
    )
    written: str = _write(without).replace("%", "%%")
    return written if interface.statistics is None else written[:-1] + _STATISTICS
