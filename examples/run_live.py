"""Run a program in a guest and see its output while it runs, line by line.

    python run_live.py unix:/run/vm1/qga.sock --user postgres -- pg_dumpall

Standard error goes to standard error, and the exit code is the program's. Ctrl-C ends the program
in the guest.
"""

import argparse
import sys
import threading
from collections.abc import Iterable
from subprocess import PIPE
from typing import BinaryIO

import qga


def copy(lines: Iterable[bytes] | None, to: BinaryIO) -> None:
    for line in lines or ():
        to.write(line)
        to.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a program in a guest.")
    parser.add_argument("target")
    parser.add_argument("--user", help="the user of the guest that it runs as")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    try:
        with (
            qga.connect(options.target) as guest,
            guest.popen(options.command, user=options.user, stdout=PIPE, stderr=PIPE) as program,
        ):
            errors = threading.Thread(target=copy, args=(program.stderr, sys.stderr.buffer))
            errors.start()
            copy(program.stdout, sys.stdout.buffer)
            errors.join()
            code = program.wait()
    except qga.QgaError as error:
        sys.exit(f"{options.target}: {error}")
    # As shells tell a signal.
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
