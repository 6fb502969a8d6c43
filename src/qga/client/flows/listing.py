"""The files in directories of the guest. For `Files`.

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
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from .script import GuestPath, Output
    from .steps import Flow

    # A path, what stat says of it, and what it leads to.
    _Found: TypeAlias = tuple[bytes, bytes, bytes | None]

# $1 is the directory, $2 the format, $3 the depth or nothing, $4 something if on one file system.
# Only GNU find tells what links lead to; otherwise each has a readlink for itself.
_LIST = f"""{needs("find", "stat")}
find "$1/." ${{3:+-maxdepth $3}} ${{4:+-xdev}} -exec stat -c "//$2 %n" {{}} +
code=$?
printf '\\0'
{{
    if find / -prune -printf ''; then
        find "$1/." -mindepth 1 ${{3:+-maxdepth $3}} ${{4:+-xdev}} -type l -printf '%p\\0%l\\0'
    else
        find "$1/." -mindepth 1 ${{3:+-maxdepth $3}} ${{4:+-xdev}} -type l -exec sh -c '
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
    entries, errors = yield from _found(full(path), FORMAT, "1")
    if errors:
        raise errors[0]
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
    entries, errors = yield from _found(where, NAMELESS, depth, "x" if one_file_system else "")
    if errors and not entries:
        raise errors[0]
    for error in errors:
        if on_error:
            on_error(error)
    return entries


def _found(
    path: bytes, form: str, depth: str, one_file_system: str = ""
) -> Flow[tuple[list[FileEntry], list[GuestOSError]]]:
    """The files below *path*, and why some are missing that should be there."""
    base = path.rstrip(b"/")
    what = f"list {told(path)}"
    done = yield from answer(_LIST, base, form, depth, one_file_system)
    records, _, linked = done.out.partition(b"\0")
    _, *found = records.split(b"//")
    if not found:  # not even the directory itself
        fail(what, done)
    names = linked.split(b"\0")
    targets = dict(zip(names[::2], names[1::2], strict=False))
    prefix = base + b"/./"
    files: list[_Found] = []
    for record in found:
        numbers, slash, rest = record.partition(b"/")
        name = (slash + rest).removesuffix(b"\n")
        if name.startswith(prefix):  # it is not the directory itself
            files.append((base + b"/" + name.removeprefix(prefix), numbers, targets.get(name)))
    files.sort(key=lambda file: file[0].split(b"/"))
    try:
        if form == NAMELESS:
            files = yield from _named(files)
        entries = [
            FileEntry(
                shown(name), parsed(shown(numbers), None if target is None else shown(target))
            )
            for name, numbers, target in files
        ]
    except ValueError as error:
        raise ProtocolError(f"cannot {what}: stat in the guest says {error}") from None
    return entries, _errors(what, done)


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


def _errors(what: str, done: Output) -> list[GuestOSError]:
    """What the programs say, except for what is not there any more."""
    if not done.code:
        return []
    reasons = [(line, reason(line)) for line in complaints(done)]
    return [
        GuestOSError(f"cannot {what}: {line}", number)
        for line, number in reasons
        if number != errno.ENOENT
    ]
