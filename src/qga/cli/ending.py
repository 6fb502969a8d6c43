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

AGENT_ERROR, USAGE, UNREACHABLE, LOCAL, DEFECT, INTERRUPTED = 1, 2, 3, 4, 70, 130

DEBUG = "--debug"

# What to do about an error where the command line knows better than the error's own hint; the first
# class that fits.
_HINTS: tuple[tuple[type[errors.QgaError], str], ...] = (
    (errors.AgentFrozen, "the guest's file systems are frozen; `qga thaw` ends that"),
    (errors.CommandNotFound, "`qga commands` lists what it has"),
    (errors.AgentNotResponding, ""),
    (errors.WaitTimeout, "--timeout SECONDS waits longer"),
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


def leave(code: int) -> int:
    """*code*, to end the process with; at once if guests have been left that hang.

    Their threads could hold up Python's own end, or trip over it.
    """
    crew = sys.modules.get("qga.client.crew")
    if crew and any(thread.name == crew.NAME for thread in crew.threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def defect(error: Exception, *, debug: bool) -> int:
    """Tell of an *error* that nobody has foreseen; with *debug*, also where it was raised."""
    if debug:
        import traceback

        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return tell(
        f"this is a mistake in qga: {what}; report it"
        + ("" if debug else f", with what it prints when {DEBUG} is given, too"),
        DEFECT,
    )


def show_event(event: object) -> None:
    """Print what went over a channel; from any thread, each line as a whole."""
    os.write(sys.stderr.fileno(), f"qga: {printable(str(event))}\n".encode(errors="replace"))


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
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of what is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
