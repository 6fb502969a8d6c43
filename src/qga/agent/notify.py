"""Tells systemd that the agent is ready, how it is doing, and that it lives. Used by `app`.

The protocol of sd_notify: one datagram a message, to the socket that ``NOTIFY_SOCKET`` names.
Without one, nothing is sent and no timer runs.
"""

import os

from .lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .loop import Loop

# When a message is sent again, whose receiver had too many of them waiting.
_AGAIN = 1.0


class Notifier:
    """Whoever has started the agent and wants to hear of it; maybe nobody.

    The variables that say so are removed from the environment: the programs that the agent starts
    are not to speak for it.
    """

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop
        self._socket: socket.socket | None = None
        self._watchdog = 0  # microseconds in which a sign of life is due; 0: not wanted
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        watchdog = os.environ.pop("WATCHDOG_USEC", "")
        if self._address.startswith("@"):  # an abstract one
            self._address = "\0" + self._address[1:]
        elif not self._address.startswith("/"):
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        if watchdog.isdecimal() and pid in ("", str(os.getpid())):
            self._watchdog = int(watchdog)

    @property
    def managed(self) -> bool:
        """Whether the agent was started by a service manager."""
        return self._socket is not None

    def ready(self) -> None:
        """The agent serves, or waits for its device to come."""
        self._send("READY=1")
        if self._watchdog:
            self._live()

    def status(self, text: str) -> None:
        """Say in one line what the agent is doing."""
        self._send(f"STATUS={text}")

    def patience(self, seconds: float) -> None:
        """Let the watchdog wait so much longer than usual for a sign of life; 0: as usual."""
        if self._watchdog:
            self._send(f"WATCHDOG_USEC={self._watchdog + int(seconds * 1e6)}")

    def stopping(self) -> None:
        """The agent is about to end."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _live(self) -> None:
        self._send("WATCHDOG=1")
        self._loop.later(self._watchdog / 2e6, self._live)

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        data = message.encode("utf-8", "backslashreplace")
        try:
            # Never waiting: a frozen file system may have stopped whoever reads this.
            self._socket.sendto(data, socket.MSG_DONTWAIT, self._address)
        except BlockingIOError:
            self._loop.later(_AGAIN, lambda: self._send(message))
        except OSError:
            pass  # nobody is there any more
