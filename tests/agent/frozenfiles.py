"""File systems that are files, for freezes that more than one process takes part in."""

import errno
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from qga.agent.system.fake import FakePower
from qga.agent.system.mounts import Mount, Survey
from tests.agent.harness import RunningAgent


class FileFreezer:
    """File systems that are files, frozen while they hold text: what one process does shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("a", "b"):
            (folder / name).touch()

    def mounts(self) -> list[Mount]:
        return [
            Mount(str(self.folder / name), (8, number), "ext4", name)
            for number, name in enumerate("ab")
        ]

    def survey(self) -> Survey:
        return Survey(self.mounts())

    def is_current(self, survey: Survey) -> bool:
        return len(survey.mounts) == len(self.mounts())

    def are_all(self, fds: Iterable[int]) -> bool:
        paths = {os.readlink(f"/proc/self/fd/{fd}") for fd in fds}  # noqa: PTH115
        return {mount.path for mount in self.mounts()} <= paths

    def open(self, mount: Mount) -> int:
        return os.open(mount.path, os.O_RDWR | os.O_CLOEXEC)

    def freeze(self, fd: int) -> None:
        hangs = Path(os.readlink(f"/proc/self/fd/{fd}") + "-hangs")  # noqa: PTH115
        while hangs.exists():
            with suppress(FileNotFoundError), hangs.open("r+b") as file:
                file.write(b"now")
            time.sleep(0.01)
        os.pwrite(fd, b"frozen", 0)

    def thaw(self, fd: int) -> bool:
        if (self.folder / "broken").exists():
            raise OSError(errno.EIO, "Input/output error")
        while (self.folder / "thaws-wait").exists():
            time.sleep(0.01)
        was = os.fstat(fd).st_size > 0
        os.ftruncate(fd, 0)
        return was

    def frozen(self) -> list[str]:
        return [name for name in ("a", "b") if (self.folder / name).read_bytes()]

    def hang(self, name: str) -> Path:
        """Have freezing that one hang for as long as the returned file is there.

        It has text as soon as it hangs.
        """
        path = self.folder / f"{name}-hangs"
        path.touch()
        return path

    def hold_up_thaws(self) -> Path:
        """Have no thaw end while the returned file is there."""
        path = self.folder / "thaws-wait"
        path.touch()
        return path


class FileSystem:
    """A platform with such file systems."""

    def __init__(self, folder: Path) -> None:
        self.freezer = FileFreezer(folder)
        self.power = FakePower(["/bin/true"])


# For an agent in a process of its own, which finds this platform in place of Linux.
_ON_FILES = """
import sys
sys.path[:0] = {path!r}
import qga.agent.system.linux as linux
from pathlib import Path
def system():
    from tests.agent.frozenfiles import FileSystem
    return FileSystem(Path({folder!r}))
linux.LinuxSystem = system
"""


def on_files(freezer: FileFreezer) -> str:
    """The changes to an agent that has these file systems."""
    return _ON_FILES.format(path=[p for p in sys.path if p], folder=str(freezer.folder))


def guardian_of(running: RunningAgent) -> int:
    """The process of its guardian; 0 if there is none."""
    parent = f"PPid:\t{running.process.pid}\n"
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if parent in status.read_text() and "zombie" not in status.read_text():
                return int(status.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return 0
