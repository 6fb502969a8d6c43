"""Looks at a program that runs, again and again, for who waits beside it. For `client.attached`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .running import Running
    from .steps import Flow

# A pause between two looks, as a part of the time since something came or went.
_EAGER, _SHORTEST, _LONGEST = 0.05, 0.001, 0.1
# So often a program that is silent is asked whether it has ended: what it has left behind may hold
# its outputs. And how long they are read then when nothing comes, in seconds, and in the time that
# a look takes: a guest that is slow to answer may be slow to pass the rest on, too.
_ASK, _QUIET, _QUIET_LOOKS = 1.0, 2.0, 20


class Relay:
    """Takes what comes of a program's outputs, and sees its end.

    Args:
        running: the program.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self._active = self._asked = time.monotonic()
        self._slowest = 0.0  # look after its end

    @property
    def pause(self) -> float:
        """Until the next look, in seconds."""
        return min(_LONGEST, max(_SHORTEST, _EAGER * (time.monotonic() - self._active)))

    def moved(self) -> None:
        """Look soon: something was passed to the program."""
        self._active = time.monotonic()

    def look(self) -> Flow[bool]:
        """Move to the outputs' buffers what is there; return whether that was all, and it ended."""
        running = self._running
        begun = time.monotonic()
        got = 0
        for output in running.outputs():
            got += yield from output.look()
        yield from running.alive()
        now = time.monotonic()
        if got:
            self._active = now
            return False
        if all(output.ended for output in running.outputs()):
            return (yield from running.poll()) is not None
        if running.returncode is None:
            if now - self._asked > _ASK:
                self._asked = now
                if (yield from running.poll()) is not None:
                    self._active = now
            return False
        self._slowest = max(self._slowest, now - begun)
        if now - self._active < max(_QUIET, _QUIET_LOOKS * self._slowest):
            return False
        for output in running.outputs():
            yield from running.close_output(output)
        return True
