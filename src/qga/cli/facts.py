"""`qga os`, `net`, `ip`, `fs`, `disks` and `users`: what the guest is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from qga.errors import GuestOSError

from .fleet import each_guest
from .output import Shown, Table, amount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qga.client import Target
    from qga.client.facts import Address, FileSystem
    from qga.protocol.network import NetworkInterface, NetworkRoute
    from qga.protocol.stats import DiskStatsInfo
    from qga.protocol.storage import DiskInfo

    from .options import Settings


@click.command(
    "os",
    short_help="Show the guest's operating system and kernel.",
    epilog="""\b
Examples:
  qga os web1
  qga os --all                             # a table of all guests
  qga os web1 -o json | jq -r .version_id
""",
)
@each_guest
def show_os(settings: Settings, target: Target) -> Shown:
    """Show the guest's operating system and kernel.

    Agents that are too old to tell have it read from the guest's files.
    """
    with settings.connect(target) as client:
        found = client.os()
    value = asdict(found)
    told = Table(
        ["fact", "value"],
        [[name.replace("_", " "), text] for name, text in value.items() if text is not None],
    )
    rows = Table(
        ["system", "id", "version", "kernel", "machine", "kernel version"],
        [
            [
                found.pretty_name or found.name or "",
                *(
                    text or ""
                    for text in (
                        found.id,
                        found.version_id,
                        found.kernel,
                        found.machine,
                        found.kernel_version,
                    )
                ),
            ]
        ],
        wide=frozenset({"id", "kernel version"}),
    )
    return Shown(value, told, rows=rows)


@click.command(
    short_help="Show the guest's network interfaces, or its routes.",
    epilog="""\b
Examples:
  qga net web1
  qga net web1 -o wide                     # with packets, errors and drops
  qga net web1 --routes
""",
)
@click.option("--routes", is_flag=True, help="The routing table instead; agents since 9.1 tell it.")
@each_guest
def net(settings: Settings, target: Target, *, routes: bool) -> Shown:
    """Show the guest's network interfaces: addresses, hardware address, traffic since the boot."""
    from qga.protocol import GetInterfaces, GetRoute

    with settings.connect(target) as client:
        if routes:
            table = client.execute(GetRoute())
            return _routes(table)
        found = client.execute(GetInterfaces())
    return _interfaces(found)


def _interfaces(found: Sequence[NetworkInterface]) -> Shown:
    from qga.client.flows.facts import interface_of

    counts = ("rx_packets", "tx_packets", "rx_errs", "tx_errs", "rx_dropped", "tx_dropped")
    values, rows = [], []
    for told in found:
        one, statistics = interface_of(told), told.statistics
        values.append(
            {
                "name": one.name,
                "mac": one.mac,
                "virtual": one.virtual,
                "addresses": [
                    {"address": str(address), "prefix": address.prefix} for address in one.addresses
                ],
                "received": one.received,
                "sent": one.sent,
                **{name: statistics and getattr(statistics, name) for name in counts},
            }
        )
        # One line for each address, as more would not fit beside each other.
        addresses = [f"{address}/{address.prefix}" for address in one.addresses] or [""]
        rows.append(
            [
                one.name,
                one.mac or "",
                addresses[0],
                *("" if count is None else amount(count) for count in (one.received, one.sent)),
                *(str(getattr(statistics, name)) if statistics else "" for name in counts),
            ]
        )
        rows += [["", "", address, *[""] * (2 + len(counts))] for address in addresses[1:]]
    words = [name.replace("_", " ") for name in counts]
    numbers = ["received", "sent", *words]
    table = Table(
        ["interface", "mac", "address", *numbers],
        rows,
        wide=frozenset(words),
        right=frozenset(numbers),
    )
    return Shown(values, table)


def _routes(found: Sequence[NetworkRoute]) -> Shown:
    values = [_route(one) for one in found]
    table = Table(
        ["destination", "gateway", "interface", "metric"],
        [
            [one["destination"], one["gateway"] or "", one["interface"], str(one["metric"])]
            for one in values
        ],
        right=frozenset({"metric"}),
    )
    return Shown(values, table)


def _route(one: NetworkRoute) -> dict[str, Any]:
    import ipaddress

    if one.version == 6:
        length, gateway = one.desprefixlen or "128", one.nexthop
    else:
        mask = int(ipaddress.ip_address(one.mask or "255.255.255.255"))
        length, gateway = str(mask.bit_count()), one.gateway
    direct = gateway is None or ipaddress.ip_address(gateway).is_unspecified
    return {
        "destination": f"{one.destination}/{length}",
        "gateway": None if direct else gateway,
        "interface": one.iface,
        "metric": one.metric,
    }


@click.command(
    short_help="Print the address by which the guest is reached.",
    epilog="""\b
Examples:
  ssh root@$(qga ip web1)
  qga ip -6 web1
  qga ip --all-addresses web1              # others too, the best ones first
  qga ip --all                             # the best one of each guest
""",
)
@click.option("-4", "four", is_flag=True, help="One of IPv4.")
@click.option("-6", "six", is_flag=True, help="One of IPv6.")
@click.option(
    "-a",
    "--all-addresses",
    "every",
    is_flag=True,
    help="All addresses by which it may be reached, the best ones first.",
)
@each_guest
def ip(settings: Settings, target: Target, *, four: bool, six: bool, every: bool) -> Shown:
    """Print the one address by which the guest is reached best.

    Interfaces of containers, of virtual machines inside the guest and of tunnels do not count. The
    interface with the default route comes first, IPv4 before IPv6, global before private addresses;
    those of the link alone come last. The exit code is 1 if there is none.
    """
    if four and six:
        raise click.UsageError("either -4 or -6; without them it is what there is")
    family = 4 if four else 6 if six else None
    with settings.connect(target) as client:
        found = client.addresses(family)
    if not found:
        kind = "address" if family is None else f"IPv{family} address"
        none = GuestOSError(f"the guest has no {kind} by which it could be reached")
        none.hint = "`qga net` shows all that it has"
        raise none
    table = Table(
        ["address", "prefix", "interface", "mac"],
        [
            [str(one), str(one.prefix), one.interface, one.mac or ""]
            for one in (found if every else found[:1])
        ],
        wide=frozenset() if every else frozenset({"prefix", "mac"}),
        right=frozenset({"prefix"}),
    )
    values = [_address(one) for one in found]
    if every:
        return Shown(values, table)
    return Shown(values[0], str(found[0]), rows=table)


