"""Numbers that programs in a guest write to its disks one after the other, and snapshots of these.

Used by the tests of freezing. A writer (`start_writers`) takes a number, writes it to files, has
them synced, and only then acknowledges it, in memory. So it can be told of a snapshot whether
it has everything that was acknowledged before it, and nothing that was begun after it. Snapshots
are taken by QEMU (`Snapshot`), looked at as they are (`to_replay`), and mounted in another guest
(`read`), first without replaying a journal.
"""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.vm.debs import packages
from tests.vm.disk import make_file_system
from tests.vm.observe import PATIENCE, wait_until
from tests.vm.qemu import Guest

KINDS = ("ext4", "xfs", "btrfs")
LONG = 5 * PATIENCE  # for what takes a minute on a busy machine
_NOTES = "/run/writer"
_MEBIBYTES = {"ext4": 64, "xfs": 320, "btrfs": 128}
# What each is mounted with so that nothing is replayed.
_AS_IT_IS = {"ext4": "ro,noload", "xfs": "ro,norecovery", "btrfs": "ro,rescue=nologreplay"}

# A process for each of the directories that are its arguments. Before them: where it is told the
# numbers ("": it counts), and the beginning of the names of files for what it has begun and
# acknowledged.
_WRITER = r"""
import itertools, os, sys, time, tty

line, notes, *directories = sys.argv[1:]

def told(port):
    for text in iter(port.readline, b""):
        yield int(text)
        port.write(text)

numbers = itertools.count(1)
if line:
    port = open(line, "r+b", buffering=0)
    tty.setraw(port)
    numbers = told(port)
directory = next(d for d in directories if d == directories[-1] or os.fork() == 0)
os.chdir(directory)
log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
folder = os.open(".", os.O_RDONLY)
noted = os.open(notes + directory.replace("/", "."), os.O_WRONLY | os.O_CREAT)
os.write(noted, b"000000000 000000000\n")
for number in numbers:
    os.pwrite(noted, b"%09d" % number, 0)
    os.write(log, b"%d %s\n" % (number, b"x" * (number % 97)))
    os.fsync(log)
    new = os.open("new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(new, b"%d\n" % number)
    os.fsync(new)
    os.close(new)
    os.rename("new", "current")
    os.fsync(folder)
    os.pwrite(noted, b"%09d" % number, 10)
    time.sleep(0.01)  # for others
"""


