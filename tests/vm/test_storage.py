"""Disks and file systems of a guest with many kinds of them, as ours and QEMU's agent tell.

The guest has a partitioned disk, a volume on two disks, btrfs, NVMe, IDE and SCSI disks. The stock
agent on the control port is asked the same as ours.
"""

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import qga
from tests.vm.conftest import GuestFactory
from tests.vm.control import CommandError
from tests.vm.machine import Machine
from tests.vm.observe import connect, refused, wait_until
from tests.vm.qemu import Guest

MIB = 1 << 20
SIZES = {
    "parts": 64,
    "btrfs": 160,
    "nvme": 64,
    "unit": 64,
    "target": 64,
    "first": 16,
    "fourth": 16,
    "foreign": 16,
}
DEVICES = (
    "virtio-blk-pci,drive=parts,serial=PARTS",
    "virtio-blk-pci,drive=btrfs,serial=BTRFS",
    "nvme,drive=nvme,serial=NVME",
    "virtio-scsi-pci,id=scsi",
    "scsi-hd,bus=scsi.0,drive=unit,scsi-id=0,lun=5,serial=UNIT",
    "scsi-hd,bus=scsi.0,drive=target,scsi-id=3,lun=1,serial=TARGET",
    "piix3-ide,id=ide",
    "ide-hd,bus=ide.0,unit=0,drive=first,serial=FIRST",
    "ide-hd,bus=ide.1,unit=1,drive=fourth,serial=FOURTH",
    # A controller that no agent knows.
    "pvscsi,id=foreign",
    "scsi-hd,bus=foreign.0,drive=foreign,serial=FOREIGN",
)
# Which of them is /dev/sda is left to chance; the links in /dev/disks tell.
SCSI = ("unit", "target", "first", "fourth", "foreign")
SET_UP = """
set -e
for module in virtio_scsi vmw_pvscsi ata_piix sd_mod dm_mod btrfs; do modprobe $module; done
for disk in vdc2 vdd nvme0n1 sda sdb sdc sdd sde; do
  for try in $(seq 300); do [ -b /dev/$disk ] && break; sleep 0.1; done
done
mkdir /dev/disks
for disk in /sys/block/sd*; do
  case $(readlink $disk) in
    */ata*:0:1:0/block/*) name=fourth;;
    */ata*) name=first;;
    *:0:0:5/block/*) name=unit;;
    *:0:3:1/block/*) name=target;;
    *) name=foreign;;
  esac
  ln -s ../${disk##*/} /dev/disks/$name
done
mkdir /mnt/part /mnt/volume /mnt/nvme /mnt/btrfs /mnt/sub /mnt/loop
/usr/sbin/mke2fs -q -t ext4 /dev/vdc1
mount /dev/vdc1 /mnt/part
/usr/sbin/mke2fs -q -t ext4 /dev/nvme0n1
mount /dev/nvme0n1 /mnt/nvme
printf 'activation { udev_sync=0 udev_rules=0 }\\ndevices { obtain_device_list_from_udev=0 }\\n' \
  > /run/lvm.conf
mkdir -p /etc/lvm /run/lvm
mv /run/lvm.conf /etc/lvm/lvm.conf
unit=$(readlink -f /dev/disks/unit)
lvm pvcreate -q /dev/vdc2 $unit
lvm vgcreate -q group /dev/vdc2 $unit
lvm lvcreate -q -y -i 2 -l 100%FREE -n volume group
/usr/sbin/mke2fs -q -t ext4 /dev/mapper/group-volume
mount /dev/mapper/group-volume /mnt/volume
mkfs.btrfs -q /dev/vdd
mount /dev/vdd /mnt/btrfs
btrfs subvolume create /mnt/btrfs/sub
mount -o subvol=sub /dev/vdd /mnt/sub
truncate -s 8M /root/image
/usr/sbin/mke2fs -q -t ext4 /root/image
mount -o loop /root/image /mnt/loop
"""
# What udev's own rules would record of these disks.
UDEV = """
mkdir -p /run/udev/data
foreign=$(basename $(readlink -f /dev/disks/foreign))
for disk in /sys/block/*; do
  read -r number < $disk/dev
  serial=
  case ${disk##*/} in
    vd*) read -r serial < $disk/serial || true;;
    nvme*) serial=QEMU_NVMe_Ctrl_NVME;;
    $foreign) serial=0QEMU_QEMU_HARDDISK_FOREIGN;;
    dm-*) read -r name < $disk/dm/name; echo "E:DM_NAME=$name" > /run/udev/data/b$number;;
  esac
  [ "$serial" ] || continue
  for device in $disk $disk/*[0-9]; do
    [ -f $device/dev ] || continue
    read -r number < $device/dev
    printf 'I:1\\nE:ID_SERIAL=%s\\nE:ID_BUS=x\\nG:systemd\\n' $serial > /run/udev/data/b$number
  done
done
"""


