"""Files found by what they are, and where the space is: by this machine's programs and busybox."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

import qga
from qga.client.files import Files
from qga.client.filestat import DiskUsage, Mount
from qga.client.flows import space
from tests.client.localshell import LocalShell, files, shell
from tests.client.test_listing import ODD

__all__ = ["files", "shell"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of odd names and several sizes and ages."""
    top = tmp_path / "tree\n7\t"
    for number, name in enumerate(ODD):
        (top / name).mkdir(parents=True)
        (top / name / "file.txt").write_bytes(bytes(number * 1000))
        os.utime(top / name / "file.txt", (0, 1e9 + number))
        (top / name / "link").symlink_to(name)
    return top


# What GNU find makes of it is the measure.
TESTS: list[tuple[str, ...]] = [
    (),
    ("-name", "*.txt"),
    ("-type", "d"),
    ("-type", "l"),
    ("-size", "+5000c"),
    ("-size", "-5001c", "-type", "f"),
    ("-size", "6000c"),
    ("-mtime", "+7", "-name", "f*"),
    ("-mtime", "-7"),
    ("-type", "f", "-o", "-type", "l"),
    ("!", "-name", "link"),
    ("-name", "none"),
]


@pytest.mark.parametrize("tests", TESTS, ids=" ".join)
def test_find(files: Files, tree: Path, tests: tuple[str, ...]) -> None:
    for depth in (None,) if tests else (None, 0, 1):
        limit = [] if depth is None else ["-maxdepth", str(depth)]
        words = [os.fspath(tree), *limit, *(("(", *tests, ")") if tests else ()), "-print0"]
        said = subprocess.run(["find", *words], capture_output=True, check=True).stdout
        expected = sorted(said.split(b"\0")[:-1], key=lambda path: path.split(b"/"))
        found = files.find(tree, *tests, max_depth=depth)
        assert [os.fsencode(entry.path) for entry in found] == expected
        for entry in found:
            here = os.lstat(entry.path)
            assert (entry.stat.mode, entry.stat.inode) == (here.st_mode, here.st_ino)
            assert (entry.stat.target is None) != os.path.islink(entry.path)  # noqa: PTH114


def test_find_begins_anywhere(files: Files, tree: Path) -> None:
    (entry,) = files.find(tree / "plain" / "file.txt")
    assert (entry.name, entry.stat.size) == ("file.txt", 0)
    (entry,) = files.find(tree / "plain" / "link")
    assert (entry.path, entry.stat.target) == (f"{tree}/plain/link", "plain")
    (tree.parent / "to").symlink_to(tree)
    assert len(files.find(tree.parent / "to")) == 1
    assert len(files.find(f"{tree.parent}/to/", "-name", "file.txt")) == len(ODD)
    assert [entry.path for entry in files.find("/", "-name", "dev", max_depth=1)] == ["/dev"]
    assert [entry.path for entry in files.find("/", max_depth=0)] == ["/"]


def test_what_find_cannot_do(files: Files, tree: Path) -> None:
    for path, number in ((tree / "none", errno.ENOENT), (tree / "plain/link/x", errno.ENOENT)):
        with pytest.raises(qga.GuestOSError, match="cannot search ") as caught:
            files.find(path)
        assert caught.value.errno == number
    with pytest.raises(qga.GuestOSError, match="-nonsense"):
        files.find(tree, "-nonsense")
    with pytest.raises(ValueError, match="at least 0"):
        files.find(tree, max_depth=-1)


def test_du_each(files: Files, shell: LocalShell, tree: Path) -> None:
    for option in ("", "-a"):
        # With busybox, its own du.
        said = subprocess.run(
            [*shell.shell, "-c", f'du -k {option} "$1"', "sh", tree],
            capture_output=True,
            check=True,
            env={"PATH": shell._path},
        ).stdout
        found = files.du_each(tree, files=bool(option), one_file_system=True)
        said = said.removesuffix(b"\n")
        lines = [b"%d\t%s" % (size // 1024, os.fsencode(path)) for path, size in found.items()]
        assert b"\n".join(lines) == said
        assert len(found) == 1 + len(ODD) * (3 if option else 1)
    assert list(found)[-1] == os.fspath(tree)
    assert found[os.fspath(tree)] == files.du(tree)
    with pytest.raises(qga.GuestOSError, match="No such file"):
        files.du_each(tree / "none")
    assert list(files.du_each(tree / "plain" / "file.txt")) == [f"{tree}/plain/file.txt"]


def test_du_each_tells_what_it_could_not_read(tree: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "du"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n/usr/bin/du "$@"\necho "du: \'/x\': Permission denied" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    guest = Files(LocalShell(["/bin/sh"], f"{program.parent}:{os.defpath}"))
    errors: list[qga.GuestOSError] = []
    assert len(guest.du_each(tree, on_error=errors.append)) == len(ODD) + 1
    assert [error.errno for error in errors] == [errno.EACCES]
    assert len(guest.du_each(tree)) == len(ODD) + 1


def test_mounts(client: qga.Client, tmp_path: Path) -> None:
    found = client.files.mounts()
    assert len({mount.number for mount in found}) == len(found)
    (root,) = client.files.mounts("/")
    here = os.statvfs("/")
    assert root.mountpoint == "/"
    assert root.usage.total == here.f_blocks * here.f_frsize
    assert (root.usage.inodes, root.number) == (here.f_files, os.stat("/").st_dev)  # noqa: PTH116
    (proc,) = client.files.mounts("/proc/self")
    assert (proc.mountpoint, proc.type, proc.usage.total) == ("/proc", "proc", 0)
    assert "/proc" not in {mount.mountpoint for mount in found}
    assert "/proc" in {mount.mountpoint for mount in client.files.mounts(everything=True)}
    with pytest.raises(qga.GuestOSError) as caught:
        client.files.mounts(tmp_path / "none")
    assert caught.value.errno == errno.ENOENT


def test_which_mounts_count() -> None:
    def mount(point: str, number: int, total: int = 1) -> Mount:
        return Mount(point, "disk", "ext4", number, DiskUsage(total, 0, 0, 0, 0))

    root, data, bound, proc = (
        mount("/", 1),
        mount("/mnt/long", 2),
        mount("/data", 2),
        mount("/proc", 3, 0),
    )
    assert space._with_space([root, data, bound, proc]) == [root, bound]
    assert space._holding("/mnt/long/x", 2, [root, data, bound]) == [data]
    assert space._holding("/mnt/longer", 2, [root, data, bound]) == [data]
    assert space._holding("/data", 2, [root, data, bound]) == [bound]
    assert space._holding("/somewhere/subvolume", 9, [root, data, bound]) == [root]
    assert space._plain(rb"/a\040b\134c") == rb"/a b\c"
