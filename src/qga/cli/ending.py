"""How a command of `qga` ends: the exit code, and what went wrong in one line of stderr.

For `app` and `quick`; it loads nothing but the errors themselves.
"""

from __future__ import annotations

import os
import sys

from qga import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

AGENT_ERROR, USAGE, UNREACHABLE, LOCAL, INTERRUPTED = 1, 2, 3, 4, 130

# What to do about an error where the command line knows better than the error's own hint; the first
# class that fits.
_HINTS: tuple[tuple[type[errors.QgaError], str], ...] = (
    (errors.AgentFrozen, "the guest's file systems are frozen; `qga thaw` ends that"),
    (errors.CommandNotFound, "`qga info` lists what it has"),
    (errors.AgentNotResponding, ""),
    (errors.AgentTimeout, "the guest may still be at it; --timeout SECONDS waits longer"),
)


class Failed(Exception):
    """A command that has exit codes of its own failed: *cause* tells why, *code* is its exit code.

    Whatever the cause is, `qga` itself failed, and not the program that the command has run.
    """

    def __init__(self, cause: Exception, code: int) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.code = code


def code_of(action: Callable[[], object]) -> int:
    """Do what a command does; return its exit code, which may be what *action* returned."""
    try:
        code = action()
        sys.stdout.flush()
    except errors.QgaError as error:
        return complain(error, code_for(error))
    except BrokenPipeError:
        # Whoever read has enough. Nothing may be flushed into the pipe at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return AGENT_ERROR
    except OSError as error:
        return complain(error, LOCAL)
    return code if isinstance(code, int) else 0


def code_for(error: Exception) -> int:
    """The exit code for *error*."""
    if not isinstance(error, errors.QgaError):
        return LOCAL
    if isinstance(error, errors.CommandError):
        return AGENT_ERROR
    return USAGE if isinstance(error, errors.InvalidTarget) else UNREACHABLE


def complain(error: Exception, code: int) -> int:
    """Tell of *error*; return *code*."""
    return tell(message(error), code)


def message(error: Exception) -> str:
    """What *error* says, and what to do about it, in one line."""
    notes = getattr(error, "__notes__", ())
    if isinstance(error, errors.QgaError):
        better = next((hint for kind, hint in _HINTS if isinstance(error, kind)), "")
        if isinstance(error, errors.CommandNotFound):
            better = f"{error.hint}; {better}"
        parts = [error.text, *notes, better or error.hint]
    else:
        parts = [str(error), *notes]
        if isinstance(error, OSError) and error.strerror:
            name = f"{error.filename}: " if error.filename is not None else ""
            parts[0] = f"{name}{error.strerror}"
    return printable("; ".join(filter(None, parts)))


def tell(message: str, code: int) -> int:
    """Tell *message*; return *code*."""
    # At once, with its end: threads may tell something each.
    print(f"qga: {printable(message)}\n", end="", file=sys.stderr, flush=True)
    return code


def printable(text: str) -> str:
    """*text* without what could steer a terminal: what a guest says is not to be trusted."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
