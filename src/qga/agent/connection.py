"""One stream of requests and replies: a client's socket, or a port. Made by `channels`.

Reads what is there, has the messages answered one after the other, and writes the replies in
order. It stops reading while a reply is under way, whether it waits for a program or for a client
that does not read: so a client costs bounded memory, and never holds up another. Only behind a
freeze it looks ahead (`impatience`).
"""

import errno
import os

from qga.wire.splitter import Splitter

from .dispatch import Deferred
from .known import LONGEST_KNOWN, Row
from .loop import EDGE, HANGUP, READ, WRITE, hung_up
from .pages import TAKEN
from .receiving import Receiving

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .dispatch import Dispatcher, Reply
    from .impatience import Impatience
    from .loop import Loop, Timer

# Requests answered before the next client has its turn.
_TURN = 256

# Replies are gathered up to this many bytes for one system call.
_GATHER = 64 * 1024

# How long the host has to be away from a port before the reply that it did not fetch is dropped.
_AWAY = 1.0


class Connection:
    """A stream of requests and replies.

    Args:
        loop: the event loop.
        fd: non-blocking descriptor, owned by the connection from now on.
        dispatcher: answers the messages.
        on_end: called once when the stream is over, with the error if that was the reason.
        is_port: the descriptor is a port, whose end of file means that nobody is connected on the
            host for now. What is pending in the splitter stays then, since nobody can tell one
            host connection from the next.
        lost_at_end: the descriptor is a terminal, which is of no more use after its end of file.
    """

    def __init__(
        self,
        loop: "Loop",
        fd: int,
        dispatcher: "Dispatcher",
        on_end: "Callable[[Connection, OSError | None], None]",
        *,
        is_port: bool = False,
        lost_at_end: bool = False,
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._dispatcher = dispatcher
        self._on_end = on_end
        self._is_port = is_port
        self._lost_at_end = lost_at_end
        self._splitter = Splitter()
        self._ahead = b""  # received, and not looked at yet
        self._receiving = Receiving(fd, is_port=is_port)
        self._inbox: list[Any] = []  # messages not answered yet, the next one last
        self._out: list[bytes | memoryview] = []
        self._stream: Iterator[bytes] | None = None
        self._waiting = False  # for the result of a Deferred
        self._impatience: Impatience | None = None  # it is one that may be given up
        self._ended = False  # the client sends no more
        self._gone = False  # nor does it read
        self._scheduled = False  # `_take_turn` is to be called
        self._away: Timer | None = None  # the port's host seems to have left: `_drop_if_away`
        self._closed = False
        self._events = READ
        loop.watch(fd, READ, self._on_events)

    def _on_events(self, events: int) -> None:
        try:
            if events == READ == self._events and self._away is None:  # nothing is under way
                self._receive()
            else:
                self._react(events)
        except Exception as error:  # noqa: BLE001 - that tells them apart
            self._fail(error)

    def _react(self, events: int) -> None:
        if events & HANGUP:
            if self._is_port:
                self._on_host_away()
            else:
                self._leave()
        elif self._away is not None:
            # The host is there: what it does not fetch from now on has its own time to wait.
            self._loop.cancel(self._away)
            self._away = None
        if self._scheduled:
            return  # with a turn to come, which is the one that goes on
        if events & WRITE and self._out:
            self._flush()
        elif self._impatience is not None:
            self._overhear(self._impatience)
        elif self._events & READ and not self._inbox:
            self._receive()
        elif not (self._is_port and events & HANGUP):
            self._settle()

    def _on_host_away(self) -> None:
        # Epoll would report it for ever.
        self._watch(self._events | EDGE)
        # The kernel learns that a host has come, or gone, on another way than it gets the data, and
        # maybe later: what is to be written now can be the reply to the new host's first request.
        if (self._out or self._stream is not None) and self._away is None:
            self._away = self._loop.later(_AWAY, self._drop_if_away)

    def _drop_if_away(self) -> None:
        self._away = None
        if not self._closed and hung_up(self._fd):
            self._drop_output()
            self._settle()

    def _attempt(self, step: "Callable[[], None]") -> None:
        if self._closed:
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001 - that tells them apart
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, OSError):  # no memory, or a bug: that is one request's end
            self._splitter.reset()
            self._inbox.append(error)
            self._settle()
        elif self._is_port:
            self._end(error)
        else:
            self.close()

    # Receiving.

    def _receive(self) -> None:
        try:
            data = self._receiving.read(self._splitter.idle)
        except BlockingIOError:
            data = None
        if data is None:
            self._settle()
            return
        if not data:
            if self._lost_at_end:
                raise OSError(errno.EIO, "the line was hung up")
            self._ended = not self._is_port
            if self._is_port:
                self._watch(READ | EDGE)
            self._settle()
            return
        if self._events & EDGE:  # the host is back
            self._watch(READ)
        if self._splitter.idle:
            # The way of nearly every request: it came whole and alone, and so goes the reply.
            reply = self._dispatcher.answer_short(data)
            if reply is not None:
                written = 0
                if type(reply) is list and len(reply) == 1 and not self._gone:
                    try:
                        written = os.write(self._fd, reply[0])
                    except OSError:
                        pass  # the usual way finds it, too, and knows what to do
                    if written == len(reply[0]):
                        return
                    reply = [reply[0][written:]]
                self._enqueue(reply)
                self._flush()
                return
        self._ahead = bytes(data)  # which may be overwritten
        self._answer()

    def _split(self, data: bytes) -> "list[Any]":
        try:
            return self._splitter.feed(data)
        except MemoryError as error:
            # What is pending was too much. There may be other requests in *data*.
            self._splitter.reset()
            return [error, *self._splitter.feed(data)]

    # Answering.

    def _answer(self) -> None:
        left, gathered = _TURN, 0
        while left and gathered <= _GATHER and not self._must_wait():
            if self._inbox:
                left -= 1
                reply = self._dispatcher.answer(self._inbox.pop())
                self._enqueue(reply)
                if isinstance(reply, list):
                    gathered += sum(map(len, reply))
            elif self._ahead:
                left = self._look_ahead(left)
            else:
                break
        self._flush()

    def _look_ahead(self, left: int) -> int:
        """Answer what is known, or fill the inbox; return how many may be answered after that."""
        data, end = self._ahead, 0
        if not self._splitter.idle:
            # A row of small requests that was cut in two by the end of a read: the one that has
            # begun may end here, and those behind it may be known.
            end = data.find(b"}", 0, LONGEST_KNOWN) + 1
        elif (after := self._answer_known(left)) < left:
            return after
        self._ahead = b""
        self._inbox = self._split(data[:end])
        if end and self._splitter.idle:
            self._ahead = data[end:]
        else:
            self._inbox += self._split(data[end:])
        self._inbox.reverse()
        return left

    def _answer_known(self, left: int) -> int:
        """Answer requests that are known by their bytes; return how many *left* there may be yet.

        The short way of what hosts ask all the time. It makes no difference but for the time: a
        message begins here, and what is known is a whole one.
        """
        row = Row(self._ahead, left)
        try:
            later = row.answer(self._dispatcher, self._out)
        finally:
            self._ahead = row.data[row.at :]
        if later is not None:
            self._enqueue(later)
        return row.left

    def _must_wait(self) -> bool:
        """Whether the next reply has to wait for the end of one that is under way."""
        return self._waiting or self._stream is not None

    def _enqueue(self, reply: "Reply | Deferred | Iterator[bytes]") -> None:
        if isinstance(reply, list):
            self._out += reply
        elif isinstance(reply, Deferred):
            self._waiting = True
            reply.when_done(self._on_done)
            if reply.give_up is not None and self._waiting:
                self._look_behind(reply.give_up)
        else:
            self._stream = reply

    def _look_behind(self, give_up: "Callable[[], None]") -> None:
        """The reply may be given up: see what has come behind its request, and what will come."""
        from .impatience import Impatience

        self._impatience = Impatience(self._loop, give_up)
        behind, self._ahead = self._split(self._ahead), b""
        self._inbox[:0] = reversed(behind)
        self._impatience.consider(self._inbox)

    def _overhear(self, impatience: "Impatience") -> None:
        heard = self._split(impatience.read(self._fd))
        self._ended = impatience.at_end and not self._is_port
        self._inbox[:0] = reversed(heard)
        impatience.consider(heard)
        self._settle()

    def _on_done(self, reply: "list[bytes]") -> None:
        self._waiting = False
        if self._look_no_longer():
            self._watch(EDGE)  # so that the loop will tell of what is there already
        self._out += reply
        self._attempt(self._flush)

    def _look_no_longer(self) -> bool:
        impatience, self._impatience = self._impatience, None
        if impatience is not None:
            impatience.end()
        return impatience is not None

    # Sending.

    def _flush(self) -> None:
        out = self._out
        if self._gone:
            self._drop_output()
        elif out:
            if len(out) > 1 and sum(map(len, out)) <= _GATHER:
                out[:] = [b"".join(out)]
            if self._is_port and len(out[0]) > TAKEN:
                view = memoryview(out[0])
                out[:1] = [view[at : at + TAKEN] for at in range(0, len(view), TAKEN)]
            try:
                written = os.write(self._fd, out[0]) if len(out) == 1 else os.writev(self._fd, out)
            except BlockingIOError:
                written = 0
            except (BrokenPipeError, ConnectionResetError):
                if self._is_port:
                    raise
                self._leave()
                written = 0
            while out and written >= len(out[0]):
                written -= len(out.pop(0))
            if out and written:
                out[0] = memoryview(out[0])[written:]
        if not out and self._stream is not None:
            # One piece at a time, and others have their turn before the next.
            piece = next(self._stream, None)
            if piece is None:
                self._stream = None
            else:
                out.append(piece)
        self._settle()

    def _leave(self) -> None:
        """The client has gone; what it sent before is still carried out."""
        self._gone = True
        self._drop_output()
        # Without waiting for events: epoll would report the hang-up for ever.
        self._loop.forget(self._fd)

    def _drop_output(self) -> None:
        self._out.clear()
        self._stream = None

    # Waiting for what comes next.

    def _settle(self) -> None:
        if self._closed:
            return
        if self._out:
            self._watch(WRITE)
        elif self._waiting:
            # A hang-up is always reported; as a change, once.
            self._watch(EDGE if self._impatience is None else READ | EDGE)
        elif self._inbox or self._ahead:
            self._watch(EDGE)
            self._schedule()
        elif self._ended:
            self.close()
        elif self._gone:
            self._schedule()
        elif not self._events & READ:
            self._watch(READ)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._loop.soon(self._take_turn)
            self._scheduled = True

    def _take_turn(self) -> None:
        self._scheduled = False
        self._attempt(self._answer if self._inbox or self._ahead else self._receive)

    def _watch(self, events: int) -> None:
        if events != self._events:
            # First what may fail, so that what is noted is what is.
            if not self._gone:
                self._loop.change(self._fd, events)
            self._events = events

    # Ending.

    def close(self) -> None:
        """End the stream; replies that are not written yet are dropped."""
        self._end(None)

    def _end(self, error: OSError | None) -> None:
        if self._closed:
            return
        self._closed = True
        self._look_no_longer()
        self._loop.forget(self._fd)
        os.close(self._fd)
        self._inbox.clear()
        self._ahead = b""
        self._drop_output()
        self._on_end(self, error)