def partitioned(image: Path) -> None:
    """Two partitions, as a disk from before GPT has them."""
    table = b"".join(
        struct.pack("<B3sB3sII", 0, b"", 0x83, b"", start * 2048, 30 * 2048) for start in (1, 32)
    )
    with image.open("r+b") as file:
        file.seek(446)
        file.write(table.ljust(64, b"\0") + b"\x55\xaa")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("disks")
    for name, size in SIZES.items():
        with (directory / name).open("wb") as file:
            file.truncate(size * MIB)
    partitioned(directory / "parts")
    return directory


@pytest.fixture(scope="module")
def rich(images: Path) -> Iterator[Guest]:
    """The guest with all these disks. (NVMe cannot be restored: it is booted, once.)"""
    options: list[str] = []
    for name in SIZES:
        image = f"file={images / name},format=raw,cache=unsafe,discard=unmap"
        options += ["-drive", f"if=none,id={name},{image}"]
    for device in DEVICES:
        options += ["-device", device]
    with ExitStack() as guests:
        guest = GuestFactory(guests)(machine=Machine(options=tuple(options)), boot=True)
        done = guest.sh(SET_UP, timeout=300)
        assert done.code == 0, done
        yield guest


@pytest.fixture(scope="module")
def nodes(rich: Guest) -> dict[str, str]:
    """The device file of each SCSI disk."""
    loop = f"for name in {' '.join(SCSI)}; do readlink -f /dev/disks/$name; done"
    return dict(zip(SCSI, rich.sh(loop).out.split(), strict=True))


@pytest.fixture
def client(rich: Guest) -> Iterator[qga.Client]:
    with connect(rich) as client:
        yield client


@pytest.fixture
def udev(rich: Guest) -> Iterator[None]:
    done = rich.sh(UDEV)
    assert done.code == 0, done
    yield
    rich.sh("rm -r /run/udev")


def without(value: Any, *names: str) -> Any:
    """*value* without the members *names*, at any depth."""
    if isinstance(value, list):
        return [without(item, *names) for item in value]
    if isinstance(value, dict):
        return {k: without(item, *names) for k, item in value.items() if k not in names}
    return value


@pytest.mark.usefixtures("udev")
def test_disks_with_udev(rich: Guest, client: qga.Client, nodes: dict[str, str]) -> None:
    stock = rich.control.execute("guest-get-disks")
    ours = client.call("guest-get-disks")
    # The first call has made the NVMe disk read its log.
    assert without(ours, "smart") == without(stock, "smart")
    disks = {disk["name"]: disk for disk in ours}
    kinds = {name: disk["address"]["bus-type"] for name, disk in disks.items() if "address" in disk}
    assert kinds == {
        **dict.fromkeys(("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd"), "virtio"),
        **dict.fromkeys((nodes["unit"], nodes["target"]), "scsi"),
        **dict.fromkeys((nodes["first"], nodes["fourth"]), "ide"),
        nodes["foreign"]: "unknown",
        "/dev/nvme0n1": "nvme",
    }
    assert disks["/dev/vdc"]["address"]["serial"] == "PARTS"
    assert disks["/dev/vdc2"]["dependencies"] == ["/dev/vdc"]
    assert disks["/dev/nvme0n1"]["address"]["serial"] == "QEMU_NVMe_Ctrl_NVME"
    assert disks["/dev/dm-0"]["alias"] == "group-volume"
    assert sorted(disks["/dev/dm-0"]["dependencies"]) == [nodes["unit"], "/dev/vdc2"]
    fourth = disks[nodes["fourth"]]["address"]
    assert (fourth["bus"], fourth["unit"]) == (1, 1)
    assert disks[nodes["unit"]]["address"]["unit"] == 5
    assert disks[nodes["foreign"]]["address"]["serial"].endswith("FOREIGN")


