"""Signals that end a process, made exceptions while something has to be undone first.

`frozen` uses it: a process that simply died of SIGTERM would leave the guest frozen. While `guard`
is on, SIGTERM and SIGHUP raise `Ended`, a SystemExit, and SIGINT raises KeyboardInterrupt as ever,
but none of them while a function marked by `uninterrupted` runs: then it is raised by `deliver`.

Only in the main thread, as Python has it, and only where the handlers are the default ones: a
program that handles a signal itself, or ignores it, has decided.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS: dict[int, Any] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}

_uninterrupted: set[CodeType] = set()
_pending: list[int] = []
_guards: set[int] = set()


class Ended(SystemExit):
    """A signal asked the process to end; the exit code is 128 and its number."""


def default(number: int) -> bool:
    """Whether nobody has decided what the signal *number* is to do."""
    return signal.getsignal(number) is _DEFAULTS[number]


def uninterrupted(function: F) -> F:
    """Have no guarded signal raise in *function*, or in what it calls."""
    _uninterrupted.add(function.__code__)
    return function


def guard(owner: object) -> None:
    """Begin to guard for *owner*, in whose name `release` is to be called, whatever happens here.

    A signal may come at any line of this.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _guards.add(id(owner))
    for number in _DEFAULTS:
        if default(number):
            signal.signal(number, _raise)


def release(owner: object) -> bool:
    """End what `guard` has begun for *owner*; return whether that was so."""
    if id(owner) not in _guards:
        return False
    _guards.discard(id(owner))
    if not _guards:
        for number, handler in _DEFAULTS.items():
            if signal.getsignal(number) is _raise:
                signal.signal(number, handler)
    return True


def deliver() -> None:
    """Raise what came while an uninterrupted function ran; not in other threads."""
    if _pending and threading.current_thread() is threading.main_thread():
        number = _pending.pop()
        _pending.clear()
        raise _exception(number)


def _raise(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code in _uninterrupted:
            _pending.append(number)
            return
        frame = frame.f_back
    raise _exception(number)


def _exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Ended(128 + number)
