"""A file with holes, for tests that copy it."""

import os
from pathlib import Path

MIB = 1 << 20
SIZE = 10 * MIB + 1


def make_sparse(path: Path, begin: int) -> Path:
    """Make *path*: *begin* random bytes, a hole up to 8 MiB, 1 MiB of data, a hole to `SIZE`."""
    with path.open("wb") as file:
        file.write(os.urandom(begin))
        file.seek(8 * MIB)
        file.write(os.urandom(MIB))
        file.truncate(SIZE)
    return path