def _address(one: Address) -> dict[str, Any]:
    return {
        "address": str(one),
        "prefix": one.prefix,
        "family": one.ip.version,
        "interface": one.interface,
        "mac": one.mac,
    }


@click.command(
    short_help="Show the guest's file systems and how full they are.",
    epilog="""\b
Examples:
  qga fs web1
  qga fs -l 'web*' -o jsonl                # of many guests, for programs
""",
)
@each_guest
def fs(settings: Settings, target: Target) -> Shown:
    """Show the guest's file systems that are on disks, and how full they are.

    `qga df` tells of any file system, by the guest's own df.
    """
    with settings.connect(target) as client:
        found = client.filesystems()
    table = Table(
        ["mounted on", "type", "size", "used", "free", "use", "device", "disks"],
        [
            [
                one.mountpoint,
                one.type,
                *("" if size is None else amount(size) for size in (one.total, one.used, one.free)),
                "" if one.percent is None else f"{one.percent:.0f}%",
                one.device,
                ", ".join(one.disks),
            ]
            for one in found
        ],
        wide=frozenset({"disks"}),
        right=frozenset({"size", "used", "free", "use"}),
        bars=frozenset({"use"}),
    )
    return Shown([filesystem(one) for one in found], table)


def filesystem(one: FileSystem) -> dict[str, Any]:
    """For programs."""
    return {
        "mountpoint": one.mountpoint,
        "device": one.device,
        "type": one.type,
        "total": one.total,
        "used": one.used,
        "free": one.free,
        "percent": None if one.percent is None else round(one.percent, 1),
        "disks": list(one.disks),
    }


@click.command(
    short_help="Show the guest's disks and partitions.",
    epilog="""\b
Examples:
  qga disks web1
  qga disks web1 -o wide                   # with serial numbers and PCI addresses
""",
)
@each_guest
def disks(settings: Settings, target: Target) -> Shown:
    """Show the guest's disks and partitions, and what was read from and written to them."""
    from qga.client.flows.steps import Flow, Together
    from qga.errors import QgaError
    from qga.protocol import GetDisks, GetDiskStats

    def both() -> Flow[tuple[list[DiskInfo], list[DiskStatsInfo]]]:
        found, counted = yield Together([GetDisks(), GetDiskStats()], optional=True)
        if isinstance(found, QgaError):
            raise found
        return found, [] if isinstance(counted, QgaError) else counted

    with settings.connect(target) as client:
        found, counted = client.perform(both())
    values = [_disk(one, counted) for one in found]
    table = Table(
        ["disk", "kind", "bus", "on", "read", "written", "alias", "serial", "pci"],
        [
            [
                one["name"],
                "partition" if one["partition"] else "disk",
                one["bus"] or "",
                ", ".join(one["dependencies"]),
                *("" if one[key] is None else amount(one[key]) for key in ("read", "written")),
                *(one[key] or "" for key in ("alias", "serial", "pci")),
            ]
            for one in values
        ],
        wide=frozenset({"alias", "serial", "pci"}),
        right=frozenset({"read", "written"}),
    )
    return Shown(values, table)


def _disk(one: DiskInfo, counted: Sequence[Any]) -> dict[str, Any]:
    from qga.client.vitals import SECTOR

    address = one.address
    pci = address.pci_controller if address else None
    known = pci is not None and pci.domain >= 0
    short = one.name.removeprefix("/dev/")
    stats = next((each.stats for each in counted if each.name == short), None)
    return {
        "name": one.name,
        "partition": one.partition,
        "bus": str(address.bus_type) if address else None,
        "dependencies": list(one.dependencies or ()),
        "alias": one.alias,
        "serial": address.serial if address else None,
        "pci": f"{pci.domain:04x}:{pci.bus:02x}:{pci.slot:02x}.{pci.function:x}"
        if pci is not None and known
        else None,
        "read": None if stats is None else (stats.read_sectors or 0) * SECTOR,
        "written": None if stats is None else (stats.write_sectors or 0) * SECTOR,
    }


@click.command(
    short_help="Show who is logged in to the guest.",
    epilog="""\b
Examples:
  qga users web1
  qga users --all                          # who is logged in anywhere
""",
)
@each_guest
def users(settings: Settings, target: Target) -> Shown:
    """Show who is logged in to the guest, and since when, by the time of this machine."""
    with settings.connect(target) as client:
        found = client.users()
    values = [
        {"name": one.name, "since": one.since.isoformat(), "domain": one.domain} for one in found
    ]
    table = Table(
        ["user", "since", "domain"],
        [
            [one.name, f"{one.since.astimezone():%Y-%m-%d %H:%M:%S %Z}", one.domain or ""]
            for one in found
        ],
        wide=frozenset({"domain"}),
    )
    return Shown(values, table if found else "nobody is logged in", rows=table)
