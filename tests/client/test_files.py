"""What changes files in the guest and tells of them: its scripts, by several shells."""

import errno
import hashlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

import qga
from qga.client.files import Files
from qga.client.flows import changing, looking
from tests.client.driven import Driven
from tests.client.localshell import LocalShell, files, shell
from tests.support.need import need_root

__all__ = ["files", "shell"]


def fails(number: int | None, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The text of the error that *operation* raises, whose errno is *number*."""
    with pytest.raises(qga.GuestOSError) as caught:
        operation(*args, **kwargs)
    assert caught.value.errno == number, caught.value
    return str(caught.value)


def test_stat(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(5000))
    path.chmod(0o4751)
    (tmp_path / "link").symlink_to("file\n")
    (tmp_path / "other").symlink_to(path)
    os.utime(path, ns=(5, 1_234_567_890_000_000_089))
    found, expected = files.stat(path), path.stat()
    assert found.mode == expected.st_mode
    assert (found.type, found.permissions, found.is_file()) == ("file", 0o4751, True)
    assert found.size == 5000
    assert found.allocated == expected.st_blocks * 512
    assert (found.uid, found.gid) == (expected.st_uid, expected.st_gid)
    assert (found.user, found.group) == (path.owner(), path.group())
    assert (found.nlink, found.inode, found.device) == (1, expected.st_ino, expected.st_dev)
    assert (found.rdev, found.mtime_ns) == (0, 1_234_567_890_000_000_089)
    assert found.mtime == 1_234_567_890.000_000_089
    assert found.target is None
    assert files.stat(tmp_path / "other") == found
    link = files.lstat(tmp_path / "link")
    assert (link.type, link.target, link.is_symlink()) == ("symlink", "file\n", True)
    assert files.readlink(tmp_path / "link") == "file\n"
    null = files.stat("/dev/null")
    assert (null.type, null.rdev) == ("character device", os.makedev(1, 3))
    os.utime(path, ns=(0, -1_500_000_000))
    assert files.stat(path).mtime_ns == -1_500_000_000


def test_names_of_owners_may_be_unknown(files: Files, tmp_path: Path) -> None:
    need_root("to give a file away")
    path = tmp_path / "file"
    path.touch()
    os.chown(path, 54321, 54322)
    found = files.stat(path)
    assert (found.uid, found.user, found.gid, found.group) == (54321, None, 54322, None)


def test_what_is_there(files: Files, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    assert [files.exists(tmp_path / n) for n in ("file", "no", "nowhere", "loop")] == [
        True, False, False, False,
    ]  # fmt: skip
    assert files.exists(tmp_path / "loop", follow_symlinks=False)
    assert not files.exists(tmp_path / "file" / "below")
    assert files.is_dir(tmp_path)
    assert not files.is_dir(tmp_path / "file")
    assert files.is_file(tmp_path / "file")
    assert not files.is_file(tmp_path)
    text = fails(errno.ENOENT, files.stat, tmp_path / "no")
    assert text == f"cannot stat {tmp_path}/no: No such file or directory"
    fails(errno.ENOTDIR, files.stat, tmp_path / "file" / "below")
    text = fails(errno.ENOENT, files.stat, b"/no/\xff\n\xc3\xa4")
    assert text == r"cannot stat /no/\udcff\nä: No such file or directory"
    fails(errno.ELOOP, files.stat, tmp_path / "loop")
    fails(errno.EINVAL, files.readlink, tmp_path)


def test_every_name_survives_every_operation(files: Files, tmp_path: Path) -> None:
    top = os.fsencode(tmp_path)
    for name in (b"-rf", b"trail\n", b"quote'\"`$x", b"back\\slash *", b"\xff"):
        path, other = top + b"/" + name, top + b"/other"
        files.mkdir(path)
        files.rename(path, other)
        files.rename(other, path)
        assert files.is_dir(path)
        files.remove(path)
        files.touch(path)
        files.chmod(path, 0o600)
        files.copy(path, other)
        files.remove(path)
        files.symlink(name, path)
        assert files.lstat(path).target == os.fsdecode(name)
        files.remove(path)
        Path(os.fsdecode(path)).write_bytes(name)
        assert files.checksum(path) == hashlib.sha256(name).hexdigest()
        files.remove(os.fsdecode(path))
        files.remove(other)
    assert list(tmp_path.iterdir()) == []


def test_mkdir(files: Files, tmp_path: Path) -> None:
    files.mkdir(tmp_path / "a", 0o1750)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o1750
    text = fails(errno.EEXIST, files.mkdir, tmp_path / "a")
    assert text == f"cannot make the directory {tmp_path}/a: File exists"
    files.mkdir(tmp_path / "a", 0o700, exist_ok=True)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o1750
    fails(errno.ENOENT, files.mkdir, tmp_path / "b" / "c")
    files.mkdir(tmp_path / "b" / "c" / "d", parents=True)
    fails(errno.EEXIST, files.mkdir, tmp_path / "b" / "c" / "d", parents=True)
    files.mkdir(f"{tmp_path}/b/c//d/", parents=True, exist_ok=True)
    (tmp_path / "file").touch()
    fails(errno.EEXIST, files.mkdir, tmp_path / "file", exist_ok=True)
    fails(errno.ENOTDIR, files.mkdir, tmp_path / "file" / "x")
    with pytest.raises(ValueError, match="no permissions"):
        files.mkdir(tmp_path / "x", 0o10000)


def test_remove(files: Files, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").touch(0o400)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (tree / "link").symlink_to(outside)
    text = fails(errno.ENOTEMPTY, files.remove, tree)
    assert text == f"cannot remove {tree}: Directory not empty"
    files.remove(tree, recursive=True)
    assert not tree.exists()
    (tmp_path / "link").symlink_to(outside)
    files.remove(tmp_path / "link", recursive=True)
    assert (outside / "kept").exists()
    fails(errno.ENOENT, files.remove, tree)
    files.remove(tree, missing_ok=True)
    fails(errno.ENOTDIR, files.remove, outside / "kept" / "x", missing_ok=True)
    files.remove(outside / "kept")
    files.remove(outside)


@pytest.mark.parametrize("path", ["/", "//", "/.", "/..", "/tmp/..", "/tmp/.", "/tmp//./"])
def test_what_is_never_removed(path: str) -> None:
    with pytest.raises(ValueError, match="name the file or directory itself"):
        Driven(changing.remove(path, recursive=True)).begin()


@pytest.mark.parametrize("path", ["", ".", "tmp/x", b"", b"x", PurePosixPath("x")])
def test_paths_are_absolute(path: Any) -> None:
    for flow in (looking.stat(path), changing.remove(path), changing.rename("/tmp/x", path)):
        with pytest.raises(ValueError, match="is not absolute"):
            Driven(flow).begin()
    with pytest.raises(ValueError, match="NUL"):
        Driven(looking.stat("/tmp/\0")).begin()


def test_rename(files: Files, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("one")
    other.write_text("other")
    fails(errno.EEXIST, files.rename, one, other, overwrite=False)
    files.rename(one, other)
    assert (one.exists(), other.read_text()) == (False, "one")
    files.rename(other, one, overwrite=False)
    assert (one.read_text(), other.exists()) == ("one", False)
    files.rename(one, one)
    fails(errno.EEXIST, files.rename, one, one, overwrite=False)
    fails(errno.ENOENT, files.rename, other, other)
    fails(errno.ENOENT, files.rename, other, one)
    assert str(one) in fails(errno.ENOENT, files.rename, one, tmp_path / "no" / "x")
    # Nothing is moved into a directory.
    other.mkdir()
    fails(errno.EISDIR, files.rename, one, other)
    source = tmp_path / "source"
    source.mkdir()
    (source / "in").touch()
    fails(errno.ENOTDIR, files.rename, source, one)
    files.rename(source, other)
    assert (other / "in").exists()
    source.mkdir()
    fails(errno.ENOTEMPTY, files.rename, source, other)
    fails(errno.EEXIST, files.rename, source, other, overwrite=False)
    # A symlink to a directory is replaced itself.
    link = tmp_path / "link"
    link.symlink_to(other)
    fails(errno.ENOTDIR, files.rename, source, link)
    files.rename(one, link)
    assert link.read_text() == "one"
    assert not link.is_symlink()


def test_rename_where_mv_is_old(tmp_path: Path) -> None:
    refused = 'echo "mv: invalid option -- T" >&2; false'
    old = f'mv() {{ case $1 in *T) {refused};; *) command mv "$@";; esac; }}\\n'
    guest = Files(LocalShell(["/bin/sh", "-c", f"{{ printf '{old}'; cat; }} | sh -s"]))
    for name in ("source", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "source" / "in").touch()
    fails(errno.ENOTEMPTY, guest.rename, tmp_path / "other", tmp_path / "source")
    guest.rename(tmp_path / "source", tmp_path / "other")
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "file").touch()
    guest.rename(tmp_path / "file", tmp_path / "link")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["in", "link", "other"]


def test_copy(files: Files, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("one")
    one.chmod(0o640)
    os.utime(one, (1000, 1000))
    files.copy(one, other, preserve=True)
    assert (other.read_text(), other.stat().st_mtime) == ("one", 1000)
    assert stat.S_IMODE(other.stat().st_mode) == 0o640
    fails(errno.EEXIST, files.copy, one, other, overwrite=False)
    one.write_text("two")
    files.copy(one, other)
    assert other.read_text() == "two"
    tree = tmp_path / "tree"
    (tree / ".sub").mkdir(parents=True)
    (tree / ".sub" / "file\n").write_text("x")
    (tree / "link").symlink_to("nowhere")
    fails(errno.EISDIR, files.copy, tree, tmp_path / "copy")
    fails(errno.EISDIR, files.copy, one, tree)
    fails(errno.EISDIR, files.copy, one, tree, recursive=True)
    for _ in range(2):  # into what is there
        files.copy(tree, tmp_path / "copy", recursive=True, preserve=True)
        names = sorted(str(p.relative_to(tmp_path / "copy")) for p in tmp_path.rglob("copy/**/*"))
        assert names == [".sub", ".sub/file\n", "link"]
    assert (tmp_path / "copy" / "link").is_symlink()
    fails(errno.ENOENT, files.copy, tmp_path / "no", other)
    fails(errno.ENOENT, files.copy, one, tmp_path / "no" / "x")
    os.mkfifo(tmp_path / "pipe")
    fails(errno.EINVAL, files.copy, tmp_path / "pipe", other)


def test_symlink(files: Files, tmp_path: Path) -> None:
    files.symlink("-n", tmp_path / "link")
    assert (tmp_path / "link").readlink() == Path("-n")
    fails(errno.EEXIST, files.symlink, "x", tmp_path / "link")
    fails(errno.EEXIST, files.symlink, "x", tmp_path)
    fails(errno.ENOENT, files.symlink, "x", tmp_path / "no" / "x")


def test_chmod(files: Files, tmp_path: Path) -> None:
    sub, file = tmp_path / "sub", tmp_path / "sub" / "file"
    sub.mkdir()
    file.touch()
    files.chmod(sub, 0o2755)
    files.chmod(sub, 0o755)  # which takes the set-id bit away
    assert stat.S_IMODE(sub.stat().st_mode) == 0o755
    files.chmod(file, "u=rw,go-rwx")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    files.chmod(file, "-r")
    assert stat.S_IMODE(file.stat().st_mode) == 0o200
    (sub / "link").symlink_to(tmp_path)
    files.chmod(sub, 0o700, recursive=True)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (sub, file)] == [0o700, 0o700]
    fails(errno.ENOENT, files.chmod, tmp_path / "no", 0o600)
    for wrong in ("x y", "", "9999", "--help", "u+x\n"):
        with pytest.raises(ValueError, match="no mode"):
            files.chmod(file, wrong)
    with pytest.raises(ValueError, match="no permissions"):
        files.chmod(file, -1)


def test_chown(files: Files, tmp_path: Path) -> None:
    need_root("to give files away")

    def owner(path: Path) -> tuple[int, int]:
        return path.lstat().st_uid, path.lstat().st_gid

    sub, outside = tmp_path / "sub", tmp_path / "outside"
    link, file = sub / "link", sub / "file"
    sub.mkdir()
    outside.touch()
    file.touch()
    link.symlink_to(outside)
    files.chown(file, 1234)
    assert owner(file) == (1234, 0)
    files.chown(file, group=4321)
    assert owner(file) == (1234, 4321)
    files.chown(file, "root", "root")
    assert owner(file) == (0, 0)
    files.chown(link, 1, follow_symlinks=False)
    assert (owner(link), owner(outside)) == ((1, 0), (0, 0))
    files.chown(sub, 2, 3, recursive=True)
    assert [owner(p) for p in (sub, file, link, outside)] == [(2, 3), (2, 3), (2, 3), (0, 0)]
    files.chown(link, 5)
    assert (owner(link), owner(outside)) == ((2, 3), (5, 0))
    assert "nobody-here" in fails(None, files.chown, file, "nobody-here")
    for user, group in ((None, None), ("", None), ("a:b", 0), (0, "-x")):
        with pytest.raises(ValueError, match="user"):
            files.chown(file, user, group)


def test_times(files: Files, shell: LocalShell, tmp_path: Path) -> None:
    def times(path: Path) -> tuple[int, int]:
        return path.lstat().st_atime_ns, path.lstat().st_mtime_ns

    file, link = tmp_path / "file", tmp_path / "link"
    files.touch(file)
    link.symlink_to(file)
    files.utime(link, (1000, 2000))
    assert times(file) == (1000 * 10**9, 2000 * 10**9)
    files.utime(link, ns=(10**9, 10**9), follow_symlinks=False)
    assert (times(link), times(file)[0]) == ((10**9, 10**9), 1000 * 10**9)
    for wanted in ((5, 5), (1_500_000_001, 7), (-1_500_000_000, -1)):
        if min(wanted) < 0 and shell.busybox:
            with pytest.raises(qga.GuestOSError, match="invalid date"):
                files.utime(file, ns=wanted)
            continue
        files.utime(file, ns=wanted)
        unit = 10**9 if shell.busybox else 1
        assert times(file) == tuple(time // unit * unit for time in wanted)
    files.utime(file)
    assert file.stat().st_mtime > 1e9
    fails(errno.ENOENT, files.utime, tmp_path / "no")
    fails(errno.ENOENT, files.touch, tmp_path / "no" / "x")
    link.unlink()
    link.symlink_to("nowhere")
    fails(errno.ENOENT, files.utime, link)
    with pytest.raises(ValueError, match="not both"):
        files.utime(file, (1, 1), ns=(1, 1))


def test_temporary_names(files: Files, tmp_path: Path) -> None:
    top = tmp_path / "odd\n"
    top.mkdir()
    file, directory = Path(files.mktemp(top, "pre-")), Path(files.mkdtemp(f"{top}/"))
    assert file.name.startswith("pre-")
    assert (file.parent, directory.parent) == (top, top)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    fails(errno.ENOENT, files.mktemp, tmp_path / "no")
    with pytest.raises(ValueError, match="slash"):
        files.mktemp(top, "a/b")


def test_space(files: Files, tmp_path: Path) -> None:
    usage, expected = files.disk_usage(tmp_path), os.statvfs(tmp_path)
    assert usage.total == expected.f_blocks * expected.f_frsize
    assert usage.inodes == expected.f_files
    assert 0 < usage.used < usage.total
    assert usage.free <= usage.total - usage.used
    fails(errno.ENOENT, files.disk_usage, tmp_path / "no")
    sub = tmp_path / "sub\n"
    sub.mkdir()
    empty = files.du(sub, one_file_system=True)
    (sub / "file").write_bytes(bytes(1 << 20))
    with (sub / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert 1 << 20 <= files.du(sub) - empty < 1 << 21
    fails(errno.ENOENT, files.du, tmp_path / "no")


def test_checksum(files: Files, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "file").write_bytes(data)
    for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b"):
        expected = hashlib.new(name, data).hexdigest()
        assert files.checksum(tmp_path / "file", name) == expected
    fails(errno.ENOENT, files.checksum, tmp_path / "no")
    fails(errno.EISDIR, files.checksum, tmp_path)
    fails(errno.EINVAL, files.checksum, "/dev/zero")
    with pytest.raises(ValueError, match="sha256"):
        files.checksum(tmp_path / "file", "crc32")


def test_kinds_of_files(files: Files, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{os.open(tmp_path, os.O_PATH)}/socket")
        kinds = {entry.name: entry.stat.type for entry in files.list(tmp_path)}
    assert kinds == {"fifo": "fifo", "socket": "socket"}


def test_a_program_that_the_guest_lacks(tmp_path: Path) -> None:
    bare = "sed 's,^export .*,PATH=/none,' | sh -s"
    guest = Files(LocalShell(["/bin/sh", "-c", bare]))
    for operation, lacking in ((guest.stat, "stat"), (guest.list, "find"), (guest.touch, "touch")):
        with pytest.raises(qga.Unsupported, match=f"lacks what this operation needs:.*{lacking}"):
            operation(tmp_path)
