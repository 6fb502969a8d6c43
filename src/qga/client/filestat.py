"""What is known of a file of the guest: the results of `Files.stat` and its like."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

# The order in which `parsed` wants the numbers, as a format of stat, of coreutils and busybox.
# The human-readable time is the only one of which both can tell the fraction.
FORMAT = "%f %s %b %B %u %g %h %i %d %t %T %Y:%U:%G:%y"

# The same without names, for which stat reads the guest's accounts anew with each file.
NAMELESS = FORMAT.replace("%U:%G", ":")

# What stat says for the name of a user or group that has none.
_UNKNOWN = ("UNKNOWN", "")

_FRACTION = re.compile(r"\.(\d+)")

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True, slots=True)
class FileStat:
    """What the guest knows of a file.

        >>> found = guest.files.stat("/")
        >>> found.type, found.is_dir(), found.is_file(), found.is_symlink()
        ('directory', True, False, False)

    Attributes:
        mode: its type and permissions, as in `os.stat_result.st_mode`.
        size: its length in bytes.
        allocated: the bytes that it occupies: less than *size* where it is sparse.
        uid: the number of its owner.
        gid: the number of its group.
        user: the name of its owner; None if the guest knows none.
        group: the name of its group; None if the guest knows none.
        nlink: the number of its names.
        inode: its number in its file system.
        device: the number of its file system, as `os.makedev` makes it.
        rdev: the number of the device that it is, if it is one; else 0.
        mtime_ns: when its content changed, in nanoseconds since the epoch. Whole seconds where the
            guest's stat tells no more, as old busybox.
        target: what a symlink leads to, None if it is none.
    """

    mode: int
    size: int
    allocated: int
    uid: int
    gid: int
    user: str | None
    group: str | None
    nlink: int
    inode: int
    device: int
    rdev: int
    mtime_ns: int
    target: str | None = None

    @property
    def type(self) -> str:
        """Such as "file", "directory" or "symlink"; "unknown" for what Linux does not have."""
        return _TYPES.get(stat.S_IFMT(self.mode), "unknown")

    @property
    def permissions(self) -> int:
        """The permissions alone, with the set-id and sticky bits: what `Files.chmod` takes."""
        return stat.S_IMODE(self.mode)

    @property
    def mtime(self) -> float:
        """When its content changed, in seconds since the epoch."""
        return self.mtime_ns / 1e9

    def is_dir(self) -> bool:
        """Whether it is a directory.

        >>> guest.files.stat("/").is_dir()
        True
        """
        return stat.S_ISDIR(self.mode)

    def is_file(self) -> bool:
        """Whether it is a regular file.

        >>> guest.files.stat("/etc/passwd").is_file()
        True
        """
        return stat.S_ISREG(self.mode)

    def is_symlink(self) -> bool:
        """Whether it is a symlink.

        >>> guest.files.stat("/etc/passwd").is_symlink()
        False
        """
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True)
class FileEntry:
    r"""A file in a directory of the guest.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> (entry,) = guest.files.list(folder)
        >>> entry.name, entry.stat.size
        ('file', 5)

    Attributes:
        path: its full path.
        stat: what is known of it; of a symlink itself, not of what it leads to.
    """

    path: str
    stat: FileStat

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """The space of a file system of the guest, in bytes.

        >>> usage = guest.files.disk_usage("/")
        >>> usage.used <= usage.total
        True

    Attributes:
        total: all of it.
        used: what is occupied.
        free: what programs without privileges can have: less than the rest, mostly.
        inodes: the number of files that it can hold; 0 where there is no such limit.
        inodes_free: how many more it can hold.
    """

    total: int
    used: int
    free: int
    inodes: int
    inodes_free: int


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system that is mounted in the guest.

        >>> (mount,) = guest.files.mounts("/")
        >>> mount.mountpoint
        '/'

    Attributes:
        mountpoint: where.
        device: the name of what it is on.
        type: such as ext4 or tmpfs.
        number: its number, which `FileStat.device` of its files is.
        usage: its space.
    """

    mountpoint: str
    device: str
    type: str
    number: int
    usage: DiskUsage


def parsed(numbers: str, target: str | None = None) -> FileStat:
    """The output of stat by `FORMAT`.

    Raises:
        ValueError: it is not.
    """
    try:
        return _parsed(numbers, target)
    except ValueError:
        raise ValueError(repr(numbers)) from None


def _parsed(numbers: str, target: str | None) -> FileStat:
    fields, user, group, date = numbers.split(":", 3)
    mode, size, blocks, unit, uid, gid, nlink, inode, device, major, minor, seconds = fields.split()
    fraction = _FRACTION.search(date)
    return FileStat(
        mode=int(mode, 16),
        size=int(size),
        allocated=int(blocks) * int(unit),
        uid=int(uid),
        gid=int(gid),
        user=None if user in _UNKNOWN else user,
        group=None if group in _UNKNOWN else group,
        nlink=int(nlink),
        inode=int(inode),
        device=int(device),
        rdev=os.makedev(int(major, 16), int(minor, 16)),
        mtime_ns=int(seconds) * 10**9 + (int(fraction[1][:9].ljust(9, "0")) if fraction else 0),
        target=target,
    )
