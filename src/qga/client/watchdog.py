"""A process that thaws a guest when the one that froze it is gone: `python -m qga.client.watchdog`.

`frozen` starts one for each freeze. It reads lines from its standard input: "over" says that the
freeze is over, anything else is the token of one that has a lease. The end of the input says that
the other process has ended without saying so, as one does that is killed. Then it opens the
channel, which is free by then where it takes one client only, and thaws: what has that token, or
what there is. It does so too when the deadline is well over and nobody has said anything.

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
        token: what the freeze is called, if it has a lease.
    """

    def __init__(self, pid: int) -> None:
        # By its input alone its end might go unnoticed: other processes may have inherited that.
        self.gone = os.getppid() != pid
        self.token = ""
        self._said = b""
        self._descriptor = -1
        try:
            self._descriptor = os.pidfd_open(pid)
        except OSError:
            pass  # kernels before 5.3

    def says_done(self, seconds: float) -> bool:
        """Wait until it says that the freeze is over; False if it ends, or in *seconds*."""
        end = time.monotonic() + seconds
        while not self.gone:
            poll = select.poll()
            poll.register(sys.stdin.fileno(), select.POLLIN)
            if self._descriptor >= 0:
                poll.register(self._descriptor, select.POLLIN)
            left = max(0.0, end - time.monotonic())
            found = dict(poll.poll(None if left > 1e6 else left * 1000))
            if not found:
                return False
            if sys.stdin.fileno() in found:
                data = os.read(sys.stdin.fileno(), 4096)
                *lines, self._said = (self._said + data).split(b"\n")
                if b"over" in lines:
                    return True
                self.token = lines[-1].decode() if lines else self.token
                self.gone = not data
            else:
                self.gone = True
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
