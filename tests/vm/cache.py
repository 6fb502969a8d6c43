"""What is made once and used by many test runs: packages, disk images, saved machines.

Used by the other modules of this package only. An entry is a directory that never changes once
it has its final name; runs in parallel wait for one another instead of building twice.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Unavailable(Exception):
    """This machine cannot run the guests: *what* is missing, and the *remedy*, in one line."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} not found: {remedy}")
        self.what = what
        self.remedy = remedy


def cache_directory() -> Path:
    """``$QGA_TEST_CACHE``, else ``~/.cache/qga-tests``; may be deleted between runs."""
    named = os.environ.get("QGA_TEST_CACHE")
    path = Path(named) if named else Path.home() / ".cache" / "qga-tests"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path.absolute()


def digest(*parts: bytes | str) -> str:
    """A key made of everything that an entry depends on."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(b"%d:" % len(data) + data)
    return state.hexdigest()[:16]


def digest_tree(root: Path) -> str:
    """A key for every file below *root*: its name, whether it is executable, its bytes."""
    parts: list[bytes | str] = []
    for path in source_files(root):
        executable = "x" if os.access(path, os.X_OK) else "-"
        parts += [str(path.relative_to(root)), executable, path.read_bytes()]
    return digest(*parts)


def digest_harness() -> str:
    """A key for what makes guests: this package without its tests."""
    here = Path(__file__).parent
    made_by = [p for p in source_files(here) if not p.name.startswith(("test_", "conftest"))]
    return digest(*(part for p in made_by for part in (p.name, p.read_bytes())))


def source_files(root: Path) -> list[Path]:
    """The files below *root*, sorted, without what Python leaves behind."""
    return sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


@contextmanager
def cached(kind: str, key: str, build: Callable[[Path], None], keep: int = 5) -> Iterator[Path]:
    """The directory of one entry, built first by *build(directory)* when it does not exist.

    A shared lock is held inside of the ``with``, so that the entry stays while it is in use;
    of the same kind, the *keep* last used entries survive.
    """
    shelf = cache_directory() / kind
    shelf.mkdir(mode=0o700, exist_ok=True)
    entry = shelf / key
    lock = _open_lock(entry)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not entry.is_dir():
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not entry.is_dir():
                _build(entry, build)
            # Not atomic: in between another run may remove the entry again. Hence the loop.
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(entry)
        _prune(shelf, keep)
        yield entry
    finally:
        os.close(lock)


def _build(entry: Path, build: Callable[[Path], None]) -> None:
    unfinished = entry.with_name(f"{entry.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    unfinished.mkdir(mode=0o700)
    try:
        build(unfinished)
        unfinished.rename(entry)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _prune(shelf: Path, keep: int) -> None:
    entries = [p for p in shelf.iterdir() if p.is_dir()]
    entries.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    unfinished = [p for p in entries if p.suffix == ".new"]
    finished = [p for p in entries if p.suffix != ".new"]
    for old in unfinished + finished[keep:]:
        lock = _open_lock(old)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        except BlockingIOError:
            pass  # another run uses or builds it
        finally:
            os.close(lock)


def _open_lock(entry: Path) -> int:
    path = entry.with_suffix(".lock")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
