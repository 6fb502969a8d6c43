"""Files that are kept, or kept open: what is in them is always what is in them now."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qga.agent.system.linux import reading
from qga.agent.system.linux.reading import KeptFile, KeptListing, KernelFile, read_file
from tests.agent.harness import own_descriptors

LONG = 10**18  # nanoseconds


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that are read."""
    found: list[str] = []

    def read(path: str, most: int = 1 << 20) -> bytes:
        found.append(path)
        return read_file(path, most)

    monkeypatch.setattr(reading, "read_file", read)
    return found


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it be long after the files have changed."""
    now = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: now() + LONG)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"first")
    return tmp_path / "file"


def edit(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def edit_and_restore_the_time(path: Path) -> None:
    status = path.stat()
    edit(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    status = path.stat()
    path.with_name("new").write_bytes(b"other")
    os.utime(path.with_name("new"), ns=(status.st_atime_ns, status.st_mtime_ns))
    path.with_name("new").rename(path)


def replace_by_a_link(path: Path) -> None:
    path.with_name("target").write_bytes(b"other")
    path.unlink()
    path.symlink_to("target")


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("change", [edit, edit_and_restore_the_time, replace, replace_by_a_link])
def test_a_change_is_seen_at_once(
    path: Path, reads: list[str], change: Callable[[Path], None]
) -> None:
    kept = KeptFile(str(path), bytes.upper)
    first = kept.read()
    assert first == b"FIRST"
    assert kept.read() is first
    assert len(reads) == 1
    change(path)
    other = kept.read()
    assert other == b"OTHER"
    assert kept.read() is other
    assert len(reads) == 2


def test_what_has_just_changed_is_not_kept(path: Path, reads: list[str]) -> None:
    """It may change again within the same tick of the kernel's clock."""
    kept = KeptFile(str(path), bytes)
    for number in range(50):
        path.write_bytes(b"%05d" % number)
        assert kept.read() == b"%05d" % number
    assert len(reads) == 50


@pytest.mark.usefixtures("later")
def test_a_file_that_comes_and_goes(path: Path) -> None:
    kept = KeptFile(str(path), bytes)
    assert kept.read() == b"first"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        kept.read()
    path.write_bytes(b"again")
    assert kept.read() == b"again"
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        kept.read()


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("path", ["/proc/self/stat", "/dev/null", "/sys/kernel/mm"])
def test_what_does_not_show_its_changes_is_not_kept(path: str, reads: list[str]) -> None:
    kept = KeptFile(path, bytes)
    for _ in range(3):
        try:
            kept.read()
        except OSError:
            pass  # a directory
    assert len(reads) == 3


@pytest.mark.usefixtures("later")
def test_a_directory(tmp_path: Path) -> None:
    kept = KeptListing(str(tmp_path))
    empty = kept.read()
    assert empty == []
    assert kept.read() is empty
    (tmp_path / "a").touch()
    assert kept.read() == ["a"]
    (tmp_path / "a").rename(tmp_path / "b")
    assert kept.read() == ["b"]


def test_a_directory_that_has_just_changed(tmp_path: Path) -> None:
    kept = KeptListing(str(tmp_path))
    for number in range(50):
        (tmp_path / str(number)).touch()
        assert len(kept.read()) == number + 1


def test_a_file_of_the_kernel_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def open_(path: str, flags: int, open_: Any = os.open) -> int:
        opened.append(path)
        return int(open_(path, flags))

    monkeypatch.setattr("os.open", open_)
    # It tells how much this process has read.
    file = KernelFile("/proc/self/io")
    assert len({file.read() for _ in range(3)}) == 3
    assert opened == ["/proc/self/io"]


def test_a_long_file_of_the_kernel(tmp_path: Path) -> None:
    for size in (0, 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 1 << 18):
        content = os.urandom(size)
        (tmp_path / "file").write_bytes(content)
        assert KernelFile(str(tmp_path / "file")).read() == content
    for name in ("/proc/self/smaps", "/proc/kallsyms"):
        if not os.access(name, os.R_OK):
            continue
        # Which grows while it is read.
        assert len(KernelFile(name).read()) > 1 << 12


def test_files_are_closed(tmp_path: Path) -> None:
    before = own_descriptors()
    (tmp_path / "file").touch()
    files = [KernelFile(str(tmp_path / "file")) for _ in range(5)]
    for file in files:
        file.read()
    assert own_descriptors() == before + 5
    del files, file
    assert own_descriptors() == before
    absent = KernelFile(str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError, match="absent"):
        absent.read()
