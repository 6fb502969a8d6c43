"""What changes the files and directories of the guest. For `Files`.

The scripts name their arguments by number; paths are absolute, so that none looks like an option.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from qga.errors import GuestOSError

from .asking import ask, full, shown, told
from .attributes import THERE, octal
from .steps import Timeout

if TYPE_CHECKING:
    from .script import GuestPath
    from .steps import Flow

# $2 is the mode or nothing, $3 the directory above if it shall be made, $4 whether it may exist.
_MKDIR = """[ -z "$3" ] || [ -d "$3" ] || mkdir -p "$3" || return
said=$(mkdir ${2:+-m "$2"} "$1" 2>&1)
code=$?
[ "$code" -ne 0 ] || return 0
if [ -n "$4" ] && [ -d "$1" ]; then return 0; fi
printf '%s\\n' "$said" >&2
return "$code"
"""

# $2 is whether to remove all below it too.
_REMOVE = f"""{THERE}
if [ ! -d "$1" ] || [ -L "$1" ]; then rm -f "$1"
elif [ -n "$2" ]; then rm -rf "$1"
else rmdir "$1"
fi"""

# $3 is whether the other may exist.
_NEW = """if [ -z "$3" ] && { [ -e "$2" ] || [ -L "$2" ]; }; then
    echo ': File exists' >&2
    return 1
fi
"""
# Busybox's -T does not replace a symlink to a directory, and before 1.31 there is none.
_RENAME = f"""{THERE}{_NEW}
replace() {{
    said=$(mv -fT "$1" "$2" 2>&1) && return 0
    case $said in
    *"is a directory" | "mv: invalid option"* | "mv: unrecognized option"*)
        "$3" "$2" && mv -f "$1" "$2" ;;
    *) printf '%s\\n' "$said" >&2; return 1 ;;
    esac
}}
[ "$1" != "$2" ] || return 0
old=file
if [ -d "$1" ] && [ ! -L "$1" ]; then old=directory; fi
if [ -z "$3" ]; then
    mv -n "$1" "$2" || return
    if [ -e "$1" ] || [ -L "$1" ]; then echo ': File exists' >&2; return 1; fi
elif [ ! -d "$2" ]; then
    mv -f "$1" "$2"
elif [ ! -L "$2" ]; then
    if [ "$old" = file ]; then echo ': Is a directory' >&2; return 1; fi
    replace "$1" "$2" rmdir
else
    if [ "$old" = directory ]; then echo ': Not a directory' >&2; return 1; fi
    replace "$1" "$2" rm
fi"""

# $4 is whether to copy all below it too, $5 whether to keep owner, permissions and times.
_COPY = f"""{_NEW}{THERE}
if [ -n "$4" ]; then
    if [ -d "$2" ] && [ ! -d "$1" ]; then echo ': Is a directory' >&2; return 1; fi
    if [ -d "$2" ]; then cp -RPf ${{5:+-p}} "$1/." "$2/"; else cp -RPf ${{5:+-p}} "$1" "$2"; fi
    return
