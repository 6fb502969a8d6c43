"""Mounts of all kinds in a Debian guest: what freezes, what does not, and why, with both agents.

docs/freezing.md has what is found here as a table.
"""

import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import GuestFactory
from tests.vm.machine import SYSTEMD
from tests.vm.observe import PATIENCE, Process, Raw, Writer, connect, wait_until
from tests.vm.qemu import AGENT, CHANNEL, Guest

pytestmark = pytest.mark.timeout(900)  # the first one may have to make the guest

SOURCE = Path(__file__).parents[2] / "src" / "qga"
STOCK = ("/usr/lib/control-agent/control-agent", *CHANNEL, "-t", "/run", "-l", "/run/stock.log")

SET_UP = """
set -e
for module in loop dm_mod raid1 xfs btrfs vfat overlay; do modprobe $module; done
cd /dev/shm
for image in xfs:320 btrfs:128 lvm:64 md1:32 md2:32 ro:16 vfat:16; do
  truncate -s ${image#*:}M ${image%:*}
done
mkfs.xfs -q xfs
mkfs.btrfs -q btrfs
mke2fs -q -t ext4 ro
mkfs.vfat vfat > /dev/null
for name in xfs btrfs sub lvm md loop nested overlay bind tmpfs ro vfat; do mkdir -p /k/$name; done
mount -o loop xfs /k/xfs
mount -o loop btrfs /k/btrfs
btrfs -q subvolume create /k/btrfs/sub
mount -o subvol=sub $(findmnt -no SOURCE /k/btrfs) /k/sub
disk=$(losetup --show -f lvm)
vgcreate -q group $disk > /dev/null 2>&1
lvcreate -q -y -l 100%FREE -n volume group > /dev/null 2>&1
mke2fs -q -t ext4 /dev/group/volume
mount /dev/group/volume /k/lvm
mdadm -q --create /dev/md/mirror --run --level=1 --metadata=1.2 --raid-devices=2 \
  $(losetup --show -f md1) $(losetup --show -f md2)
mke2fs -q -t ext4 /dev/md/mirror
mount /dev/md/mirror /k/md
mkdir /mnt/data/bound
mount --bind /mnt/data/bound /k/bind  # before the loop device, or it would hang qemu-ga 7.2
truncate -s 40M /mnt/data/image
mke2fs -q -t ext4 /mnt/data/image
mount -o loop /mnt/data/image /k/loop
truncate -s 16M /k/loop/image
mke2fs -q -t ext4 /k/loop/image
mount -o loop /k/loop/image /k/nested
mkdir /k/lvm/lower /k/lvm/upper /k/lvm/work
mount -t overlay -o lowerdir=/k/lvm/lower,upperdir=/k/lvm/upper,workdir=/k/lvm/work o /k/overlay
mount -t tmpfs t /k/tmpfs
mount -o loop,ro ro /k/ro
mount -o loop vfat /k/vfat
"""
# Anew, so that it is the last one in the table; and what is in its file has something to write.
WRITE_MORE = "dd if=/dev/urandom of=/k/loop/big bs=64k count=32 2> /dev/null"
WRONG_ORDER = f"""
umount /k/bind; umount -l /mnt/data && mount /dev/vdb /mnt/data
{WRITE_MORE}
"""

FROZEN = ("/", "/mnt/data", "/k/xfs", "/k/btrfs", "/k/lvm", "/k/md", "/k/loop", "/k/nested",
          "/k/ro")  # fmt: skip
SKIPPED = {
    "/k/sub": "the same file system as /k/btrfs",
    "/k/overlay": "it has no device: frozen with the file systems of its layers",
    "/k/bind": "the same file system as /mnt/data",
    "/k/tmpfs": "in memory: nothing of it is on a disk",
    "/k/vfat": "its type does not support freezing",
}
# Where writers wait, also by other names; and where they do not.
STILL = ("/root", "/mnt/data", "/k/xfs", "/k/btrfs", "/k/sub", "/k/lvm", "/k/md", "/k/loop",
         "/k/nested", "/k/overlay", "/k/bind")  # fmt: skip
MOVING = ("/k/tmpfs", "/k/vfat")


def source() -> bytes:
    """The agent, as an archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(SOURCE.rglob("*.py")):
            archive.add(path, path.relative_to(SOURCE.parent))
    return out.getvalue()


@pytest.fixture(scope="module")
def mounted() -> Iterator[Guest]:
    """A guest with mounts of all kinds."""
    with ExitStack() as guests:
        made = GuestFactory(guests)(None, SYSTEMD)
        done = made.sh(SET_UP, timeout=10 * PATIENCE)
        assert done.code == 0, done
        made.sh("tar -x -C /usr/lib/python3/dist-packages", source())
        yield made


@pytest.fixture
def ours(mounted: Guest) -> Iterator[Guest]:
    mounted.start_agent(AGENT)
    yield mounted
    mounted.kill_agent()


@pytest.fixture
def stock(mounted: Guest) -> Iterator[Guest]:
    mounted.start_agent(STOCK)
    yield mounted
    mounted.signal_agent(9)  # it may not end before the guest does


# A program for each directory that makes a file, writes to it and syncs it.
WRITERS = """
rm -f /run/writers
for directory in {directories}; do
  dd if=/etc/hostname of=$directory/written conv=fsync bs=1 < /dev/null > /dev/null 2>&1 &
  echo $! $directory >> /run/writers
