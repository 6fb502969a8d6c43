"""A log daemon in the guest: keeps what is sent to /dev/log, or to journald's socket.

Used by the tests in this folder. It needs no disk, so that it goes on while they are frozen.
"""

from tests.vm.observe import wait_until
from tests.vm.qemu import Guest

SYSLOG = "/dev/log"
JOURNAL = "/run/systemd/journal/socket"
KEPT = "/run/logged"

_DAEMON = """
import os, socket, sys
path, kept = sys.argv[1:]
os.makedirs(os.path.dirname(path), exist_ok=True)
daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
daemon.bind(path)
with open(kept, "ab", buffering=0) as file:
    while True:
        file.write(daemon.recv(1 << 18) + b"\\0")
"""


def start_log_daemon(guest: Guest, path: str = SYSLOG) -> None:
    """Start it, and wait until it listens."""
    guest.control.start(["/usr/bin/python3", "-I", "-S", "-c", _DAEMON, path, KEPT])
    wait_until(lambda: guest.sh(f"test -S {path}").code == 0, "the log daemon")


def logged(guest: Guest) -> list[str]:
    """All messages so far."""
    return guest.read(KEPT).decode().split("\0")[:-1]
