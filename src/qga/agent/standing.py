"""How a guardian stands on its own: apart from the agent, and before others. Used by `keeper`."""

import os

from . import descriptors
from .lean import signal

try:
    import _ctypes as _c
except ImportError:  # a Python with few of its parts
    _HAS_C = False
else:
    _HAS_C = True

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# From sys/mman.h: MCL_CURRENT | MCL_FUTURE; from malloc.h: M_ARENA_MAX.
_ALL_MEMORY = 3
_ARENAS = -8

# Made beforehand: later there may be no memory for it.
_PRECEDENCE = os.sched_param(1)


def take_precedence() -> None:
    """Have this thread run when it has something to do, however busy the guest is."""
    try:
        # Not for the programs that are started in the end.
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, _PRECEDENCE)
    except OSError:
        pass  # a sandbox may forbid it, or it is a test; it is nice to itself in any case


def detach(keep: "set[int]") -> None:
    """Become independent of the agent: of its descriptors, its session and its precedence."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    descriptors.close_all_but(keep)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)
    try:
        _spare_from_oom(b"-1000")
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        pass  # not root: it is a test


def attach() -> None:
    """Become an ordinary process again, whose children are."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    try:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        _spare_from_oom(b"0")
    except OSError:
        pass  # as above


def _spare_from_oom(score: bytes) -> None:
    # As bytes: a text's codec might have to be loaded, and the agent may be frozen.
    with open("/proc/self/oom_score_adj", "wb") as file:
        file.write(score)


def share_memory() -> None:
    """Have threads that are started from now on share what memory there is.

    Else the C library would have more for each of them, all of which would be locked.
    """
    _call("mallopt", _ARENAS, 1)


def lock_memory() -> bool:
    """Keep all memory of this process where it is, also what comes; False where that is denied."""
    return _call("mlockall", _ALL_MEMORY) == 0


def _call(name: str, *arguments: int) -> "int | None":
    """Call a function of the C library; None where that cannot be done.

    The standard library has no name for these, but `ctypes` is made of a module that can call any.
    """
    if not _HAS_C:
        return None
    try:
        program: Any = None  # the C library is part of it
        function = _c.dlsym(_c.dlopen(program, os.RTLD_NOW), name)
        result: int = _c.call_cdeclfunction(function, arguments)
    except (AttributeError, OSError):
        return None
    return result
