"""What is tried with the commands of `qga.protocol.clock`, and where the answers differ."""

from tests.interop.case import Case, Difference, call

CASES: tuple[Case, ...] = (
    call("time zone", "guest-get-timezone"),
    call("time zone with an argument", "guest-get-timezone", zone="UTC"),
)

DIFFERENCES: tuple[Difference, ...] = ()
