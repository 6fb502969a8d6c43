"""One agent as the script sees it, whatever the way to it: bytes out, replies in, made comparable.

Used by `agents` (over the agents' own sockets) and `in_guest` (through a virtual machine's ports).
"""

import json
import re
import select
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.interop.case import Case, handle

# For one answer; the largest take a few seconds on a busy machine.
PATIENCE = 60
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


class Conversation:
    """A conversation with an agent.

    Args:
        connect: opens the way to it; called again where a case has another client come.
        own: what this agent has for each placeholder in the requests, as `@folder@`; in its
            replies the placeholder is back.
    """

    def __init__(self, connect: Callable[[], socket.socket], own: Mapping[str, str]) -> None:
        self._connect = connect
        self._own = {name.encode(): value.encode() for name, value in own.items()}
        self._handles: dict[str, int] = {}
        self._processes: dict[str, int] = {}
        self._markers = 0
        self._received = b""
        self._socket = connect()

    def close(self) -> None:
        self._socket.close()

    def replies(self, case: Case) -> list[str]:
        """Send the case; return each reply as JSON with sorted members, or as it is."""
        deadline = time.monotonic() + PATIENCE
        while True:
            lines = self._lines(case)
            if case.until in b"".join(lines) or b'"error"' in b"".join(lines):
                break
            assert time.monotonic() < deadline, f"{case.key}: never {case.until!r}"
            time.sleep(_PAUSE)
        if case.opens:
            opened = json.loads(lines[0]).get("return", -1)
            if isinstance(opened, dict):
                opened = self._processes[case.opens] = opened["pid"]
            self._handles[case.opens] = opened
        return [self._readable(line, case.varying) for line in lines]

    def _lines(self, case: Case) -> list[bytes]:
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
        return answers.splitlines(keepends=True)

    def _filled(self, piece: bytes) -> bytes:
        for name, value in self._own.items():
            piece = piece.replace(name, value)
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
                [self._socket], [self._socket] if view else [], [], PATIENCE
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
        for name, value in self._own.items():
            line = line.replace(value, name)
        for process, number in self._processes.items():
            line = line.replace(b"PID %d " % number, b"PID %s " % handle(process).encode())
        mark = "0xFF " if line.startswith(_DELIMITER) else ""
        text = line.removeprefix(_DELIMITER).decode().removesuffix("\n")
        try:
            value = json.loads(text)
            if varying:
                value = masked(value, varying)
            return mark + json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
        except (ValueError, RecursionError):  # not JSON, beyond Python's numbers, or very deep
            return mark + text
