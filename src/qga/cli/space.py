"""`qga df` and `qga du`: where the space of guests is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from qga.errors import CommandDisabled, CommandNotFound, Unsupported

from . import layout, places
from .ending import printable
from .output import Shown, Table
from .quantities import Count

if TYPE_CHECKING:
    from qga.client import Client
    from qga.client.filestat import Mount

    from .options import Settings
    from .places import Place


@click.command(
    context_settings=places.OWN_H,
    short_help="Show the space of guests' file systems.",
    epilog="""\
\b
Examples:
  qga df -h web1
  qga df -h web1:/var/lib
  qga df --all -o jsonl
""",
)
@places.each_place(bare=True)
@click.option("-h", "human", is_flag=True, help="Sizes as 1.5K, 20M.")
@click.option("-i", "inodes", is_flag=True, help="Inodes instead of blocks.")
@click.option("-T", "types", is_flag=True, help="The types of the file systems, too.")
@click.option("-a", "everything", is_flag=True, help="Those without space too, as /proc.")
def df(
    settings: Settings,
    place: Place,
    *,
    human: bool,
    inodes: bool,
    types: bool,
    everything: bool,
) -> Shown:
    """Show the space of the guest's file systems, or of those that files are on.

    Where the agent may not run programs, it is of those on disks, as the agent tells of them.
    """
    with settings.connect(place.target) as client:
        mounts, code = _mounts(client, place, everything=everything)
    shown = ["filesystem", "type"]
    if inodes:
        shown += ["inodes", "iused", "ifree", "iuse%"]
    else:
        shown += ["size" if human else "1K-blocks", "used", "avail", "use%"]
    rows = [
        [mount["device"], mount["type"], *_numbers(mount, human=human, inodes=inodes), point]
        for mount, point in ((mount, printable(mount["mountpoint"])) for mount in mounts)
    ]
    table = Table(
        [*shown, "mounted on"],
        rows,
        wide=frozenset() if types else frozenset({"type"}),
        right=frozenset(shown[2:]),
    )
    return Shown(mounts, table, code)


def _mounts(client: Client, place: Place, *, everything: bool) -> tuple[list[dict[str, Any]], int]:
    try:
        if not place.paths:
            found, code = client.files.mounts(everything=everything), 0
        else:
            each, code = place.each(client.files.mounts)
            found = [mount for mounts in each for mount in mounts]
        return [_value(mount) for mount in found], code
    except (CommandDisabled, CommandNotFound, Unsupported):
        if place.paths:
            raise
    return [
        {
            **places.fields("mountpoint", disk.mountpoint),
            "device": disk.device,
            "type": disk.type,
            "size": disk.total,
            "used": disk.used,
            "available": disk.free,
            "inodes": None,
            "inodes_used": None,
            "inodes_available": None,
        }
        for disk in client.filesystems()
    ], 0


def _value(mount: Mount) -> dict[str, Any]:
    usage = mount.usage
    return {
        **places.fields("mountpoint", mount.mountpoint),
        "device": printable(mount.device),
        "type": printable(mount.type),
        "size": usage.total,
        "used": usage.used,
        "available": usage.free,
        "inodes": usage.inodes,
        "inodes_used": usage.inodes - usage.inodes_free,
        "inodes_available": usage.inodes_free,
    }


def _numbers(mount: dict[str, Any], *, human: bool, inodes: bool) -> list[str]:
    names = (
        ("inodes", "inodes_used", "inodes_available") if inodes else ("size", "used", "available")
    )
    numbers = [mount[name] for name in names]
    if None in numbers:
        return ["-"] * 4
    _, used, available = numbers
    all_of_it = used + available
    percent = f"{-(-used * 100 // all_of_it)}%" if all_of_it else "-"
    if human:
        return [*map(layout.human, numbers), percent]
    if inodes:
        return [*map(str, numbers), percent]
    return [*(str(-(-number // 1024)) for number in numbers), percent]


@click.command(
    context_settings=places.OWN_H,
    short_help="Show what space directories take.",
    epilog="""\
\b
Examples:
  qga du -sh 'web1:/var/*'
  qga du -h -d 1 web1:/srv
  qga du -s --all :/var/log
""",
)
@places.each_place
@click.option("-s", "--summarize", is_flag=True, help="Only the sum of each PATH.")
@click.option("-h", "human", is_flag=True, help="Sizes as 1.5K, 20M.")
@click.option("-a", "--all-files", is_flag=True, help="Files too, not only directories.")
@click.option("-d", "--max-depth", type=Count(), metavar="N", help="How far down to tell.")
@click.option("-c", "--total", is_flag=True, help="The sum of all, too.")
@click.option("-x", "--one-file-system", is_flag=True, help="Not what is mounted below.")
def du(
    settings: Settings,
    place: Place,
    max_depth: int | None,
    *,
    summarize: bool,
    human: bool,
    all_files: bool,
    total: bool,
    one_file_system: bool,
) -> Shown:
    """Show what space directories of the guest take, with all that is in them; in KiB.

    The wildcards *, ? and [...] are the guest's, unless there is a file of just that name.
    """
    if summarize and (all_files or max_depth):
        raise click.UsageError("-s tells one sum, so neither -a nor -d goes with it")
    refusals = 0

    def refused(error: Exception) -> None:
        nonlocal refusals
        refusals = place.complain(error)

    deepest = 0 if summarize else max_depth

    def measure(path: str) -> list[tuple[str, int]]:
        sizes = client.files.du_each(
            path, files=all_files, one_file_system=one_file_system, on_error=refused
        )
        top = path.rstrip("/").count("/")
        return [
            (name, size)
            for name, size in sizes.items()
            if deepest is None or name.rstrip("/").count("/") - top <= deepest
        ]

    with settings.connect(place.target) as client:
        whole = places.all_expanded(client, place)
        results, code = whole.each(measure)
    found = [one for each in results for one in each]
    value = [{**places.fields("path", path), "size": size} for path, size in found]
    if total:
        found.append(("total", sum(each[-1][1] for each in results if each)))
    lines = [f"{layout.human(n) if human else n // 1024}\t{path}" for path, n in found]
    return Shown(value, _tabbed(place, lines), code or refusals)


def _tabbed(place: Place, lines: list[str]) -> str | bytes:
    if not place.on_terminal and place.alone:
        return place.people(lines)
    return "\n".join("\t".join(map(printable, line.split("\t", 1))) for line in lines)
