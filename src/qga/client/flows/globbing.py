"""The files of the guest that fit a pattern. For `Files`.

The pattern is taken apart and matched here, so that it means what Python's `glob` makes of it; the
guest is asked once for each part of it.
"""

from __future__ import annotations

import fnmatch
import glob as _glob
import re
from typing import TYPE_CHECKING

from .answer import answers
from .asking import full, needs, shown, told
from .steps import Timeout

if TYPE_CHECKING:
    from .script import GuestPath
    from .steps import Flow

# Each gets paths and prints others, each with a NUL behind it. What cannot be read has no files.
_EXISTING = """for p; do
    if [ -e "$p" ] || [ -L "$p" ]; then printf '%s\\0' "$p"; fi
done"""
_DIRECTORIES = """for p; do
    if [ -d "$p/" ]; then printf '%s/\\0' "$p"; fi
done"""
_BELOW = f"""{needs("find", "xargs")}
printf '%s/\\0' "$@" | xargs -0 sh -c 'find "$@" -mindepth 1 TESTS -print0' sh 2>/dev/null
return 0"""
_CHILDREN = _BELOW.replace("TESTS", "-maxdepth 1")
_SHOWN = '-name ".*" -prune -o '


def glob(
    pattern: GuestPath, *, include_hidden: bool = False, timeout: float | None = None
) -> Flow[list[str]]:
    r"""The paths that fit a pattern, sorted.

    It has the wildcards of Python's `glob`: `*`, `?` and `[...]` within a name, `**` for any number
    of directories, and a slash at the end for directories alone. Other than there, `**` does not
    follow symlinks.

        >>> guest.files.write(f"{folder}/file", b"data\n")
        5
        >>> guest.files.glob(f"{folder}/**/f*")
        ['.../file']

    Args:
        pattern: a full path with wildcards.
        include_hidden: whether wildcards fit names that begin with a dot.
        timeout: seconds for each command; the client's own if None.
    """
    yield Timeout(timeout)
    where = full(pattern)
    what = f"find {told(where)}"
    hidden = "" if include_hidden else _SHOWN
    found = [b""]
    _, *parts = shown(where).split("/")
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        if not part:
            found = yield from answers(what, _DIRECTORIES, found)
        elif part == "**" and last:
            below = yield from answers(what, _BELOW.replace("TESTS", hidden), found)
            found = (yield from answers(what, _DIRECTORIES, found)) + below
        elif part == "**":
            below = yield from answers(what, _BELOW.replace("TESTS", f"{hidden}-type d"), found)
            found = list(dict.fromkeys(found + below))
        elif _glob.has_magic(part):
            children = yield from answers(what, _CHILDREN, found)
            fits = re.compile(fnmatch.translate(part)).match
            dotted = include_hidden or part.startswith(".")
            names = ((path, shown(path.rpartition(b"/")[2])) for path in children)
            found = [path for path, name in names if fits(name) and (dotted or name[0] != ".")]
        else:
            found = [path + b"/" + where.split(b"/")[number] for path in found]
            if last:
                found = yield from answers(what, _EXISTING, found)
    return sorted(shown(path) for path in set(found))
