"""What people write by hand for the guest agent, to compare the library with: see `library`.

A socket, json and base64, one request at a time, 4 KiB of a file in each.
"""

import base64
import json
import os
import socket
from typing import Any

PIECE = 4096


class Plain:
    """A connection of the usual hundred lines, without their error handling."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")
        number = int.from_bytes(os.urandom(4))
        self.ask("guest-sync", id=number)

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        request = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        reply = json.loads(self._file.readline())
        if "error" in reply:
            raise RuntimeError(reply["error"]["desc"])
        return reply["return"]

    def ping_many(self, times: int) -> None:
        """The least that a call can cost: bytes out, bytes in, nothing looked at."""
        for _ in range(times):
            self._socket.sendall(b'{"execute":"guest-ping"}\n')
            self._socket.recv(4096)

    def read(self, path: str) -> bytes:
        handle = self.ask("guest-file-open", path=path, mode="r")
        pieces = []
        while True:
            piece = self.ask("guest-file-read", handle=handle, count=PIECE)
            pieces.append(base64.b64decode(piece["buf-b64"]))
            if piece["eof"]:
                break
        self.ask("guest-file-close", handle=handle)
        return b"".join(pieces)

    def write(self, path: str, data: bytes) -> None:
        handle = self.ask("guest-file-open", path=path, mode="w")
        for start in range(0, len(data), PIECE):
            text = base64.b64encode(data[start : start + PIECE]).decode()
            self.ask("guest-file-write", **{"handle": handle, "buf-b64": text})
        self.ask("guest-file-close", handle=handle)

    def run(self, *command: str) -> bytes:
        """A program's output, captured and asked for until it has ended."""
        arguments = {"path": command[0], "arg": list(command[1:]), "capture-output": True}
        pid = self.ask("guest-exec", **arguments)["pid"]
        while True:
            status = self.ask("guest-exec-status", pid=pid)
            if status["exited"]:
                return base64.b64decode(status.get("out-data", ""))
