"""Files of the guest by what they are: its own find searches. For `Files`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .asking import full
from .listing import search
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.client.filestat import FileEntry
    from qga.errors import GuestOSError

    from .script import GuestPath
    from .steps import Flow


def find(
    path: GuestPath,
    *tests: str,
    max_depth: int | None = None,
    one_file_system: bool = False,
    on_error: Callable[[GuestOSError], object] | None = None,
    timeout: float | None = None,
) -> Flow[list[FileEntry]]:
    r"""The files that pass *tests*: *path* itself and all below it; sorted by path.

    The guest's find looks, so that only what it finds is sent. Symlinks are not followed.

        >>> guest.files.write(f"{folder}/notes.txt", b"data\n")
        5
        >>> [entry.name for entry in guest.files.find(folder, "-name", "*.txt", "-size", "-9c")]
        ['notes.txt']

    Args:
        path: full path in the guest; of a directory, mostly.
        tests: what the guest's find takes, such as "-type", "f"; several are joined by "and".
            Busybox knows no other suffix of -size than c, for bytes, and k. No actions: -delete
            and -exec would be carried out more than once.
        max_depth: how far down; 0 is *path* alone.
        one_file_system: whether to leave out what is mounted below.
        on_error: called with the error for each directory that cannot be read, which is skipped;
            it may raise. None skips silently.
        timeout: seconds for each command; the client's own if None.

    Raises:
        GuestOSError: there is no such file, or find does not know the tests.
    """
    yield Timeout(timeout)
    if max_depth is not None and max_depth < 0:
        raise ValueError(f"max_depth is at least 0, not {max_depth}")
    depth = "" if max_depth is None else str(max_depth)
    entries, failures = yield from search(
        full(path), tests, depth=depth, one_file_system=one_file_system
    )
    for error in failures:
        if on_error:
            on_error(error)
    return entries