done
"""
# Which of them wait for a frozen file system, and which have ended.
LOOK = """
while read pid directory; do
  if [ "$(cat /proc/$pid/wchan 2> /dev/null)" = percpu_rwsem_wait ]; then echo blocked $directory
  elif [ ! -e /proc/$pid ] && cmp -s /etc/hostname $directory/written; then echo done $directory; fi
done < /run/writers
"""


def still_where_frozen(guest: Guest) -> None:
    """All writers wait where they should, and nowhere else; thawed, all have written."""

    def look() -> set[str]:
        return set(guest.sh(LOOK).out.splitlines())

    guest.sh("rm -f " + " ".join(f"{name}/written" for name in (*STILL, *MOVING)))
    with connect(guest) as client:
        assert client.call("guest-fsfreeze-freeze") == len(FROZEN)
        assert client.fsfreeze_status() == "frozen"
    guest.sh(WRITERS.format(directories=" ".join([*STILL, *MOVING])))
    frozen = {f"blocked {name}" for name in STILL} | {f"done {name}" for name in MOVING}
    wait_until(lambda: look() == frozen, "writers to wait where they should, and nowhere else")
    with connect(guest) as client:
        assert client.thaw() == len(FROZEN)
    done = {f"done {name}" for name in (*STILL, *MOVING)}
    wait_until(lambda: look() == done, "all to have written")


@pytest.mark.parametrize("agent", ["ours", "stock"])
def test_what_both_agents_freeze(request: pytest.FixtureRequest, agent: str) -> None:
    still_where_frozen(request.getfixturevalue(agent))


def test_what_ours_tells_of_it(ours: Guest) -> None:
    def outcomes(report: Any) -> tuple[list[str], dict[str, str]]:
        system = ("/run", "/dev")
        mounts = [mount for mount in report["mounts"] if not mount["path"].startswith(system)]
        done = [m["path"] for m in mounts if m["outcome"] != "skipped"]
        return done, {m["path"]: m["reason"] for m in mounts if m["outcome"] == "skipped"}

    with connect(ours) as client:
        report = client.call("qga-fsfreeze-freeze", {"deadline-ms": 60_000})
        frozen, skipped = outcomes(report)
        assert set(frozen) == set(FROZEN)
        assert skipped == SKIPPED
        assert frozen.index("/k/nested") < frozen.index("/k/loop") < frozen.index("/mnt/data")
        (read_only,) = (mount for mount in report["mounts"] if mount["path"] == "/k/ro")
        assert read_only["reason"].startswith("read-only")
        thawed = client.call("qga-fsfreeze-thaw", {"token": report["token"]})
        assert (thawed["held"], thawed["count"]) == (True, len(FROZEN))
        # Some only.
        some = {"mountpoints": ["/k/*"], "exclude": ["type:xfs", "device:/dev/mapper/*"]}
        frozen, skipped = outcomes(client.call("qga-fsfreeze-freeze", some))
        assert set(frozen) == {"/k/btrfs", "/k/md", "/k/loop", "/k/nested", "/k/ro"}
        assert skipped["/k/xfs"] == "excluded: type:xfs"
        assert skipped["/k/lvm"] == "excluded: device:/dev/mapper/*"
        assert client.thaw() == 5


def test_a_disk_that_was_mounted_after_what_is_in_its_file(ours: Guest) -> None:
    assert ours.sh(WRONG_ORDER, timeout=PATIENCE).code == 0
    with connect(ours) as client:
        assert client.call("guest-fsfreeze-freeze") == len(FROZEN)
        assert client.thaw() == len(FROZEN)


def test_such_a_disk_hangs_stock(stock: Guest) -> None:
    """It waits for ever, and answers nobody. (So this is the last.)"""
    assert stock.sh(WRITE_MORE, timeout=PATIENCE).code == 0
    agent = Process(stock, stock.agent_pid())
    with Raw(stock) as port:
        port.send(b'{"execute": "guest-fsfreeze-freeze"}\n')
        wait_until(lambda: agent.state == "D", "the agent to wait in the kernel")
        port.send(b'{"execute": "guest-ping"}\n')
        before = agent.ticks
        Writer(stock, "/k/tmpfs").finish()
        assert (agent.state, agent.ticks - before, port.pending()) == ("D", 0, b"")
