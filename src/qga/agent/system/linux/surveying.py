"""What is mounted, why some of it cannot be frozen, and what rests on what. Used by `freezer`.

Nothing here asks a file system anything, so that one that hangs holds up nobody: it is all in the
mount table and in sysfs, or known to loop devices.
"""

import fcntl
import os
import sys

from qga.agent.system.mounts import Mount, Survey

from .freezer import mounts_in, unescape

# Of what the kernel shows there is nothing to freeze, nor to explain.
_OF_THE_KERNEL = frozenset((
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts",
    "devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rootfs",
    "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs",
))  # fmt: skip

_IN_MEMORY = "in memory: nothing of it is on a disk"
_OF_THE_NETWORK = "on the network: it can be frozen only where it is served"
_OF_THE_HOST = "a directory of the host, which alone could freeze it"
_REASONS = {
    "tmpfs": _IN_MEMORY,
    "ramfs": _IN_MEMORY,
    "overlay": "it has no device: frozen with the file systems of its layers",
    "aufs": "it has no device: frozen with the file systems of its layers",
    "9p": _OF_THE_HOST,
    "virtiofs": _OF_THE_HOST,
    "vboxsf": _OF_THE_HOST,
    "zfs": "ZFS cannot be frozen: take a snapshot of its pool instead",
    **dict.fromkeys(
        ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "afs", "ocfs2_dlmfs", "lustre", "gfs2meta",
         "ncpfs", "coda"), _OF_THE_NETWORK,
    ),
}  # fmt: skip
_OF_A_PROGRAM = "a program serves it, which frozen file systems might stop"
_NO_DEVICE = "it has no block device"

_DELETED = b" (deleted)"

# From linux/loop.h, and the size of struct loop_info64; it begins with the number of a device.
_LOOP_GET_STATUS64 = 0x4C05
_STATUS_SIZE = 232

# Devices over devices, as deep as anybody may stack them.
_DEEPEST = 16


def survey(table: bytes, swaps: bytes, sysfs: str = "/sys") -> Survey:
    """What the mount *table* tells of, with the *swaps* of the kernel.

    Raises:
        OSError: it is no such table.
    """
    mounts = mounts_in(table)
    entries = _Entries(table)
    stack = _Stack(sysfs, entries, mounts)
    notes: dict[int, str] = {}
    for position, mount in enumerate(mounts):
        if entries.is_read_only(mount):
            notes[position] = "read-only: nothing of it waits to be written"
    for path in _swap_files(swaps):
        for position in stack.holding(path):
            notes[position] = f"the swap file {path} in it is written to even while it is frozen"
    below = [stack.below(mount) for mount in mounts]
    return Survey(mounts, below, notes, entries.others(mounts), table=table)


class _Entries:
    """All lines of the mount table."""

    def __init__(self, table: bytes) -> None:
        self.all: list[Mount] = []
        self._options: dict[tuple[tuple[int, int], str], list[bytes]] = {}
        self._at: dict[str, Mount] = {}  # the one that is on top
        for line in table.split(b"\n"):
            fields = line.split(b" ")
            if b"-" not in fields[6:]:
                continue
            end = fields.index(b"-", 6)
            try:
                major, _, minor = fields[2].partition(b":")
                path, source = unescape(fields[4]), unescape(fields[end + 2])
                mount = Mount(path, (int(major), int(minor)), fields[end + 1].decode(), source)
            except (IndexError, ValueError):
                continue  # of what has a device, `mounts_in` has seen to it
            self.all.append(mount)
            self._at[path] = mount
            options = fields[end + 3].split(b",") if len(fields) > end + 3 else []
            self._options[mount.device, path] = options

    def is_read_only(self, mount: Mount) -> bool:
        return b"ro" in self._options.get((mount.device, mount.path), ())

    def of_file(self, path: str) -> "Mount | None":
        """The mount that the file at *path* is on."""
        while path:
            if path in self._at:
                return self._at[path]
            path = path.rpartition("/")[0]
        return self._at.get("/")

    def upper_layer(self, mount: Mount) -> "str | None":
        """Where an overlay keeps what is written to it."""
        for option in self._options.get((mount.device, mount.path), ()):
            if option.startswith(b"upperdir="):
                return unescape(option[len(b"upperdir=") :])
        return None

    def others(self, mounts: "list[Mount]") -> "list[tuple[Mount, str]]":
        """What is not among *mounts*, and why."""
        chosen = {mount.device: mount for mount in mounts}
        found = []
        for mount in self.all:
            same = chosen.get(mount.device)
            if same is not None:
                if same.path != mount.path:
                    found.append((mount, f"the same file system as {same.shown}"))
            elif mount.kind not in _OF_THE_KERNEL:
                found.append((mount, _reason(mount)))
        return found


