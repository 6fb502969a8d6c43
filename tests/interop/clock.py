"""What is tried with the commands of `qga.protocol.clock`, and where the answers differ.

Clocks are set in a guest only: tests/vm/test_clock.py.
"""

from tests.interop.case import Case, Difference, call

CASES: tuple[Case, ...] = (
    call("time", "guest-get-time", varying=("return",)),
    call("time with an argument", "guest-get-time", time=1),
    call("time zone", "guest-get-timezone"),
    call("time zone with an argument", "guest-get-timezone", zone="UTC"),
)

DIFFERENCES: tuple[Difference, ...] = ()
