"""What there is in the guest: files and what is known of them. For `Files`."""

from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING

from qga.client.filestat import FORMAT, DiskUsage, parsed
from qga.errors import (
    CommandDisabled,
    CommandNotFound,
    GuestOSError,
    ProtocolError,
    Unsupported,
)

from .asking import ask, complaints, fail, full, needs, reason, run, shown, told
from .steps import Timeout
from .transfer import download

if TYPE_CHECKING:
    from qga.client.filestat import FileStat

    from .script import GuestPath
    from .steps import Flow

_STAT = f"""{needs("stat")}
if [ -n "$2" ]; then stat -L -c '{FORMAT}' "$1"; return; fi
stat -c '{FORMAT}' "$1" || return
[ ! -L "$1" ] || {{ printf '\\0'; readlink -n "$1"; }}"""

_DU = f"""{needs("stat", "du")}
stat -c '' "$1" >/dev/null || return
du -sk ${{2:+-x}} "$1"
"""

_CHECKSUM = f"""{needs("stat", "$2")}
stat -L -c '' "$1" >/dev/null || return
if [ -d "$1" ]; then echo ': Is a directory' >&2; return 1; fi
if [ ! -f "$1" ] && [ ! -b "$1" ]; then echo ': Invalid argument' >&2; return 1; fi
"$2" "$1"
"""

_SUMS = {
    **{name: f"{name}sum" for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")},
    "blake2b": "b2sum",
}

# What means that there is no such file, not that one may not look.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def stat(
    path: GuestPath, *, follow_symlinks: bool = True, timeout: float | None = None
) -> Flow[FileStat]:
    r"""What the guest knows of a file.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> found = guest.files.stat(f"{folder}/file")
        >>> found.type, found.size, oct(found.permissions)
        ('file', 5, '0o644')

    Args:
        path: full path in the guest.
        follow_symlinks: whether to tell of what a symlink leads to, not of the link.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file, or the agent may not look; `errno` tells.
    """
    yield Timeout(timeout)
    where = full(path)
    what = f"stat {told(where)}"
    out = yield from ask(what, _STAT, where, "follow" if follow_symlinks else "")
    numbers, linked, target = out.partition(b"\0")
    try:
        return parsed(shown(numbers), shown(target) if linked else None)
    except ValueError as error:
        raise ProtocolError(f"cannot {what}: stat in the guest says {error}") from None


def lstat(path: GuestPath, *, timeout: float | None = None) -> Flow[FileStat]:
    """What the guest knows of a file; of a symlink itself. Otherwise as `stat`.

    >>> guest.files.symlink("elsewhere", f"{folder}/link")
    >>> guest.files.lstat(f"{folder}/link").target
    'elsewhere'
    """
    return (yield from stat(path, follow_symlinks=False, timeout=timeout))


def exists(
    path: GuestPath, *, follow_symlinks: bool = True, timeout: float | None = None
) -> Flow[bool]:
    """Whether there is such a file. Arguments and errors are those of `stat`.

    A symlink that leads nowhere does not exist, unless *follow_symlinks* is false.

        >>> guest.files.exists(folder), guest.files.exists("/no/such/file")
        (True, False)
    """
    found = yield from _found(path, follow_symlinks=follow_symlinks, timeout=timeout)
    return found is not None


def is_dir(path: GuestPath, *, timeout: float | None = None) -> Flow[bool]:
    """Whether there is such a directory, or a symlink to one. Arguments are those of `stat`.

    >>> guest.files.is_dir(folder)
    True
    """
    found = yield from _found(path, timeout=timeout)
    return found is not None and found.is_dir()


def is_file(path: GuestPath, *, timeout: float | None = None) -> Flow[bool]:
    """Whether there is such a regular file, or a symlink to one. Arguments are those of `stat`.

    >>> guest.files.is_file(folder)
    False
    """
    found = yield from _found(path, timeout=timeout)
    return found is not None and found.is_file()


