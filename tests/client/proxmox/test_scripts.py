"""The scripts for files, in every shell at hand, with coreutils and with busybox."""

import os
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from qga.client.proxmox import scripts
from tests.support.need import missing
from tests.vm.cache import Unavailable
from tests.vm.debs import packages

Shell = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(params=["dash", "bash", pytest.param("busybox", marks=pytest.mark.interop)])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    """Runs a script with its words as the guest's shell does."""
    command, path = [request.param], os.environ["PATH"]
    if request.param == "busybox":
        command, path = _busybox(tmp_path / "bin")
    elif shutil.which(request.param) is None:
        missing(request.param, f"apt-get install {request.param}")

    def run(text: str, *words: str, data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        whole = [*command, "-c", text, "sh", *words]
        # Input of the agent's programs is a pipe.
        return subprocess.run(
            whole, input=data, capture_output=True, env={"PATH": path}, check=False
        )

    return run


def _busybox(directory: Path) -> tuple[list[str], str]:
    try:
        program = packages().root / "usr/bin/busybox"
    except Unavailable as error:
        missing(error.what, error.remedy)
    directory.mkdir()
    subprocess.run([program, "--install", "-s", directory], check=True)
    return [str(directory / "sh")], str(directory)


@pytest.mark.parametrize(("offset", "count"), [(0, 10), (1, 300), (4096, 70000), (99_990, 50)])
def test_reading(shell: Shell, tmp_path: Path, offset: int, count: int) -> None:
    data = os.urandom(100_000)
    path = tmp_path / "a file"
    path.write_bytes(data)
    done = shell(scripts.READ, str(path), str(offset), str(count))
    assert (done.returncode, done.stderr) == (0, b"")
    assert b64decode(done.stdout) == data[offset:][:count]


def test_reading_beyond_the_end(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"short")
    for offset in ("5", "6", "1000000"):
        done = shell(scripts.READ, str(path), offset, "10")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_reading_what_the_kernel_makes_up(shell: Shell) -> None:
    done = shell(scripts.READ, "/proc/self/environ", "0", "100000")
    assert b"PATH=" in b64decode(done.stdout)
    whole = Path("/proc/cpuinfo").read_bytes()[100:200]
    assert b64decode(shell(scripts.READ, "/proc/cpuinfo", "100", "100").stdout) == whole


def test_what_cannot_be_read(shell: Shell, tmp_path: Path) -> None:
    done = shell(scripts.READ, str(tmp_path / "none"), "0", "10")
    assert done.returncode != 0
    assert done.stderr.strip().endswith(b": No such file or directory")
    assert done.stderr.count(b"\n") == 1
    done = shell(scripts.READ, str(tmp_path), "0", "10")
    assert done.stderr.strip().endswith(b": Is a directory")


@pytest.mark.parametrize(
    ("mode", "there", "left"),
    [("w", b"old", b""), ("w", None, b""), ("a", b"old", b"old"), ("a+", None, b""),
     ("r+", b"old", b"old"), ("w+", b"old", b"")],
)  # fmt: skip
def test_opening(shell: Shell, tmp_path: Path, mode: str, there: bytes | None, left: bytes) -> None:
    path = tmp_path / "file"
    if there is not None:
        path.write_bytes(there)
    done = shell(scripts.OPEN, str(path), mode)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert path.read_bytes() == left


def test_what_cannot_be_opened(shell: Shell, tmp_path: Path) -> None:
    done = shell(scripts.OPEN, str(tmp_path / "none"), "r+")
    assert done.stderr.strip().endswith(b": No such file or directory")
    assert not (tmp_path / "none").exists()
    for mode in ("w", "a", "r+"):
        done = shell(scripts.OPEN, str(tmp_path), mode)
        assert done.returncode != 0
        assert done.stderr.strip().endswith(b": Is a directory")
    done = shell(scripts.OPEN, str(tmp_path / "no" / "file"), "w")
    assert done.stderr.strip().endswith((b": No such file or directory", b"nonexistent directory"))
    # Opening it would wait for a reader.
    os.mkfifo(tmp_path / "fifo")
    assert shell(scripts.OPEN, str(tmp_path / "fifo"), "w").returncode == 0


@pytest.mark.parametrize("offset", [0, 1, 5000, 99_000, 150_000])
def test_writing(shell: Shell, tmp_path: Path, offset: int) -> None:
    path = tmp_path / "a file"
    before, data = os.urandom(100_000), os.urandom(46_080)
    path.write_bytes(before)
    done = shell(scripts.WRITE, str(path), str(offset), data=b64encode(data))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    expected = before[:offset].ljust(offset, b"\0") + data + before[offset + len(data) :]
    assert path.read_bytes() == expected


def test_appending(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert shell(scripts.WRITE, str(path), "", data=b64encode(b"two\0")).returncode == 0
    assert path.read_bytes() == b"onetwo\0"


def test_writing_to_a_fifo(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        assert shell(scripts.WRITE, str(path), "77", data=b64encode(b"text")).returncode == 0
        assert os.read(end, 100) == b"text"
    finally:
        os.close(end)


def test_a_full_disk(shell: Shell) -> None:
    # That something was written to standard error is what counts: busybox ends with 0.
    done = shell(scripts.WRITE, "/dev/full", "0", data=b64encode(b"text"))
    assert done.stderr.strip().endswith(b"No space left on device")


def test_the_size(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 12345)
    (tmp_path / "link").symlink_to("file")
    assert shell(scripts.SIZE, str(tmp_path / "link")).stdout == b"12345\n"
