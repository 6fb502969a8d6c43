#!/usr/bin/env python3
"""Builds the Debian package of the agent: ``make deb``, or ``build_deb.py [DIRECTORY]``.

It holds the agent alone, as any Python from 3.11 on runs it. It is the same, byte for byte, for
the same source and ``SOURCE_DATE_EPOCH`` (by default the time of the last commit). It needs
Python, and dpkg-deb.
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent
ROOT = PACKAGING.parent
SOURCE = ROOT / "src" / "qga"
NAME = "qga-agent"
PRIVATE = "usr/lib/qga-agent"  # no module for others: `import qga` stays that of pip

# What the agent runs, of the package.
MODULES = ("__init__.py", "_version.py", "errors.py", "wire", "protocol", "agent")
# What only tools and tests import.
EXCLUDED = ("protocol/export.py", "agent/system/fake.py")

FILES = {
    "qga-agent": "usr/sbin/qga-agent",
    "qemu-guest-agent.service": "usr/lib/systemd/system/qemu-guest-agent.service",
    "60-qemu-guest-agent.rules": "usr/lib/udev/rules.d/60-qemu-guest-agent.rules",
    "debian/rtupdate": f"usr/share/python3/runtime.d/{NAME}.rtupdate",
    "debian/copyright": f"usr/share/doc/{NAME}/copyright",
    "restricted.conf": f"usr/share/{NAME}/restricted.conf",
    **{
        f"hooks/{name}": f"usr/share/{NAME}/hooks/{name}"
        for name in ("mysql", "postgresql", "redis")
    },
}
LINKS = {"usr/sbin/qemu-ga": "qga-agent"}  # some tools know the agent by this name
SCRIPTS = ("postinst", "prerm", "postrm")


def version() -> str:
    """The project's version in Debian's order: what comes before a release sorts before it."""
    found = re.search(r'^VERSION = "([^"]+)"', (SOURCE / "_version.py").read_text(), re.MULTILINE)
    if found is None:
        sys.exit("build_deb.py: src/qga/_version.py names no version")
    return re.sub(r"\.?(a|b|rc|dev)(?=\d)", r"~\1", found[1])


def source_date() -> int:
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(command, capture_output=True, check=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return int((ROOT / "CHANGELOG.md").stat().st_mtime)  # not a clone


def stage(tree: Path) -> None:
    """Lay the files out as they are to be installed."""
    for source in sorted(SOURCE.rglob("*.py")):
        name = source.relative_to(SOURCE)
        if name.parts[0] in MODULES and name.as_posix() not in EXCLUDED:
            install(source, tree / PRIVATE / "qga" / name)
    for name, place in FILES.items():
        install(PACKAGING / name, tree / place)
    for target, destination in LINKS.items():
        (tree / target).symlink_to(destination)
    for source in configuration():
        install(source, tree / "etc/qemu" / source.relative_to(PACKAGING))
    changes = gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0)
    (tree / f"usr/share/doc/{NAME}/changelog.gz").write_bytes(changes)


def configuration() -> list[Path]:
    """What is installed below /etc/qemu: the hook script, and the hooks that it runs."""
    hooks = PACKAGING / "fsfreeze-hook.d"
    return [p for p in [PACKAGING / "fsfreeze-hook", *sorted(hooks.rglob("*"))] if p.is_file()]


def install(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def describe(tree: Path) -> None:
    """Write what dpkg reads, below DEBIAN."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    control = tree / "DEBIAN"
    control.mkdir()
    # As dpkg counts: kibibytes, each file rounded up, one for whatever else there is.
    others = sum(1 for path in tree.rglob("*") if path.is_dir() or path.is_symlink())
    size = others + sum(-(-path.stat().st_size // 1024) for path in files)
    text = (PACKAGING / "debian/control").read_text()
    text = text.replace("@VERSION@", version()).replace("@SIZE@", str(size))
    (control / "control").write_text(text)
    names = {path: path.relative_to(tree).as_posix() for path in files}
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {name}" for path, name in names.items())  # noqa: S324
    (control / "md5sums").write_text("\n".join(sums) + "\n")
    kept = "".join(f"/{name}\n" for name in names.values() if name.startswith("etc/"))
    (control / "conffiles").write_text(kept)
    for name in SCRIPTS:
        install(PACKAGING / "debian" / name, control / name)


def build(directory: Path) -> Path:
    """The package, made in *directory*."""
    epoch = source_date()
    directory.mkdir(parents=True, exist_ok=True)
    package = directory / f"{NAME}_{version()}_all.deb"
    with tempfile.TemporaryDirectory(prefix="qga-deb-") as scratch:
        tree = Path(scratch) / "tree"
        tree.mkdir()
        stage(tree)
        describe(tree)
        for path in [tree, *tree.rglob("*")]:
            # Whatever this user's umask.
            if path.is_dir() or os.access(path, os.X_OK):
                path.chmod(0o755)
            elif not path.is_symlink():
                path.chmod(0o644)
            os.utime(path, (epoch, epoch), follow_symlinks=False)
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, package],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return package


if __name__ == "__main__":
    if shutil.which("dpkg-deb") is None:
        sys.exit("build_deb.py: dpkg-deb not found: install with apt-get install dpkg")
    print(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"))
