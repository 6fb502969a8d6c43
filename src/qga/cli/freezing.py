"""`qga freeze TARGET -- COMMAND...`: a command on the host, run while the guest is frozen."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys

import click

from qga.client.target import Target, from_environment
from qga.errors import QgaError

from . import output
from .options import Settings, leading_target, with_settings

# As other programs that run a command: not confused with the exit codes that commands choose.
FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


class NotDone(Exception):
    """Freezing or thawing failed: *cause* tells why."""

    def __init__(self, cause: QgaError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _WithCommand(click.Command):
    """Keeps what stands behind `--` apart: it is never a target, whatever its name is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            border = args.index("--")
            ctx.meta[_COMMAND] = tuple(args[border + 1 :])
            args = args[:border]
        return super().parse_args(ctx, args)


_COMMAND = "qga.freeze.command"


@click.command(cls=_WithCommand, short_help="Run a command while the guest is frozen.")
@with_settings
@click.argument("words", nargs=-1, metavar="[TARGET] -- COMMAND...")
@click.pass_context
def freeze(context: click.Context, settings: Settings, words: tuple[str, ...]) -> int:
    """Run COMMAND while the guest's file systems are frozen; thaw them whatever happens.

    COMMAND runs on this machine, for example to take a snapshot. The exit code is its own; 125 when
    freezing or thawing failed, 126 or 127 when it cannot be run. What was done is told on standard
    error. An interrupt goes to COMMAND; the guest is thawed when it ends.
    """
    if _COMMAND in context.meta:
        command = context.meta[_COMMAND]
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
        raise NotDone(error) from error
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
