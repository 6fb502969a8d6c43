"""What is tried with the commands of `qga.protocol.storage`, and with guest-get-diskstats.

What they say of machines that differ is compared in `test_made_up_disks`; fstrim, which would
change the machine, in a guest.
"""

from typing import Any

from tests.interop.case import Case, Difference, call, request

COUNTERS = (
    "read-sectors", "read-ios", "read-merges", "write-sectors", "write-ios", "write-merges",
    "discard-sectors", "discard-ios", "discard-merges", "flush-ios", "read-ticks", "write-ticks",
    "discard-ticks", "flush-ticks", "ios-pgr", "total-ticks", "weight-ticks",
)  # fmt: skip
NOT_OBJECTS: tuple[Any, ...] = (None, [], "", 1)

CASES: tuple[Case, ...] = (
    call("diskstats", "guest-get-diskstats", varying=COUNTERS),
    *(
        case
        for command in ("guest-get-disks", "guest-get-fsinfo", "guest-get-diskstats")
        for case in (
            call(f"{command} with an argument", command, name="sda"),
            *(
                request(
                    f"{command}, arguments: {value!r}", {"execute": command, "arguments": value}
                )
                for value in NOT_OBJECTS
            ),
        )
    ),
)

DIFFERENCES: tuple[Difference, ...] = ()
