"""File systems in files, which tests mount in a mount namespace of their own, on loop devices."""

import subprocess
import sys
from pathlib import Path

from tests.agent.harness import PATIENCE, until
from tests.support.need import missing, need_program, need_root

ROOT = Path(__file__).parents[2]


def make_image(path: Path, mebibytes: int) -> None:
    """An ext4 file system."""
    mke2fs = need_program("mke2fs", "apt-get install e2fsprogs")
    with path.open("wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run([mke2fs, "-q", "-t", "ext4", "-F", str(path)], check=True)


def in_namespace(module: str, folder: Path, *arguments: str) -> None:
    """Run *module*, which says "done", in a mount namespace that ends with it.

    Afterwards no loop device is left of the images in *folder*.
    """
    need_root("to mount a file system")
    unshare = need_program("unshare", "apt-get install util-linux")
    losetup = need_program("losetup", "apt-get install mount")
    if subprocess.run([losetup, "-f"], capture_output=True, check=False).returncode:
        missing("a free loop device", "modprobe loop, and not in a container")
    command = [unshare, "--mount", "--propagation", "private", sys.executable, "-m", module]
    run = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 4,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "done\n"), run.stderr
    until(lambda: not _on_loop_devices(folder), "the loop devices to go")


def _on_loop_devices(folder: Path) -> list[str]:
    """The images in *folder* that are behind loop devices of this machine."""
    found = Path("/sys/block").glob("loop*/loop/backing_file")
    paths = [path.read_text(encoding="utf-8").strip() for path in found]
    return [path for path in paths if path.startswith(f"{folder}/")]
