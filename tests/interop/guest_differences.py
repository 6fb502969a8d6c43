"""Where the answers to `guest_cases` differ, and why, beyond the table in `differences`."""

from tests.interop.case import Difference
from tests.interop.guest_cases import RUN

_FREEZES = ("freeze", "freeze a list", "freeze all by list")
_REFUSED = ("shut down in an unknown way", "open a file", "trim", "again", "again, a list")

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "What came after 7.2",
        "Commands, and a member (total-bytes-privileged), that newer versions of qemu-ga have, and "
        "the one compared here has not.",
        ("get routes", "get the load", "get file systems"),
    ),
    Difference(
        "The text while frozen",
        "Newer versions of qemu-ga have one text for whatever forbids a command, and so has ours. "
        "The class, which programs look at, is the same.",
        tuple(f"{freeze}: {what}" for freeze in _FREEZES for what in _REFUSED),
    ),
    Difference(
        "What a program has said",
        "When a program that the agent runs for a command fails, the error quotes its output, as "
        "that of newer versions of qemu-ga does.",
        ("set an empty password", "set a password of nobody"),
    ),
    Difference(
        "Nobody is no success",
        "qemu-ga prints the error of a look-up that has not failed, but found nothing.",
        (
            "get keys of nobody",
            "add keys of nobody",
            "remove keys of nobody",
            "ssh keys of nobody",
        ),
    ),
    Difference(
        "Programs that are not there",
        "The number is shown, of a process that was never started or has been forgotten: newer "
        "versions of qemu-ga mean to, and show the letters `ld`.",
        (
            *(f"ask about {name} again" for name in RUN),
            "ask about process 0",
            "ask about process 1",
            "ask about process -1",
        ),
    ),
    Difference(
        "Programs that cannot be started",
        "Newer versions of qemu-ga leave out what 7.2 puts around the reason, and so does ours.",
        (
            "run what is not there",
            "run what is not on PATH",
            "run a folder",
            "run what is not executable",
            "run an empty path",
        ),
    ),
    Difference(
        "More ways to capture output",
        "Newer versions of qemu-ga take the name of a mode, too.",
        tuple(f"run, no capture: {value}" for value in ("1", "'x'", "[]", "None")),
    ),
    Difference(
        "Processors that are not there",
        "The texts are those of newer versions of qemu-ga.",
        (
            "take a processor online that is not there",
            "take processor -1 online",
            "the first of two fails",
        ),
    ),
)
"""A test in `tests.vm` fails for one that is not here, and for one here that is none any more."""
