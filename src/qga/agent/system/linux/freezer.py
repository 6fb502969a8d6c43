"""Freezing file systems on Linux: the mount table, FIFREEZE and FITHAW."""

import errno
import fcntl
import os
import stat

from qga.agent.system.mounts import Mount, Survey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MOUNTINFO = "/proc/self/mountinfo"
_SWAPS = "/proc/swaps"

# From linux/fs.h: _IOWR('X', 119, int) and _IOWR('X', 120, int), the same on every architecture.
_FIFREEZE = 0xC0045877
_FITHAW = 0xC0045878

_NOT_FROZEN = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY)


class LinuxFreezer:
    """See `qga.agent.system.asked.Freezer`."""

    def mounts(self) -> list[Mount]:
        """The mounts that may be frozen, in the order of the mount table, one a device."""
        return mounts_in(_table())

    def survey(self) -> Survey:
        """What is mounted, and what rests on what."""
        from .surveying import survey

        table = _table()
        try:
            with open(_SWAPS, "rb") as file:
                swaps = file.read()
        except OSError:
            swaps = b""  # a kernel without
        return survey(table, swaps)

    def is_current(self, survey: Survey) -> bool:
        """Whether the mount table is as it was for *survey*."""
        return _table() == survey.table

    def are_all(self, fds: "Iterable[int]") -> bool:
        """Whether *fds* are of all file systems that may be frozen."""
        found = {os.makedev(*mounts[0].device) for mounts in parse_mountinfo(_table())}
        return found <= {os.fstat(fd).st_dev for fd in fds}

    def open(self, mount: Mount) -> int:
        """A descriptor by which *mount* is frozen and thawed."""
        fd = os.open(mount.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not _is_of(mount, os.fstat(fd).st_dev):
            os.close(fd)
            raise OSError(errno.ESTALE, "another file system is mounted there")
        return fd

    def freeze(self, fd: int) -> None:
        """Freeze; EOPNOTSUPP and EBUSY: it cannot be frozen, or is frozen already."""
        fcntl.ioctl(fd, _FIFREEZE, 0)

    def thaw(self, fd: int) -> bool:
        """Undo one freeze; False when there is none to undo."""
        try:
            fcntl.ioctl(fd, _FITHAW, 0)
        except OSError as error:
            if error.errno in _NOT_FROZEN:
                return False
            raise
        return True


def _table() -> bytes:
    with open(_MOUNTINFO, "rb") as file:
        table: bytes = file.read()
    return table


def mounts_in(table: bytes) -> "list[Mount]":
    """The mounts that *table* tells of, one for each local block device, in its order."""
    return [_reachable(mounts) for mounts in parse_mountinfo(table)]


def parse_mountinfo(table: bytes) -> "list[list[Mount]]":
    """The mounts of each local block device in *table* (proc_pid_mountinfo(5)).

    The devices are in the order of their first mounts.

    Raises:
        OSError: it is no such table.
    """
    devices: dict[tuple[int, int], list[Mount]] = {}
    for line in table.split(b"\n"):
        fields = line.split(b" ", 5)
        # Major 0 has no device behind it: proc, tmpfs, overlay, network file systems. Btrfs is
        # the exception, and looks so although it has. (Most lines end here, and quickly.)
        if len(fields) < 6 or (fields[2].startswith(b"0:") and b"- btrfs " not in fields[5]):
            continue
        source_fields = (b" " + fields[5]).partition(b" - ")[2].split(b" ")
        if len(source_fields) < 2:
            continue
        try:
            major, _, minor = fields[2].partition(b":")
            device = int(major), int(minor)
            path, source = unescape(fields[4]), unescape(source_fields[1])
        except ValueError:
            # Left out, it would stay unfrozen, and nobody would know.
            raise OSError(errno.EBADMSG, "the mount table is not as the kernel writes it") from None
        kind = source_fields[0].decode("utf-8", "replace")
        if device[0] == 0 and not (kind == "btrfs" and _is_block_device(source)):
            continue
        mount = Mount(path, device, kind, source)
        devices.setdefault(device, []).append(mount)
    return list(devices.values())


def _reachable(mounts: "list[Mount]") -> Mount:
    """Of the *mounts* of one device the first that leads to it; others may be mounted over.

    The first of all if there is no choice, or none that does.
    """
    if len(mounts) > 1:
        for mount in mounts:
            if leads_to(mount):
                return mount
    return mounts[0]


def leads_to(mount: Mount) -> bool:
    """Whether its path leads to *mount*: it may have gone, or be mounted over."""
    try:
        return _is_of(mount, os.stat(mount.path).st_dev)
    except OSError:
        return False


def _is_of(mount: Mount, device: int) -> bool:
    # Btrfs has device numbers of its own for each subvolume, other than the mount table's.
    return mount.kind == "btrfs" or (os.major(device), os.minor(device)) == mount.device


def unescape(field: bytes) -> str:
    """The path in *field*, where the kernel writes blanks and backslashes as octal numbers."""
    first, *rest = field.split(b"\\")
    for part in rest:
        first += bytes((int(part[:3], 8),)) + part[3:]
    if b"\0" in first:
        raise ValueError("no path")
    return os.fsdecode(first)


def _is_block_device(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False
