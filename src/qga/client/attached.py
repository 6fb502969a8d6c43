"""The caller's own streams, joined with those of a program of the guest. For `Popen.interact`.

`Patience` is also for terminals, which `terminal` joins.
"""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

from qga.errors import AgentTimeout, CommandDisabled

from .completed import ProgramTimeout, StdinClosed
from .flows import freezing
from .flows.relay import Relay
from .flows.steps import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from .flows.running import Running
    from .flows.spool import Output
    from .flows.steps import Flow
    from .operation import Blocking

    R = TypeVar("R")
    Sink = int | Callable[[bytes], object]

# Between attempts while the guest is frozen, in seconds.
_FROZEN_PAUSE = 0.25


class Patience:
    """Carries out flows that may be repeated, for who waits for a program that runs.

    A guest may be frozen for a snapshot, or paused, or very busy; its programs go on, or go on
    afterwards, and so does who watches them.

    Args:
        client: what carries them out.
        seconds: how long the agent may not answer; for ever if None.
    """

    def __init__(self, client: Blocking, seconds: float | None = None) -> None:
        self._client = client
        self._seconds = seconds
        self._answered = time.monotonic()

    def perform(self, flow: Callable[[], Flow[R]], otherwise: R) -> R:
        """What *flow* comes to; *otherwise* if the guest cannot tell now and may do so later."""
        try:
            found = self._client.perform(flow())
        except AgentTimeout:
            if self._seconds is not None and time.monotonic() - self._answered > self._seconds:
                raise
            return otherwise
        except CommandDisabled:
            # What was allowed when the program was started is refused: because of a freeze, or else
            # somebody has decided so.
            if self._client.perform(freezing.status()) != "frozen":
                raise
            time.sleep(_FROZEN_PAUSE)
            found = otherwise
        self._answered = time.monotonic()
        return found


def join(
    program: Blocking,
    running: Running,
    *,
    stdin: int | None,
    stdout: Sink,
    stderr: Sink,
    signals: Callable[[], Iterable[int]] | None,
    timeout: float | None,
) -> int:
    """What `Popen.interact` does."""
    return _Join(program, running, stdin, stdout, stderr).until_end(signals, timeout)


class _Join:
    def __init__(
        self, program: Blocking, running: Running, stdin: int | None, stdout: Sink, stderr: Sink
    ) -> None:
        self._program = program
        self._running = running
        self._patience = Patience(program, running.lease)
        self._relay = Relay(running)
        takes_input = running.input is not None and not running.input.closed
        self._source = stdin if takes_input else None
        self._unsent = memoryview(b"")
        self._due: list[int] = []  # signals that have not been sent
        self._sinks = [
            (output, sink)
            for output, sink in ((running.out, stdout), (running.err, stderr))
            if output is not None
        ]
        if stdin is None:
            self._end_input()

    def until_end(self, signals: Callable[[], Iterable[int]] | None, timeout: float | None) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self._pass_signals(signals)
            ended = self._patience.perform(self._relay.look, otherwise=False)
            for output, sink in [*self._sinks]:
                self._show(output, sink)
            if ended:
                code = self._running.returncode
                assert code is not None  # noqa: S101 - it has ended
                return code
            if end is not None and time.monotonic() >= end:
                raise ProgramTimeout(self._running.args, timeout or 0.0)
            self._feed()

    def _pass_signals(self, signals: Callable[[], Iterable[int]] | None) -> None:
        if signals is not None:
            self._due += signals()
        while self._due:
            if not self._patience.perform(self._send_signal, otherwise=False):
                return
            del self._due[0]

    def _send_signal(self) -> Flow[bool]:
        yield from self._running.send_signal(self._due[0])
        return True

    def _show(self, output: Output, sink: Sink) -> None:
        data = output.take(len(output.buffer))
        if not data:
            return
        try:
            if isinstance(sink, int):
                write_all(sink, data)
            else:
                sink(data)
        except BrokenPipeError:
            # Whoever read has enough. The program is told as if it had written to that pipe.
            self._sinks.remove((output, sink))
            self._due.append(signal.SIGPIPE)
            self._patience.perform(lambda: self._running.close_output(output), None)

    def _feed(self) -> None:
        """Pass on what there is for the program, or wait until it is time to look again."""
        if self._unsent:
            try:
                sent = self._patience.perform(lambda: self._offer(self._unsent), 0)
            except StdinClosed:
                self._end_input()
                return
            self._unsent = self._unsent[sent:]
            if sent:
                self._relay.moved()
                return
        waits = [] if self._unsent or self._source is None else [self._source]
        ready, _, _ = select.select(waits, [], [], self._relay.pause)
        if ready:
            data = read_piece(waits[0])
            if data is not None:
                self._unsent = memoryview(data)
                if not data:
                    self._end_input()

    def _offer(self, data: memoryview) -> Flow[int]:
        stdin = self._running.input
        assert stdin is not None  # noqa: S101 - otherwise nothing is read for it
        return stdin.offer(data)

    def _end_input(self) -> None:
        self._source, self._unsent = None, memoryview(b"")
        stdin = self._running.input
        if stdin is not None:
            self._patience.perform(stdin.close, None)


def read_piece(descriptor: int) -> bytes | None:
    """What a file descriptor has now: b"" at its end, None if another process was quicker."""
    try:
        return os.read(descriptor, CHUNK)
    except BlockingIOError:
        return None
    except OSError:
        return b""  # a terminal that was hung up


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*, whether the descriptor blocks or not."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
