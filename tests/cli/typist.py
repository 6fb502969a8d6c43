"""Runs `qga` on a terminal of its own, and types what it is asked for."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence

PATIENCE = 120.0

# The terminal has to be the one that /dev/tty is: passwords are asked for there.
_START = """
import os, sys
os.login_tty(0)
os.execv(sys.executable, [sys.executable, "-m", "qga.cli", *sys.argv[1:]])
"""


def at_terminal(
    *words: str, answers: Sequence[tuple[str, str]] = (), **variables: str
) -> tuple[int, str]:
    """The exit code of `qga`, and all that the terminal showed.

    Args:
        words: the arguments.
        answers: what to wait for, and what to type then; the end is waited for behind the last.
        variables: of the environment.
    """
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", _START, *words]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **variables}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        shown, looked = b"", 0
        waiting = list(answers)
        deadline = time.monotonic() + PATIENCE
        try:
            while True:
                ready, _, _ = select.select([ours], [], [], max(0.0, deadline - time.monotonic()))
                assert ready, f"waited for {waiting[:1]} in vain: {shown.decode()}"
                data = os.read(ours, 4096)
                if not data:
                    break
                shown += data
                if waiting and waiting[0][0].encode() in shown[looked:]:
                    looked = len(shown)
                    os.write(ours, waiting.pop(0)[1].encode())
        except OSError:  # how a terminal tells that its other side is gone
            pass
        finally:
            os.close(ours)
            if time.monotonic() > deadline:
                process.kill()
    assert not waiting, f"never asked for {waiting[0][0]}: {shown.decode()}"
    return process.returncode, shown.decode()
