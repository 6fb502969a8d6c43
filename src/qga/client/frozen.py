"""A freeze that lasts as long as a `with` block: `Client.frozen` and `AsyncClient.frozen` make it.

Whatever happens, somebody thaws: the end of the block, also by an error, a signal or cancellation;
at the deadline a timer, which the block's code cannot hold up; and if the whole process is gone, by
SIGKILL too, another process, the `watchdog`. `FreezeState` is what both kinds have in common.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from qga.errors import QgaError
from qga.protocol.fsfreeze import FsfreezeState

from . import signals
from .deadline import Deadline
from .flows import freezing
from .flows.timing import within
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from .flows.steps import Flow
    from .sync import Client

# Targets that stand for an open descriptor cannot be opened again.
_ONCE = ("fd:",)


class FreezeState:
    """What is known of a freeze.

    Attributes:
        frozen: the number of file systems that were frozen.
        thawed: the number that the thaw has thawed; None until then.
        seconds: how long they were frozen, as seen from here.
        expired: whether the deadline has passed, and the timer thawed.
        held: whether, as far as can be told, all stayed frozen until the end of the block.
        report: that in a sentence, with the reason; empty until the end.
        watched: whether another process thaws if this one is gone.
        confirmed: when the agent had confirmed the freeze, as `time.monotonic` tells it; 0.0 until
            then.
        ended: when its end began, likewise: between the two all was frozen, if it `held`.
    """

    def __init__(
        self, mountpoints: str | Sequence[str] | None, deadline: float, timeout: float | None
    ) -> None:
        self._mountpoints = mountpoints
        self._timeout = timeout
        self._began = 0.0
        self._deadline = Deadline(deadline)
        self.in_doubt = False
        self.frozen = 0
        self.thawed: int | None = None
        self.seconds = 0.0
        self.expired = False
        self.held = False
        self.report = ""
        self.watched = False
        self.confirmed = 0.0
        self.ended = 0.0

    def _freeze_flow(self) -> Flow[None]:
        """Freeze."""
        self._began = time.monotonic()
        self._deadline = Deadline(self._deadline.seconds)
        self.in_doubt = True
        freeze = freezing.freeze(self._mountpoints, timeout=self._timeout)
        try:
            self.frozen = yield from within(self._deadline, freeze)
            self.confirmed = time.monotonic()
        except GeneratorExit:
            raise
        except BaseException as error:
            # The flow has thawed, if there was anything to thaw. Otherwise the watchdog goes on.
            self.in_doubt = freezing.in_doubt(error)
            raise

    def _remaining(self) -> float:
        """The seconds until the deadline."""
        return self._deadline.remaining()

    def _thaw_flow(self) -> Flow[None]:
        """Thaw, and judge; nothing if that is done."""
        if not self.in_doubt:
            return
        self.report = "nobody has confirmed the thaw: the guest may still be frozen"
        self.ended = self.ended or time.monotonic()
        try:
            found = yield from freezing.end(timeout=self._timeout)
        finally:
            self.seconds = time.monotonic() - self._began
        self.in_doubt = False
        self.thawed = found.thawed
        self.held, self.report = self._judge(found)
        if found.interrupt:
            raise found.interrupt

    def _expiry_flow(self) -> Flow[None]:
        """Thaw, since the deadline has passed; nothing if it is thawed."""
        self.expired = self.in_doubt
        yield from self._thaw_flow()

    def _judge(self, found: freezing.End) -> tuple[bool, str]:
        frozen = _counted(self.frozen)
        if self.frozen == 0:
            return False, "no file system was frozen"
        if self.expired:
            limit = f"the deadline of {self._deadline.seconds:g} s passed"
            return False, f"{limit}: {frozen} thawed after {self.seconds:.1f} s"
        if found.state == FsfreezeState.THAWED:
            return False, "somebody else thawed the guest before the end"
        if found.thawed < self.frozen:
            if found.repeated:
                return False, "the thaw had to be repeated, so that nobody can tell"
            return False, f"of {frozen} only {found.thawed} were still frozen at the end"
        return True, f"{frozen} stayed frozen for {self.seconds:.1f} s"


def _counted(number: int) -> str:
    return f"{number} file system{'' if number == 1 else 's'}"


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
    ) -> None:
        super().__init__(mountpoints, deadline, timeout)
        self._client = client
        self._watch: Watch | None = None
        self._timer: threading.Timer | None = None
        self._thawing = threading.Lock()
        self._guarded = False

    def __enter__(self) -> Self:
        self._guarded = signals.guard()
        try:
            self._start_watch()
            if self._guarded:
                signals.deliver()
            self._await_watch()
            self._freeze()
            return self
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _start_watch(self, ahead: float = 0.0) -> None:
        """Have the other process started, up to *ahead* seconds before the freeze."""
        self._watch = watch(self._client.target, self._deadline.seconds + ahead)

    def _await_watch(self) -> None:
        """Wait until the other process watches, if there is one."""
        self.watched = self._watch is not None and self._watch.ready()

    def _freeze(self) -> None:
        """Freeze, and have a timer thaw at the deadline."""
        self._client.perform(self._freeze_flow())
        if math.isfinite(self._deadline.seconds):
            self._timer = threading.Timer(self._remaining(), self._expire)
            self._timer.daemon = True
            self._timer.start()

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
        with self._thawing:  # unless the timer is at it
            self._client.perform(self._thaw_flow())

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
            if self._guarded:
                signals.release()
                signals.deliver()

    def _expire(self) -> None:
        with self._thawing:
            try:
                self._client.perform(self._expiry_flow())
            except QgaError:
                pass  # the end of the block tries again, and raises
