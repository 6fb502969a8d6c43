"""The files in directories of the guest. For `Files`.

Names may hold any byte but a slash and NUL. So a record of stat begins with two slashes: a path as
find makes it from one of ours never has two in a row. What symlinks lead to follows behind a NUL.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from qga.client.filestat import FORMAT, FileEntry, parsed
from qga.errors import GuestOSError, ProtocolError

from .answer import answer
from .asking import complaints, fail, full, needs, reason, shown, told
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from .asking import AnyPath
    from .script import Output
    from .steps import Flow

# $1 is the directory, $2 the depth or nothing, $3 something for one file system only. The links of
# many directories at once are found by GNU find alone.
_LIST = f"""{needs("find", "stat")}
find "$1/." ${{2:+-maxdepth $2}} ${{3:+-xdev}} -exec stat -c '//{FORMAT} %n' {{}} +
code=$?
printf '\\0'
{{
    if find / -prune -printf ''; then
        find "$1/." -mindepth 1 ${{2:+-maxdepth $2}} ${{3:+-xdev}} -type l -printf '%p\\0%l\\0'
    else
        find "$1/." -mindepth 1 ${{2:+-maxdepth $2}} ${{3:+-xdev}} -type l -exec sh -c '
            for l; do printf "%s\\0" "$l"; readlink -n "$l"; printf "\\0"; done' sh {{}} +
    fi
}} 2>/dev/null
return "$code"
"""


def list_directory(path: AnyPath, *, timeout: float | None = None) -> Flow[list[FileEntry]]:
    """The files in a directory, with what is known of each; sorted by name.

    Hidden ones are among them; `.` and `..` are not. Files that go away meanwhile may be missing.

    Args:
        path: full path in the guest; a symlink to a directory will do.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such directory, or the agent may not look; `errno` tells.
    """
    yield Timeout(timeout)
    entries, errors = yield from _found(full(path), "1")
    if errors:
        raise errors[0]
    return entries


def walk(
    path: AnyPath,
    *,
    max_depth: int | None = None,
    one_file_system: bool = False,
    on_error: Callable[[GuestOSError], object] | None = None,
    timeout: float | None = None,
) -> Flow[list[FileEntry]]:
    """The files in a directory and all below it; each directory before what is in it.

    Hidden ones are among them; the directory itself is not. Symlinks are told, not followed.

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
    entries, errors = yield from _found(where, depth, "x" if one_file_system else "")
    if errors and not entries:
        raise errors[0]
    for error in errors:
        if on_error:
            on_error(error)
    return entries


def _found(
    path: bytes, depth: str, one_file_system: str = ""
) -> Flow[tuple[list[FileEntry], list[GuestOSError]]]:
    """The files below *path*, and why some are missing that should be there."""
    base = path.rstrip(b"/")
    what = f"list {told(path)}"
    done = yield from answer(_LIST, base, depth, one_file_system)
    records, _, linked = done.out.partition(b"\0")
    _, *found = records.split(b"//")
    if not found:  # not even the directory itself
        fail(what, done)
    names = linked.split(b"\0")
    targets = dict(zip(names[::2], names[1::2], strict=False))
    prefix = base + b"/./"
    entries = []
    for record in found:
        numbers, slash, rest = record.partition(b"/")
        name = (slash + rest).removesuffix(b"\n")
        if not name.startswith(prefix):
            continue  # the directory itself
        target = targets.get(name)
        try:
            known = parsed(shown(numbers), None if target is None else shown(target))
        except ValueError:
            said = shown(record)
            raise ProtocolError(f"cannot {what}: stat in the guest says {said!r}") from None
        entries.append((base + b"/" + name.removeprefix(prefix), known))
    entries.sort(key=lambda entry: entry[0].split(b"/"))
    return [FileEntry(shown(name), known) for name, known in entries], _errors(what, done)


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
