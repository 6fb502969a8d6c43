"""The `qga` command line. Here is only its entrance; click and rich come with `qga[cli]`."""

import sys


def main() -> int:
    """Run `qga` with the arguments of this process; return the exit code."""
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
