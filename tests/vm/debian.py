"""The guest that is a Debian system: systemd, udev, dpkg and apt, PAM, a journal.

Used by `disk`. mmdebstrap makes the system from Debian's packages, as root or as an ordinary user;
what belongs to the tests is put on top from the files under ``guest/systemd``. On the second port
runs a copy of the stock agent (`control-agent.service`), so that either agent's package can be
installed; that of the stock one is in the guest, at `STOCK_PACKAGE`.
"""

import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vm.cache import Unavailable, cached, digest
from tests.vm.debs import KEYRING, LOADER, MIRROR, MULTIARCH, SUITE, Packages
from tests.vm.initrd import modules

OVERLAY = Path(__file__).parent / "guest" / "systemd"
STOCK_PACKAGE = "/var/cache/stock/qemu-guest-agent.deb"
# fmt: off
INCLUDED = (
    "systemd-sysv", "udev", "dbus", "libpam-systemd", "python3", "kmod", "iproute2", "procps",
    "util-linux-extra", "dosfstools", "lvm2", "mdadm", "btrfs-progs", "xfsprogs",
    # what the stock agent is linked with
    "libglib2.0-0", "liburing2", "libnuma1", "libudev1",
)
MODULES = (
    "virtio_console", "virtio_blk", "virtio_pci", "virtio_net", "virtio_scsi", "sd_mod", "loop",
    "vsock_loopback", "vmw_vsock_virtio_transport", "dm_mod", "raid1", "xfs", "btrfs", "vfat",
    "nls_ascii", "nls_cp437", "autofs4", "overlay",
)
UNWANTED = ("usr/share/man", "usr/share/doc", "usr/share/locale", "usr/share/info")
# What the tests do not need is not started, for the boot's sake.
MASKED = (
    "getty@tty1.service", "serial-getty@ttyS0.service", "systemd-timesyncd.service",
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "fstrim.timer", "e2scrub_reap.service", "systemd-pstore.service", "systemd-binfmt.service",
    "lvm2-monitor.service",
    "proc-sys-fs-binfmt_misc.automount", "dev-hugepages.mount", "dev-mqueue.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount",
    "modprobe@drm.service", "modprobe@efi_pstore.service", "modprobe@fuse.service",
)
# fmt: on
ACCOUNT = {
    "passwd": "alice:x:1000:1000:Alice:/home/alice:/bin/bash\n",
    "group": "alice:x:1000:\n",
    "shadow": "alice:!:19000:0:99999:7:::\n",
    "gshadow": "alice:!::\n",
}

Change = tuple[str, str, int]  # path in the image, field of the inode, value


def populate(packages: Packages, tree: Path) -> list[Change]:
    """Make the system in *tree*; what an ordinary user cannot give files is left to `amend`."""
    tree.mkdir()
    with _bootstrapped() as archive:
        changes = _extract(archive, tree)
    # What was left out then is not left out of the packages that a test installs.
    (tree / "etc/dpkg/dpkg.cfg.d/99mmdebstrap").unlink()
    shutil.copytree(OVERLAY, tree, dirs_exist_ok=True)
    for name, line in ACCOUNT.items():
        with (tree / "etc" / name).open("a") as file:
            file.write(line)
    (tree / "home/alice").mkdir(mode=0o700)
    (tree / "mnt/data").mkdir()
    changes += [("/home/alice", "uid", 1000), ("/home/alice", "gid", 1000)]
    (tree / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    for unit in MASKED:
        (tree / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (tree / "usr/lib/control-agent").mkdir()
    shutil.copy(packages.root / "usr/sbin/qemu-ga", tree / "usr/lib/control-agent/control-agent")
    _install_modules(packages, tree)
    if os.geteuid():
        found = [tree, *tree.rglob("*")]
        new = {f"/{path.relative_to(tree)}" for path in found} - {path for path, *_ in changes}
        changes += [(path, field, 0) for path in sorted(new) for field in ("uid", "gid")]
    return changes


def amend(packages: Packages, image: Path, changes: list[Change]) -> None:
    """Give files in *image* the owners and modes that they have in the packages."""
    lines = (f'set_inode_field "{path}" {field} 0{value:o}\n' for path, field, value in changes)
    subprocess.run(
        [*packages.command("usr/sbin/debugfs"), "-w", "-f", "/dev/stdin", str(image)],
        input="".join(lines).encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


@contextmanager
def _bootstrapped() -> Iterator[Path]:
    """The archive that mmdebstrap makes: a minute's work, when it is not there yet."""
    mirror = os.environ.get("QGA_TEST_MIRROR", MIRROR).rstrip("/")
    key = digest(mirror, SUITE, repr(INCLUDED), repr(UNWANTED), STOCK_PACKAGE)
    with cached("debian", key, lambda directory: _bootstrap(directory, mirror)) as entry:
        yield entry / "root.tar"


def _bootstrap(directory: Path, mirror: str) -> None:
    program = shutil.which("mmdebstrap")
    if program is None:
        raise Unavailable("mmdebstrap", "install with apt-get install mmdebstrap")
    name = Path(STOCK_PACKAGE)
    stock = f"mkdir {name.parent} && cd {name.parent} && apt-get -q download qemu-guest-agent"
    command = [
        program,
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(INCLUDED)}",
        *(f"--dpkgopt=path-exclude=/{name}/*" for name in UNWANTED),
        f"--customize-hook=chroot \"$1\" sh -c '{stock} && mv *.deb {name}'",
        SUITE,
        str(directory / "root.tar"),
        *(
            f"deb [signed-by={KEYRING}] {mirror}/{part} main"
            for part in (f"debian {SUITE}", f"debian-security {SUITE}-security")
        ),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise Unavailable(
            f"a Debian system (mmdebstrap: {(errors or [f'exit code {done.returncode}'])[0]})",
            "connect to the network, or set QGA_TEST_MIRROR; "
            "who is not root needs user namespaces and apt-get install uidmap",
        )


def _extract(archive: Path, tree: Path) -> list[Change]:
    """Unpack all but devices as files of whoever runs this; return what that leaves to be set."""
    changes: list[Change] = []
    with tarfile.open(archive) as members:
        for member in members:
            if member.isdev():
                continue  # /dev is the kernel's
            path = f"/{member.name.removeprefix('./')}"
            owner = {"uid": member.uid, "gid": member.gid}
            kind = stat.S_IFDIR if member.isdir() else stat.S_IFREG
            if not member.issym() and member.mode & 0o7000:
                changes.append((path, "mode", kind | member.mode))
            member.mode &= 0o777
            member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
            members.extract(member, tree)
            changes += [
                (path, field, value) for field, value in owner.items() if value or os.geteuid()
            ]
    return changes


def _install_modules(packages: Packages, tree: Path) -> None:
    """Those of `MODULES`, with the tables by which udev loads them."""
    release = packages.modules.name
    directory = tree / "usr/lib/modules" / release
    for path in modules(packages.modules, MODULES):
        target = directory / path.relative_to(packages.modules)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path in packages.modules.glob("modules.builtin*"):
        shutil.copy(path, directory)
    shutil.copy(packages.modules / "modules.order", directory)
    # The system's own depmod, with its own libraries.
    loader = [str(tree / LOADER), "--library-path", str(tree / MULTIARCH), "--argv0", "depmod"]
    subprocess.run([*loader, str(tree / "usr/bin/kmod"), "-b", str(tree), release], check=True)
