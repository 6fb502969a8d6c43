"""The Debian packages that the test guests are made of: downloaded and unpacked, never installed.

Used by `initrd` and `disk`, and by the interop tests, which run the stock agent on the host
(`stock_agent`). apt works in a private directory with its own package lists, so neither root nor
the machine's own sources matter, and every machine tests the same distribution.

``QGA_TEST_MIRROR`` names another Debian mirror than deb.debian.org.
"""

import os
import platform
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.vm.cache import Unavailable, cached, digest

SUITE = "bookworm"  # its Python is 3.11, the oldest that the agent supports
MIRROR = "http://deb.debian.org"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
KERNEL = "linux-image-cloud-amd64"  # ext4, serial port built in; virtio as modules
# fmt: off
USERLAND = (
    "busybox-static", "qemu-guest-agent", "e2fsprogs", "python3.11-minimal",
    "libpython3.11-minimal", "libpython3.11-stdlib", "libblkid1", "libbz2-1.0", "libc6",
    "libcom-err2", "libcrypt1", "libexpat1", "libext2fs2", "libffi8", "libgcc-s1",
    "libglib2.0-0", "liblzma5", "libnuma1", "libpcre2-8-0", "libss2", "libssl3", "libudev1",
    "liburing2", "libuuid1", "zlib1g",
    # chpasswd, which sets passwords, and what PAM brings along
    "passwd", "libpam0g", "libpam-modules", "libaudit1", "libcap-ng0", "libgssapi-krb5-2",
    "libk5crypto3", "libkeyutils1", "libkrb5-3", "libkrb5support0", "libnsl2", "libselinux1",
    "libsemanage2", "libsepol2", "libtirpc3",
    # volumes, btrfs and XFS
    "lvm2", "dmsetup", "libdevmapper1.02.1", "libdevmapper-event1.02.1", "libaio1", "libedit2",
    "libbsd0", "libmd0", "libtinfo6", "libsystemd0", "libcap2", "libgcrypt20", "libgpg-error0",
    "liblz4-1", "libzstd1", "btrfs-progs", "liblzo2-2", "xfsprogs", "libinih1", "liburcu8",
    # sshd, the judge of SSH keys, and ssh to try them
    "openssh-server", "openssh-client", "libwrap0",
)
# fmt: on
MULTIARCH = "usr/lib/x86_64-linux-gnu"
LOADER = f"{MULTIARCH}/ld-linux-x86-64.so.2"
# `Packages.command` as a program of its own.
STOCK_AGENT = f"""\
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
agent=$root/usr/sbin/qemu-ga
exec "$root/{LOADER}" --library-path "$root/{MULTIARCH}" --argv0 qemu-ga "$agent" "$@"
"""

# Left out when unpacking: documentation, and the parts of Python that no agent needs.
UNWANTED = tuple(
    f"usr/{name}/"
    for name in (
        "share/doc",
        "share/man",
        "share/info",
        "share/locale",
        "share/lintian",
        "share/bash-completion",
        "lib/x86_64-linux-gnu/gconv",
        "lib/python3.11/ensurepip",
        "lib/python3.11/idlelib",
        "lib/python3.11/lib2to3",
        "lib/python3.11/pydoc_data",
    )
)


@dataclass(frozen=True)
class Packages:
    """The unpacked packages. Read only: runs share them."""

    root: Path
    """A root file system with merged /usr."""
    kernel: Path
    modules: Path
    """``/lib/modules/RELEASE``, as it belongs into the guest; its name is the release."""
    version: str
    """Changes with the version of any package."""

    def command(self, program: str) -> list[str]:
        """The beginning of a command line that runs the guest's *program* on the host.

        By the guest's own dynamic loader, so that neither the host's libraries matter nor a
        ``LD_LIBRARY_PATH`` reaches the children.
        """
        path = str(self.root / program)
        libraries = str(self.root / MULTIARCH)
        return [str(self.root / LOADER), "--library-path", libraries, "--argv0", path, path]


def packages() -> Packages:
    """Download and unpack (once: some ten seconds), else answer from the cache."""
    if platform.machine() not in ("x86_64", "AMD64"):
        raise Unavailable("an x86-64 machine", "the test guests are made of amd64 programs")
    mirror = os.environ.get("QGA_TEST_MIRROR", MIRROR).rstrip("/")
    key = digest(SUITE, mirror, Path(__file__).read_bytes())
    with cached("packages", key, lambda directory: _fetch(directory, mirror)) as entry:
        modules = next((entry / "kernel/usr/lib/modules").iterdir())
        return Packages(
            root=entry / "root",
            kernel=entry / "kernel/boot" / f"vmlinuz-{modules.name}",
            modules=modules,
            version=digest((entry / "versions").read_text()),
        )


