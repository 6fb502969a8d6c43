"""A platform made up for tests: file systems that freeze on paper, a machine that stays on."""

import errno
import mmap
import os
import time

from .mounts import Mount, Survey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


# Of one mount point: how often it is frozen, whether freezing it hangs, and what the next calls of
# each kind raise, as error numbers.
_DEPTH, _HANGS, _FAILURES = 0, 1, 2
_ACTIONS = ("open", "freeze", "thaw")
_EACH = 16
_ROOM = _FAILURES + len(_ACTIONS) * _EACH
_MOST = 64


class FakeFreezer:
    """File systems whose freezing is a counter each.

    The counters are in memory that is shared with processes which are copies of this one, as
    guardians are.

    Args:
        paths: the mount points, in the order of the mount table.
    """

    def __init__(self, *paths: str) -> None:
        self.table = [
            Mount(path, (8, number), "ext4", f"/dev/sda{number}")
            for number, path in enumerate(paths)
        ]
        self.others: list[tuple[Mount, str]] = []
        self.below: dict[str, set[str]] = {}
        # Mount points whose file system does not support freezing.
        self.unsupported: set[str] = set()
        self._places = {path: number * _ROOM for number, path in enumerate(paths)}
        # Behind the counters: how many were frozen, and which, in order.
        size = (_MOST * _ROOM + 1024) * 4
        self._shared = memoryview(mmap.mmap(-1, size)).cast("i")
        self._open: dict[int, str] = {}

    # For tests.

    @property
    def frozen(self) -> dict[str, int]:
        """How often each is frozen."""
        return {path: self._shared[place + _DEPTH] for path, place in self._places.items()}

    @frozen.setter
    def frozen(self, depths: "Mapping[str, int]") -> None:
        for path, place in self._places.items():
            self._shared[place + _DEPTH] = depths.get(path, 0)

    @property
    def order(self) -> list[str]:
        """What was frozen, in order."""
        paths = list(self._places)
        begin = _MOST * _ROOM + 1
        return [paths[number] for number in self._shared[begin : begin + self._shared[begin - 1]]]

    def fail(self, action: str, path: str, *numbers: int) -> None:
        """Have the next calls of *action* for the mount point *path* fail, each with an error."""
        begin = self._places[path] + _FAILURES + _ACTIONS.index(action) * _EACH
        for at in range(_EACH):
            self._shared[begin + at] = numbers[at] if at < len(numbers) else 0

    def hang(self, path: str, *, hangs: bool = True) -> None:
        """Have freezing *path* hang, or hang no longer."""
        self._shared[self._places[path] + _HANGS] = hangs

    def _raise_next(self, action: str, path: str) -> None:
        begin = self._places[path] + _FAILURES + _ACTIONS.index(action) * _EACH
        number = self._shared[begin]
        if number:
            self._shared[begin : begin + _EACH - 1] = self._shared[begin + 1 : begin + _EACH]
            raise OSError(number, os.strerror(number))

    # As `Freezer`.

    def mounts(self) -> list[Mount]:
        """See `Freezer`."""
        return list(self.table)

    def survey(self) -> Survey:
        """See `Freezer`."""
        at = {mount.path: position for position, mount in enumerate(self.table)}
        below = [
            {at[path] for path in self.below.get(mount.path, ()) if path in at}
            for mount in self.table
        ]
        return Survey(list(self.table), below, {}, list(self.others))

    def is_current(self, survey: Survey) -> bool:
        """See `Freezer`."""
        return survey.mounts == self.table

    def are_all(self, fds: "Iterable[int]") -> bool:
        """See `Freezer`."""
        return {mount.path for mount in self.table} <= {self._open[fd] for fd in fds}

    def open(self, mount: Mount) -> int:
        """See `Freezer`."""
        self._raise_next("open", mount.path)
        fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._open[fd] = mount.path
        return fd

    def freeze(self, fd: int) -> None:
        """See `Freezer`."""
        path = self._open[fd]
        place = self._places[path]
        while self._shared[place + _HANGS]:
            time.sleep(0.01)
        self._raise_next("freeze", path)
        if path in self.unsupported:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self._shared[place + _DEPTH] += 1
        count = _MOST * _ROOM
        self._shared[count] += 1
        self._shared[count + self._shared[count]] = list(self._places).index(path)

    def thaw(self, fd: int) -> bool:
        """See `Freezer`."""
        path = self._open[fd]
        self._raise_next("thaw", path)
        place = self._places[path]
        if not self._shared[place + _DEPTH]:
            return False
        self._shared[place + _DEPTH] -= 1
        return True


class FakePower:
    """A machine that runs *command* in place of turning itself off."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.modes: list[str] = []
        # The programs that may suspend, and what happens in place of the kernel's suspending; None
        # if it cannot.
        self.ways: list[tuple[list[str], tuple[int, ...], list[str]]] = []
        self.sleep: Callable[[], None] | None = None

    def shutdown_command(self, mode: str) -> list[str]:
        """See `Power`."""
        self.modes.append(mode)
        return self.command

    def suspend_commands(self, mode: str) -> "list[tuple[list[str], tuple[int, ...], list[str]]]":
        """See `Power`."""
        self.modes.append(mode)
        return self.ways

    def can_suspend(self, mode: str) -> bool:
        """See `Power`."""
        return self.sleep is not None

    def suspend(self, mode: str) -> None:
        """See `Power`."""
        if self.sleep is not None:
            self.sleep()


class FakeSystem:
    """See `System`.

    Args:
        paths: mount points that can be frozen.
        shutdown: the program that is run in place of turning the machine off.
        topics: what else this platform has, by the names of `System`.
    """

    def __init__(self, *paths: str, shutdown: "list[str] | None" = None, **topics: "Any") -> None:
        self.freezer = FakeFreezer(*paths)
        self.power = FakePower(shutdown or ["/bin/true"])
        self._topics = topics

    def __getattr__(self, name: str) -> "Any":
        try:
            return self.__dict__["_topics"][name]
        except KeyError:
            raise AttributeError(f"this platform was made up without {name}") from None
