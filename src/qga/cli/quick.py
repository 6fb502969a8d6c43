"""`qga ping` and `qga --version` as scripts and monitors call them again and again.

Without click, which with what it loads takes longer than all the rest. Only the plain forms are
known here; of any other, `app` knows what it means. A test compares what both say.
"""

from __future__ import annotations

import gc
import sys
import time

from . import ending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qga.client import Client, Target


def run(words: list[str]) -> int | None:
    """Run the command line *words*; return the exit code, or None if it is not for here."""
    action = _meant(words)
    if action is None:
        return None
    gc.disable()  # the process ends before there is garbage
    try:
        return ending.code_of(action)
    except KeyboardInterrupt:  # as click has it
        print(file=sys.stderr)
        return ending.INTERRUPTED


def _meant(words: list[str]) -> Callable[[], None] | None:
    if words == ["--version"]:
        return lambda: print(version())
    if not words or words[0] != "ping":
        return None
    rest = words[1:]
    timeout = None
    if len(rest) > 1 and rest[0] == "--timeout":
        # What else is a number, or none, click knows.
        if not (rest[1].isascii() and rest[1].isdecimal() and int(rest[1])):
            return None
        timeout = float(rest[1])
        del rest[:2]
    if len(rest) > 1 or any(word.startswith("-") for word in rest):
        return None
    return lambda: _ping(rest, timeout)


def version() -> str:
    from qga._version import VERSION
    from qga.protocol import UPSTREAM_VERSION

    return f"qga {VERSION} (protocol of QEMU {UPSTREAM_VERSION})"


def _ping(words: list[str], timeout: float | None) -> None:
    from qga.client.sync import connect
    from qga.client.target import Target, from_environment

    target = Target(words[0]) if words else from_environment()
    with connect(target, timeout=timeout) as client:
        print(answered(target, milliseconds(client)))


def milliseconds(client: Client) -> float:
    """How long the agent of *client* takes to answer."""
    client.sync()
    began = time.perf_counter()
    client.call("guest-ping")  # as `ping` does, without what presents it as a method
    return round((time.perf_counter() - began) * 1000, 3)


def answered(target: Target, duration: float) -> str:
    """That in words."""
    return f"{target} answers in {duration:g} ms"
