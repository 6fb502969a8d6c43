"""The files in directories of the guest. For `Files`, and for `finding`.

Names may hold any byte but a slash and NUL. So a record of stat begins with two slashes: a path as
find makes it from one of ours never has two in a row. What symlinks lead to follows behind a NUL.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from qga.client.filestat import FORMAT, NAMELESS, FileEntry, parsed
from qga.errors import GuestOSError, ProtocolError

from .answer import answer, answers
from .asking import complaints, fail, full, needs, reason, shown, told
from .attributes import THERE
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from .script import GuestPath, Output
    from .steps import Flow

    # A path, what stat says of it, and what it leads to.
    _Found: TypeAlias = tuple[bytes, bytes, bytes | None]

# $1 is where to begin, $2 the format, $3 the depth or nothing, $4 something if on one file system,
# $5 and so on are tests of find. Only GNU find tells what links lead to; otherwise each has a
# readlink for itself.
_LIST = f"""{needs("find", "stat")}
start=$1 form=$2 depth=$3 one=$4
shift 4
look() {{ find "$start" ${{depth:+-maxdepth $depth}} ${{one:+-xdev}} "$@"; }}
look "$@" -exec stat -c "//$form %n" {{}} +
code=$?
printf '\\0'
{{
    if find / -prune -printf ''; then
        look "$@" -type l -printf '%p\\0%l\\0'
    else
        look "$@" -type l -exec sh -c '
            for l; do printf "%s\\0" "$l"; readlink -n "$l"; printf "\\0"; done' sh {{}} +
    fi
}} 2>/dev/null
return "$code"
"""
_OWNERS = """printf '%s\\0' "$@" | xargs -0 stat -c '%u:%U:%g:%G' 2>/dev/null | tr '\\n' '\\0'
"""


def list_directory(path: GuestPath, *, timeout: float | None = None) -> Flow[list[FileEntry]]:
    r"""The files in a directory, with what is known of each; sorted by name.

    Hidden ones are among them; `.` and `..` are not. Files that go away meanwhile may be missing.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> [(entry.name, entry.stat.size) for entry in guest.files.list(folder)]
        [('file', 5)]

    Args:
        path: full path in the guest; a symlink to a directory will do.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such directory, or the agent may not look; `errno` tells.
    """
    yield Timeout(timeout)
    entries, failures = yield from _found(full(path), FORMAT, "1")
    if failures:
        raise failures[0]
    return entries


def walk(
    path: GuestPath,
    *,
    max_depth: int | None = None,
    one_file_system: bool = False,
    on_error: Callable[[GuestOSError], object] | None = None,
    timeout: float | None = None,
) -> Flow[list[FileEntry]]:
    """The files in a directory and all below it; each directory before what is in it.

    Hidden ones are among them; the directory itself is not. Symlinks are told, not followed.

        >>> guest.files.mkdir(f"{folder}/a/b", parents=True)
        >>> [entry.name for entry in guest.files.walk(folder)]
        ['a', 'b']

    Args:
        path: full path in the guest; a symlink to a directory will do.
        max_depth: how far down; 1 is the directory alone.
        one_file_system: whether to leave out what is mounted below.
        on_error: called with the error for each directory that cannot be read, which is skipped;
            it may raise. None skips silently, as `os.walk` does.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such directory, or the agent may not read it; `errno` tells.
    """
    yield Timeout(timeout)
    if max_depth is not None and max_depth < 1:
        raise ValueError(f"max_depth is at least 1, not {max_depth}")
    where = full(path)
    depth = "" if max_depth is None else str(max_depth)
    entries, failures = yield from _found(where, NAMELESS, depth, "x" if one_file_system else "")
    if failures and not entries:
        raise failures[0]
    for error in failures:
        if on_error:
            on_error(error)
    return entries


def _found(
    path: bytes, form: str, depth: str, one_file_system: str = ""
) -> Flow[tuple[list[FileEntry], list[GuestOSError]]]:
    """The files below *path*, and why some are missing that should be there."""
    base = path.rstrip(b"/")
    what = f"list {told(path)}"
    done = yield from answer(_LIST, base + b"/.", form, depth, one_file_system)
    found = _records(done)
    if not found:  # not even the directory itself
        fail(what, done)
    prefix = base + b"/./"
    below = [
        (base + b"/" + name.removeprefix(prefix), numbers, target)
        for name, numbers, target in found
        if name.startswith(prefix)  # it is not the directory itself
    ]
    return (yield from _entries(what, below, named=form == NAMELESS)), errors(what, done)


def search(
    path: bytes, tests: tuple[str, ...], *, depth: str, one_file_system: bool
) -> Flow[tuple[list[FileEntry], list[GuestOSError]]]:
    """The files among *path* and all below it that pass *tests*, and why some may be missing."""
    what = f"search {told(path)}"
    one = "x" if one_file_system else ""
    words = ("(", *tests, ")") if tests else ()
    done = yield from answer(f"{THERE}{_LIST}", path, NAMELESS, depth, one, *words)
    if b"\0" not in done.out:  # find was not even asked
        fail(what, done)
    failures = errors(what, done)
    found = _records(done)
    if not found and failures and failures[0].errno is None:
        fail(what, done)  # it does not know the tests
    return (yield from _entries(what, found, named=True)), failures


def _records(done: Output) -> list[_Found]:
    """What the script has told of files, by the paths that find has made."""
    records, _, linked = done.out.partition(b"\0")
    names = linked.split(b"\0")
    targets = dict(zip(names[::2], names[1::2], strict=False))
    found = []
    for record in records.split(b"//")[1:]:
        numbers, slash, rest = record.partition(b"/")
        name = (slash + rest).removesuffix(b"\n")
        found.append((name, numbers, targets.get(name)))
    return found


def _entries(what: str, files: list[_Found], *, named: bool) -> Flow[list[FileEntry]]:
    """*files* in the order of their paths; if *named*, with the names of owners in addition."""
    files.sort(key=lambda file: file[0].split(b"/"))
    try:
        if named:
            files = yield from _named(files)
        return [
            FileEntry(
                shown(name), parsed(shown(numbers), None if target is None else shown(target))
            )
            for name, numbers, target in files
        ]
    except ValueError as error:
        raise ProtocolError(f"cannot {what}: stat in the guest says {error}") from None


def _named(files: list[_Found]) -> Flow[list[_Found]]:
    """The same with the names of owners, each asked for once: of a file that has it."""
    users: dict[bytes, bytes] = {}
    groups: dict[bytes, bytes] = {}
    for path, numbers, _ in files:
        uid, gid = numbers.split(b" ", 6)[4:6]
        users.setdefault(uid, path)
        groups.setdefault(gid, path)
    samples = sorted({*users.values(), *groups.values()})
    users, groups = {}, {}
    for line in (yield from answers("tell the names of owners", _OWNERS, samples)):
        uid, user, gid, group = line.split(b":")
        users[uid] = user
        groups[gid] = group
    named = []
    for path, numbers, target in files:
        uid, gid = numbers.split(b" ", 6)[4:6]
        names = b":%s:%s:" % (users.get(uid, b""), groups.get(gid, b""))
        named.append((path, numbers.replace(b":::", names, 1), target))
    return named


def errors(what: str, done: Output) -> list[GuestOSError]:
    """What the programs say, except for what is not there any more."""
    if not done.code:
        return []
    reasons = [(line, reason(line)) for line in complaints(done)]
    return [
        GuestOSError(f"cannot {what}: {line}", number)
        for line, number in reasons
        if number != errno.ENOENT
    ]
