"""The guest-file commands, which the API does not have, by what it has.

Reading is its `file-read`, from an offset where the server knows that (Proxmox VE since 2026), else
a small program in the guest, else `file-read` of the whole file. Writing is `file-write` as long as
all that was written fits into one, then a program. The verbs need the rights to read and to write
files, programs need the right to everything.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from qga.client.flows.timing import pauses
from qga.errors import (
    CommandDisabled,
    CommandError,
    CommandNotFound,
    GuestOSError,
    ProtocolError,
    QgaError,
    Unsupported,
)

from . import programs, scripts
from .answers import TooLarge, UnknownParameters, agent_error
from .api import Pause
from .handles import Handle, Handles, plain_mode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .api import Session, Talk

# The most bytes that one guest-file-read gives, and of those each program, whose output goes
# through the agent as base64 of base64, in 5 seconds.
READ, READ_BY_PROGRAM = 4 << 20, 1 << 20

# 60 KiB of base64, which is what `file-write` takes, and what fits beside the rest into 64 KiB.
WRITE_SMALL = 45 * 1024

# Where the server takes requests of 512 KiB: words of base64, each as long as Linux lets one be.
WRITE = 330 * 1024
_WORD = 120 * 1024

_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.3


class NoPrograms(QgaError):
    """No program can be started: `cause` tells why."""

    def __init__(self, cause: CommandError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Files:
    """The guest-file commands of one machine.

    Args:
        session: to call the API with.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._handles = Handles()
        self._offsets = True  # until the server says that it does not know them
        self._large = True  # until it says that a request is too large
        self._left: list[int] = []  # programs whose end nobody has asked for

    def open(self, arguments: Mapping[str, Any]) -> Talk[int]:
        """guest-file-open."""
        path = arguments.get("path")
        if not isinstance(path, str) or "\0" in path:
            raise agent_error({"desc": "Parameter 'path' is not a path"})
        mode = plain_mode(arguments.get("mode"))
        handle = Handle(path, mode)
        try:
            yield from self._open(handle)
        except GuestOSError as error:
            text = f"failed to open file '{path}' (mode: '{mode}')"
            raise GuestOSError(f"{text}: {_tail(error.desc)}", error.errno) from error
        return self._handles.add(handle)

    def close(self, arguments: Mapping[str, Any]) -> Talk[dict[str, Any]]:
        """guest-file-close."""
        self._handles.remove(arguments.get("handle"))
        yield from ()
        return {}

    def flush(self, arguments: Mapping[str, Any]) -> Talk[dict[str, Any]]:
        """guest-file-flush. Each write is complete when it is answered."""
        self._handles.find(arguments.get("handle"))
        yield from ()
        return {}

    def read(self, arguments: Mapping[str, Any]) -> Talk[dict[str, Any]]:
        """guest-file-read."""
        handle = self._handles.find(arguments.get("handle"))
        count = arguments.get("count")
        count = 4096 if count is None else int(count)
        if count < 0:
            raise agent_error({"desc": f"value '{count}' is invalid for argument count"})
        if not handle.readable:
            raise GuestOSError("failed to read file: Bad file descriptor", 9)
        if not count:
            data, eof = b"", False
        elif handle.fixed is not None:
            if handle.position + count > len(handle.fixed):
                # That it ends there has to be true now.
                handle.fixed = yield from self._read_whole(handle.path)
            data = handle.fixed[handle.position :][:count]
            eof = len(data) < count
        else:
            data, eof = yield from self._read(handle.path, handle.position, count)
        handle.position += len(data)
        return {"count": len(data), "buf-b64": b64encode(data).decode(), "eof": eof}

    def write(self, arguments: Mapping[str, Any]) -> Talk[dict[str, Any]]:
        """guest-file-write."""
        handle = self._handles.find(arguments.get("handle"))
        data = programs.content(arguments.get("buf-b64", b""))
        count = arguments.get("count")
        if count is not None:
            if not 0 <= int(count) <= len(data):
                raise agent_error({"desc": f"value '{count}' is invalid for argument count"})
            data = data[: int(count)]
        if not handle.writable:
            raise GuestOSError("failed to write to file: Bad file descriptor", 9)
        taken = (yield from self._write(handle, data)) if data else 0
        handle.position += taken
        return {"count": taken, "eof": False}

    def seek(self, arguments: Mapping[str, Any]) -> Talk[dict[str, Any]]:
        """guest-file-seek."""
        handle = self._handles.find(arguments.get("handle"))
        whence = arguments.get("whence")
        origin = {0: 0, "set": 0, 1: handle.position, "cur": handle.position}.get(whence)
        if whence in (2, "end"):
            origin = yield from self._size(handle)
        if origin is None:
            raise agent_error({"desc": f"invalid whence code {whence!r}"})
        position = origin + int(arguments.get("offset", 0))
        if position < 0:
            raise GuestOSError("failed to seek file: Invalid argument", 22)
        handle.position = position
        return {"position": position, "eof": False}

    def tidy(self) -> Talk[None]:
        """Have the agent forget programs that a call left behind when it was interrupted."""
        while self._left:
            pid = self._left.pop()
            try:
                yield from self._session.agent("GET", "exec-status", {"pid": pid})
            except CommandError:
                pass  # forgotten already
            except GeneratorExit:
                raise
            except BaseException:
                self._left.append(pid)
                raise

    # Opening.

    def _open(self, handle: Handle) -> Talk[None]:
        if handle.mode == "r":
            try:
                # Only whether it can be: what is in it is asked for when it is to be read.
                yield from self._read(handle.path, 0, 1)
            except NoPrograms as error:
                handle.fixed = yield from self._read_whole(handle.path, error)
            return
        if handle.mode == "w" and handle.path.isascii():
            try:
                yield from self._write_whole(handle.path, b"")
            except CommandDisabled:
                pass  # perhaps programs are allowed, if this is the agent's refusal
            else:
                handle.whole = b""
                return
        try:
            yield from self._script(scripts.OPEN, handle.path, handle.mode)
        except NoPrograms as error:
            error.cause.add_note(
                f"through the Proxmox API, mode {handle.mode!r} needs a program in the guest"
            )
            raise error.cause from None

    # Reading.

    def _read(self, path: str, offset: int, count: int) -> Talk[tuple[bytes, bool]]:
        """At most *count* bytes of a file, and whether it ends there.

        Raises:
            NoPrograms: nor does the server know offsets.
        """
        if self._offsets and path.isascii():
            parameters = {"file": path, "offset": offset, "count": min(count, READ), "decode": 0}
            try:
                data = yield from self._session.agent("GET", "file-read", parameters)
            except UnknownParameters:
                self._offsets = False
            else:
                found = _pieces(_text(data, "content"))
                return found, not data.get("truncated")
        whole = bytearray()
        while True:
            # Less than what was asked for is the end of the file, as with the agent's own reads.
            most = min(count - len(whole), READ_BY_PROGRAM)
            place = str(offset + len(whole))
            output = yield from self._script(scripts.READ, path, place, str(most))
            found = _pieces(output.decode("ascii", "replace"))
            whole += found
            if len(found) < most or len(whole) >= min(count, READ):
                return bytes(whole), len(found) < most

    def _read_whole(self, path: str, reason: NoPrograms | None = None) -> Talk[bytes]:
        """All of a file, by a `file-read` that knows no offset.

        Args:
            path: the file.
            reason: why there is no better way, if that is not known yet.
        """
        if not path.isascii():
            raise Unsupported(
                f"the name {path!r} is not ASCII: the Proxmox API can be told it only where a"
                f" program may be started in the guest: {reason}"
            )
        data = yield from self._session.agent("GET", "file-read", {"file": path})
        if data.get("truncated"):
            raise Unsupported(
                f"{path} is longer than the 16 MiB that this Proxmox server reads without offsets"
                f" and without a program in the guest{f': {reason}' if reason else ''}"
            )
        return latin(_text(data, "content"))

    # Writing.

    def _write(self, handle: Handle, data: bytes) -> Talk[int]:
        """Write the beginning of *data*; return how many bytes that was."""
        if handle.whole == b"" and handle.position == 0 and len(data) <= WRITE_SMALL:
            yield from self._write_whole(handle.path, data)
            handle.whole = data
            return len(data)
        try:
            taken = yield from self._write_by_program(handle, data)
        except NoPrograms as error:
            if handle.whole is None:
                raise error.cause from None
            return (yield from self._write_again(handle, data[:WRITE_SMALL], error))
        handle.whole = None
        return taken

    def _write_by_program(self, handle: Handle, data: bytes) -> Talk[int]:
        offset = "" if handle.appends else str(handle.position)
        if self._large and len(data) > WRITE_SMALL:
            text = b64encode(data[:WRITE]).decode()
            words = [text[place : place + _WORD] for place in range(0, len(text), _WORD)]
            try:
                yield from self._script(scripts.WRITE, handle.path, offset, *words)
            except TooLarge:
                self._large = False
            else:
                return min(len(data), WRITE)
        data = data[:WRITE_SMALL]
        yield from self._script(scripts.WRITE, handle.path, offset, data=data)
        return len(data)

    def _write_again(self, handle: Handle, data: bytes, reason: NoPrograms) -> Talk[int]:
        """Write all of the file with *data* in it, where there is no other way to go on."""
        before = handle.whole or b""
        whole = before[: handle.position].ljust(handle.position, b"\0") + data
        whole += before[len(whole) :]
        if len(whole) > WRITE_SMALL:
            raise Unsupported(
                f"{handle.path}: the Proxmox API writes files of at most {WRITE_SMALL} bytes,"
                f" longer ones need a program in the guest: {reason}"
            ) from reason
        yield from self._write_whole(handle.path, whole)
        handle.whole = whole
        return len(data)

    def _write_whole(self, path: str, data: bytes) -> Talk[None]:
        parameters = {"file": path, "content": b64encode(data).decode(), "encode": 0}
        try:
            yield from self._session.agent("POST", "file-write", parameters)
        except UnknownParameters as error:
            raise Unsupported(
                "this Proxmox server is older than 7.2: it writes text only"
            ) from error

    def _size(self, handle: Handle) -> Talk[int]:
        if handle.fixed is not None:
            return len(handle.fixed)
        try:
            output = yield from self._script(scripts.SIZE, handle.path)
        except NoPrograms as error:
            if handle.whole is None:
                raise error.cause from None
            return len(handle.whole)
        return int(output)

    # Programs.

    def _script(self, text: str, *words: str, data: bytes | None = None) -> Talk[bytes]:
        """Run *text* in the guest's shell; return its output.

        Args:
            text: the script.
            words: its arguments.
            data: its input, which it gets as base64.

        Raises:
            NoPrograms: it could not be started.
            CommandError: what it wrote to its standard error.
        """
        parameters: dict[str, Any] = {"command": programs.shell(text, *words)}
        if data is not None:
            parameters["input-data"] = b64encode(data).decode()
        try:
            started = yield from self._session.agent("POST", "exec", parameters)
        except CommandError as error:
            raise NoPrograms(error) from error
        pid = int(started["pid"])
        pause = pauses(_FIRST_PAUSE, _LAST_PAUSE)
        try:
            while True:
                status = yield from self._session.agent("GET", "exec-status", {"pid": pid})
                if status.get("exited"):
                    break
                yield Pause(next(pause))
        except (CommandDisabled, CommandNotFound, GeneratorExit):
            raise
        except BaseException:
            self._left.append(pid)
            raise
        complaint = latin(status.get("err-data") or "").decode(errors="replace").strip()
        if complaint or status.get("exitcode") != 0:
            raise _complaint(complaint or f"exit code {status.get('exitcode')}")
        return latin(status.get("out-data") or "")


