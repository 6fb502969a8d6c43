"""What a file of the guest is before it is read, and whether that is what arrived. For `fetching`.

The checksum of a large file is made while the file is read, by a program beside the agent. That
counts if nobody has touched the file meanwhile; otherwise it is made again, of what is there then.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qga.errors import (
    CommandDisabled,
    CommandError,
    CommandNotFound,
    ProtocolError,
    QgaError,
    Unsupported,
)
from qga.protocol import ExecGetStatus

from .asking import run, told
from .placing import SUM, checksum
from .script import outcome, started
from .steps import Leave

if TYPE_CHECKING:
    from .moving import Tally
    from .steps import Flow

# Type and permissions, length, what it occupies, time of the last change; number and time of the
# last change of anything.
_LOOK = """stat -L -c '%f %s %b %B %Y %i %z' "$1" """

# The checksum of the first $2 bytes.
SUM_OF = f"""{SUM}
command -v sha256sum >/dev/null || return 69
if [ ! -f "$1" ] && [ ! -b "$1" ]; then echo ': Invalid argument' >&2; return 1; fi
if [ "$(stat -L -c %s "$1")" = "$2" ]; then
    sha256 "$1" "$2"
else
    head -c "$2" "$1" | sha256sum
fi
"""

# A file with a hole of less than this is read like one without.
_WORTH = 1 << 20

# Shorter files have their checksum sooner than it would pay to begin early.
LARGE = 16 << 20


@dataclass(frozen=True, slots=True)
class Look:
    """What the guest tells of a file before it is read.

    Attributes:
        stamp: differs when the file has been changed or replaced; b"" if that is not certain.
    """

    mode: int
    size: int
    occupied: int
    mtime: int
    stamp: bytes

    @property
    def sparse(self) -> bool:
        """Whether it has holes that are worth looking for."""
        return self.size - self.occupied >= _WORTH and stat.S_ISREG(self.mode)


def look(path: bytes, *, must: bool) -> Flow[Look | None]:
    """What the guest tells of a file; None if it cannot tell, unless it *must*."""
    try:
        done = yield from run(_LOOK, path)
        words = done.out.strip().split(maxsplit=5)
        if done.code or len(words) != 6:
            raise Unsupported(f"the guest does not tell what {told(path)} is")
    except (CommandDisabled, CommandNotFound, Unsupported):
        if must:
            raise
        return None
    mode, size, blocks, unit, mtime, stamp = words
    if b".000000000" in stamp:
        stamp = b""  # whole seconds, in which much can be changed
    try:
        return Look(int(mode, 16), int(size), int(blocks) * int(unit), int(mtime), stamp)
    except ValueError:
        raise ProtocolError(f"stat in the guest says {told(done.out)!r}") from None


def alongside(path: bytes, before: Look | None, reading: Flow[int]) -> Flow[tuple[int, str]]:
    """Have the checksum of a file made during the *reading* of it.

    Args:
        path: of the file.
        before: what it was before.
        reading: returns how many bytes it has.

    Returns: that; and the checksum, "" if it may not be that of what was read.
    """
    if before is None or not before.stamp or before.size < LARGE or not stat.S_ISREG(before.mode):
        return (yield from reading), ""
    try:
        pid = yield from started(SUM_OF, path, str(before.size))
    except (CommandError, Unsupported):
        return (yield from reading), ""
    try:
        size = yield from reading
    except GeneratorExit:
        raise  # nobody left to ask
    except BaseException:
        yield Leave(ExecGetStatus(pid=pid))  # which would be remembered
        raise
    done = yield from outcome(pid)
    after = yield from look(path, must=False)
    if done.code or size != before.size or after is None or after.stamp != before.stamp:
        return size, ""
    return size, checksum("", done) or ""


def verify(path: bytes, size: int, tally: Tally, *, known: str = "", must: bool) -> Flow[bool]:
    """Compare the checksum of what was read; return whether that was possible.

    Args:
        path: of the file.
        size: how much of it was read.
        tally: what was read.
        known: its checksum, if that was made before.
        must: fail if none can be made.
    """
    if known and known == tally.hex():
        return True
    found = yield from sum_of(path, size, must=must)
    if found is None:
        return False
    if found != tally.hex():
        raise QgaError(f"cannot read {told(path)}: what arrived is not what is there now")
    return True


def sum_of(path: bytes, size: int, *, must: bool = False) -> Flow[str | None]:
    """The checksum of the first *size* bytes; None if the guest can make none, unless it *must*."""
    try:
        done = yield from run(SUM_OF, path, str(size))
    except (CommandDisabled, CommandNotFound, Unsupported):
        if must:
            raise
        return None
    found = checksum(f"read {told(path)}", done)
    if found is None and must:
        raise Unsupported(f"cannot verify {told(path)}: the guest has no sha256sum")
    return found
