"""A freeze that lasts as long as a `with` block: `Client.frozen` and `AsyncClient.frozen` make it.

Whatever happens, somebody thaws: the end of the block, also by an error, a signal or cancellation;
at the deadline a timer, which the block's code cannot hold up; and if the whole process is gone, by
SIGKILL too, another process, the `watchdog`. Where the agent has leases, the guest does so itself
when nobody renews its own. `freezestate` is what both kinds have in common.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from qga.errors import QgaError

from . import signals
from .flows import freezing
from .freezestate import FreezeState
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from .sync import Client

# Targets that stand for an open descriptor cannot be opened again.
_ONCE = ("fd:",)


@signals.uninterrupted  # one that nobody knows of could not be told when it is over
def watch(target: str | None, deadline: float) -> Watch | None:
    """A process that watches, if it can be had."""
    if target is None or target.startswith(_ONCE):
        return None
    try:
        return Watch(target, deadline)
    except OSError:
        return None


class Freeze(FreezeState):
    """A freeze for a `with` block; `Client.frozen` makes it, and says what it does.

    >>> with client.frozen(deadline=30) as freeze:
    ...     print(freeze.frozen, "file systems are frozen")
    2 file systems are frozen
    >>> freeze.held
    True
    """

    def __init__(
        self,
        client: Client,
        mountpoints: str | Sequence[str] | None,
        deadline: float,
        timeout: float | None,
        *,
        exclude: str | Sequence[str] = (),
        on_lost: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(client, mountpoints, deadline, timeout, exclude=exclude, on_lost=on_lost)
        self._client = client
        self._timer: threading.Timer | None = None
        self._renewer: threading.Thread | None = None
        self._over = threading.Event()
        self._thawing = threading.Lock()

    def __enter__(self) -> Self:
        try:
            signals.guard(self)
            self._start_watch()
            signals.deliver()
            self._await_watch()
            self._freeze()
            return self
        except BaseException as error:
            try:
                self.__exit__(None, None, None)
            except QgaError:
                if not freezing.in_doubt(error):
                    raise
                # It tells of a thaw that has failed, and why there had to be one.
            raise

    def _start_watch(self, ahead: float = 0.0) -> None:
        """Have the other process started, up to *ahead* seconds before the freeze."""
        self._watch = watch(self._client.target, self._deadline.seconds + ahead)

    def _await_watch(self) -> None:
        """Wait until the other process watches, if there is one."""
        self.watched = self._watch is not None and self._watch.ready()

    def _freeze(self) -> None:
        """Freeze; have the lease renewed, if there is one, and a timer thaw at the deadline."""
        self._client.perform(self._freeze_flow())
        if self._pause() is not None:
            self._renewer = threading.Thread(target=self._renew, name="qga lease", daemon=True)
            self._renewer.start()
        if math.isfinite(self._deadline.seconds):
            self._timer = threading.Timer(self._remaining(), self._expire)
            self._timer.daemon = True
            self._timer.start()

    def _renew(self) -> None:
        """Renew the lease again and again; in a thread, which the block cannot hold up."""
        pause = self._pause()
        while pause is not None and not self._over.wait(pause):
            pause = self._client.perform(self._renewal_flow())

    def thaw(self) -> None:
        """Thaw before the block ends, which then finds it done. From any thread.

        >>> with client.frozen() as freeze:
        ...     freeze.thaw()
        ...     client.write_file("/tmp/thawed", b"yes")
        3
        >>> freeze.held
        True
        """
        if self._timer is not None:
            self._timer.cancel()
        self._over.set()
        with self._thawing:  # unless the timer is at it
            self._client.perform(self._thaw_flow())
        renewer = self._renewer
        # After an interrupt it may not have been started.
        if renewer not in {None, threading.current_thread()} and renewer.is_alive():
            renewer.join()

    @signals.uninterrupted
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.thaw()
        finally:
            if self._watch is not None:
                self._watch.end(over=not self.in_doubt)
            if signals.release(self):
                signals.deliver()

    def _expire(self) -> None:
        self._over.set()
        with self._thawing:
            try:
                self._client.perform(self._expiry_flow())
            except QgaError:
                pass  # the end of the block tries again, and raises
