"""Directory trees to and from the guest, through its tar. For `transfers`.

To the guest go archives for themselves, each as large as the input of a program may be: what has
been unpacked is known, and nothing has to be kept in the guest. Files that are larger go for
themselves. From the guest comes one stream, of a program whose output is read while it runs.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from qga.client.archive import END, Exclusion
from qga.client.packing import Large, LocalTree
from qga.client.unpacking import Unpacker
from qga.errors import QgaError, Unsupported
from qga.protocol import Exec

from . import process
from .asking import ask, fail, full, run, shown, told
from .moving import Meter, Tally, beside
from .placing import Place, checksum
from .script import SHELL, SURROUNDINGS, Output, later, outcome
from .sending import Attributes, deliver
from .sources import LocalFile
from .steps import CHUNK, GetLimits, Limits, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qga.client.packing import Owners, Piece
    from qga.protocol.exec import ExecStarted

    from .moving import TransferProgress
    from .running import Running
    from .script import GuestPath
    from .steps import Flow

    _Sum: TypeAlias = tuple[bytes, str]

# Checksums of so many files are made by one script, if their names are no longer than that: they
# are a program's arguments.
_SUMS, _SUMS_NAMES = 500, 64 << 10

# $1 is the path, $2 the name of the directory beside it. The output is the directory to unpack in.
BEGIN = r"""command -v tar >/dev/null || { echo 'tar: not found' >&2; return 127; }
if [ -d "$1" ]; then printf %s "$1"; return; fi
[ ! -e "$1" ] && [ ! -L "$1" ] || { echo "$1: Not a directory" >&2; return 1; }
[ -d "${1%/*}/" ] || { echo "$1: No such file or directory" >&2; return 1; }
mkdir -m 700 "${1%/*}/$2" && printf %s "${1%/*}/$2"
"""

# $1 is the directory, $2 how many files there have to be, $3 the path that it is to have, or
# nothing. A tree is not told from one that is half written after a crash, so all is written now.
FINISH = r"""
found=$(find "$1" -print0 | tr -cd '\000' | wc -c) || return
[ "$found" -ge "$2" ] || { echo "$found of $2 files have arrived" >&2; return 1; }
[ -n "$3" ] || return 0
[ "$found" -eq "$2" ] || { echo "$found files have arrived where $2 were sent" >&2; return 1; }
sync -f "$1" 2>/dev/null || sync
[ ! -e "$3" ] || { echo "$3: File exists" >&2; return 1; }
mv "$1" "$3"
"""

# What unpacks may be at work still, and needs a moment to see that nothing more comes.
REMOVE = r"""for _ in 1 2 3 4 5; do
    rm -rf "$1"
    [ -e "$1" ] || [ "$_" != 1 ] || return 0
    sleep 1
done
"""

# $1 is the directory, $2 whether sha256sum would quote the names; these are the rest.
_SUMS_OF = r"""command -v sha256sum >/dev/null || return 69
cd "$1" || return
odd=$2
shift 2
if [ -z "$odd" ]; then
    sha256sum "$@"
    return