def stock_agent() -> Path:
    """QEMU's own agent, ready to run on this machine: a small script that becomes ``qemu-ga``."""
    return packages().root.parent / "qemu-ga"


def _fetch(directory: Path, mirror: str) -> None:
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(program) is None:
            raise Unavailable(program, "the test guests are made with Debian's apt and dpkg")
    if not KEYRING.exists():
        raise Unavailable("Debian's keys", "install with apt-get install debian-archive-keyring")
    options = _private_apt(directory / "apt", mirror)
    _run(["apt-get", *options, "-q", "update"], directory)
    # The metapackage names the current kernel.
    listing = _run(["apt-cache", *options, "depends", "--important", KERNEL], directory)
    kernel = next(line.split()[1] for line in listing.splitlines() if "Depends:" in line)
    debs = directory / "debs"
    debs.mkdir()
    _run(["apt-get", *options, "-q", "download", kernel, *USERLAND], debs)
    names = sorted(p.name for p in debs.iterdir())
    for name in names:
        is_kernel = name.startswith("linux-image")
        _unpack(debs / name, directory / ("kernel" if is_kernel else "root"))
    (directory / "versions").write_text("\n".join(names) + "\n")
    shutil.rmtree(debs)
    shutil.rmtree(directory / "apt")
    script = directory / "qemu-ga"
    script.write_text(STOCK_AGENT)
    script.chmod(0o755)
    compile_python(directory / "root", directory / "root/usr/lib/python3.11", "/usr/lib/python3.11")


def _private_apt(directory: Path, mirror: str) -> list[str]:
    for name in ("state/lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True)
    (directory / "status").touch()
    sources = "".join(
        f"deb [signed-by={KEYRING}] {mirror}/{part} main\n"
        for part in (f"debian {SUITE}", f"debian-security {SUITE}-security")
    )
    (directory / "sources.list").write_text(sources)
    settings = {
        "Dir::State": directory / "state",
        "Dir::State::status": directory / "status",
        "Dir::Cache": directory / "cache",
        "Dir::Etc::sourcelist": directory / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",  # as root, apt's own user could not read a private directory
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _run(command: list[str], directory: Path) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        reason = (errors or [f"exit code {done.returncode}"])[0]
        action = next((w for w in ("update", "download", "depends") if w in command), command[0])
        raise Unavailable(
            f"Debian packages for the test guests ({action}: {reason})",
            "connect to the network, or set QGA_TEST_MIRROR",
        )
    return done.stdout


def _unpack(deb: Path, directory: Path) -> None:
    """Unpack one package with merged /usr, without what `UNWANTED` names."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name.split("/")[0] in ("bin", "sbin", "lib", "lib64"):
                    name = f"usr/{name}"
                if not name or name == "." or f"{name}/".startswith(UNWANTED):
                    continue
                member.name = name
                if member.islnk():
                    target = member.linkname.removeprefix("./")
                    merged = target.split("/")[0] in ("bin", "sbin", "lib", "lib64")
                    member.linkname = f"usr/{target}" if merged else target
                # Owner and set-id bits are dropped; the files are root's in the guest.
                member.mode = (member.mode or 0) & 0o777
                member.uid, member.gid, member.uname, member.gname = (
                    os.getuid(),
                    os.getgid(),
                    "",
                    "",
                )
                archive.extract(member, directory)
    if process.returncode:
        raise Unavailable(f"an intact {deb.name}", "run the tests again")


def compile_python(root: Path, source: Path, installed_as: str) -> None:
    """Write ``__pycache__`` below *source* with the guest's own Python, which fits for certain.

    In the guest, emulated, the same would take minutes. Hash-based and unchecked, so that times of
    files do not matter.
    """
    found = Packages(root=root, kernel=Path(), modules=Path(), version="")
    options = [
        "-q",
        "-q",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(source),
        "-p",
        installed_as,
    ]
    subprocess.run(
        [*found.command("usr/bin/python3.11"), "-m", "compileall", *options, str(source)],
        env={"PYTHONHOME": str(root / "usr"), "PATH": os.defpath},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,  # a file that does not compile is found by the test that imports it
    )
