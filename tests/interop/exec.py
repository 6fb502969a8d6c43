"""What is tried with the commands of `qga.protocol.exec`, and where the answers differ.

Programs are started in `test_exec`, by agents of its own: those here are not allowed to.
"""

from typing import Any

from tests.interop.case import Case, Difference, call

_PIDS = (0, 1, -1, 2**31, 2**63 - 1)
_NO_PIDS: tuple[Any, ...] = (2**63, 1.0, "1", True, None, [], {})

CASES: tuple[Case, ...] = (
    call("blocked: exec", "guest-exec", path="/bin/true"),
    call("blocked: exec without a path", "guest-exec"),
    *(call(f"exec-status, pid: {pid}", "guest-exec-status", pid=pid) for pid in _PIDS),
    *(call(f"exec-status, pid: {pid!r}", "guest-exec-status", pid=pid) for pid in _NO_PIDS),
    call("exec-status without a pid", "guest-exec-status"),
    call("exec-status with more than a pid", "guest-exec-status", pid=1, wait=True),
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "A process number that is no program's",
        "Newer versions of qemu-ga than the one compared here say that the process does not exist, "
        "but by a mistake without its number: `PID ld does not exist`. Here the number is in it.",
        tuple(f"exec-status, pid: {pid}" for pid in _PIDS),
    ),
    Difference(
        "The text for blocked programs",
        "As for other blocked commands: newer versions of qemu-ga give the reason.",
        ("blocked: exec", "blocked: exec without a path"),
    ),
)