fi
for name; do sha256sum <"$name" || return; done
"""

# The arguments are more options.
_PACK = r"""command -v tar >/dev/null || exit 127
case $(tar --version 2>/dev/null) in
*GNU*) set -- --format=gnu --sparse --warning=no-file-ignored "$@" ;;
esac
exec tar -cf - "$@" .
"""


@dataclass(frozen=True, slots=True)
class TreeTransferred:
    """What the transfer of a tree came to.

        >>> guest.files.mkdir(f"{folder}/empty")
        >>> done = guest.files.download_tree(f"{folder}/empty", f"{folder}/here")
        >>> done.files, done.skipped
        (0, 0)

    Attributes:
        files: how many there are, of whatever kind; directories do not count.
        size: the bytes of the files.
        skipped: how many were left behind: sockets, and devices where they were not asked for.
        verified: whether checksums of all files, made at both ends, were compared.
        warnings: what the guest's tar has complained of and yet gone on, as that a file has
            changed while it was read.
    """

    files: int
    size: int
    skipped: int
    verified: bool
    warnings: str = ""


def upload_tree(
    local_dir: str | os.PathLike[str],
    path: GuestPath,
    *,
    exclude: Iterable[str] = (),
    owner: int | None = None,
    group: int | None = None,
    map_owner: Owners | None = None,
    sparse: bool = True,
    verify: bool = False,
    progress: Callable[[TransferProgress], object] | None = None,
    timeout: float | None = None,
) -> Flow[TreeTransferred]:
    """Copy what is in a directory here to a directory of the guest.

    With permissions, owners, modification times (whole seconds; of symlinks only by GNU tar),
    symlinks, hard links, FIFOs and devices; not with sockets, extended attributes and access lists.
    If there is no directory *path* yet, it appears at the end, complete; nothing is left behind by
    an error. If there is one, the files in it are replaced one by one, and others in it are kept.

    The guest needs tar, of GNU or busybox; the memory taken does not grow with the tree, but for
    some 300 bytes for each directory and each file with several names. With an asynchronous client,
    files here are read in the event loop, in pieces of 512 KiB.

        >>> from pathlib import Path
        >>> Path(folder, "site").mkdir()
        >>> Path(folder, "site/index.html").write_text("<h1>hi</h1>")
        11
        >>> guest.files.upload_tree(f"{folder}/site", f"{folder}/copy", verify=True)
        TreeTransferred(files=1, size=11, skipped=0, verified=True, warnings='')

    Args:
        local_dir: the directory here.
        path: full path of the directory in the guest.
        exclude: shell patterns of what is left out; each is matched against the path below
            *local_dir* and against what remains of it after any slash. A `*` matches slashes too.
        owner: the number of the user that all is to belong to; else of the one that it has here.
        group: likewise.
        map_owner: called with the numbers of user and group here; returns those in the guest.
        sparse: do not send the holes of large files, and make them in the guest.
        verify: compare checksums of all files, made at both ends. Otherwise of those that are
            larger than 1 MiB; the others are counted, and tar has to be content.
        progress: called with a `TransferProgress` when something has arrived.
        timeout: seconds for each command; the client's own if None.

    Raises:
        OSError: something here cannot be read.
        GuestOSError: the guest refused; `errno` tells why.
        CommandDisabled, Unsupported: the guest has no tar, or its agent runs no programs.
        QgaError: what arrived is not what was sent.
    """
    yield Timeout(timeout)
    root = os.fspath(Path(local_dir).resolve(strict=True))
    limits: Limits = yield GetLimits()

    def owners(uid: int, gid: int) -> tuple[int, int]:
        uid, gid = map_owner(uid, gid) if map_owner else (uid, gid)
        return uid if owner is None else owner, gid if group is None else group

    tree = LocalTree(
        root, exclude=Exclusion(exclude), owners=owners, limit=limits.input, sums=verify
    )
    meter = Meter(progress, tree.total() if progress else None)
    target = full(path).rstrip(b"/") or b"/"
    what = f"copy to {told(target)}"
    above, _, last = target.rpartition(b"/")
    name = beside(last)
    partial = above + b"/" + name.encode()
    try:
        base = yield from ask(what, BEGIN, target, name)
        new = base == partial
        sums = Sums(what, base)
        count = 0
        for piece in tree.pieces():
            if isinstance(piece, Large):
                yield from _send_large(piece, base, meter, beside=not new, sparse=sparse)
                count += 1
                continue
            yield from unpack(what, base, piece)
            count += piece.members
            for name_and_sum in piece.sums:
                sums.add(*name_and_sum)
            yield from sums.compare()
            meter.add(piece.size)
            meter.add_files(piece.files)
        yield from sums.compare(all_of_them=True)
        for piece in tree.directories():
            yield from unpack(what, base, piece)
        yield from ask(what, FINISH, base, str(count), target if new else "")
    except GeneratorExit:
        raise  # nobody left to ask
    except BaseException:
        yield later(REMOVE, partial)
        raise
    return TreeTransferred(meter.files, meter.done, tree.skipped, verify)


def _send_large(
    file: Large, base: bytes, meter: Meter, *, beside: bool, sparse: bool
) -> Flow[None]:
    member = file.member
    place = Place(base + b"/" + member.name, beside=beside, resume=False)
    attributes = Attributes(member.mode, member.uid, member.gid, member.mtime)
    with Path(file.path).open("rb") as opened:
        source = LocalFile(opened, sparse=sparse)
        yield from deliver(source, place, attributes, Tally(meter), verify=None)
    meter.add_files(1)


def unpack(what: str, base: bytes, piece: Piece) -> Flow[None]:
    """Have tar unpack *piece* in the directory *base*."""
    text = f'{SURROUNDINGS}directory={_word(base)}\ncd "${{directory%x}}" && exec tar -xpf -'
    started: ExecStarted = yield Exec(
        path=SHELL, arg=["-c", text], input_data=piece.data + END, capture_output=True
    )
    done = yield from outcome(started.pid)
    if done.code:
        fail(what, done)


def _word(data: bytes) -> str:
    """*data* and an x, as a word of a shell's text that is ASCII."""
    digits = "".join(f"\\{byte:03o}" for byte in data)
    return f"$(printf '{digits}x')"