def latin(text: str) -> bytes:
    """The bytes that the API has made text of, a character each.

    Raises:
        ProtocolError: it has not.
    """
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ProtocolError(
            "the Proxmox server has decoded a program's output: its bytes are lost. Have the"
            " program write ASCII, as base64 does"
        ) from None


def _pieces(text: str) -> bytes:
    """The bytes of base64 that was put together from pieces, each with padding of its own."""
    parts = re.split("=+", "".join(text.split()))
    return b"".join(b64decode(part + "=" * (-len(part) % 4)) for part in parts)


def _text(data: Any, member: str) -> str:
    found = data.get(member) if isinstance(data, dict) else None
    if not isinstance(found, str):
        raise ProtocolError(f"the Proxmox API's answer lacks {member}")
    return found


def _complaint(text: str) -> CommandError | Unsupported:
    """The error that a script's standard error stands for."""
    line = text.splitlines()[-1]
    if line.endswith(": not found"):
        return Unsupported(f"the guest lacks a program that this needs: {line}")
    # Shells have texts of their own for this one.
    if _tail(line).lower() in ("no such file", "directory nonexistent", "nonexistent directory"):
        line = line.removesuffix(_tail(line)) + os.strerror(2)
    return agent_error({"desc": line})


def _tail(text: str) -> str:
    return text.rpartition(": ")[2]
