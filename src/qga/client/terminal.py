"""The caller's own terminal, joined with one of the guest. For `Shell.interact`."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import tty
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from .flows.shell import Session
    from .operation import Blocking

_PIECE = 4096
_END_OF_INPUT = b"\x04"


class Escape:
    """Finds the way to leave among what is typed.

    Args:
        character: what begins it; None if there is none.
    """

    def __init__(self, character: str | None) -> None:
        self._mark = ord(character.encode()) if character else -1
        self._at_start = True
        self._held = False
        self.leave = False

    def pass_on(self, typed: bytes) -> bytes:
        """The part of *typed* that is for the guest; `leave` is set when the user wants to."""
        found = bytearray()
        for byte in typed:
            if self._held:
                self._held = False
                if byte == ord("."):
                    self.leave = True
                    break
                if byte != self._mark:
                    found.append(self._mark)
            elif self._at_start and byte == self._mark:
                self._held = True
                continue
            found.append(byte)
            self._at_start = byte in b"\r\n"
        return bytes(found)


def join(
    shell: Blocking,
    session: Session,
    *,
    stdin: int | None,
    stdout: int | None,
    escape: str | None,
) -> int | None:
    """What `Shell.interact` does."""
    source = sys.stdin.fileno() if stdin is None else stdin
    sink = sys.stdout.fileno() if stdout is None else stdout
    sys.stdout.flush()
    is_terminal = os.isatty(source)
    way_out = Escape(escape if is_terminal else None)
    window = Window(sink)
    typing, line_ended = True, True
    with ExitStack() as stack:
        if is_terminal:
            stack.enter_context(_raw(source))
        while True:
            if size := window.changed():
                shell.perform(session.resize(*size))
            data = shell.perform(session.read(timeout=0))
            if data:
                _write_all(sink, data)
            elif data == b"":
                return session.returncode
            ready, _, _ = select.select([source] if typing else [], [], [], session.pause)
            if not ready:
                continue
            typed = _read(source)
            if typed is None:
                continue
            if typed:
                line_ended = typed.endswith(b"\n")
                shell.perform(session.write(way_out.pass_on(typed)))
            elif is_terminal:
                return None  # it is gone
            else:
                # Within a line, the first one only ends the line.
                typing = False
                shell.perform(session.write(_END_OF_INPUT * (1 if line_ended else 2)))
            if way_out.leave:
                return None


class Window:
    """The size of the caller's terminal.

    It is looked at each time, for a signal handler would only do in the main thread.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._last: tuple[int, int] | None = None

    def changed(self) -> tuple[int, int] | None:
        """Rows and columns, if they are not those of the last time."""
        try:
            columns, rows = os.get_terminal_size(self._descriptor)
        except OSError:
            return None  # not a terminal
        if (rows, columns) == self._last or not rows or not columns:
            return None
        self._last = rows, columns
        return self._last


@contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """Have each key pass; the terminal becomes as it was, whatever happens."""
    before = termios.tcgetattr(descriptor)

    def again(_number: int, _frame: FrameType | None) -> None:
        tty.setraw(descriptor, termios.TCSADRAIN)

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            stack.enter_context(_handled(signal.SIGCONT, again))
            stack.enter_context(_handled(signal.SIGTERM, end))
            stack.enter_context(_handled(signal.SIGHUP, end))
        stack.callback(termios.tcsetattr, descriptor, termios.TCSADRAIN, before)
        tty.setraw(descriptor, termios.TCSADRAIN)
        yield


@contextmanager
def _handled(number: signal.Signals, handler: object) -> Iterator[None]:
    """Have *handler* called for a signal, unless the caller has one for it."""
    if signal.getsignal(number) is not signal.SIG_DFL:
        yield
        return
    signal.signal(number, handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL)


def _read(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return None  # another process was quicker
    except OSError:
        return b""  # a terminal that was hung up


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
