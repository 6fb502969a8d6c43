"""The two agents on this machine, each with a private socket, state and folder of files.

Used by `compare`. What would change the machine is refused by both.
"""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.interop.case import FOLDER, Case, handle
from tests.interop.files import fill
from tests.support.stock import BLOCKED

OURS = (sys.executable, "-m", "qga.agent")

# For one answer; the largest take a few seconds on a busy machine.
_PATIENCE = 60
# So that the agent sees the pieces of a request one by one.
_PAUSE = 0.002
_DELIMITER = b"\xff"


def masked(value: Any, varying: tuple[str, ...]) -> Any:
    """*value* with the type's name for the value of each member that is *varying*."""
    if isinstance(value, list):
        return [masked(item, varying) for item in value]
    if isinstance(value, dict):
        return {
            name: f"<{type(item).__name__}>" if name in varying else masked(item, varying)
            for name, item in value.items()
        }
    return value


class SideAgent:
    """One of the two, as the script sees it.

    Args:
        command: the beginning of the command line.
        home: an empty folder that is its own.
        blocked: the commands that it refuses.
    """

    def __init__(
        self, command: Sequence[str], home: Path, blocked: Sequence[str] = BLOCKED
    ) -> None:
        self.folder = home / "files"
        fill(self.folder)
        self._path = home / "socket"
        self._handles: dict[str, int] = {}
        self._markers = 0
        self._received = b""
        options = ["-m", "unix-listen", "-p", str(self._path), "-t", str(home)]
        self._process = subprocess.Popen(
            [*command, *options, "-b", ",".join(blocked)], stderr=subprocess.DEVNULL
        )
        self._socket = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(10)

    def _connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(_PATIENCE)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                client.connect(str(self._path))
                return client
            except (FileNotFoundError, ConnectionRefusedError):
                assert self._process.poll() is None, "the agent ended"
                assert time.monotonic() < deadline, "the agent does not listen"
                time.sleep(0.01)

    def replies(self, case: Case) -> list[str]:
        """Send the case; return each reply as JSON with sorted members, or as it is."""
        *pieces, last = case.pieces
        for piece in pieces:
            if piece is None:
                self._socket.close()
                self._received = b""
                self._socket = self._connect()
            else:
                self._exchange(self._filled(piece), b"")
                time.sleep(_PAUSE)
        assert last is not None
        # Where this one's answer begins, the answers to the case are complete.
        self._markers -= 1
        marker = b'{"execute": "guest-sync-delimited", "arguments": {"id": %d}}\n' % self._markers
        end = _DELIMITER + b'{"return": %d}\n' % self._markers
        reset = _DELIMITER if case.unfinished else b""
        self._exchange(self._filled(last) + reset + marker, end)
        answers, self._received = self._received.split(end)
        lines = answers.splitlines(keepends=True)
        if case.opens:
            self._handles[case.opens] = json.loads(lines[0]).get("return", -1)
        return [self._readable(line, case.varying) for line in lines]

    def _filled(self, piece: bytes) -> bytes:
        piece = piece.replace(FOLDER.encode(), os.fsencode(self.folder))
        for name in re.findall(rb'"@handle-(.+?)@"', piece[:500]):
            number = self._handles[name.decode()]
            piece = piece.replace(b'"%s"' % handle(name.decode()).encode(), b"%d" % number)
        return piece

    def _exchange(self, data: bytes, end: bytes) -> None:
        """Send *data*, and read on until *end* has come; both at once, for either may be long."""
        view = memoryview(data)
        received = bytearray(self._received)
        while view or not received.endswith(end):
            readable, writable, _ = select.select(
                [self._socket], [self._socket] if view else [], [], _PATIENCE
            )
            assert readable or writable, f"no answer to {data[:200]!r}"
            if readable:
                chunk = self._socket.recv(1 << 20)
                assert chunk, f"connection closed after {data[:200]!r}"
                received += chunk
            if writable:
                view = view[self._socket.send(view, socket.MSG_DONTWAIT) :]
        self._received = bytes(received)

    def _readable(self, line: bytes, varying: tuple[str, ...]) -> str:
        line = line.replace(os.fsencode(self.folder), FOLDER.encode())
        mark = "0xFF " if line.startswith(_DELIMITER) else ""
        text = line.removeprefix(_DELIMITER).decode().removesuffix("\n")
        try:
            value = masked(json.loads(text), varying)
            return mark + json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
        except (ValueError, RecursionError):  # not JSON, beyond Python's numbers, or very deep
            return mark + text

    def left_behind(self) -> dict[str, tuple[int, bytes | None]]:
        """What is in its folder: permissions and content of each file."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            content = path.read_bytes() if path.is_file() and os.access(path, os.R_OK) else None
            found[str(path.relative_to(self.folder))] = (path.lstat().st_mode, content)
        shutil.rmtree(self.folder)
        return found