def test_disks_without_udev(rich: Guest, client: qga.Client) -> None:
    """The kernel tells names of volumes; qemu-ga does not ask it."""
    ours = client.call("guest-get-disks")
    stock = rich.control.execute("guest-get-disks")
    assert without(ours, "smart", "alias") == without(stock, "smart")
    disks = {disk["name"]: disk for disk in ours}
    assert disks["/dev/dm-0"]["alias"] == "group-volume"


def test_disks_that_go_and_come(rich: Guest, client: qga.Client, nodes: dict[str, str]) -> None:
    """The agent keeps what it knows of a disk; it must not keep it too long."""

    def names() -> list[str]:
        ours = client.call("guest-get-disks")
        stock = rich.control.execute("guest-get-disks")
        assert without(ours, "smart", "alias") == without(stock, "smart")
        return [disk["name"] for disk in ours]

    before = names()
    assert names() == before
    node = nodes["target"]
    name = node.removeprefix("/dev/")
    host = "$(readlink -f /sys/block/" + name + " | grep -o 'host[0-9]*' | head -n 1)"
    made = rich.sh(f"host={host}; echo 1 > /sys/block/{name}/device/delete; echo $host")
    assert made.code == 0, made
    assert names() == [name for name in before if name != node]
    rich.sh(f"echo '- - -' > /sys/class/scsi_host/{made.out.strip()}/scan")
    wait_until(lambda: rich.sh(f"test -b {node}").code == 0, "the disk")
    assert sorted(names()) == sorted(before)
    # A device that is used only since then.
    made = rich.sh("dd if=/dev/zero of=/root/loop bs=1M count=1; losetup /dev/loop5 /root/loop")
    assert made.code == 0, made
    assert sorted(names()) == sorted([*before, "/dev/loop5"])
    rich.sh("losetup -d /dev/loop5; rm /root/loop")
    assert sorted(names()) == sorted(before)


def test_health_of_nvme(rich: Guest, client: qga.Client) -> None:
    def smart(disks: list[dict[str, Any]]) -> dict[str, Any]:
        (found,) = (disk["smart"] for disk in disks if "smart" in disk)
        return dict(found)

    rich.sh("dd if=/dev/urandom of=/mnt/nvme/file bs=1M count=4 conv=fsync")
    stock = smart(rich.control.execute("guest-get-disks"))
    ours = smart(client.call("guest-get-disks"))
    counting = ("host-read-commands-lo", "host-write-commands-lo")
    assert without(ours, *counting) == without(stock, *counting)
    assert len(ours) == 26
    assert ours["temperature"] == 323
    assert all(ours[name] >= stock[name] > 0 for name in counting)
    assert ours["data-units-written-lo"] > 0
    # The disk's health is an extra: without it, the disk is there all the same.
    rich.sh("mv /dev/nvme0n1 /dev/elsewhere")
    disks = client.call("guest-get-disks")
    rich.sh("mv /dev/elsewhere /dev/nvme0n1")
    assert "/dev/nvme0n1" in [disk["name"] for disk in disks]
    assert not [disk for disk in disks if "smart" in disk]


def by_mountpoint(infos: list[dict[str, Any]]) -> dict[str, Any]:
    return {info["mountpoint"]: info for info in infos}


@pytest.mark.usefixtures("udev")
def test_file_systems(rich: Guest, client: qga.Client, nodes: dict[str, str]) -> None:
    rich.sh("sync")
    stock = rich.control.execute("guest-get-fsinfo")
    ours = client.call("guest-get-fsinfo")
    found = by_mountpoint(ours)
    # Each device once, as newer versions of qemu-ga do.
    assert [info["mountpoint"] for info in stock if info["mountpoint"] != "/mnt/sub"] == list(found)
    for info in ours:
        privileged = info.pop("total-bytes-privileged")
        assert privileged >= info["total-bytes"] >= info["used-bytes"] > 0
    assert ours == [info for info in stock if info["mountpoint"] != "/mnt/sub"]
    devices = {
        point: (info["name"], info["type"], sorted(disk["dev"] for disk in info["disk"]))
        for point, info in found.items()
    }
    assert devices == {
        "/": ("vda", "ext4", ["/dev/vda"]),
        "/mnt/data": ("vdb", "ext4", ["/dev/vdb"]),
        "/mnt/part": ("vdc1", "ext4", ["/dev/vdc1"]),
        "/mnt/nvme": ("nvme0n1", "ext4", ["/dev/nvme0n1"]),
        "/mnt/volume": ("dm-0", "ext4", [nodes["unit"], "/dev/vdc2"]),
        "/mnt/btrfs": ("vdd", "btrfs", ["/dev/vdd"]),
        "/mnt/loop": ("loop0", "ext4", []),
    }
    (disk,) = found["/mnt/part"]["disk"]
    assert disk["serial"] == "PARTS"
    rich.sh("df -Pk /mnt/volume > /run/df")
    blocks = rich.read("/run/df").splitlines()[1].split()
    assert int(blocks[1]) * 1024 >= found["/mnt/volume"]["total-bytes"]


