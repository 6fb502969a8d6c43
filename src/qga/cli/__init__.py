"""The `qga` command line. Here is only its entrance; click and rich come with `qga[cli]`."""

import codecs
import io
import os
import sys

# What qga itself prints beyond ASCII.
_PLAIN = {"±": "+-", "…": "...", "━": "=", "╸": "=", "─": "-"}


def main() -> int:
    """Run `qga` with the arguments of this process; return the exit code."""
    _have_streams()
    try:
        return _run()
    except KeyboardInterrupt:  # while modules are loaded; commands have their own ways
        print(file=sys.stderr)
        return 130


def _run() -> int:
    from . import quick

    code = quick.run(sys.argv[1:])
    if code is not None:
        return code
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        print("qga: the command line needs: pip install 'qga[cli]'", file=sys.stderr)
        return 2
    from .app import run
    from .ending import leave

    return leave(run())


def _have_streams() -> None:
    """See that there are standard streams, and that they take any text.

    Of those that are closed (`qga ... >&-`) the next channel to an agent would get the number, and
    what is printed would go to the agent.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: this one
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if isinstance(sys.stdout, io.TextIOWrapper) and encoding.lower() not in {"utf-8", "utf8"}:
        codecs.register_error("qga", _replaced)
        sys.stdout.reconfigure(errors="qga")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """What is written for characters that the terminal's character set does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    told = (_PLAIN.get(char) or ascii(char)[1:-1] for char in lacking)
    return "".join(told), error.end
