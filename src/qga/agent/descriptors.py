"""The agent's own descriptors, which are nobody else's: no program's, and no child's.

Used at the start (`__main__`), and by the children that are copies of the agent (`apart`,
`guardian`).
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def _others() -> "Iterable[int]":
    """All but the standard streams."""
    try:
        found: Iterable[int] = map(int, os.listdir("/proc/self/fd"))
    except OSError:  # without /proc, those that there are likely to be
        found = range(1024)
    return (fd for fd in found if fd > 2)


def keep_private() -> None:
    """Let no program inherit what the agent was started with; what it opens itself none does."""
    for fd in _others():
        try:
            os.set_inheritable(fd, False)
        except OSError:
            pass  # closed, as that of the listing itself


def close_all_but(kept: "Collection[int]") -> None:
    """In a child: close all but *kept* and the standard streams."""
    for fd in _others():
        if fd not in kept:
            try:
                os.close(fd)
            except OSError:
                pass  # that of the listing itself
