"""The checksum of a file of the guest, made while the file is written. For `sending`.

A program in the guest reads behind the agent, so that little is left to do when all has arrived. It
counts if nobody has touched the file since it was complete; otherwise, and where the guest has no
Python, the checksum is made afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import CommandError, Unsupported
from qga.protocol import ExecGetStatus

from .script import outcome, started
from .steps import Leave

if TYPE_CHECKING:
    from .steps import Flow

# Shorter files have their checksum sooner than it would pay to begin early.
LARGE = 16 << 20

# $1 is the file, which is empty or holds what is to stay there, $2 how large it will be. The output
# is the checksum, and what `STAMP` says of the file when it had this size; nothing on file systems
# that know whole seconds only, in which much can be changed. It ends when the file is removed, or
# does not grow for a minute. Not by the shell's means: they would send all through a pipe, which
# takes as long as the checksum.
_FOLLOW = """command -v python3 >/dev/null || return 127
TZ=UTC0 python3 -I -S -c '
import hashlib, os, stat, sys, time
size = int(sys.argv[2])
file = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
if not stat.S_ISREG(os.fstat(file).st_mode):
    sys.exit(1)
digest, room = hashlib.sha256(), memoryview(bytearray(1 << 16))
at, grown = 0, time.monotonic()
while at < size:
    status = os.fstat(file)
    there = min(status.st_size, size)
    if there == at or (there < size and there - at < 1 << 22):
        if not status.st_nlink or time.monotonic() - grown > 60:
            sys.exit(1)
        time.sleep(0.02)
        continue
    while at < there:
        count = os.readv(file, [room[:there - at]])
        if not count:
            sys.exit(1)
        digest.update(room[:count])
        at += count
    grown = time.monotonic()
seconds, parts = divmod(status.st_ctime_ns, 10**9)
when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
if parts:
    print(digest.hexdigest(), status.st_ino, when + ".%09d +0000" % parts)
' "$1" "$2"
"""

# Prints what differs when the file "$temporary" has been changed or replaced.
STAMP = """TZ=UTC0 stat -c '%i %z' "$temporary" """


class Follower:
    """What reads behind the agent, if something does."""

    def __init__(self) -> None:
        self._pid: int | None = None

    def begin(self, path: bytes, size: int) -> Flow[None]:
        """Follow *path*, which will have *size* bytes, if that is worth it and possible."""
        if size >= LARGE:
            try:
                self._pid = yield from started(_FOLLOW, path, str(size))
            except (CommandError, Unsupported):
                pass  # the agent runs nothing

    def end(self, known: str) -> Flow[bytes]:
        """The stamp of the file when its checksum was *known*; b"" if that cannot be said."""
        pid, self._pid = self._pid, None
        if pid is None:
            return b""
        done = yield from outcome(pid)
        digest, _, stamp = done.out.strip().partition(b" ")
        return stamp if not done.code and digest == known.encode() else b""

    def leave(self) -> Flow[None]:
        """Nobody waits for it any more; it would be remembered."""
        pid, self._pid = self._pid, None
        if pid is not None:
            yield Leave(ExecGetStatus(pid=pid))