def _reason(mount: Mount) -> str:
    if mount.kind == "fuse" or mount.kind.startswith("fuse."):
        return _OF_A_PROGRAM
    return _REASONS.get(mount.kind, _NO_DEVICE)


class _Stack:
    """Which file system has its device in a file of which other one."""

    def __init__(self, sysfs: str, entries: _Entries, mounts: "list[Mount]") -> None:
        self._sys = sysfs
        self._entries = entries
        self._positions = {mount.device: position for position, mount in enumerate(mounts)}
        self._btrfs: list[list[str]] | None = None

    def holding(self, path: str) -> "set[int]":
        """The position of the file system that the file at *path* is on, if it may be frozen."""
        for _ in range(_DEEPEST):
            mount = self._entries.of_file(path)
            if mount is None:
                break
            if mount.device in self._positions:
                return {self._positions[mount.device]}
            upper = self._entries.upper_layer(mount)
            if upper is None:
                break
            path = upper
        return set()

    def _holding_image(self, path: str, file: str) -> "set[int]":
        """The same for the *file* behind the loop device at *path*."""
        mount = self._entries.of_file(file)
        if mount is not None and _REASONS.get(mount.kind) == _OF_THE_NETWORK:
            return set()  # to ask for it might take for ever
        # The device knows which file system that is, however it may be mounted now.
        position = self._positions.get(_device_of_image(path))
        return self.holding(file) if position is None else {position}

    def below(self, mount: Mount) -> "set[int]":
        """The positions of the file systems that *mount* writes to."""
        found: set[int] = set()
        for name in self._devices(mount):
            self._descend(f"{self._sys}/dev/block/{name}", found, _DEEPEST)
        found.discard(self._positions[mount.device])
        return found

    def _devices(self, mount: Mount) -> "list[str]":
        """The numbers of the devices that it is on, as sysfs writes them."""
        if mount.device[0]:
            return ["{}:{}".format(*mount.device)]
        # Btrfs: its number is its own, and its devices may be many.
        try:
            number = os.stat(mount.source).st_rdev
        except OSError:
            return []
        own = f"{os.major(number)}:{os.minor(number)}"
        if self._btrfs is None:
            self._btrfs = list(map(self._members, _listed(f"{self._sys}/fs/btrfs")))
        return next((members for members in self._btrfs if own in members), [own])

    def _members(self, identity: str) -> "list[str]":
        folder = f"{self._sys}/fs/btrfs/{identity}/devices"
        return [_read(f"{folder}/{name}/dev").decode() for name in _listed(folder)]

    def _descend(self, path: str, found: "set[int]", depth: int) -> None:
        if not depth:
            return
        for name in _listed(f"{path}/slaves"):
            self._descend(f"{path}/slaves/{name}", found, depth - 1)
        file = _read(f"{path}/loop/backing_file").removesuffix(_DELETED)
        if file:
            found |= self._holding_image(path, os.fsdecode(file))
        elif os.access(f"{path}/partition", os.F_OK):
            # sysfs has a partition in its disk's directory.
            self._descend(os.path.dirname(os.path.realpath(path)), found, depth - 1)


def _device_of_image(path: str) -> "tuple[int, int]":
    """The device that the file is on which is behind the loop device at *path* in sysfs."""
    name = _read(f"{path}/uevent").partition(b"DEVNAME=")[2].partition(b"\n")[0]
    try:
        fd = os.open(b"/dev/" + name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = fcntl.ioctl(fd, _LOOP_GET_STATUS64, bytes(_STATUS_SIZE))
        finally:
            os.close(fd)
    except OSError:
        return (-1, -1)
    number = int.from_bytes(status[:8], sys.byteorder)
    return os.major(number), os.minor(number)


def _swap_files(swaps: bytes) -> "list[str]":
    lines = [line.split() for line in swaps.split(b"\n")[1:]]
    return [unescape(fields[0]) for fields in lines if fields[1:2] == [b"file"]]


def _listed(folder: str) -> "list[str]":
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read().rstrip(b"\n")
    except OSError:
        return b""
