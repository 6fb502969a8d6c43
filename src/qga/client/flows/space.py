"""Where the space of the guest is: in which file systems, and in which directories. For `Files`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qga.client.filestat import DiskUsage, Mount
from qga.errors import ProtocolError

from .answer import answer
from .asking import fail, full, needs, run, shown, told
from .attributes import THERE
from .listing import errors
from .looking import stat
from .steps import Timeout
from .transfer import download

if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.errors import GuestOSError

    from .script import GuestPath
    from .steps import Flow

# $2 is whether to tell of files too, $3 whether to leave out what is mounted below. A path of du's
# has two slashes only at its beginning, so that names that hold newlines are told from records.
_DU = f"""{needs("du")}
{THERE}
du -k ${{2:+-a}} ${{3:+-x}} "/$1"
"""
_RECORD = re.compile(rb"(?:^|\n)(\d+)\t/(?=/)")

_TABLE = "/proc/self/mounts"
_OCTAL = re.compile(rb"\\([0-7]{3})")

# Of mount points: what stat says of what is there, and of the file system that it is on. What
# cannot be looked at has no space for anybody.
_SPACE = f"""{needs("stat")}
stat -c '//%d %n' "$@" 2>/dev/null
printf '\\0'
stat -f -c '//%S %b %f %a %c %d %n' "$@" 2>/dev/null
return 0
"""


def du_each(
    path: GuestPath,
    *,
    files: bool = False,
    one_file_system: bool = False,
    on_error: Callable[[GuestOSError], object] | None = None,
    timeout: float | None = None,
) -> Flow[dict[str, int]]:
    r"""The bytes that a directory and each one below it occupies, with all that is in it.

    As du tells them: what is below a directory comes before it, and *path* last. A file with
    several names counts once; symlinks are not followed.

        >>> guest.files.mkdir(f"{folder}/a/b", parents=True)
        >>> [path.removeprefix(folder) for path in guest.files.du_each(folder)]
        ['/a/b', '/a', '']

    Args:
        path: full path in the guest.
        files: whether to tell of files that are no directories too.
        one_file_system: whether to leave out what is mounted below.
        on_error: called with the error for each directory that cannot be read, which is skipped;
            it may raise. None skips silently.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file.
    """
    yield Timeout(timeout)
    where = full(path)
    what = f"tell the size of {told(where)}"
    done = yield from answer(_DU, where, "a" if files else "", "x" if one_file_system else "")
    _, *found = _RECORD.split(done.out.removesuffix(b"\n"))
    if not found:
        fail(what, done)
    for error in errors(what, done):
        if on_error:
            on_error(error)
    sizes = (int(size) * 1024 for size in found[::2])
    return dict(zip(map(shown, found[1::2]), sizes, strict=True))


def mounts(
    path: GuestPath | None = None, *, everything: bool = False, timeout: float | None = None
) -> Flow[list[Mount]]:
    """The file systems that are mounted in the guest, with their space; in the order of mounting.

    As df tells them: one that is mounted at several places is told once, and those that have no
    space, as /proc, are left out.

        >>> (root,) = guest.files.mounts("/")
        >>> root.mountpoint, root.usage.used <= root.usage.total
        ('/', True)

    Args:
        path: full path in the guest: only the file system that this is on.
        everything: do not leave out any.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file.
        Unsupported: the guest lacks a program.
    """
    yield Timeout(timeout)
    device = None if path is None else (yield from stat(path)).device
    table = bytearray()
    yield from download(_TABLE, table.extend, timeout=timeout)
    # What is mounted at the same place later hides what is there.
    listed: dict[bytes, tuple[bytes, bytes]] = {}
    for line in bytes(table).rstrip(b"\n").split(b"\n"):
        source, point, kind, *_ = map(_plain, line.split(b" "))
        listed.pop(point, None)
        listed[point] = (source, kind)
    done = yield from run(_SPACE, *listed)
    if done.code:
        fail("tell the space of file systems", done)
    numbers, _, spaces = done.out.partition(b"\0")
    try:
        devices = {point: int(number) for number, point in _named(numbers)}
        usages = {point: _usage(space) for space, point in _named(spaces)}
    except ValueError as error:
        raise ProtocolError(f"cannot tell the space: stat in the guest says {error}") from None
    found = [
        Mount(shown(point), shown(source), shown(kind), devices[point], usages[point])
        for point, (source, kind) in listed.items()
        if point in devices and point in usages
    ]
    if path is not None:
        return _holding(shown(full(path)), device, found)
    return found if everything else _with_space(found)


def _plain(field: bytes) -> bytes:
    """A field of the table of mounts as it is meant."""
    return _OCTAL.sub(lambda octal: bytes([int(octal[1], 8)]), field)


def _named(text: bytes) -> list[tuple[bytes, bytes]]:
    """What stat says of files, with their names."""
    found = []
    for record in text.split(b"//")[1:]:
        numbers, slash, rest = record.partition(b"/")
        found.append((numbers, (slash + rest).removesuffix(b"\n")))
    return found


def _usage(text: bytes) -> DiskUsage:
    unit, blocks, left, free, inodes, inodes_free = map(int, text.split())
    return DiskUsage(blocks * unit, (blocks - left) * unit, free * unit, inodes, inodes_free)


def _with_space(found: list[Mount]) -> list[Mount]:
    """One for each file system that has space: the place with the shortest name."""
    chosen: dict[int, Mount] = {}
    for mount in found:
        if mount.usage.total:
            other = chosen.setdefault(mount.number, mount)
            if len(mount.mountpoint) < len(other.mountpoint):
                chosen[mount.number] = mount
    return [mount for mount in found if chosen.get(mount.number) is mount]


def _holding(path: str, device: int | None, found: list[Mount]) -> list[Mount]:
    """The file system of the number *device* that *path* is on."""
    # A part of a file system may have a number of its own, as on btrfs.
    same = [mount for mount in found if mount.number == device] or found
    above = [mount for mount in same if f"{path}/".startswith(f"{mount.mountpoint.rstrip('/')}/")]
    # A symlink may have led to it.
    return [max(above, key=lambda mount: len(mount.mountpoint))] if above else same[:1]
