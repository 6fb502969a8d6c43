"""What is tried with the commands of `qga.protocol.stats`, and where the answers differ."""

from tests.interop.case import Case, Difference, call, raw

# What the machine is doing meanwhile.
_TIMES = (
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestnice",
)  # fmt: skip

CASES: tuple[Case, ...] = (
    call("times of processors", "guest-get-cpustats", varying=_TIMES),
    call("times of one processor", "guest-get-cpustats", cpu=0),
    raw("times of processors with a list", b'{"execute": "guest-get-cpustats", "arguments": []}\n'),
    call("load", "guest-get-load", varying=("load1m", "load5m", "load15m")),
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "guest-get-load",
        "It came with version 10.0; the qemu-ga of this comparison is older.",
        ("load",),
    ),
)
