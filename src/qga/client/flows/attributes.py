"""What changes the owner, permissions and times of files of the guest. For `Files`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .asking import ask, full, told
from .steps import Timeout

if TYPE_CHECKING:
    from .script import GuestPath
    from .steps import Flow

_SYMBOLIC = re.compile(r"[ugoa]*([-+=]([rwxXst]*|[ugo]))+(,[ugoa]*([-+=]([rwxXst]*|[ugo]))+)*")

# The beginning of a script that tells why there is no file $1.
THERE = """if [ ! -e "$1" ] && [ ! -L "$1" ]; then ls -d "$1" >/dev/null; return 1; fi
"""

# $2 are options, $3 and $4 user and group or nothing. What is not given, busybox would take from a
# link, not from what it leads to.
_CHOWN = """user=$3 group=$4
if [ -z "$2" ] && [ -L "$1" ]; then
    [ -n "$user" ] || user=$(stat -L -c %u "$1") || return
    [ -n "$group" ] || group=$(stat -L -c %g "$1") || return
fi
chown $2 -- "$user${group:+:$group}" "$1"
"""

# $2 is -h or nothing; times come as a pair with the fraction, which busybox does not take, and
# without.
_UTIME = f"""{THERE}
if [ -z "$2" ] && [ ! -e "$1" ]; then ls -dL "$1" >/dev/null; return 1; fi
file=$1 h=$2
set_time() {{
    touch -c $h $1 -d "$2" "$file" 2>/dev/null || touch -c $h $1 -d "$3" "$file"
}}
if [ -z "$3" ]; then touch -c $h "$file"
elif [ "$3" = "$5" ]; then set_time '' "$3" "$4"
else set_time -a "$3" "$4" && set_time -m "$5" "$6"
fi"""


def chmod(
    path: GuestPath, mode: int | str, *, recursive: bool = False, timeout: float | None = None
) -> Flow[None]:
    r"""Set the permissions of a file, or of a directory and all below it.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.chmod(f"{folder}/file", "u+x,go=")
        >>> oct(guest.files.stat(f"{folder}/file").permissions)
        '0o700'

    Args:
        path: full path in the guest; a symlink is followed, but not those below it.
        mode: a number, such as 0o644, for exactly these; or a change such as "u+x,go-w".
        recursive: whether all below it too.
        timeout: seconds for each command; the client's own if None.

    Raises:
        ValueError: *mode* is no such thing.
        GuestOSError: there is no such file, or the like.
    """
    yield Timeout(timeout)
    where = full(path)
    if isinstance(mode, int):
        mode = octal(mode)
    elif not _SYMBOLIC.fullmatch(mode):
        raise ValueError(f"no mode: {mode!r}; use a number such as 0o644, or such as 'u+x,go-w'")
    script = f'chmod {"-R " if recursive else ""}-- "$2" "$1"'
    yield from ask(f"change the permissions of {told(where)}", script, where, mode)


def chown(
    path: GuestPath,
    user: int | str | None = None,
    group: int | str | None = None,
    *,
    recursive: bool = False,
    follow_symlinks: bool = True,
    timeout: float | None = None,
) -> Flow[None]:
    r"""Set the owner of a file, or of a directory and all below it.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> owner = guest.files.stat(f"{folder}/file").uid
        >>> guest.files.chown(f"{folder}/file", owner)

    Args:
        path: full path in the guest.
        user: the number or name of the new owner; it stays if None.
        group: the number or name of the new group; it stays if None.
        recursive: whether all below it too; symlinks are changed themselves then, *path* included.
        follow_symlinks: whether to change what a symlink leads to, not the link.
        timeout: seconds for each command; the client's own if None.

    Raises:
        ValueError: neither *user* nor *group* is given, or one is no name.
        GuestOSError: there is no such file or no such user, or the like.
    """
    yield Timeout(timeout)
    where = full(path)
    if user is None and group is None:
        raise ValueError("give a user or a group")
    names = ["" if name is None else str(name) for name in (user, group)]
    for given, name in zip((user, group), names, strict=True):
        if given is not None and (not name or ":" in name or name.startswith("-")):
            raise ValueError(f"no user or group can have the name {given!r}")
    link = "-Rh" if recursive else "" if follow_symlinks else "-h"
    yield from ask(f"change the owner of {told(where)}", _CHOWN, where, link, *names)


def touch(path: GuestPath, *, timeout: float | None = None) -> Flow[None]:
    """Make an empty file; if it is there, set its times to now.

        >>> guest.files.touch(f"{folder}/new")
        >>> guest.files.stat(f"{folder}/new").size
        0

    Args:
        path: full path in the guest.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: its directory is not there, or the like.
    """
    yield Timeout(timeout)
    where = full(path)
    yield from ask(f"touch {told(where)}", 'touch "$1"', where)


def utime(
    path: GuestPath,
    times: tuple[float, float] | None = None,
    *,
    ns: tuple[int, int] | None = None,
    follow_symlinks: bool = True,
    timeout: float | None = None,
) -> Flow[None]:
    r"""Set when a file was last used and when its content changed, as `os.utime` does.

    Busybox in the guest takes whole seconds only: the fraction is dropped there. Nor does it take
    times before 1970.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.utime(f"{folder}/file", (0, 1_000_000_000))
        >>> guest.files.stat(f"{folder}/file").mtime
        1000000000.0

    Args:
        path: full path in the guest.
        times: both times in seconds since the epoch.
        ns: both times in nanoseconds since the epoch. Without either, it is now.
        follow_symlinks: whether to set those of what a symlink leads to, not of the link.
        timeout: seconds for each command; the client's own if None.

    Raises:
        ValueError: both *times* and *ns* are given.
        GuestOSError: there is no such file, or the like.
    """
    yield Timeout(timeout)
    where = full(path)
    if times is not None and ns is not None:
        raise ValueError("give times or ns, not both")
    if times is not None:
        ns = (round(times[0] * 1e9), round(times[1] * 1e9))
    words = [word for time in ns or () for word in (_time(time), f"@{time // 10**9}")]
    link = "" if follow_symlinks else "-h"
    yield from ask(f"set the times of {told(where)}", _UTIME, where, link, *words)


def octal(mode: int) -> str:
    """Five digits: with fewer, chmod keeps the set-id bits of directories."""
    if not 0 <= mode <= 0o7777:
        raise ValueError(f"no permissions: {mode:#o}; give at most 0o7777")
    return f"{mode:05o}"


def _time(ns: int) -> str:
    seconds, rest = divmod(abs(ns), 10**9)
    fraction = f".{rest:09}" if rest else ""
    return f"@{'-' if ns < 0 else ''}{seconds}{fraction}"
