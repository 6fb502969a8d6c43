"""The measuring client: raw bytes over a socket, nothing decoded while the clock runs."""

import base64
import json
import select
import socket
import time
from pathlib import Path
from typing import Any

_PATIENCE = 60

# Room for the largest reply. One for all: a fresh one would have to be filled first.
_BUFFER = bytearray(72 << 20)


class Refused(Exception):
    """An agent says that it cannot."""


class Client:
    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_PATIENCE)
        self._received = 0
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """Send one request; return the line that answers it."""
        self._answer(request)
        return bytes(memoryview(_BUFFER)[: self._received])

    def _answer(self, request: bytes) -> None:
        self._socket.sendall(request)
        received = self._socket.recv_into(_BUFFER)
        while _BUFFER[received - 1] != 0x0A:
            received += self._socket.recv_into(memoryview(_BUFFER)[received:])
        self._received = received

    def result(self, command: str, **arguments: Any) -> Any:
        """What the command returns."""
        request = {"execute": command, "arguments": arguments}
        reply = json.loads(self.ask(json.dumps(request).encode()))
        if "error" in reply:
            raise Refused(f"{command}: {reply['error']['desc']}")
        return reply["return"]

    def each(self, request: bytes, times: int) -> list[float]:
        """Send the request *times* times, one after the other; return how long each took."""
        clock, answer = time.perf_counter, self._answer
        durations = []
        for _ in range(times):
            begin = clock()
            answer(request)
            durations.append(clock() - begin)
        return durations

    def together(self, request: bytes, times: int) -> float:
        """Send the request *times* times without waiting; return how long all of it took."""
        everything = memoryview(request * times)
        missing = times
        self._socket.setblocking(False)
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLOUT)
        begin = time.perf_counter()
        while missing:
            for _, events in poll.poll(_PATIENCE * 1000):
                if events & select.POLLIN:
                    missing -= self._socket.recv(1 << 20).count(b"\n")
                if events & select.POLLOUT and everything:
                    everything = everything[self._socket.send(everything) :]
                    if not everything:
                        poll.modify(self._socket, select.POLLIN)
        duration = time.perf_counter() - begin
        self._socket.settimeout(_PATIENCE)
        return duration

    def check_done(self) -> None:
        """The last reply has to be a result."""
        if _BUFFER.startswith(b'{"error"'):
            raise Refused(bytes(memoryview(_BUFFER)[: self._received]).decode())

    def check_read(self, content: bytes) -> None:
        """The last reply has to be that of a guest-file-read which returns *content*."""
        reply = json.loads(bytes(memoryview(_BUFFER)[: self._received]))["return"]
        if base64.b64decode(reply["buf-b64"]) != content or reply["count"] != len(content):
            raise RuntimeError("an agent returned other bytes than the file has")
