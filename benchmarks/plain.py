"""What people write by hand for the guest agent, to compare the library with: see `host`.

A socket, or one `virsh` for each request; json and base64, 4 KiB of a file at a time.
"""

import base64
import json
import os
import socket
from typing import Any

PIECE = 4096


class ByHand:
    """The usual hundred lines, without their error handling."""

    def close(self) -> None:
        pass

    def ask(self, command: str, **arguments: Any) -> Any:
        raise NotImplementedError

    def read(self, path: str, piece: int = PIECE) -> bytes:
        handle = self.ask("guest-file-open", path=path, mode="r")
        pieces = []
        while True:
            answer = self.ask("guest-file-read", handle=handle, count=piece)
            pieces.append(base64.b64decode(answer["buf-b64"]))
            if answer["eof"]:
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


class Plain(ByHand):
    """Over a unix socket."""

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
        return returned(self._file.readline())

    def ping_many(self, times: int) -> None:
        """The least that a call can cost: bytes out, bytes in, nothing looked at."""
        for _ in range(times):
            self._socket.sendall(b'{"execute":"guest-ping"}\n')
            self._socket.recv(4096)


def returned(line: bytes | str) -> Any:
    reply = json.loads(line)
    if "error" in reply:
        raise RuntimeError(reply["error"]["desc"])
    return reply["return"]
