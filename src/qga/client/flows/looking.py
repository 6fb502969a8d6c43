"""What there is in the guest: files and what is known of them. For `Files`."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from qga.client.filestat import FORMAT, parsed
from qga.errors import GuestOSError, ProtocolError

from .asking import ask, full, shown
from .steps import Timeout

if TYPE_CHECKING:
    from qga.client.filestat import FileStat

    from .asking import AnyPath
    from .steps import Flow

_STAT = f"""command -v stat >/dev/null || {{ echo 'stat: not found' >&2; return 127; }}
if [ -n "$2" ]; then stat -L -c '{FORMAT}' "$1"; return; fi
stat -c '{FORMAT}' "$1" || return
[ ! -L "$1" ] || {{ printf '\\0'; readlink -n "$1"; }}"""

# What means that there is no such file, not that one may not look.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def stat(
    path: AnyPath, *, follow_symlinks: bool = True, timeout: float | None = None
) -> Flow[FileStat]:
    """What the guest knows of a file.

    Args:
        path: full path in the guest.
        follow_symlinks: whether to tell of what a symlink leads to, not of the link.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file, or the agent may not look; `errno` tells.
    """
    yield Timeout(timeout)
    where = full(path)
    what = f"stat {shown(where)}"
    out = yield from ask(what, _STAT, where, "follow" if follow_symlinks else "")
    numbers, linked, target = out.partition(b"\0")
    try:
        return parsed(shown(numbers), shown(target) if linked else None)
    except ValueError:
        raise ProtocolError(f"cannot {what}: stat in the guest says {shown(numbers)!r}") from None


def lstat(path: AnyPath, *, timeout: float | None = None) -> Flow[FileStat]:
    """What the guest knows of a file; of a symlink itself. Otherwise as `stat`."""
    return (yield from stat(path, follow_symlinks=False, timeout=timeout))


def exists(
    path: AnyPath, *, follow_symlinks: bool = True, timeout: float | None = None
) -> Flow[bool]:
    """Whether there is such a file. Arguments and errors are those of `stat`.

    A symlink that leads nowhere does not exist, unless *follow_symlinks* is false.
    """
    found = yield from _found(path, follow_symlinks=follow_symlinks, timeout=timeout)
    return found is not None


def is_dir(path: AnyPath, *, timeout: float | None = None) -> Flow[bool]:
    """Whether there is such a directory, or a symlink to one. Arguments are those of `stat`."""
    found = yield from _found(path, timeout=timeout)
    return found is not None and found.is_dir()


def is_file(path: AnyPath, *, timeout: float | None = None) -> Flow[bool]:
    """Whether there is such a regular file, or a symlink to one. Arguments are those of `stat`."""
    found = yield from _found(path, timeout=timeout)
    return found is not None and found.is_file()


def _found(
    path: AnyPath, *, follow_symlinks: bool = True, timeout: float | None
) -> Flow[FileStat | None]:
    try:
        return (yield from stat(path, follow_symlinks=follow_symlinks, timeout=timeout))
    except GuestOSError as error:
        if error.errno in _ABSENT:
            return None
        raise
