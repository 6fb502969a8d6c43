"""Memory for pieces of files, which are large and come one after the other.

glibc has each large block from the system, and gives it back, which costs more than what is done
with it: until one has been freed that was as large.
"""

from __future__ import annotations

# The largest blocks that are worth keeping for what comes next.
KEPT = 4 << 20

_prepared: list[int] = []


def keep() -> None:
    """Have blocks of up to `KEPT` bytes kept by this process from now on."""
    if not _prepared:
        _prepared.append(len(bytes(KEPT)))