class Sums:
    """Compares checksums with those that the guest makes of the same files, many at a time.

    Args:
        what: what is being done.
        base: the directory in the guest.
    """

    def __init__(self, what: str, base: bytes) -> None:
        self._what = what
        self._base = base
        self._waiting: tuple[list[_Sum], list[_Sum]] = ([], [])

    def add(self, name: bytes, known: str) -> None:
        self._waiting[b"\n" in name or b"\\" in name or b"\r" in name].append((name, known))

    def compare(self, *, all_of_them: bool = False) -> Flow[None]:
        """Compare what has been added, if it is worth a script or *all_of_them* are wanted."""
        for odd, waiting in enumerate(self._waiting):
            while len(waiting) >= _SUMS or (all_of_them and waiting):
                length = count = 0
                while count < min(len(waiting), _SUMS) and length <= _SUMS_NAMES:
                    length += len(waiting[count][0])
                    count += 1
                yield from self._compare(waiting[:count], "odd" if odd else "")
                del waiting[:count]

    def _compare(self, sums: list[_Sum], odd: str) -> Flow[None]:
        names = [b"./" + name for name, _ in sums]
        done = yield from run(_SUMS_OF, self._base, odd, *names)
        if checksum(self._what, done) is None:
            raise Unsupported(f"cannot {self._what} and verify it: the guest has no sha256sum")
        found = [line[:64] for line in done.out.splitlines()]
        for (name, known), other in zip(sums, found, strict=False):
            if known.encode() != other:
                raise QgaError(f"cannot {self._what}: {told(name)} is not the same at both ends")


