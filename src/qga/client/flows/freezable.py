"""What a freeze takes, and what not, before anything is frozen. For `operations`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qga.client.facts import Freezable
from qga.errors import CommandError, Unsupported
from qga.protocol import GetFsinfo

from .facts import text_of
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qga.protocol.storage import FilesystemInfo

    from .steps import Flow

# Kinds on disks for which the kernel has no way to freeze them: agents pass them by.
_CANNOT = frozenset(
    ("erofs", "exfat", "fuseblk", "hfs", "hfsplus", "iso9660", "msdos", "squashfs", "udf", "vfat")
)

# Why agents do not look at those that are on no disk. What is not here holds no data.
_ELSEWHERE = {
    "tmpfs": "it is in memory",
    "ramfs": "it is in memory",
    "overlay": "it lies over others, which are frozen themselves",
    "zfs": "the kernel has no way to freeze it",
    "nfs": "it is another machine's",
    "nfs4": "it is another machine's",
    "cifs": "it is another machine's",
    "smb3": "it is another machine's",
    "ceph": "it is another machine's",
    "9p": "it is the host's",
    "virtiofs": "it is the host's",
    "fuse": "it is a program's",
}


def freezable(
    mountpoints: str | Sequence[str] | None = None, *, timeout: float | None = None
) -> Flow[list[Freezable]]:
    """What `frozen` would freeze, and what not, as far as the agent and the kernel tell.

    Agents freeze what they list as file systems on disks; the others are told of where the guest's
    mount table may be read.

        >>> [each.mountpoint for each in client.freezable("/srv") if each.taken]
        ['/srv']
        >>> print(client.freezable("/nowhere")[-1].reason)
        no file system that could be frozen is mounted there

    Args:
        mountpoints: as for `frozen`.
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    wanted = [mountpoints] if isinstance(mountpoints, str) else mountpoints
    listed: list[FilesystemInfo] = yield GetFsinfo()
    try:
        table = list(_mounts((yield from text_of("/proc/self/mountinfo"))))
    except (CommandError, Unsupported):
        table = []
    devices = {mountpoint: device for mountpoint, _, _, device in table}
    seen: dict[str, str] = {}
    found = []
    for one in listed[::-1]:  # agents tell the last one first
        device = devices.get(one.mountpoint, one.mountpoint)
        reason = ""
        if wanted is not None and one.mountpoint not in wanted:
            reason = "it is not asked for"
        elif one.type in _CANNOT:
            reason = f"the kernel has no way to freeze {one.type}"
        elif device in seen:
            reason = f"it is the same as {seen[device]}"
        else:
            seen[device] = one.mountpoint
        found.append(Freezable(one.mountpoint, one.type, one.name, not reason, reason))
    known = {each.mountpoint for each in found}
    for mountpoint, kind, source, _ in table:
        why = _ELSEWHERE.get(kind.partition(".")[0])
        if why and mountpoint not in known:
            found.append(Freezable(mountpoint, kind, source, False, why))
            known.add(mountpoint)
    nothing = "no file system that could be frozen is mounted there"
    found += [
        Freezable(mountpoint, "", "", False, nothing)
        for mountpoint in wanted or ()
        if mountpoint not in known
    ]
    return found


def _mounts(table: str) -> Iterator[tuple[str, str, str, str]]:
    """Mount point, kind, source and device number of each mount in *table*."""
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if len(fields) > 4 and len(rest) > 1:
            # Those of btrfs differ for each mount of the same one.
            device = rest[1] if rest[0] == "btrfs" else fields[2]
            yield _plain(fields[4]), rest[0], _plain(rest[1]), device


def _plain(field: str) -> str:
    """*field* as it was before the kernel wrote blanks and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
