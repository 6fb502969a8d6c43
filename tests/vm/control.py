"""The harness's own two clients: for the stock agent that controls a guest, and for QEMU's monitor.

Used by `qemu`. They are not the project's client, so that what is tested does not test itself.
"""

import base64
import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, Self

BOOT_TIMEOUT = 180.0  # an emulated guest on a busy machine


class Result(NamedTuple):
    """How a command in the guest ended; a signal's number is negative."""

    code: int
    out: str
    err: str


class Lines:
    """JSON objects, one per line, over a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._received = bytearray()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def synchronize(self, timeout: float, again: float = inf) -> None:
        """Send a ``guest-sync`` and wait until the agent answers it.

        *again*: send another when no answer has come in so many seconds, for a port that may lose
        what is sent early.
        """
        number = time.monotonic_ns()
        deadline = time.monotonic() + timeout
        while True:
            self.send({"execute": "guest-sync", "arguments": {"id": number}})
            try:
                until = min(deadline, time.monotonic() + again)
                while self.receive(until).get("return") != number:
                    pass
                return
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise

    def send(self, message: Mapping[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, deadline: float) -> dict[str, Any]:
        start = 0
        while (end := self._received.find(b"\n", start)) < 0:
            start = len(self._received)
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(1 << 20)
            if not data:
                raise EOFError("QEMU closed the connection")
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        message = json.loads(line)
        if not isinstance(message, dict):
            raise TypeError(f"not an object: {line!r}")
        return message


class CommandError(Exception):
    """The control agent or QEMU answered with an error."""


class Control:
    """The stock agent on a guest's second port: runs commands, reads and writes files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = Lines(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.__exit__()

    def synchronize(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait until the agent answers.

        One request is enough, and no polling: what is sent early waits in QEMU until the guest
        opens the port. A new connection, so that no reply is lost half read.
        """
        self._lines.__exit__()
        self._lines = Lines(self._path)
        self._lines.synchronize(timeout)

    @contextmanager
    def away(self) -> Iterator[Path]:
        """Leave the port, which has room for one client, to somebody else meanwhile; its path."""
        self._lines.__exit__()
        yield self._path
        self.synchronize()

    def execute(self, name: str, /, timeout: float = 60, **arguments: Any) -> Any:
        """One command of the stock agent; in argument names, ``_`` stands for ``-``."""
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        self._lines.send({"execute": name, "arguments": named})
        reply = self._lines.receive(time.monotonic() + timeout)
        if "error" in reply:
            raise CommandError(reply["error"]["desc"])
        return reply["return"]

    def start(self, argv: Sequence[str], env: Sequence[str] = ()) -> int:
        """Start a program, its output nowhere; its pid. *env* are the only variables it gets."""
        arguments: dict[str, Any] = {"env": list(env)} if env else {}
        reply = self.execute("guest-exec", path=argv[0], arg=list(argv[1:]), **arguments)
        return int(reply["pid"])

    def wait(self, pid: int, timeout: float = 60) -> Result:
        """Wait for a program that `start` or `run` started, once."""
        deadline = time.monotonic() + timeout
        pause = 0.002
        while not (status := self.execute("guest-exec-status", pid=pid))["exited"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {pid} in the guest still runs after {timeout} s")
            time.sleep(pause)
            pause = min(0.1, pause * 1.5)
        out, err = (
            base64.b64decode(status.get(name, "")).decode(errors="surrogateescape")
            for name in ("out-data", "err-data")
        )
        return Result(status.get("exitcode", -status.get("signal", 0)), out, err)

    def run(self, argv: Sequence[str], data: bytes = b"", timeout: float = 60) -> Result:
        reply = self.execute(
            "guest-exec",
            path=argv[0],
            arg=list(argv[1:]),
            capture_output=True,
            input_data=base64.b64encode(data).decode(),
        )
        return self.wait(int(reply["pid"]), timeout)


class Qmp:
    """QEMU's machine monitor."""

    def __init__(self, path: Path, timeout: float = 30) -> None:
        self.events: list[dict[str, Any]] = []
        """All events so far that `wait_event` has not handed out."""
        self._lines = Lines(path)
        try:
            self._lines.receive(time.monotonic() + timeout)  # the greeting
            self.execute("qmp_capabilities")
        except BaseException:
            self._lines.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.__exit__()

    def execute(self, name: str, /, timeout: float = 30, **arguments: Any) -> Any:
        """One command; in argument names, ``_`` stands for ``-``."""
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        self._lines.send({"execute": name, "arguments": named})
        deadline = time.monotonic() + timeout
        while True:
            message = self._lines.receive(deadline)
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise CommandError(message["error"]["desc"])
            else:
                return message["return"]

    def wait_event(self, name: str, timeout: float = 60) -> dict[str, Any]:
        """The oldest event of that name, arrived or to come; it is handed out once."""
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            for index in range(seen, len(self.events)):
                if self.events[index]["event"] == name:
                    return self.events.pop(index)
            seen = len(self.events)
            self.events.append(self._lines.receive(deadline))