fi
if [ -d "$1" ] || [ -d "$2" ]; then echo ': Is a directory' >&2; return 1; fi
if [ -e "$1" ] && [ ! -f "$1" ] && [ ! -b "$1" ]; then echo ': Invalid argument' >&2; return 1; fi
cp ${{5:+-p}} "$1" "$2"
"""

_SYMLINK = """if [ -e "$2" ] || [ -L "$2" ]; then echo ': File exists' >&2; return 1; fi
ln -s -- "$1" "$2"
"""


def mkdir(
    path: GuestPath,
    mode: int | None = None,
    *,
    parents: bool = False,
    exist_ok: bool = False,
    timeout: float | None = None,
) -> Flow[None]:
    """Make a directory.

        >>> guest.files.mkdir(f"{folder}/a/b", 0o700, parents=True)
        >>> guest.files.mkdir(f"{folder}/a/b", exist_ok=True)

    Args:
        path: full path in the guest.
        mode: its permissions, exactly these; what the agent's umask leaves if None.
        parents: whether to make the directories above it that are missing.
        exist_ok: whether it may be there already; its permissions stay as they are then.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: it is there (EEXIST), the one above is not (ENOENT), or the like.
    """
    yield Timeout(timeout)
    where = full(path)
    above = (where.rstrip(b"/").rpartition(b"/")[0] or b"/") if parents else b""
    digits = "" if mode is None else octal(mode)
    exists = "exists" if exist_ok else ""
    yield from ask(f"make the directory {told(where)}", _MKDIR, where, digits, above, exists)


def remove(
    path: GuestPath,
    *,
    recursive: bool = False,
    missing_ok: bool = False,
    timeout: float | None = None,
) -> Flow[None]:
    r"""Remove a file, or a directory that is empty. Symlinks are removed themselves.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.remove(f"{folder}/file")
        >>> guest.files.remove(f"{folder}/file", missing_ok=True)

    Args:
        path: full path in the guest.
        recursive: whether to remove a directory with all below it, also what is mounted there.
        missing_ok: whether it may be gone already.
        timeout: seconds for each command; the client's own if None.

    Raises:
        ValueError: the path is the root, or ends with `.` or `..`.
        GuestOSError: there is no such file (ENOENT), it has something in it (ENOTEMPTY), or the
            like.
    """
    yield Timeout(timeout)
    where = full(path)
    if where.rstrip(b"/").rpartition(b"/")[2] in (b"", b".", b".."):
        raise ValueError(f"{told(where)} is not removed: name the file or directory itself")
    try:
        yield from ask(f"remove {told(where)}", _REMOVE, where, "all" if recursive else "")
    except GuestOSError as error:
        if not (missing_ok and error.errno == errno.ENOENT):
            raise


def rename(
    old: GuestPath, new: GuestPath, *, overwrite: bool = True, timeout: float | None = None
) -> Flow[None]:
    r"""Give a file or directory another name.

    Within a file system it happens at once, as `os.rename` does it; to another one, the file is
    copied and removed. *new* is the whole new name: if it is a directory, nothing is moved into it.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.rename(f"{folder}/file", f"{folder}/new")
        >>> guest.files.read(f"{folder}/new")
        b'data\n'

    Args:
        old: full path in the guest.
        new: full path in the guest.
        overwrite: whether *new* may be a file that is there, or an empty directory for a directory.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file (ENOENT), *new* is in the way (EEXIST, EISDIR,
            ENOTDIR, ENOTEMPTY), or the like.
    """
    yield Timeout(timeout)
    one, other = full(old), full(new)
    what = f"rename {told(one)} to {told(other)}"
    yield from ask(what, _RENAME, one, other, "over" if overwrite else "")


def copy(
    old: GuestPath,
    new: GuestPath,
    *,
    recursive: bool = False,
    preserve: bool = False,
    overwrite: bool = True,
    timeout: float | None = None,
) -> Flow[None]:
    r"""Copy a file within the guest, or a directory with all below it.

    *new* is the whole new name. A directory that is there gets the files in addition.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.copy(f"{folder}/file", f"{folder}/copy", preserve=True)
        >>> guest.files.read(f"{folder}/copy")
        b'data\n'

    Args:
        old: full path in the guest. A symlink is followed, unless *recursive*.
        new: full path in the guest.
        recursive: whether to copy a directory.
        preserve: whether to keep owner, permissions and times.
        overwrite: whether *new* may be there.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file (ENOENT), *new* is there (EEXIST), one is a directory
            (EISDIR), *old* is a pipe or the like (EINVAL), no space is left (ENOSPC), or the like.
    """
    yield Timeout(timeout)
    one, other = full(old), full(new)
    flags = ["x" if flag else "" for flag in (overwrite, recursive, preserve)]
    yield from ask(f"copy {told(one)} to {told(other)}", _COPY, one, other, *flags)


def symlink(target: GuestPath, path: GuestPath, *, timeout: float | None = None) -> Flow[None]:
    r"""Make a symlink.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.symlink("file", f"{folder}/link")
        >>> guest.files.read(f"{folder}/link")
        b'data\n'

    Args:
        target: what it leads to; taken as it is, and may be relative to its directory.
        path: full path of the link in the guest.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: *path* is there (EEXIST), or the like.
    """
    yield Timeout(timeout)
    where = full(path)
    yield from ask(f"make the symlink {told(where)}", _SYMLINK, os.fsencode(target), where)


def mktemp(
    directory: GuestPath = "/tmp",  # noqa: S108 - the guest's
    prefix: str = "qga.",
    *,
    timeout: float | None = None,
) -> Flow[str]:
    """Make an empty file of a new name, which only its owner may read and write.

        >>> path = guest.files.mktemp(folder, "report.")
        >>> guest.files.stat(path).size
        0

    Args:
        directory: full path in the guest of the directory that it shall be in.
        prefix: how its name begins.
        timeout: seconds for each command; the client's own if None.

    Returns: its path. Whoever made it has to remove it.

    Raises:
        GuestOSError: there is no such directory, or the like.
    """
    return (yield from _temporary(directory, prefix, "", timeout))


def mkdtemp(
    directory: GuestPath = "/tmp",  # noqa: S108 - the guest's
    prefix: str = "qga.",
    *,
    timeout: float | None = None,
) -> Flow[str]:
    """Make a directory of a new name, which only its owner may use. Otherwise as `mktemp`.

    >>> path = guest.files.mkdtemp(folder, "work.")
    >>> guest.files.list(path)
    []
    """
    return (yield from _temporary(directory, prefix, "-d", timeout))


def _temporary(directory: GuestPath, prefix: str, option: str, timeout: float | None) -> Flow[str]:
    yield Timeout(timeout)
    if "/" in prefix:
        raise ValueError(f"a prefix cannot hold a slash: {prefix!r}")
    where = full(directory)
    template = where.rstrip(b"/") + b"/" + os.fsencode(prefix) + b"XXXXXX"
    script = f'mktemp {option} "$1"'
    out = yield from ask(f"make a temporary file in {told(where)}", script, template)
    return shown(out.removesuffix(b"\n"))
