"""What tests ask a guest about its processes, past the agent under test; and their connections.

Used by the tests in this folder.
"""

import fcntl
import json
import socket
import termios
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import qga
from tests.vm.qemu import Guest

PATIENCE = 60.0  # for what takes moments, on a busy machine too
BLOCKED = "percpu_rwsem_wait"  # where the kernel keeps who writes to a frozen file system
DISKS = ("/root", "/mnt/data")  # a directory on each
MARKER = "/run/qga.state.isfrozen"


def connect(guest: Guest, timeout: float = PATIENCE) -> qga.Client:
    """Our client on the port under test; that port has room for one client at a time."""
    return qga.connect(f"unix:{guest.agent_socket}", timeout=timeout)


def wait_until(true: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)


def refused(client: qga.Client, name: str, **arguments: Any) -> qga.CommandError:
    """The error with which the agent answers."""
    try:
        result = client.call(name, {key.replace("_", "-"): v for key, v in arguments.items()})
    except qga.CommandError as error:
        return error
    raise AssertionError(f"{name} returned {result!r}")


class Raw:
    """The port under test as it is: bytes in, lines out."""

    def __init__(self, guest: Guest) -> None:
        self._received = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(guest.agent_socket))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def unsent(self) -> int:
        """How many bytes QEMU has not taken yet."""
        waiting = array("i", [0])
        fcntl.ioctl(self.socket, termios.TIOCOUTQ, waiting)
        return waiting[0]

    def line(self) -> bytes:
        while b"\n" not in self._received:
            data = self.socket.recv(1 << 16)
            assert data, "the channel was closed"
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    def reply(self) -> Any:
        return json.loads(self.line())

    def pending(self) -> bytes:
        """What has arrived until now and was not asked for."""
        self.socket.setblocking(False)
        try:
            self._received += self.socket.recv(1 << 16)
        except BlockingIOError:
            pass
        self.socket.settimeout(PATIENCE)
        return self._received


class Process:
    """A process in the guest, as the kernel tells about it."""

    def __init__(self, guest: Guest, pid: int) -> None:
        self._guest = guest
        self.pid = pid

    def file(self, name: str) -> str:
        return self._guest.read(f"/proc/{self.pid}/{name}").decode()

    def numbers(self, name: str) -> dict[str, int]:
        """The lines of a file that are a name and a number."""
        pairs = (line.partition(":") for line in self.file(name).splitlines())
        split = ((key, value.split()) for key, _, value in pairs)
        return {key: int(v[0]) for key, v in split if v and v[0].isdecimal()}

    @property
    def state(self) -> str:
        return self._stat()[0]

    @property
    def ticks(self) -> int:
        """Its use of the processor so far, in hundredths of a second."""
        return int(self._stat()[11]) + int(self._stat()[12])

    @property
    def switches(self) -> int:
        """How often it has run."""
        status = self.numbers("status")
        return status["voluntary_ctxt_switches"] + status["nonvoluntary_ctxt_switches"]

    @property
    def memory(self) -> int:
        """Kilobytes that it occupies."""
        return self.numbers("status")["VmRSS"]

    @property
    def descriptors(self) -> int:
        return len(self._guest.sh(f"ls /proc/{self.pid}/fd").out.split())

    def _stat(self) -> list[str]:
        return self.file("stat").rpartition(")")[2].split()


class Writer:
    """A program in the guest that makes a file, writes to it and syncs it."""

    def __init__(self, guest: Guest, directory: str) -> None:
        self._guest = guest
        self.path = f"{directory}/written"
        self._process = Process(
            guest,
            guest.control.start(
                ["/bin/dd", "if=/etc/hostname", f"of={self.path}", "conv=fsync", "bs=1"]
            ),
        )

    @property
    def blocked(self) -> bool:
        return self._process.state == "D" and self._process.file("wchan") == BLOCKED

    def finish(self) -> None:
        """Wait until it has written everything."""
        assert self._guest.control.wait(self._process.pid, PATIENCE).code == 0
        assert self._guest.read(self.path) == self._guest.read("/etc/hostname")


class Delay:
    """How long after the end of its lease a frozen guest goes on; for the docs, not asserted.

    A program for each disk waits to write, and notes when it has: the thaw, and a write after it.
    Started while frozen, past the agent under test.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        write = 'dd if=/etc/hostname of="$0/delay" conv=fsync bs=1 2> /dev/null; '
        note = 'cut -d " " -f 1 /proc/uptime > "/run/delay-$1"'
        self._pids = [
            guest.control.start(["/bin/sh", "-c", write + note, disk, str(number)])
            for number, disk in enumerate(DISKS)
        ]

    def after(self, report: Any, lease: int) -> float:
        """Seconds; the *report* is of the freeze, its *lease* in milliseconds."""
        for pid in self._pids:
            assert self._guest.control.wait(pid, PATIENCE).code == 0
        times = [float(self._guest.read(f"/run/delay-{n}")) for n in range(len(self._pids))]
        late = max(times) - report["began-monotonic"] / 1e9 - lease / 1000
        print(f"going on {late:.2f} s after the end of the lease")
        return float(late)


@contextmanager
def blocked_writers(guest: Guest) -> Iterator[list[Writer]]:
    """A program for each disk that cannot write, since it is frozen; in the end all have written.

    The thaw has to come from inside of the ``with``.
    """
    writers = [Writer(guest, directory) for directory in DISKS]
    for writer in writers:
        wait_until(lambda w=writer: w.blocked, f"{writer.path} is frozen")  # type: ignore[misc]
    yield writers
    for writer in writers:
        writer.finish()


def processes(guest: Guest, command: str) -> list[int]:
    """The pids of the processes whose command line holds *command*."""
    return [int(line.split()[0]) for line in guest.sh("ps").out.splitlines() if command in line]


def agents(guest: Guest) -> list[int]:
    """The processes of our agent: itself, and the guardian of a freeze."""
    return processes(guest, "-m qga.agent")


def replace_program(guest: Guest, path: str, script: str) -> None:
    """Put a shell script where a program of the guest was."""
    guest.sh(f"rm -f {path}")
    guest.write(path, f"#!/bin/sh\n{script}\n".encode())
    guest.sh(f"chmod +x {path}")
