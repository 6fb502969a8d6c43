"""A freeze under way, and what its client asks for behind it on the same channel. For `connection`.

Replies have no names and come in order, so that nothing is answered before the freeze is: and that
may wait in the kernel for as long as a disk does. A host that has lost patience says so by what it
sends next; then the freeze is given up, its reply is an error, and the line moves.
"""

import os

from .pages import PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .loop import Loop, Timer

# How much is read, and kept, of what comes behind a freeze.
_ROOM = 64 * 1024

# These may have been sent in a row with the freeze, by who waits for no reply: a freeze that takes
# no longer than this, in seconds, is completed. libvirt waits for 5 seconds until it gives up.
_PATIENCE = 2.0
_SYNCS = ("guest-sync-delimited", "guest-sync")
_THAWS = ("guest-fsfreeze-thaw", "qga-fsfreeze-thaw")


class Impatience:
    """Decides when the freeze is given up.

    Args:
        loop: for the time that some requests wait.
        give_up: ends the freeze; called once.

    Attributes:
        at_end: whether the client has sent all that it will.
    """

    def __init__(self, loop: "Loop", give_up: "Callable[[], None]") -> None:
        self._loop = loop
        self._give_up = give_up
        self._timer: Timer | None = None
        self._room = _ROOM
        self.at_end = False

    def read(self, fd: int) -> bytes:
        """What has come from *fd*; `at_end` if that is the last of it.

        Raises:
            OSError: it cannot be read.
        """
        pieces = [b""]
        self.at_end = False  # the host of a port may have come back
        while self._room > 0 and not self.at_end:
            try:
                pieces.append(os.read(fd, PAGE))
            except BlockingIOError:
                break
            self._room -= len(pieces[-1])
            self.at_end = not pieces[-1]
        return b"".join(pieces)

    def consider(self, requests: "Iterable[Any]") -> None:
        """Take note of *requests* behind the freeze, whatever they are."""
        if self._timer is None and any(_is_impatient(each) for each in requests):
            self._timer = self._loop.later(_PATIENCE, self._give_up)

    def end(self) -> None:
        """The freeze has its reply."""
        if self._timer is not None:
            self._loop.cancel(self._timer)


def _is_impatient(request: "Any") -> bool:
    """Whether who sends this *request* behind a freeze has given it up, unless it is quick."""
    name = request.get("execute") if type(request) is dict else None
    # A thaw that names a freeze may mean another one.
    return name in _SYNCS or (name in _THAWS and not request.get("arguments"))
