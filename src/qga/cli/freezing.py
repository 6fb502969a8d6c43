"""`qga freeze TARGET -- COMMAND...`: a command on the host, run while the guest is frozen.

And `qga thaw`, for a guest that something else has left frozen.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys

import click

from qga.client.target import Target, from_environment
from qga.errors import QgaError

from . import ending, output
from .fleet import each_guest
from .options import Settings, WithProgram, behind_dashes, leading_target, with_settings
from .output import Shown

# As other programs that run a command: not confused with the exit codes that commands choose.
FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


@click.command(short_help="Thaw the guest's file systems.")
@each_guest
def thaw(settings: Settings, target: Target) -> Shown:
    """Thaw the guest's file systems, trying again until the agent confirms it."""
    with settings.connect(target) as client:
        count = client.thaw()
    return Shown({"thawed": count}, f"{output.counted(count, 'file system')} thawed")


@click.command(cls=WithProgram, short_help="Run a command while the guest is frozen.")
@with_settings
@click.argument("words", nargs=-1, metavar="[TARGET] -- COMMAND...")
@click.pass_context
def freeze(context: click.Context, settings: Settings, words: tuple[str, ...]) -> int:
    """Run COMMAND while the guest's file systems are frozen; thaw them whatever happens.

    COMMAND runs on this machine, for example to take a snapshot. The exit code is its own; 125 when
    freezing or thawing failed, 126 or 127 when it cannot be run. What was done is told on standard
    error. An interrupt goes to COMMAND; the guest is thawed when it ends.
    """
    command = behind_dashes(context)
    if command is not None:
        if len(words) > 1:
            raise click.UsageError(f"{words[1]!r} stands before the --; only TARGET may")
        target = Target(words[0]) if words else from_environment()
    else:
        target, command = leading_target(words)
    if not command:
        raise click.UsageError("which command? qga freeze TARGET -- COMMAND...")
    try:
        with settings.connect(target) as client:
            with client.frozen(deadline=math.inf) as frozen:
                if not settings.json:
                    what = output.counted(frozen.frozen, "file system")
                    print(f"qga: {what} frozen", file=sys.stderr)
                code = _run(command)
            thawed = frozen.thawed or 0
    except QgaError as error:
        raise ending.Failed(error, FAILED) from error
    if settings.json:
        summary = {
            "frozen": frozen.frozen,
            "thawed": thawed,
            "seconds": round(frozen.seconds, 3),
            "exit_code": code,
        }
        print(json.dumps(summary), file=sys.stderr)
    else:
        what = output.counted(thawed, "file system")
        print(f"qga: {what} thawed after {frozen.seconds:.1f} s", file=sys.stderr)
        if not frozen.held:
            print(f"qga: it did not hold: {frozen.report}", file=sys.stderr)
    return code


def _run(command: tuple[str, ...]) -> int:
    # The terminal sends an interrupt to the command too: whether it ends by that is its decision.
    # A handler, unlike SIG_IGN, is not inherited by the command.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.Popen(command)
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    except OSError as error:
        print(f"qga: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code
