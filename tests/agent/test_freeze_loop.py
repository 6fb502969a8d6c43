"""Freezing for real, on an ext4 file system in a file that the test makes (see `on_loop`)."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.harness import PATIENCE, until
from tests.agent.on_loop import CASES
from tests.support.need import missing, need_program, need_root

ROOT = Path(__file__).parents[2]


def loop_devices() -> list[str]:
    """The image files behind this machine's loop devices."""
    found = Path("/sys/block").glob("loop*/loop/backing_file")
    return [path.read_text(encoding="utf-8").strip() for path in found]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An ext4 file system in a file."""
    mke2fs = need_program("mke2fs", "apt-get install e2fsprogs")
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run([mke2fs, "-q", "-t", "ext4", "-F", str(path)], check=True)
    return path


@pytest.mark.parametrize("case", CASES)
def test_a_real_file_system(image: Path, tmp_path: Path, case: str) -> None:
    need_root("to mount a file system")
    unshare = need_program("unshare", "apt-get install util-linux")
    losetup = need_program("losetup", "apt-get install mount")
    if subprocess.run([losetup, "-f"], capture_output=True, check=False).returncode:
        missing("a free loop device", "modprobe loop, and not in a container")
    folder = tmp_path / "mounted here"
    folder.mkdir()
    command = [unshare, "--mount", "--propagation", "private", sys.executable, "-m"]
    run = subprocess.run(
        [*command, "tests.agent.on_loop", case, str(image), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "done\n"), run.stderr
    # Thawed and unmounted, or the device would stay.
    until(lambda: str(image) not in loop_devices(), "the loop device to go")
