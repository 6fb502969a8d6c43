"""The form in which directory trees travel, tar's: headers to bytes, and bytes to members.

Written in GNU's format, which GNU tar and busybox both read; read in all that they and others
write. Names are bytes. No I/O here. `packing` and `unpacking` are the two ends.
"""

from __future__ import annotations

import stat
import tarfile
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING

from qga.errors import ProtocolError, Unsupported

if TYPE_CHECKING:
    import re
    from collections.abc import Generator, Iterable
    from typing import TypeAlias

    # Asks for so many bytes and is sent them.
    Parsing: TypeAlias = "Generator[int, bytes, Member | None]"

BLOCK = 512
END = bytes(2 * BLOCK)

# Times further away from 1970, in seconds, are no times.
_AGE = 1 << 40

# Names, and the records that tell them, are no longer than this.
_LONGEST = 1 << 20

FILE, LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0123456"[:7]
_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


@dataclass(slots=True)
class Member:
    """One member of an archive.

    Attributes:
        name: its path, relative.
        kind: the letter of its type.
        size: the length of the file.
        stored: how much of that follows: less than *size* when it is sparse.
        ranges: offset and length of what is stored, when it is sparse.
        target: what a link leads to.
        device: major and minor number of a device.
    """

    name: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: float
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    stored: int = 0
    ranges: list[tuple[int, int]] | None = None


def padding(size: int) -> int:
    """How many bytes fill the last block of *size* bytes."""
    return -size % BLOCK


def kind_of(mode: int) -> bytes | None:
    """The letter for a file of *mode*; None for those that do not travel, as sockets."""
    return _TYPES.get(stat.S_IFMT(mode))


def header(member: Member) -> bytes:
    """The bytes before the content of *member*."""
    info = tarfile.TarInfo()
    info.name = member.name.decode("utf-8", "surrogateescape")
    info.linkname = member.target.decode("utf-8", "surrogateescape")
    info.type = bytes([member.kind])
    info.mode = member.mode
    info.uid, info.gid = member.uid, member.gid
    info.size = member.size if member.kind == FILE else 0
    info.mtime = int(member.mtime)
    info.devmajor, info.devminor = member.device
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def parse() -> Parsing:
    """The next member, from as many bytes as it asks for; None at the archive's end."""
    name = target = None
    records: dict[bytes, bytes] = {}
    while True:
        block = yield BLOCK
        if not any(block):
            return None
        _check(block)
        size = _number(block[124:136])
        kind = block[156]
        if kind in b"LKxXg":
            if size > _LONGEST:
                raise ProtocolError(f"a record of {size} bytes in the guest's archive")
            data = (yield size + padding(size))[:size] if size else b""
            if kind == ord("L"):
                name = data.partition(b"\0")[0]
            elif kind == ord("K"):
                target = data.partition(b"\0")[0]
            elif kind != ord("g"):
                records |= _records(data)
            continue
        break
    if any(key.startswith(b"GNU.sparse.") for key in records):
        raise Unsupported("the guest's tar writes sparse files in a form that qga does not read")
    try:
        member = Member(
            name=name or records.get(b"path") or _name(block),
            kind=ord("0") if kind in b"\0007" else kind,
            mode=_number(block[100:108]),
            uid=int(records.get(b"uid") or _number(block[108:116])),
            gid=int(records.get(b"gid") or _number(block[116:124])),
            size=int(records.get(b"size") or size),
            mtime=float(records.get(b"mtime") or _number(block[136:148])),
            target=target or records.get(b"linkpath") or _text(block[157:257]),
            device=(_number(block[329:337]), _number(block[337:345])),
        )
    except ValueError:
        raise ProtocolError("a number in the guest's archive is none") from None
    numbers = (member.uid, member.gid, *member.device)
    if (
        member.size < 0
        or not all(0 <= n < 1 << 32 for n in numbers)
        or not abs(member.mtime) < _AGE
    ):
        raise ProtocolError(f"a number in the guest's archive is out of range: {member}")
    member.stored = member.size
    if kind == ord("S"):
        yield from _sparse(member, block)
    elif member.kind != FILE:
        member.size = member.stored = 0
    elif block[156] == 0 and member.name.endswith(b"/"):
        member.kind = DIRECTORY
    return member


def _sparse(member: Member, block: bytes) -> Generator[int, bytes, None]:
    """The ranges of a sparse file in GNU's old form."""
    member.kind = FILE
    ranges, more = _ranges(block[386:482]), block[482]
    member.size = _number(block[483:495])
    while more:
        block = yield BLOCK
        ranges += _ranges(block[:504])
        more = block[504]
        if len(ranges) > _LONGEST:
            raise ProtocolError("a file of too many pieces in the guest's archive")
    end = 0
    for offset, length in ranges:
        if offset < end:
            raise ProtocolError("a sparse file in the guest's archive is not in order")
        end = offset + length
    if end > member.size or sum(length for _, length in ranges) != member.stored:
        raise ProtocolError("a sparse file in the guest's archive is not what it says")
    member.ranges = ranges


def _ranges(data: bytes) -> list[tuple[int, int]]:
    found = []
    for at in range(0, len(data), 24):
        offset, length = data[at : at + 12], data[at + 12 : at + 24]
        if not offset[0] and not length[0]:
            break
        found.append((_number(offset), _number(length)))
    return found


def _check(block: bytes) -> None:
    known = _number(block[148:156])
    if known != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise ProtocolError("the guest's archive is broken: what should be a header is none")


def _number(field: bytes) -> int:
    """A number of a header, in octal digits or, if it is large, in binary."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        # 0xFF begins a negative one.
        return value - (1 << (8 * len(field) - 1)) if field[0] == 0xFF else value
    digits = field.partition(b"\0")[0].strip()
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise ProtocolError(f"a number in the guest's archive is none: {field!r}") from None


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _name(block: bytes) -> bytes:
    name = _text(block[:100])
    # Only POSIX's form has the first part of a long name there.
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of an extended header: each a length, a key, `=`, a value and a newline."""
    found: dict[bytes, bytes] = {}
    while data:
        digits, _, _ = data.partition(b" ")
        try:
            length = int(digits)
        except ValueError:
            length = 0
        if not len(digits) < length <= len(data):
            raise ProtocolError("an extended header in the guest's archive is broken")
        key, _, value = data[len(digits) + 1 : length - 1].partition(b"=")
        found[key] = value
        data = data[length:]
    return found


class Exclusion:
    """Names that are left out.

    Args:
        patterns: of the shell; each is matched against the path below the tree's root and against
            what remains of it after any slash, so that `*.log` and `cache/tmp` match at any depth.
            A `*` matches slashes too. What is below an excluded directory is excluded.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        import re

        self.patterns = tuple(patterns)
        self._compiled: list[re.Pattern[str]] = [re.compile(translate(p)) for p in self.patterns]

    def __call__(self, name: str) -> bool:
        """Whether *name*, a path below the root, is left out; its parents are not looked at."""
        parts = name.split("/")
        rests = ["/".join(parts[start:]) for start in range(len(parts))]
        return any(pattern.match(rest) for pattern in self._compiled for rest in rests)

    def covers(self, name: str) -> bool:
        """Whether *name* or a directory that it is in is left out."""
        if not self._compiled:
            return False
        parts = name.split("/")
        return any(self("/".join(parts[:count])) for count in range(1, len(parts) + 1))
