"""What is tried with the commands of `qga.protocol.network`, and where the answers differ."""

from tests.interop.case import Case, Difference, call, raw

# What the machine is doing meanwhile.
_COUNTERS = tuple(
    f"{direction}-{what}"
    for direction in ("rx", "tx")
    for what in ("bytes", "packets", "errs", "dropped")
)

CASES: tuple[Case, ...] = (
    call("interfaces", "guest-network-get-interfaces", varying=_COUNTERS),
    call("interfaces with an argument", "guest-network-get-interfaces", name="lo"),
    raw(
        "interfaces with null for arguments",
        b'{"execute": "guest-network-get-interfaces", "arguments": null}\n',
    ),
    # They are the machine's, and would be in the page of differences.
    call("routes", "guest-network-get-route", varying=("return",)),
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "guest-network-get-route",
        "It came with version 9.1; the qemu-ga of this comparison is older. Numbers of the kernel "
        "are unsigned here, as they are there: in the newer qemu-ga the highest metric is -1 and "
        "flags with the highest bit set have 64 bits. Where the kernel is without one version of "
        "IP, the routes of the other are told; the newer qemu-ga fails.",
        ("routes",),
    ),
)
