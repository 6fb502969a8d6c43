"""Which hooks have to be told of a thaw, in a file: the agent may be killed. Used by `hooks`.

The file is there before the first hook is run. Its first line names the freeze, the others each
hook that was told of it, in that order, and the process that runs it; after the thaw it gets
shorter from its end. Whoever works with it, agent or guardian, holds a lock on it, which ends with
the process.
Nothing of it is touched while file systems are frozen.
"""

import errno
import os

from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# How much is read; nobody has as many hooks.
_LARGEST = 1 << 20

_BUSY = (errno.EAGAIN, errno.EACCES)


class Busy(Exception):
    """Another process is about to tell the hooks of a thaw."""


class Owed:
    """The file.

    Args:
        path: of it.

    Attributes:
        token: the freeze that the hooks were told of; None if that is not known.
        began: when they were first told, by `record.now`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._hooks: list[tuple[str, int]] = []  # the path of each, and where its line begins
        self._runs = b""  # what the last line of a process says
        self.token: str | None = None
        self.began = 0

    def __iter__(self) -> "Iterator[str]":
        return (path for path, _ in self._hooks)

    def __len__(self) -> int:
        return len(self._hooks)

    @property
    def taken(self) -> bool:
        """Whether this process works with the file."""
        return self._fd >= 0

    def exists(self) -> bool:
        """Whether there is one."""
        return os.path.lexists(self._path)

    def take(self, before: "str | None" = None) -> bool:
        """Work with what an earlier agent has left; False if there is nothing.

        Args:
            before: the hook that is meant by a file which names none: that of an older agent.

        Raises:
            Busy: another process does.
            OSError: it cannot be read.
        """
        if self._fd >= 0:
            return True
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            try:
                os.lockf(fd, os.F_TLOCK, 0)
            except OSError as error:
                if error.errno in _BUSY:
                    raise Busy from None
                raise
            data = os.pread(fd, _LARGEST, 0)
            if not os.fstat(fd).st_nlink:
                raise Busy  # it was another's until just now
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        self._understand(data)
        if not data and before is not None:
            self._hooks = [(before, 0)]
        return True

    def _understand(self, data: bytes) -> None:
        first, *lines = data.split(b"\n")
        number, _, token = first.partition(b" ")
        self.began = int(number) if number.isdigit() else 0
        self.token = token.decode("utf-8", "replace") or None
        self._hooks, self._runs = [], b""
        start = len(first) + 1
        for line in lines[:-1]:  # behind the last newline there is nothing, or half a line
            kind, _, rest = line.partition(b" ")
            if kind == b"process":
                self._runs = rest
            elif kind == b"hook":
                self._hooks.append((os.fsdecode(rest.replace(b"\\n", b"\n")), start))
            start += len(line) + 1

    def begin(self, token: str, began: int, before: "str | None" = None) -> None:
        """A freeze begins; whoever is still to be told of the thaw of one before it stays so.

        Raises:
            Busy: another process is about to tell the hooks of a thaw.
            OSError: the file cannot be written.
        """
        self.take(before)
        first = b"%d %b\n" % (began, token.encode("utf-8", "replace"))
        data = first + b"".join(map(_line, self))
        new = f"{self._path}.new"
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.lockf(fd, os.F_TLOCK, 0)
            _write(fd, data, 0)
            os.replace(new, self._path)
        except BaseException:
            os.close(fd)
            raise
        self.let_go()
        self._fd = fd
        self._understand(data)

    def add(self, path: str) -> bool:
        """The hook *path* is about to be told of a freeze; False if it is owed a thaw already.

        Raises:
            OSError: the file cannot be written.
        """
        if path in self:
            return False
        self._hooks.append((path, self._append(_line(path))))
        return True

    def runs(self, pid: int) -> None:
        """The process *pid* is the hook that is told of a freeze."""
        started = _started(pid)
        if started:
            try:
                self._append(b"process %d %b\n" % (pid, started))
            except OSError:
                pass  # it is not ended, then, if the agent is killed just now

    def end_run(self) -> None:
        """End by force the hook that an earlier agent was telling of a freeze."""
        number, _, started = self._runs.partition(b" ")
        self._runs = b""
        # Numbers are used again.
        if started and _started(int(number)) == started:
            try:
                os.killpg(int(number), signal.SIGKILL)
            except OSError:
                pass  # it has ended just now

    def _append(self, line: bytes) -> int:
        end = os.lseek(self._fd, 0, os.SEEK_END)
        try:
            _write(self._fd, line, end)
        except OSError:
            os.ftruncate(self._fd, end)
            raise
        return end

    def drop(self) -> None:
        """The last one has been told of the thaw, or is not to be."""
        _, start = self._hooks.pop()
        if self._fd >= 0:
            try:
                os.ftruncate(self._fd, start)
            except OSError:
                pass  # it may be told twice

    def end(self) -> None:
        """Nobody is to be told of anything any more.

        Raises:
            OSError: the file cannot be removed.
        """
        self._hooks, self._runs = [], b""
        if self._fd >= 0:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass
            finally:
                self.let_go()

    def let_go(self) -> None:
        """Leave it to others."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def lose(self) -> None:
        """In the guardian, whose agent had the file: nothing is open here, and no lock held."""
        self._fd = -1


def _line(path: str) -> bytes:
    return b"hook %b\n" % os.fsencode(path).replace(b"\n", b"\\n")


def _write(fd: int, data: bytes, offset: int) -> None:
    if os.pwrite(fd, data, offset) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _started(pid: int) -> bytes:
    """When the process *pid* was started, as the kernel counts; b"" if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat: bytes = file.read()
    except OSError:
        return b""
    return stat.rpartition(b")")[2].split()[19]
