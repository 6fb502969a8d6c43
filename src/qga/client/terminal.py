"""The caller's own terminal, joined with one of the guest. For `Shell.interact`.

The thread that called reads the keys; another one talks to the agent. So the way to leave works
also while the agent does not answer, and so do signals.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from contextlib import ExitStack, contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from .attached import Patience, read_piece, write_all
from .completed import ProgramTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from .flows.shell import Session
    from .operation import Blocking

_END_OF_INPUT = b"\x04"
# How many pieces of an input that is no terminal wait to be typed, and for how long it is not read
# then, in seconds.
_AHEAD, _RETRY = 16, 0.05
# How much is taken for typing at once, in bytes.
_ENOUGH = 1 << 16
# How long the exchange with the agent that is under way may go on when the caller leaves.
_MOMENT = 1.0

_HELP = (
    "\r\nAfter Enter:\r\n"
    "  {0}.  leave; the programs in the terminal are hung up\r\n"
    "  {0}{0}  type {0}\r\n"
    "  {0}?  show this\r\n"
)
# What a program may have left behind that was not to end by itself: the other screen, reports of
# the mouse and of pastes, a cursor that is not shown, colours.
_SOBER = (
    b"\x1b[?1047l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>"
    b"\x1b[?25h\x1b[0m\r\n"
)


class Escape:
    """Finds the way to leave among what is typed.

    Args:
        character: what begins it; None if there is none.

    Attributes:
        leave: whether the user wants to.
        asked: whether the user wants to know what else there is; to be taken back by who tells.
    """

    def __init__(self, character: str | None) -> None:
        self._mark = ord(character.encode()) if character else -1
        self._at_start = True
        self._held = False
        self.leave = self.asked = False

    def pass_on(self, typed: bytes) -> bytes:
        """The part of *typed* that is for the guest."""
        found = bytearray()
        for byte in typed:
            if self._held:
                self._held = False
                if byte == ord("."):
                    self.leave = True
                    break
                if byte == ord("?"):
                    self.asked = True
                    continue
                if byte != self._mark:
                    found.append(self._mark)
            elif self._at_start and byte == self._mark:
                self._held = True
                continue
            found.append(byte)
            self._at_start = byte in b"\r\n\x03"  # Ctrl-C begins a line, too
        return bytes(found)


class _Talk:
    """What passes between the terminal of the guest and the caller's, in a thread of its own.

    Attributes:
        over: a file descriptor that can be read from when it has ended.
        hurried: whether it was left while the agent did not answer.
    """

    def __init__(self, shell: Blocking, session: Session, sink: int, *, ahead: int | None) -> None:
        self._patience = Patience(shell)
        self._session = session
        self._sink = sink
        self._ahead = ahead
        self._window = Window(sink)
        self._typed: SimpleQueue[bytes] = SimpleQueue()
        self._unsent = b""
        self._stopped = False
        self._error: BaseException | None = None
        self.over, self._tell_over = os.pipe()
        self._thread = threading.Thread(target=self._run, name="qga-terminal", daemon=True)
        self._thread.start()

    @property
    def takes_more(self) -> bool:
        """Whether what is to be typed is not too much yet."""
        return self._ahead is None or self._typed.qsize() < self._ahead

    def type(self, data: bytes) -> None:
        """Have *data* typed."""
        if data:
            self._typed.put(data)

    def result(self) -> int | None:
        """What the program has come to, or the error, when it is over."""
        if self._error is not None:
            raise self._error
        return self._session.returncode

    def end(self) -> None:
        """Show no more."""
        self._stopped = True
        self._typed.put(b"")
        self._thread.join(_MOMENT)
        if self._thread.is_alive():
            self._session.hurried = True
        else:
            os.close(self.over)

    def _run(self) -> None:
        try:
            self._pass()
        except BaseException as error:  # noqa: BLE001 - who called is told
            self._error = error
        finally:
            os.close(self._tell_over)

    def _pass(self) -> None:
        session, perform = self._session, self._patience.perform
        while not self._stopped:
            if self._window.changed():
                perform(lambda: session.resize(*self._window.size), None)
            data = perform(lambda: session.read(timeout=0), None)
            if self._stopped or data == b"":
                return
            if data:
                write_all(self._sink, data)
            if self._unsent:
                taken = perform(lambda: session.offer(self._unsent), 0)
                self._unsent = self._unsent[taken:]
            try:
                self._unsent += self._typed.get(timeout=session.pause)
                while len(self._unsent) < _ENOUGH:
                    self._unsent += self._typed.get_nowait()
            except Empty:
                pass


def join(
    shell: Blocking,
    session: Session,
    *,
    stdin: int | None,
    stdout: int | None,
    escape: str | None,
    timeout: float | None,
) -> int | None:
    """What `Shell.interact` does."""
    source = sys.stdin.fileno() if stdin is None else stdin
    sink = sys.stdout.fileno() if stdout is None else stdout
    sys.stdout.flush()
    is_terminal = os.isatty(source)
    way_out = Escape(escape if is_terminal else None)
    typing, line_ended = True, True
    end = None if timeout is None else time.monotonic() + timeout
    with ExitStack() as stack:
        if is_terminal:
            stack.enter_context(_raw(source))
        if os.isatty(sink):
            stack.callback(_sober, session, sink)
        talk = _Talk(shell, session, sink, ahead=None if is_terminal else _AHEAD)
        stack.callback(talk.end)
        while True:
            full = typing and not talk.takes_more
            sources = [talk.over, source] if typing and not full else [talk.over]
            wait = _RETRY if full else None
            if end is not None:
                left = end - time.monotonic()
                if left <= 0:
                    raise ProgramTimeout(session.running.args, timeout or 0.0)
                wait = min(left, wait or left)
            ready, _, _ = select.select(sources, [], [], wait)
            if talk.over in ready:
                return talk.result()
            if source not in ready:
                continue
            typed = read_piece(source)
            if typed is None:
                continue
            if typed:
                line_ended = typed.endswith(b"\n")
                talk.type(way_out.pass_on(typed))
            elif is_terminal:
                return None  # it is gone
            else:
                # Within a line, the first one only ends the line.
                typing = False
                talk.type(_END_OF_INPUT * (1 if line_ended else 2))
            if way_out.asked:
                way_out.asked = False
                write_all(sink, _HELP.format(escape).encode())
            if way_out.leave:
                return None


class Window:
    """The size of the caller's terminal.

    It is looked at each time, for a signal handler would only do in the main thread.

    Attributes:
        size: rows and columns, when they were last looked at.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = (0, 0)

    def changed(self) -> bool:
        """Whether it is known, and not what it was the last time."""
        try:
            columns, rows = os.get_terminal_size(self._descriptor)
        except OSError:
            return False  # not a terminal
        if (rows, columns) == self.size or not rows or not columns:
            return False
        self.size = rows, columns
        return True


def _sober(session: Session, sink: int) -> None:
    """Leave the caller's terminal usable where the guest's program has not done so itself."""
    if session.returncode is None:
        try:
            write_all(sink, _SOBER)
        except OSError:
            pass  # it is gone


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
        stack.callback(_restore, descriptor, before)
        tty.setraw(descriptor, termios.TCSADRAIN)
        yield


def _restore(descriptor: int, before: list[object]) -> None:
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)  # type: ignore[arg-type]
    except termios.error:
        pass  # it is gone


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