def test_file_systems_that_are_covered(rich: Guest, client: qga.Client) -> None:
    """What is mounted over a file system is not taken for it."""
    before = by_mountpoint(client.call("guest-get-fsinfo"))
    rich.sh("mount -t tmpfs cover /mnt/part; mkdir /mnt/other; mount --bind /mnt/nvme /mnt/other")
    rich.sh("mount -t tmpfs cover /mnt/nvme")
    covered = by_mountpoint(client.call("guest-get-fsinfo"))
    trimmed = client.call("guest-fstrim")["paths"]
    rich.sh("umount /mnt/nvme /mnt/other /mnt/part; rmdir /mnt/other")
    sizes = ("used-bytes", "total-bytes", "total-bytes-privileged")
    assert covered["/mnt/part"] == without(before["/mnt/part"], *sizes)
    assert covered["/mnt/other"] == before["/mnt/nvme"] | {"mountpoint": "/mnt/other"}
    errors = {result["path"]: result["error"] for result in trimmed if "error" in result}
    assert errors["/mnt/part"] == "failed to open: another file system is mounted there"
    assert "/mnt/nvme" not in {result["path"] for result in trimmed}
    assert "error" not in {result["path"]: result for result in trimmed}["/mnt/other"]


def test_mounts_that_come_and_move_and_go(rich: Guest, client: qga.Client) -> None:
    """The agent keeps the mount table; it must not keep it too long."""

    def points() -> set[str]:
        return set(by_mountpoint(client.call("guest-get-fsinfo")))

    before = points()
    made = rich.sh(
        "mkdir -p /mnt/outer/inner; /usr/sbin/mke2fs -q -t ext4 /dev/disks/first; "
        "mount /dev/disks/first /mnt/outer/inner"
    )
    assert made.code == 0, made
    assert points() - before == {"/mnt/outer/inner"}
    rich.sh("mv /mnt/outer /mnt/renamed")
    assert points() - before == {"/mnt/renamed/inner"}
    rich.sh("umount /mnt/renamed/inner; rm -r /mnt/renamed")
    assert points() == before


MOUNT_MANY = b"""
import ctypes, os
def mount(source, target, kind, flags):
    assert ctypes.CDLL(None).mount(source, target.encode(), kind, flags, None) == 0
os.mkdir("/tmp/many")
mount(b"x", "/tmp/many", b"tmpfs", 0)
for number in range(500):
    path = f"/tmp/many/{number}"
    os.mkdir(path)
    mount(b"/mnt/part", path, None, 4096)  # MS_BIND
    if number < 100:
        mount(b"x", path, b"tmpfs", 0)
"""


def test_five_hundred_mounts(rich: Guest, client: qga.Client) -> None:
    made = rich.sh("python3 -", MOUNT_MANY)
    assert made.code == 0, made
    ours = client.call("guest-get-fsinfo")
    stock = rich.control.execute("guest-get-fsinfo")
    rich.sh("umount -l /tmp/many; rmdir /tmp/many")
    assert len(stock) == 8 + 500
    own = [info for info in stock if not info["mountpoint"].startswith("/tmp/many/")]
    assert without(ours, "total-bytes-privileged") == [
        info for info in own if info["mountpoint"] != "/mnt/sub"
    ]


COUNTERS = 17


def test_counters(rich: Guest, client: qga.Client, nodes: dict[str, str]) -> None:
    def named(infos: list[dict[str, Any]]) -> list[tuple[object, ...]]:
        return [(i["name"], i["major"], i["minor"], sorted(i["stats"])) for i in infos]

    stock = rich.control.execute("guest-get-diskstats")
    ours = client.call("guest-get-diskstats")
    assert named(ours) == named(stock)
    quiet = {nodes[name].removeprefix("/dev/") for name in ("first", "foreign", "target")}
    assert [i for i in ours if i["name"] in quiet] == [i for i in stock if i["name"] in quiet]
    before = {info["name"]: info["stats"] for info in ours}
    assert {len(stats) for stats in before.values()} == {COUNTERS}
    rich.sh("dd if=/dev/urandom of=/mnt/part/file bs=1M count=2 conv=fsync")
    after = {info["name"]: info["stats"] for info in client.call("guest-get-diskstats")}
    for name in ("vdc", "vdc1"):
        assert after[name]["write-sectors"] - before[name]["write-sectors"] >= 4096
        assert after[name]["flush-ios"] >= before[name]["flush-ios"]