def download_tree(
    path: GuestPath,
    local_dir: str | os.PathLike[str],
    *,
    exclude: Iterable[str] = (),
    owners: bool | None = None,
    map_owner: Owners | None = None,
    special: bool = False,
    sparse: bool = True,
    verify: bool = False,
    progress: Callable[[TransferProgress], object] | None = None,
    timeout: float | None = None,
) -> Flow[TreeTransferred]:
    r"""Copy what is in a directory of the guest to a directory here.

    With permissions, owners, modification times, symlinks, hard links and FIFOs. Nothing outside of
    *local_dir* is touched, whatever the guest sends; symlinks are made as they are in the guest, so
    look where they lead before you follow them. If there is no directory *local_dir* yet, it
    appears at the end, complete. If there is one, the files in it are replaced one by one, and
    others in it are kept.

    The guest needs tar, of GNU or busybox; the memory taken does not grow with the tree, but for
    some 500 bytes for each directory. With an asynchronous client, files here are written in the
    event loop, in pieces of 512 KiB.

        >>> guest.files.mkdir(f"{folder}/logs")
        >>> guest.files.write(f"{folder}/logs/today", b"data\n")
        5
        >>> guest.files.download_tree(f"{folder}/logs", f"{folder}/here").files
        1

    Args:
        path: full path of the directory in the guest.
        local_dir: the directory here.
        exclude: as for `upload_tree`.
        owners: whether files get the numbers of their owners in the guest; by default if the caller
            is root. Otherwise they are the caller's.
        map_owner: called with the numbers of user and group in the guest; returns those here.
        special: make devices too, and keep the bits setuid and setgid. Only for guests that you
            trust as you do root here.
        sparse: make holes of what is all zeros. GNU tar does not even send those that are holes.
        verify: compare checksums of all files, made at both ends. Otherwise tar has to be content.
        progress: called with a `TransferProgress` when something has arrived.
        timeout: seconds for each command; the client's own if None.

    Raises:
        OSError: something here cannot be written.
        GuestOSError: the guest refused; `errno` tells why.
        CommandDisabled, Unsupported: the guest has no tar, or its agent runs no programs.
        ProtocolError: what came is no archive, or leads out of the directory.
        QgaError: what arrived is not what is there.
    """
    yield Timeout(timeout)
    source = full(path)
    target = Path(local_dir).absolute()
    new = not target.is_dir()
    root = target.with_name(beside(os.fsencode(target.name))) if new else target
    if new:
        root.mkdir(0o700)
    meter = Meter(progress)
    sums = Sums(f"copy {told(source)}", source)
    if owners is None:
        owners = os.geteuid() == 0
    unpacker = Unpacker(
        os.fspath(root),
        exclude=Exclusion(exclude),
        owners=(map_owner or _same) if owners else None,
        special=special,
        sparse=sparse,
        sums=sums.add if verify else None,
        meter=meter,
    )
    try:
        warnings = yield from _receive(source, unpacker, sums)
        unpacker.finish()
        if new:
            root.rename(target)
    except BaseException:
        # Also when the flow is given up.
        if new:
            shutil.rmtree(root, ignore_errors=True)
        raise
    finally:
        unpacker.close()
    return TreeTransferred(meter.files, meter.done, unpacker.skipped, verify, warnings)


def _same(uid: int, gid: int) -> tuple[int, int]:
    return uid, gid


def _receive(source: bytes, unpacker: Unpacker, sums: Sums) -> Flow[str]:
    """Have tar pack *source*, and unpack what comes; return what tar has complained of."""
    what = f"copy {told(source)}"
    running = yield from packing(source, unpacker.patterns)
    try:
        assert running.out is not None and running.err is not None  # noqa: S101, PT018 - pipes
        while data := (yield from running.read(running.out, CHUNK)):
            unpacker.feed(data)
            yield from sums.compare()
        complaints = yield from running.read(running.err, -1)
        code = yield from running.wait()
        yield from sums.compare(all_of_them=True)
        # GNU tar ends with 1 when files have changed while it read them.
        if code not in (0, 1) or not unpacker.ended:
            fail(what, Output(code, b"", complaints))
        return shown(complaints).strip()
    except GeneratorExit:
        raise  # nobody left to ask
    except BaseException as error:
        yield from running.give_up(error)
        raise


def packing(source: bytes, exclude: Iterable[str]) -> Flow[Running]:
    """Start tar, which prints what is in the directory *source*."""
    options = [f"--exclude={pattern}" for pattern in exclude]
    words = [SHELL, "-c", _PACK, "sh", *options]
    return (yield from process.start(words, cwd=source, env={"LC_ALL": "C"}))
