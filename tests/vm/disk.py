"""The guest's disks: a whole ext4 root, so that a test may freeze it, and a small data disk.

Used by `qemu`. Made without root privileges from the unpacked packages and the files under
``guest/root``; every guest writes into a private copy.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vm.cache import cached, digest, digest_harness
from tests.vm.debian import amend, populate
from tests.vm.debs import Packages
from tests.vm.initrd import modules
from tests.vm.machine import Machine

GUEST = Path(__file__).parent / "guest"
ROOT_MODULES = (
    "virtio_console",
    "virtio_net",
    "loop",
    "vsock_loopback",
    "vmw_vsock_virtio_transport",
    # For disks of all kinds.
    "virtio_scsi",
    "vmw_pvscsi",
    "ata_piix",
    "sd_mod",
    "dm_mod",
    "btrfs",
    "xfs",
    "dummy",
    "ip6_tunnel",
    "ipip",
    "sit",
    "veth",
)
# fmt: off
DIRECTORIES = (
    "dev", "proc", "sys", "run", "tmp", "root", "home/alice", "mnt/data", "var/log", "var/tmp",
    "etc/qemu",
)
# fmt: on


@contextmanager
def images(packages: Packages, machine: Machine) -> Iterator[Path]:
    """A directory with ``root.ext4`` and ``data.ext4`` (label: data), read only."""

    def build(directory: Path) -> None:
        tree, root = directory / "tree", directory / "root.ext4"
        of_tree = ("-L", "root", "-d", str(tree))
        if machine.systemd:
            changes = populate(packages, tree)
            make_file_system(packages, root, "1G", *of_tree, "-E", "root_owner=0:0")
            amend(packages, root, changes)
        else:
            _root_tree(packages, tree)
            make_file_system(packages, root, "256M", *of_tree)
        make_file_system(packages, directory / "data.ext4", "64M", "-L", "data")
        shutil.rmtree(tree)

    key = digest(packages.version, digest_harness(), repr(machine.systemd))
    with cached("images", key, build) as directory:
        yield directory


def _root_tree(packages: Packages, tree: Path) -> None:
    shutil.copytree(packages.root, tree, symlinks=True)
    for top in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / top).mkdir(exist_ok=True)
        (tree / top).symlink_to(f"usr/{top}")
    for name in DIRECTORIES:
        (tree / name).mkdir(parents=True, exist_ok=True)
    _busybox(packages, tree)
    shutil.copytree(GUEST / "root/etc", tree / "etc", dirs_exist_ok=True)
    (tree / "etc/shadow").chmod(0o600)
    (tree / "etc/mtab").symlink_to("/proc/self/mounts")
    for path in (GUEST / "root/sbin").iterdir():
        shutil.copy(path, tree / "usr/sbin" / path.name)
    for name in ("poweroff", "halt", "reboot"):
        (tree / "usr/sbin" / name).unlink()
        (tree / "usr/sbin" / name).symlink_to("shutdown")
    (tree / "usr/bin/python3").symlink_to("python3.11")
    _modules(packages, tree / "usr/lib/modules" / packages.modules.name)


def _busybox(packages: Packages, tree: Path) -> None:
    """Names for busybox's programs, where no package brings the real one."""
    busybox = tree / "usr/bin/busybox"
    listing = subprocess.run(
        [busybox, "--list-full"], stdout=subprocess.PIPE, text=True, check=True
    )
    for name in listing.stdout.split():
        path = tree / (name if name.startswith("usr/") else f"usr/{name}")
        if not path.exists() and path.parent.is_dir():
            path.symlink_to("/usr/bin/busybox")


def _modules(packages: Packages, directory: Path) -> None:
    wanted = modules(packages.modules, ROOT_MODULES)
    lines = []
    for path, needs in wanted.items():
        name = path.relative_to(packages.modules)
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, directory / name)
        lines.append(f"{name}: {' '.join(str(n.relative_to(packages.modules)) for n in needs)}")
    (directory / "modules.dep").write_text("\n".join(lines) + "\n")


def make_file_system(packages: Packages, image: Path, size: str, *options: str) -> None:
    subprocess.run(
        [*packages.command("usr/sbin/mke2fs"), "-q", "-t", "ext4", *options, str(image), size],
        env={"MKE2FS_CONFIG": str(packages.root / "etc/mke2fs.conf"), "PATH": os.defpath},
        stdout=subprocess.DEVNULL,
        check=True,
    )
