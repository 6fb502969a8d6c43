"""A platform made up for tests: file systems that freeze on paper, a machine that stays on."""

import os

from .mounts import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class FakeFreezer:
    """File systems whose freezing is a counter each.

    Args:
        paths: the mount points, in the order of the mount table.
    """

    def __init__(self, *paths: str) -> None:
        self.table = [
            Mount(path, (8, number), "ext4", f"/dev/sda{number}")
            for number, path in enumerate(paths)
        ]
        self.frozen: dict[str, int] = {}
        self.order: list[str] = []
        # What the next call for a mount point raises, once for each entry.
        self.fail_open: dict[str, list[OSError]] = {}
        self.fail_freeze: dict[str, list[OSError]] = {}
        self.fail_thaw: dict[str, list[OSError]] = {}
        # Mount points whose file system does not support freezing.
        self.unsupported: set[str] = set()
        self._open: dict[int, str] = {}

    def mounts(self) -> list[Mount]:
        """See `Freezer`."""
        return list(self.table)

    def open(self, mount: Mount) -> int:
        """See `Freezer`."""
        _raise_next(self.fail_open, mount.path)
        fd = os.open(os.devnull, os.O_RDONLY)
        self._open[fd] = mount.path
        return fd

    def freeze(self, fd: int) -> bool:
        """See `Freezer`."""
        path = self._open[fd]
        _raise_next(self.fail_freeze, path)
        if path in self.unsupported:
            return False
        self.frozen[path] = self.frozen.get(path, 0) + 1
        self.order.append(path)
        return True

    def thaw(self, fd: int) -> bool:
        """See `Freezer`."""
        path = self._open[fd]
        _raise_next(self.fail_thaw, path)
        if not self.frozen.get(path):
            return False
        self.frozen[path] -= 1
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


def _raise_next(failures: "dict[str, list[OSError]]", path: str) -> None:
    if failures.get(path):
        raise failures[path].pop(0)