def readlink(path: GuestPath, *, timeout: float | None = None) -> Flow[str]:
    """What a symlink leads to, as it is written in it.

        >>> guest.files.symlink("elsewhere", f"{folder}/link")
        >>> guest.files.readlink(f"{folder}/link")
        'elsewhere'

    Args:
        path: full path in the guest.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file, or (EINVAL) it is no symlink.
    """
    found = yield from lstat(path, timeout=timeout)
    if found.target is None:
        raise GuestOSError(f"{told(full(path))} is no symlink", errno.EINVAL)
    return found.target


def disk_usage(path: GuestPath, *, timeout: float | None = None) -> Flow[DiskUsage]:
    """The space of the file system that a file is on.

        >>> usage = guest.files.disk_usage(folder)
        >>> usage.free <= usage.total
        True

    Args:
        path: full path in the guest.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file.
    """
    yield Timeout(timeout)
    where = full(path)
    what = f"tell the space of {told(where)}"
    out = yield from ask(what, f"{needs('stat')}\nstat -f -c '%S %b %f %a %c %d' \"$1\"", where)
    try:
        unit, blocks, left, free, inodes, inodes_free = map(int, out.split())
    except ValueError:
        raise ProtocolError(f"cannot {what}: stat in the guest says {shown(out)!r}") from None
    return DiskUsage(blocks * unit, (blocks - left) * unit, free * unit, inodes, inodes_free)


def du(
    path: GuestPath, *, one_file_system: bool = False, timeout: float | None = None
) -> Flow[int]:
    r"""The bytes that a file occupies, or a directory with all below it.

    A file with several names counts once; symlinks are not followed.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.du(folder) > 0
        True

    Args:
        path: full path in the guest.
        one_file_system: whether to leave out what is mounted below.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file, or the agent may not read all of it.
    """
    yield Timeout(timeout)
    where = full(path)
    what = f"tell the size of {told(where)}"
    done = yield from run(_DU, where, "x" if one_file_system else "")
    total = done.out.split(b"\t")[0]
    vanished = all(reason(line) == errno.ENOENT for line in complaints(done))
    if not total.isdigit() or (done.code and not vanished):
        fail(what, done)
    return int(total) * 1024


def checksum(
    path: GuestPath, algorithm: str = "sha256", *, timeout: float | None = None
) -> Flow[str]:
    r"""The checksum of a file's content, in hexadecimal digits.

    The guest computes it; where it lacks the program, or its agent runs none, the content is read.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.checksum(f"{folder}/file", "md5")
        '6137cde4893c59f76f005a8123d8e8e6'

    Args:
        path: full path in the guest, of a regular file or a block device.
        algorithm: "md5", "sha1", "sha224", "sha256", "sha384", "sha512" or "blake2b".
        timeout: seconds for each command; the client's own if None.

    Raises:
        ValueError: *algorithm* is none of them.
        GuestOSError: there is no such file, or it is of another kind.
    """
    yield Timeout(timeout)
    if algorithm not in _SUMS:
        raise ValueError(f"the algorithm {algorithm!r} is none of {', '.join(_SUMS)}")
    where = full(path)
    try:
        out = yield from ask(f"read {told(where)}", _CHECKSUM, where, _SUMS[algorithm])
    except (CommandDisabled, CommandNotFound, Unsupported):
        value = hashlib.new(algorithm)
        yield from download(where, value.update, timeout=timeout)
        return value.hexdigest()
    # A backslash tells that the name behind it is escaped.
    return shown(out.split()[0].removeprefix(b"\\"))


def _found(
    path: GuestPath, *, follow_symlinks: bool = True, timeout: float | None
) -> Flow[FileStat | None]:
    try:
        return (yield from stat(path, follow_symlinks=follow_symlinks, timeout=timeout))
    except GuestOSError as error:
        if error.errno in _ABSENT:
            return None
        raise
