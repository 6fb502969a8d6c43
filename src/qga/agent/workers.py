"""The threads of a guardian: one a file system, which freezes and thaws it. Used by `keeper`.

Either may hang in the kernel, where nothing can end it; then only that thread does. One that comes
out of a freeze that was given up meanwhile, thaws at once.
"""

import _thread
import errno
import time

from . import record, standing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .system.asked import Freezer

# What cannot be frozen, or is frozen already, is skipped, as upstream does.
_SKIPPED = (errno.EOPNOTSUPP, errno.EBUSY)

_STACK = 256 << 10


class Workers:
    """The threads.

    Args:
        freezer: the platform.
        fds: descriptors of the file systems.
        state: where each thread notes what it has done.
        wake: called after that, in the thread.
    """

    def __init__(
        self,
        freezer: "Freezer",
        fds: list[int],
        state: record.State,
        wake: "Callable[[], None]",
    ) -> None:
        self._freezer = freezer
        self._fds = fds
        self._state = state
        self._wake = wake
        self._gates = [_thread.allocate_lock() for _ in fds]
        self._over = False

    def start(self) -> None:
        """Have them wait for what there will be to do.

        Raises:
            RuntimeError: there is no room for so many.
        """
        _thread.stack_size(_STACK)
        for position, gate in enumerate(self._gates):
            gate.acquire()
            _thread.start_new_thread(self._work, (position,))

    def freeze(self, position: int) -> None:
        """Freeze one, which is waiting."""
        self._state.status[position] = record.IN_FREEZE
        self._gates[position].release()

    def thaw(self) -> None:
        """Thaw what is frozen, all at once, and what comes out of a freeze from now on.

        One after the other would do for what a freeze has left in order. But one that is being
        frozen still, because it waits for another to be thawed, lets nobody thaw it before.
        """
        self._over = True
        for position in self._state.positions(record.IS_FROZEN, record.MAYBE):
            if self._gates[position].locked():
                self._gates[position].release()

    def _work(self, position: int) -> None:
        gate, state = self._gates[position], self._state
        while True:
            gate.acquire()
            if state.status[position] == record.IN_FREEZE:
                if self._over:
                    state.status[position] = record.WAITING
                else:
                    self._freeze(position)
            if self._over:
                self._thaw(position)
            self._wake()

    def _freeze(self, position: int) -> None:
        state = self._state
        began = time.monotonic_ns()
        try:
            self._freezer.freeze(self._fds[position])
        except OSError as error:
            state.error[position] = error.errno or errno.EIO
            skipped = error.errno in _SKIPPED
            state.status[position] = record.SKIPPED if skipped else record.REFUSED
        else:
            state.took[position] = (time.monotonic_ns() - began) // 1000
            state.status[position] = record.IS_FROZEN

    def _thaw(self, position: int) -> None:
        state = self._state
        before = state.status[position]
        if before not in {record.IS_FROZEN, record.MAYBE}:
            return
        standing.take_precedence()
        try:
            undone = thaw_fully(self._freezer, self._fds[position])
        except OSError as error:
            state.error[position] = error.errno or errno.EIO
            state.status[position] = record.STUCK
        else:
            nothing = record.LOST if before == record.IS_FROZEN else record.SKIPPED
            state.status[position] = record.THAWED if undone else nothing


def thaw_fully(freezer: "Freezer", fd: int) -> bool:
    """Undo all freezes of one file system; False when there was none.

    Raises:
        OSError: that failed.
    """
    undone = False
    while freezer.thaw(fd):
        undone = True
    return undone
