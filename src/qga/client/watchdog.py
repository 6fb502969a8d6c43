"""A process that thaws a guest when the one that froze it is gone: `python -m qga.client.watchdog`.

`frozen` starts one for each freeze. It reads lines from its standard input: "over" says that the
freeze is over, anything else that one is about to be asked for: its token, or nothing for one that
has no lease. The end of the input says that the other process has ended without saying so, as one
does that is killed. If it had asked by then, this one opens the channel, which is free now where it
takes one client only, and thaws: what has that token, or what there is. It does so too when the
deadline is well over and nobody has said anything.

It says "r" on its standard output when it is ready.
"""

from __future__ import annotations

import os
import select
import sys
import time

from qga.errors import CommandDisabled, CommandNotFound, QgaError

from .flows import freezing, leasing
from .sync import Client, connect

# How long after the deadline the other process is taken to be stuck, in seconds.
GRACE = 5.0

# How long a thaw is tried, for each attempt and in all, and the pauses between. The agent may serve
# somebody else first, or be started again.
_ATTEMPT, _PATIENCE, _PAUSE = 10.0, 600.0, 0.5


class Other:
    """The process that has frozen the guest.

    Args:
        pid: its number.

    Attributes:
        gone: whether it has ended.
        asked: whether it may have asked for a freeze; if not, what is frozen is somebody else's.
        token: what the freeze is called, if it has a lease.
    """

    def __init__(self, pid: int) -> None:
        # By its input alone its end might go unnoticed: other processes may have inherited that.
        self.gone = os.getppid() != pid
        self.asked = False
        self.token = ""
        self._said = b""
        self._speaks = True
        self._descriptor = -1
        try:
            self._descriptor = os.pidfd_open(pid)
        except OSError:
            pass  # kernels before 5.3

    def says_done(self, seconds: float) -> bool:
        """Wait until it says that the freeze is over; False if it ends, or in *seconds*."""
        end = time.monotonic() + seconds
        while self._speaks:
            poll = select.poll()
            poll.register(sys.stdin.fileno(), select.POLLIN)
            if self._descriptor >= 0 and not self.gone:
                poll.register(self._descriptor, select.POLLIN)
            # Once it has gone, only what it said before is heard.
            left = 0.0 if self.gone else max(0.0, end - time.monotonic())
            found = dict(poll.poll(None if left > 1e6 else left * 1000))
            if not found:
                return False
            if sys.stdin.fileno() not in found:
                self.gone = True
            elif self._says_over():
                return True
        return False

    def _says_over(self) -> bool:
        """Hear what it says."""
        data = os.read(sys.stdin.fileno(), 4096)
        *lines, self._said = (self._said + data).split(b"\n")
        if b"over" in lines:
            return True
        if lines:
            self.asked, self.token = True, lines[-1].decode()
        if not data:
            self._speaks, self.gone = False, True
        return False

    def thaw(self, client: Client) -> None:
        """Undo what it has done."""
        if self.token:
            try:
                client.perform(leasing.thaw(self.token, attempts=1))
                return
            except leasing.NO_LEASES:
                pass  # another agent has come in its place
        client.perform(freezing.thaw(attempts=1))


def main(words: list[str]) -> int:
    """Watch.

    Args:
        words: the target; the deadline in seconds, which may be `inf`; and the pid of the process.

    Returns: 0 if there was nothing to do or it was done, 1 if the guest may still be frozen.
    """
    target, deadline, other = words[0], float(words[1]), Other(int(words[2]))
    os.write(sys.stdout.fileno(), b"r")
    if other.says_done(deadline + GRACE):
        return 0
    while not (other.asked or other.gone):  # it takes its time with the begin
        if other.says_done(max(GRACE, deadline + GRACE)):
            return 0
    if not other.asked:
        return 0
    failure: QgaError | None = None
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            with connect(target, timeout=_ATTEMPT) as client:
                client.sync()
                # It may have come to itself in the meantime.
                if not other.says_done(0):
                    other.thaw(client)
                return 0
        except (CommandDisabled, CommandNotFound) as error:
            failure = error
            break
        except QgaError as error:
            failure = error
        if other.says_done(_PAUSE):
            return 0
        if other.gone:
            time.sleep(_PAUSE)
    sys.stderr.write(f"qga: the guest of {target} may still be frozen: {failure}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
