"""Archives of any tar, and of guests that mean harm, unpacked."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qga.client.archive import END, Exclusion, Member, header
from qga.client.flows.moving import Meter
from qga.client.unpacking import Unpacker
from qga.errors import ProtocolError, QgaError, Unsupported


def unpacked(
    data: bytes, root: Path, *, piece: int = 1 << 20, exclude: tuple[str, ...] = (), **more: Any
) -> Unpacker:
    root.mkdir(exist_ok=True)
    options: dict[str, Any] = {
        "owners": None, "special": False, "sparse": True, "sums": None, **more
    }  # fmt: skip
    unpacker = Unpacker(os.fspath(root), exclude=Exclusion(exclude), meter=Meter(None), **options)
    try:
        for start in range(0, len(data), piece):
            unpacker.feed(data[start : start + piece])
        unpacker.finish()
    finally:
        unpacker.close()
    return unpacker


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **more: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    made.linkname = link
    for key, value in more.items():
        setattr(made, key, value)
    return made


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("piece", [1, 511, 1 << 20])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_every_form_in_pieces_of_any_size(tmp_path: Path, form: int, piece: int) -> None:
    short = form == tarfile.USTAR_FORMAT
    # What has no room in the first form's name is in its prefix.
    deep = "/".join(["d" * 20] * 3 if short else ["d" * 60] * 6)
    name = "n" * (37 if short else 250)
    data = os.urandom(3000)
    made = archive(
        (info(deep, tarfile.DIRTYPE, mode=0o711), b""),
        (info(f"{deep}/{name}", mode=0o604, mtime=1.0e9), data),
        (info("./link", tarfile.SYMTYPE, "t" * (90 if short else 300)), b""),
        (info("hard", tarfile.LNKTYPE, f"{deep}/{name}"), b""),
        (info("empty"), b""),
        form=form,
    )
    sums: list[tuple[bytes, str]] = []
    unpacked(made, tmp_path / "root", piece=piece, sums=lambda n, s: sums.append((n, s)))
    path = tmp_path / "root" / deep / name
    assert path.read_bytes() == data
    assert (path.stat().st_mode & 0o7777, path.stat().st_mtime) == (0o604, 1.0e9)
    assert path.parent.stat().st_mode & 0o7777 == 0o711
    assert (tmp_path / "root/hard").samefile(path)
    assert str((tmp_path / "root/link").readlink()) == "t" * (90 if short else 300)
    assert (tmp_path / "root/empty").read_bytes() == b""
    assert [found for found, _ in sums] == [f"{deep}/{name}".encode(), b"empty"]


def test_what_is_written_is_what_tarfile_reads() -> None:
    member = Member(
        name=b"\xff\n" + b"x" * 300, kind=ord("2"), mode=0o777, uid=1 << 31, gid=5, size=0,
        mtime=1e9, target=b"\xfe" * 200,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(header(member) + END), errors="surrogateescape") as tar:
        (found,) = tar.getmembers()
    assert (os.fsencode(found.name), found.uid, found.gid) == (member.name, 1 << 31, 5)
    assert os.fsencode(found.linkname) == member.target


def test_sparse_files_of_gnu_tar(tmp_path: Path) -> None:
    """Made by hand: with more ranges than the header has room for."""
    ranges = [(number * 1_000_000, 1000) for number in range(30)]
    size = 40_000_000

    def entry(offset: int, length: int) -> bytes:
        return b"%011o\0%011o\0" % (offset, length)

    block = bytearray(info("sparse", size=30 * 1000).tobuf(tarfile.GNU_FORMAT))
    block[156] = ord("S")
    block[386:482] = b"".join(entry(*found) for found in ranges[:4])
    block[482] = 1
    block[483:495] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    second = b"".join(entry(*found) for found in ranges[4:25]) + b"\1" + bytes(7)
    third = b"".join(entry(*found) for found in ranges[25:]).ljust(512, b"\0")
    data = b"".join(bytes([65 + number]) * 1000 for number in range(30))
    padded = data + bytes(-len(data) % 512)
    unpacked(bytes(block) + second + third + padded + END, tmp_path / "root", piece=700)
    found = (tmp_path / "root/sparse").read_bytes()
    assert len(found) == size
    for number, (offset, length) in enumerate(ranges):
        assert found[offset : offset + length + 1] == bytes([65 + number]) * length + b"\0"
    assert (tmp_path / "root/sparse").stat().st_blocks * 512 < 4_000_000


def hostile() -> dict[str, Callable[[], bytes]]:
    file, link, hard = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
    directory = tarfile.DIRTYPE
    return {
        "up": lambda: archive((info("../outside/file", file), b"x")),
        "up in the middle": lambda: archive((info("a/../../outside/file", file), b"x")),
        "absolute": lambda: archive((info("/outside", file), b"x")),
        "root": lambda: archive((info("./", file), b"x")),
        "through a link": lambda: archive(
            (info("a", link, "../outside"), b""), (info("a/file", file), b"x")
        ),
        "a directory through a link": lambda: archive(
            (info("a", link, "../outside"), b""), (info("a/b", directory), b"")
        ),
        "hard link up": lambda: archive((info("a", hard, "../outside/kept"), b"")),
        "hard link through a link": lambda: archive(
            (info("a", link, "../outside"), b""), (info("b", hard, "a/kept"), b"")
        ),
        "hard link to the root": lambda: archive((info("a", hard, "."), b"")),
        "unknown": lambda: archive((info("a", b"9"), b"")),
        "sparse in pax": lambda: archive(
            (info("a", pax_headers={"GNU.sparse.major": "1"}), b""), form=tarfile.PAX_FORMAT
        ),
        "strange time": lambda: archive(
            (info("a", pax_headers={"mtime": "nan"}), b""), form=tarfile.PAX_FORMAT
        ),
        "strange number": lambda: archive(
            (info("a", pax_headers={"uid": "x"}), b""), form=tarfile.PAX_FORMAT
        ),
        "no end": lambda: archive((info("a"), b"x"))[:1024],
        "no archive": lambda: b"tar: something is wrong\n" * 40,
    }


@pytest.mark.parametrize("case", hostile())
def test_nothing_outside_is_touched(tmp_path: Path, case: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    with pytest.raises((ProtocolError, Unsupported, OSError)) as raised:
        unpacked(hostile()[case](), tmp_path / "root")
    if "hard link through" not in case:
        assert isinstance(raised.value, QgaError)
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").stat().st_nlink == 1
    assert (outside / "kept").read_bytes() == b"kept"


def test_links_that_are_replaced_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "kept").write_bytes(b"kept")
    made = archive(
        (info("a", tarfile.SYMTYPE, "../outside/kept"), b""),
        (info("a", mode=0o666), b"new"),
        (info("b", tarfile.SYMTYPE, "../outside"), b""),
        (info("b", tarfile.DIRTYPE, mode=0o777), b""),
        (info("b/kept"), b"new"),
        (info("c", tarfile.DIRTYPE, mode=0o777), b""),
    )
    unpacked(made, tmp_path / "root")
    assert (outside / "kept").read_bytes() == b"kept"
    assert outside.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "root/b/kept").read_bytes() == b"new"
    assert (tmp_path / "root/c").stat().st_mode & 0o777 == 0o777


def test_devices_and_special_bits_only_when_asked_for(tmp_path: Path) -> None:
    made = archive(
        (info("null", tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
        (info("setuid", mode=0o6755), b"x"),
    )
    assert unpacked(made, tmp_path / "root").skipped == 1
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["setuid"]
    assert (tmp_path / "root/setuid").stat().st_mode & 0o7777 == 0o755


def test_what_is_excluded() -> None:
    excluded = Exclusion(["*.log", "cache/tmp", "[ab]"])
    for name in ("x.log", "d/x.log", "cache/tmp", "d/cache/tmp", "b", "d/a", "d/x/y.log"):
        assert excluded(name)
    for name in ("x.logs", "tmp", "cache", "c", "d/cache/tmp/x"):
        assert not excluded(name)
    assert excluded.covers("d/cache/tmp/x")
    assert not Exclusion([]).covers("x")
