"""The guest's initial RAM disk: it mounts the root disk and puts the project's source there.

Used by `qemu`. A cpio archive in pure Python ("newc"), so that neither cpio nor root is needed.
"""

import io
import shutil
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.vm.cache import source_files
from tests.vm.debs import Packages, compile_python

INIT = Path(__file__).parent / "guest" / "init"
SOURCE = Path(__file__).parents[2] / "src" / "qga"
INSTALLED = "usr/lib/python3/dist-packages/qga"
MODULES = ("virtio_pci", "virtio_blk")


class Cpio:
    """Writes an archive of files and directories that the kernel unpacks as its first root."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._inode = 0
        self._directories: set[str] = set()

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._parents(name)
        self._record(name, stat.S_IFREG | mode, data)

    def device(self, name: str, mode: int, major: int, minor: int) -> None:
        self._parents(name)
        self._record(name, stat.S_IFCHR | mode, device=(major, minor))

    def finish(self) -> bytes:
        self._record("TRAILER!!!", 0)
        self._align(512)
        return self._out.getvalue()

    def _parents(self, name: str) -> None:
        path = ""
        for part in name.split("/")[:-1]:
            path = f"{path}/{part}" if path else part
            if path not in self._directories:
                self._directories.add(path)
                self._record(path, stat.S_IFDIR | 0o755)

    def _record(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device, device of the node, name's size, check
        numbers = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        self._out.write(b"070701" + b"".join(b"%08X" % number for number in numbers) + encoded)
        self._align(4)
        self._out.write(data)
        self._align(4)

    def _align(self, size: int) -> None:
        self._out.write(b"\0" * (-self._out.tell() % size))


def modules(directory: Path, wanted: Iterable[str]) -> dict[Path, list[Path]]:
    """The files of the *wanted* kernel modules and of all that they need, in an order that loads.

    Each with what it needs itself, by the modules' own record: no depmod.
    """
    files = {path.stem.replace("-", "_"): path for path in directory.rglob("*.ko")}
    found: dict[Path, list[Path]] = {}

    def add(name: str) -> list[Path]:
        path = files[name]
        if path not in found:
            data = path.read_bytes()
            start = data.index(b"\0depends=") + len(b"\0depends=")
            record = data[start : data.index(b"\0", start)].decode().replace("-", "_")
            needs = {need for direct in record.split(",") if direct for need in add(direct)}
            # As in modules.dep: loaded from the last to the first.
            found[path] = [other for other in reversed(found) if other in needs]
        return [path, *found[path]]

    for name in wanted:
        add(name)
    return found


def initrd(packages: Packages, *, with_source: bool = True) -> bytes:
    """The archive: busybox, the disk's modules, ``init``, and the project as it is now."""
    archive = Cpio()
    archive.device("dev/console", 0o600, 5, 1)
    archive.file("bin/busybox", (packages.root / "usr/bin/busybox").read_bytes(), 0o755)
    archive.file("init", INIT.read_bytes(), 0o755)
    needed = list(modules(packages.modules, MODULES))
    for path in needed:
        archive.file(f"modules/{path.name}", path.read_bytes())
    archive.file("modules/order", "".join(f"{path.name}\n" for path in needed).encode())
    with tempfile.TemporaryDirectory(prefix="qga-vm-") as scratch:
        copy = Path(scratch) / "qga"
        for path in source_files(SOURCE) if with_source else ():
            (copy / path.relative_to(SOURCE)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy / path.relative_to(SOURCE))
        if copy.exists():
            compile_python(packages.root, copy, f"/{INSTALLED}")
            for path in sorted(p for p in copy.rglob("*") if p.is_file()):
                archive.file(f"overlay/{INSTALLED}/{path.relative_to(copy)}", path.read_bytes())
    return archive.finish()