def blocks(image: Path) -> int:
    return image.stat().st_blocks * 512


@pytest.mark.parametrize(
    ("directory", "files"),
    [
        ("/mnt/part", ["parts"]),
        ("/mnt/volume", ["parts", "unit"]),
        ("/mnt/nvme", ["nvme"]),
        ("/mnt/btrfs", ["btrfs"]),
    ],
)
def test_trimming_gives_the_host_its_space_back(
    rich: Guest, client: qga.Client, images: Path, directory: str, files: list[str]
) -> None:
    written = rich.sh(f"dd if=/dev/urandom of={directory}/big bs=1M count=12 conv=fsync && sync")
    assert written.code == 0, written
    full = sum(blocks(images / name) for name in files)
    assert full > 12 * MIB
    rich.sh(f"rm {directory}/big; sync")
    results = {result["path"]: result for result in client.call("guest-fstrim")["paths"]}
    assert results[directory].keys() == {"path", "trimmed", "minimum"}
    assert results[directory]["trimmed"] >= 12 * MIB
    wait_until(
        lambda: sum(blocks(images / name) for name in files) <= full - 11 * MIB, "a smaller image"
    )


def test_trimming_as_the_stock_agent_does(rich: Guest, client: qga.Client) -> None:
    def agree(**arguments: Any) -> list[dict[str, Any]]:
        # Twice, since what has been trimmed is not trimmed again.
        client.call("guest-fstrim", arguments)
        stock = rich.control.execute("guest-fstrim", **arguments)["paths"]
        ours = client.call("guest-fstrim", arguments)["paths"]
        kept = [result for result in stock if result["path"] != "/mnt/sub"]
        for result in (*ours, *kept):
            # All free space again, in which something may have moved.
            if result["path"] in {"/", "/mnt/btrfs"}:
                result.pop("trimmed", None)
        assert ours == kept
        return ours  # type: ignore[no-any-return]

    rich.sh("mount -o remount,ro /mnt/nvme")
    assert [result["path"] for result in agree()][-2:] == ["/mnt/data", "/"]
    agree(minimum=0)
    agree(minimum=1 << 20)
    failed = agree(minimum=1 << 40)
    assert {result["error"] for result in failed if result["path"] != "/mnt/btrfs"} == {
        "failed to trim: Invalid argument"
    }
    agree(minimum=-1)
    rich.sh("mount -o remount,rw /mnt/nvme")


def test_what_cannot_be_trimmed(rich: Guest, client: qga.Client) -> None:
    rich.sh("mkdir /mnt/ide; /usr/sbin/mke2fs -q -t ext4 /dev/disks/fourth")
    name = rich.sh("basename $(readlink -f /dev/disks/fourth)").out.strip()
    rich.sh(f"echo 0 > /sys/block/{name}/queue/discard_max_bytes; mount /dev/{name} /mnt/ide")
    ours = {result["path"]: result for result in client.call("guest-fstrim")["paths"]}
    stock = {r["path"]: r for r in rich.control.execute("guest-fstrim")["paths"]}
    rich.sh("umount /mnt/ide; rmdir /mnt/ide")
    assert ours["/mnt/ide"] == stock["/mnt/ide"]
    assert ours["/mnt/ide"] == {"path": "/mnt/ide", "error": "trim not supported"}


@pytest.mark.parametrize("minimum", ["1", 1.5, None, [], 1 << 63])
def test_bad_minimums(rich: Guest, client: qga.Client, minimum: Any) -> None:
    error = refused(client, "guest-fstrim", minimum=minimum)
    with pytest.raises(CommandError) as stock:
        rich.control.execute("guest-fstrim", minimum=minimum)
    assert error.desc == str(stock.value)


def test_frozen(rich: Guest, client: qga.Client) -> None:
    with client.frozen():
        for command in ("guest-get-disks", "guest-get-fsinfo", "guest-fstrim"):
            assert "disabled" in refused(client, command).desc
    assert client.call("guest-get-disks")