def _program(name: str, *arguments: str | Path) -> str:
    """What a program of the guests' own packages prints, run on this machine on an image."""
    command = [*packages().command(name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


def plug_in(guest: Guest, kind: str, directory: Path) -> str:
    """Give the guest a disk with a new file system; where it is mounted."""
    image, folder = directory / f"{kind}.disk", f"/snap/{kind}"
    with image.open("wb") as file:
        file.truncate(_MEBIBYTES[kind] << 20)
    if kind == "ext4":
        make_file_system(packages(), image, "64M")
    else:
        _program(f"usr/sbin/mkfs.{kind}", "-q", image)
    device = guest.plug_disk(kind, image)
    done = guest.sh(f"modprobe {kind}; mkdir -p {folder} && mount {device} {folder}")
    assert done.code == 0, done
    return folder


class Notes(NamedTuple):
    """Which numbers a writer has begun and acknowledged last."""

    begun: int
    acknowledged: int


class Writer:
    """A process in the guest that writes numbers to files in *directory*, until the guest ends."""

    def __init__(self, guest: Guest, directory: str) -> None:
        self._guest = guest
        self._notes = _NOTES + directory.replace("/", ".")

    def notes(self) -> Notes:
        """What it has noted; both at the same moment if it waits."""
        return Notes(*map(int, self._guest.read(self._notes).split()))

    def wait(self, number: int) -> None:
        """Wait until *number* is acknowledged."""
        wait_until(lambda: self.notes().acknowledged >= number, f"number {number}", LONG)

    def wait_started(self) -> None:
        wait_until(
            lambda: self._guest.sh(f"test -s {self._notes}").code == 0, "the writer to start", LONG
        )


def start_writers(guest: Guest, *directories: str, line: str = "") -> list[Writer]:
    """Start one in each of the *directories*.

    Each counts; or the only one is told each number on a serial *line*, and repeats it there when
    it has written.
    """
    guest.write("/run/writer.py", _WRITER.encode())
    program = ["/usr/bin/python3", "-I", "-S", "/run/writer.py"]
    guest.control.start([*program, line, _NOTES, *directories])
    writers = [Writer(guest, directory) for directory in directories]
    for writer in writers:
        writer.wait_started()
    return writers


class Snapshot:
    """Of some disks of a guest, all as they are at this moment, copied into *directory*.

    They are whole after `finish`; the guest may go on before that.
    """

    def __init__(self, guest: Guest, disks: Sequence[str], directory: Path) -> None:
        self._guest = guest
        self._copies = [f"{name}-copy" for name in disks]
        self.images = {name: directory / name for name in disks}
        directory.mkdir()
        actions = []
        for (name, image), copy in zip(self.images.items(), self._copies, strict=True):
            with image.open("wb") as file:
                file.truncate(_MEBIBYTES[name] << 20)
            target = {"driver": "file", "filename": str(image)}
            guest.qmp.execute("blockdev-add", driver="raw", node_name=copy, file=target)
            data = {"job-id": copy, "device": name, "target": copy, "sync": "full"}
            actions.append({"type": "blockdev-backup", "data": data})
        guest.qmp.execute("transaction", actions=actions)

    def finish(self) -> dict[str, Path]:
        """Wait until all is copied; the image of each disk."""
        for _ in self._copies:
            data = self._guest.qmp.wait_event("BLOCK_JOB_COMPLETED", LONG)["data"]
            assert "error" not in data, data
        for copy in self._copies:
            self._guest.qmp.execute("blockdev-del", node_name=copy)
        return self.images


def to_replay(kind: str, image: Path) -> list[str]:
    """What a mount of the file system would have to bring in order first; for xfs, each item.

    XFS always leaves its superblock in the log of a frozen file system, and nothing else: so that
    who mounts a copy looks for files that were deleted while they were open.
    """
    if kind == "ext4":
        return re.findall("needs_recovery", _program("usr/sbin/dumpe2fs", "-h", image))
    if kind == "btrfs":
        superblock = _program("usr/bin/btrfs", "inspect-internal", "dump-super", image)
        return re.findall(r"^log_root\t+[1-9]\d*", superblock, re.MULTILINE)
    log = _program("usr/sbin/xfs_logprint", "-t", image)
    assert re.search(r"state: <(CLEAN|DIRTY)>", log), log
    items = re.findall(r"^(?:\tINODE: .*ino:\S+|\tBUF: .*blkno:\S+|\tEF\w+:)", log, re.MULTILINE)
    return [item for item in items if not item.endswith("blkno:0x0")]


def _check(kind: str, image: Path) -> None:
    """See that the file system's own program finds nothing wrong with it."""
    match kind:
        case "ext4":
            _program("usr/sbin/e2fsck", "-fn", image)
        case "xfs":
            _program("usr/sbin/xfs_repair", "-n", image)
        case _:
            _program("usr/bin/btrfs", "check", "--readonly", image)


class Found(NamedTuple):
    """The numbers in a snapshot."""

    last: int
    """All from 1 to this one are whole in the log, and nothing else."""
    current: int
    """The one in the file that is replaced each time."""


def read(reader: Guest, kind: str, image: Path, file: str = "") -> tuple[Found, bytes]:
    """Mount a snapshot in the guest *reader* as it is, and see that it is whole.

    Returns:
        The numbers, and what is in another *file*.
    """
    device = reader.plug_disk(kind, image)
    options = _AS_IT_IS[kind]
    done = reader.sh(f"modprobe {kind}; mkdir -p /as; mount -t {kind} -o {options} {device} /as")
    assert done.code == 0, done
    log, current = reader.read("/as/log"), int(reader.read("/as/current"))
    other = reader.read(f"/as/{file}") if file else b""
    # And as anybody would mount it.
    done = reader.sh(f"umount /as && mount -t {kind} {device} /as && cat /as/log && umount /as")
    assert (done.code, done.out) == (0, log.decode())
    reader.unplug_disk(kind)
    _check(kind, image)
    last = log.count(b"\n")
    assert log == b"".join(b"%d %s\n" % (n, b"x" * (n % 97)) for n in range(1, last + 1))
    return Found(last, current), other
